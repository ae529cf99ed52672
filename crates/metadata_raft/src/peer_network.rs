//! openraft's network to one peer: appends many at once over one stream, votes, hand-overs and snapshots.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError,
    StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, BasicNode, OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use peers::{Code, Connections, PeerClient, Status};
use tokio::sync::mpsc::Sender;
use tokio_stream::wrappers::ReceiverStream;
use wire::peer::{self, AppendReply, SnapshotName, SnapshotPiece};

use crate::append_stream;
use crate::blocking::blocking;
use crate::metric;
use crate::snapshot::SnapshotFile;
use crate::types::{
    LogId, TypeConfig, applied_to_wire, encode_entry, log_id_from_wire, log_id_to_wire,
    vote_from_wire, vote_to_wire,
};

/// After a peer could not be reached it is tried again so soon: an election waits for it.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// An append is answered within so long, or its stream is opened anew. openraft would allow less than the time between two
/// heartbeats; but where an answer takes longer, over a slow line or from a slow disk, nothing would ever be acknowledged, and
/// a peer that stands still would be sent a new stream with each try. Streams carry many appends at once, and so waiting is free.
const APPEND_TIME_MAX: Duration = Duration::from_millis(500);
/// How much of a snapshot goes in one message, and how many messages wait to be sent.
const PIECE_BYTES: usize = 512 * 1024;
const PIECES_AHEAD: usize = 2;
/// Without an answer for so long while a snapshot's last bytes are installed, it is sent again.
const INSTALL_TIME_MAX: Duration = Duration::from_secs(600);

type Failure = RPCError<TypeConfig>;

/// Makes the networks to peers.
pub(crate) struct PeerNetworks {
    pub(crate) node: u64,
    pub(crate) connections: Connections,
}

impl RaftNetworkFactory<TypeConfig> for PeerNetworks {
    type Network = PeerNetwork;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> PeerNetwork {
        PeerNetwork {
            node: self.node,
            target,
            client: self.connections.client(target, &node.addr),
        }
    }
}

/// The network to one peer.
pub(crate) struct PeerNetwork {
    node: u64,
    target: u64,
    client: PeerClient,
}

/// What a failed call says about the peer: one that cannot be reached is left alone for a moment.
fn failed(status: &Status) -> Failure {
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Cancelled => {
            RPCError::Unreachable(Unreachable::new(&AnyError::error(status)))
        }
        _ => RPCError::Network(NetworkError::new(&AnyError::error(status))),
    }
}

fn append_to_wire(request: &AppendEntriesRequest<TypeConfig>) -> peer::AppendRequest {
    let entries = request.entries.iter();
    peer::AppendRequest {
        vote: vote_to_wire(&request.vote),
        previous: request.prev_log_id.as_ref().map(log_id_to_wire),
        entries: entries.map(|entry| encode_entry(entry).into()).collect(),
        commit: request.leader_commit.as_ref().map(log_id_to_wire),
    }
}

fn append_result(reply: AppendReply) -> StreamAppendResult<TypeConfig> {
    match reply {
        AppendReply::Flushed(last) => Ok(last.map(log_id_from_wire)),
        AppendReply::Conflict(previous) => {
            Err(StreamAppendError::Conflict(log_id_from_wire(previous)))
        }
        AppendReply::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote_from_wire(vote))),
    }
}

impl PeerNetwork {
    /// A call with the time that openraft gives it.
    async fn within<T>(
        &self,
        action: RPCTypes,
        limit: Duration,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer.map_err(|status| failed(&status)),
            Err(_) => Err(self.timeout(action, limit)),
        }
    }

    fn timeout(&self, action: RPCTypes, timeout: Duration) -> Failure {
        RPCError::Timeout(Timeout {
            action,
            id: self.node,
            target: self.target,
            timeout,
        })
    }

    async fn ask_vote(
        &self,
        request: VoteRequest<TypeConfig>,
        only_asks: bool,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Failure> {
        let question = peer::VoteRequest {
            vote: vote_to_wire(&request.vote),
            last_log: request.last_log_id.as_ref().map(log_id_to_wire),
            leadership_transfer: request.leadership_transfer,
            only_asks,
        };
        let mut client = self.client.clone();
        let asked = client.ask_vote(question);
        let reply = self
            .within(RPCTypes::Vote, option.soft_ttl(), asked)
            .await?
            .into_inner();
        Ok(VoteResponse {
            vote: vote_from_wire(reply.vote),
            vote_granted: reply.granted,
            last_log_id: reply.last_log.map(log_id_from_wire),
        })
    }

    async fn send_snapshot(
        &self,
        vote: VoteOf<TypeConfig>,
        snapshot: SnapshotOf<TypeConfig, SnapshotFile>,
        limit: Duration,
    ) -> Result<SnapshotResponse<TypeConfig>, Failure> {
        let broken = |error: std::io::Error| {
            RPCError::Network(NetworkError::new(&AnyError::error(error.to_string())))
        };
        let file = snapshot.snapshot;
        let summed = file.clone();
        let (size, crc32) = blocking(move || summed.size_and_crc32())
            .await
            .map_err(|error| broken(error.into()))?
            .map_err(broken)?;
        let meta = &snapshot.meta;
        let name = SnapshotName {
            sender: self.node,
            state: applied_to_wire(meta.last_log_id.as_ref(), &meta.last_membership),
            size,
            crc32,
        };
        let mut client = self.client.clone();
        let asked = client.snapshot_progress(name.clone());
        let there = self.within(RPCTypes::InstallSnapshot, limit, asked).await?;
        let offset = there.into_inner().bytes.min(size);
        let (pieces, outgoing) = tokio::sync::mpsc::channel(PIECES_AHEAD);
        let vote = vote_to_wire(&vote);
        let start = SnapshotPiece::Start { vote, name, offset };
        // It ends by itself, when nobody takes the pieces any more.
        drop(tokio::spawn(read_pieces(file, start, offset..size, pieces)));
        let sent = client.send_snapshot(ReceiverStream::new(outgoing));
        let taken = self
            .within(RPCTypes::InstallSnapshot, INSTALL_TIME_MAX, sent)
            .await?;
        metric::snapshot("sent");
        Ok(SnapshotResponse::new(vote_from_wire(
            taken.into_inner().vote,
        )))
    }
}

/// Reads a snapshot piece by piece, as fast as the pieces are taken.
async fn read_pieces(
    file: SnapshotFile,
    start: SnapshotPiece,
    range: Range<u64>,
    pieces: Sender<SnapshotPiece>,
) {
    let mut next = start;
    let mut at = range.start;
    while pieces.send(next).await.is_ok() && at < range.end {
        let len = PIECE_BYTES.min(usize::try_from(range.end - at).unwrap_or(PIECE_BYTES));
        let (from, source) = (at, file.clone());
        let piece = blocking(move || source.piece(from, len)).await;
        next = match piece.map_err(std::io::Error::other).flatten() {
            Ok(piece) => SnapshotPiece::Data(piece),
            Err(error) => {
                // The receiver finds that bytes are missing, and the sender tries again.
                tracing::error!(%error, "a snapshot cannot be read to be sent");
                return;
            }
        };
        at += len as u64;
    }
}

impl RaftNetworkV2<TypeConfig> for PeerNetwork {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Failure> {
        let last = request.entries.last().map(|entry| entry.log_id);
        let last: Option<LogId> = last.or(request.prev_log_id);
        let only = futures::stream::iter([append_to_wire(&request)]);
        let mut client = self.client.clone();
        let answered = async {
            let mut replies = client.append(only).await?.into_inner();
            let none = || Status::internal("an append was not answered");
            replies.message().await?.ok_or_else(none)
        };
        let limit = option.soft_ttl();
        let reply = self
            .within(RPCTypes::AppendEntries, limit, answered)
            .await?;
        Ok(match append_result(reply) {
            Ok(flushed) if flushed == last => AppendEntriesResponse::Success,
            Ok(flushed) => AppendEntriesResponse::PartialSuccess(flushed),
            Err(StreamAppendError::Conflict(_)) => AppendEntriesResponse::Conflict,
            Err(StreamAppendError::HigherVote(vote)) => AppendEntriesResponse::HigherVote(vote),
        })
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, Failure>>, Failure>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let (requests, stream) = append_stream::of(input);
        let requests = requests.map(|request| append_to_wire(&request));
        let limit = option.soft_ttl().max(APPEND_TIME_MAX);
        Box::pin(async move {
            let mut client = self.client.clone();
            let opened = client.append(requests);
            let replies = match self.within(RPCTypes::AppendEntries, limit, opened).await {
                Ok(replies) => replies.into_inner(),
                Err(failure) => {
                    drop(stream);
                    // A peer that refuses at once would be asked again at once.
                    tokio::time::sleep(RETRY_AFTER).await;
                    return Err(failure);
                }
            };
            let network = &*self;
            let answers =
                futures::stream::unfold(Some((replies, stream)), move |open| async move {
                    let (mut replies, stream) = open?;
                    loop {
                        match tokio::time::timeout(limit, replies.message()).await {
                            // Nothing was asked: silence is right.
                            Err(_) if !stream.is_answer_due() => {}
                            Err(_) => {
                                let late = network.timeout(RPCTypes::AppendEntries, limit);
                                return Some((Err(late), None));
                            }
                            Ok(Err(status)) => return Some((Err(failed(&status)), None)),
                            Ok(Ok(None)) if stream.is_complete() => return None,
                            Ok(Ok(None)) => {
                                let early =
                                    Status::unavailable("the peer ended a stream of appends");
                                return Some((Err(failed(&early)), None));
                            }
                            Ok(Ok(Some(reply))) => {
                                stream.answered();
                                let result = append_result(reply);
                                let goes_on = result.is_ok().then_some((replies, stream));
                                return Some((Ok(result), goes_on));
                            }
                        }
                    }
                });
            let answers: BoxStream<'s, _> = Box::pin(answers);
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Failure> {
        self.ask_vote(request, false, option).await
    }

    /// Really asked: openraft's default would count the silence of a peer as its consent.
    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Failure> {
        self.ask_vote(request, true, option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<TypeConfig>,
        snapshot: SnapshotOf<TypeConfig, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let sending = self.send_snapshot(vote, snapshot, option.soft_ttl());
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => sent.map_err(|failure| match failure {
                RPCError::Timeout(timeout) => StreamingError::Timeout(timeout),
                RPCError::Unreachable(unreachable) => StreamingError::Unreachable(unreachable),
                RPCError::Network(network) => StreamingError::Network(network),
                RPCError::RemoteError(remote) => {
                    StreamingError::Network(NetworkError::new(&AnyError::error(remote)))
                }
            }),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Failure> {
        let order = peer::TransferLeaderRequest {
            from: vote_to_wire(request.from_leader()),
            to: *request.to_node_id(),
            last_log: request.last_log_id().map(log_id_to_wire),
        };
        let mut client = self.client.clone();
        let asked = client.transfer_leader(order);
        let limit = option.soft_ttl();
        let reply = self.within(RPCTypes::TransferLeader, limit, asked).await?;
        match reply.into_inner().refusal {
            None => Ok(Ok(())),
            // Another one may be asked; why this one refused is for people only.
            Some(reason) => Err(RPCError::Network(NetworkError::from_string(reason))),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(RETRY_AFTER)))
    }
}
