//! What a member answers its peers.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use metadata::{Command, Query};
use openraft::raft::{AppendEntriesRequest, StreamAppendError, TransferLeaderRequest, VoteRequest};
use openraft::storage::{Snapshot, SnapshotMeta};
use peers::{Caller, PeerCalls, Request, Response, Status, Streaming};
use ports::Deadline;
use tokio::sync::{Mutex, OwnedMutexGuard};
use wire::peer::{
    self, AppendReply, AskReply, AskRequest, ConfirmReply, ConfirmRequest, ProposeReply,
    ProposeRequest, SnapshotName, SnapshotPiece, SnapshotReceived, SnapshotTaken,
    TransferLeaderReply, VoteReply,
};

use crate::member::{Member, PeerCall, RaftHandle};
use crate::read_index::Confirmation;
use crate::snapshot::Incoming;
use crate::types::{
    RaftEntry, StoredRecordError, TypeConfig, applied_from_wire, decode_entry, log_id_from_wire,
    log_id_to_wire, vote_from_wire, vote_to_wire,
};

/// Without a piece for so long a snapshot's transfer has broken off; what came is kept for the next one.
const PIECE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Messages that are not understood are told of so often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
/// The longest that a sender may have a command or a question wait here.
const PATIENCE_MAX: Duration = Duration::from_secs(120);

fn deadline_after(patience_ms: u64) -> Deadline {
    Deadline::now() + Duration::from_millis(patience_ms).min(PATIENCE_MAX)
}

/// The calls that a member answers.
pub(crate) fn calls(member: &Arc<Member>) -> impl PeerCalls {
    PeerService {
        raft: member.raft.clone(),
        incoming: Arc::new(Mutex::new(member.snapshots.incoming())),
        member: Arc::downgrade(member),
        misunderstandings: Arc::default(),
    }
}

struct PeerService {
    raft: RaftHandle,
    incoming: Arc<Mutex<Incoming>>,
    member: Weak<Member>,
    misunderstandings: Arc<Misunderstandings>,
}

/// Messages that this build does not understand: told now and then, since whoever sends one sends it again.
#[derive(Default)]
struct Misunderstandings(parking_lot::Mutex<Option<Instant>>);

impl Misunderstandings {
    fn tell(&self, caller: Caller, error: &dyn std::fmt::Display) {
        let mut told = self.0.lock();
        if told.is_some_and(|at| at.elapsed() < COMPLAIN_EVERY) {
            return;
        }
        *told = Some(Instant::now());
        tracing::error!(
            node = caller.node, %error,
            "a message of another node is not understood and was not taken: run the same or a newer Holdfast here"
        );
    }
}

impl PeerService {
    /// The member, once it takes part and until it stops. It does not stop its log before the call is dropped.
    fn member(&self) -> Result<(Arc<Member>, PeerCall), Status> {
        let gone = || Status::unavailable("this member has stopped");
        let member = self.member.upgrade().ok_or_else(gone)?;
        if !member.is_admitted() {
            return Err(Status::unavailable(
                "this member does not take part yet: its start is not recorded",
            ));
        }
        let call = member.begin_peer_call().ok_or_else(gone)?;
        Ok((member, call))
    }

    /// Only members speak of the log, and only with one that takes part and whose start they know; a gateway has no part in
    /// it.
    fn speaks_of_the_log<T>(
        &self,
        request: &Request<T>,
    ) -> Result<(Arc<Member>, PeerCall), Status> {
        match peers::caller(request)? {
            caller if caller.is_member => {
                let (member, call) = self.member()?;
                if !member.config.admitted && !member.known_start.lets_pass(caller.node) {
                    return Err(Status::unavailable(
                        "this member has not told you of its start yet",
                    ));
                }
                Ok((member, call))
            }
            caller => Err(Status::permission_denied(format!(
                "node {} is no member",
                caller.node
            ))),
        }
    }

    async fn take_pieces(
        &self,
        pieces: &mut Streaming<SnapshotPiece>,
    ) -> Result<(wire::Vote, SnapshotName, crate::snapshot::SnapshotFile), Status> {
        let Some(SnapshotPiece::Start { vote, name, offset }) = next_piece(pieces).await? else {
            return Err(Status::invalid_argument("a snapshot begins with its name"));
        };
        let incoming = Arc::clone(&self.incoming).lock_owned().await;
        let begun = name.clone();
        let (mut incoming, ()) =
            on_disk(incoming, move |incoming| incoming.begin(&begun, offset)).await?;
        while let Some(piece) = next_piece(pieces).await? {
            let SnapshotPiece::Data(data) = piece else {
                return Err(Status::invalid_argument("a snapshot has one name"));
            };
            (incoming, ()) = on_disk(incoming, move |incoming| incoming.append(&data)).await?;
        }
        let (_incoming, file) = on_disk(incoming, Incoming::finish).await?;
        Ok((vote, name, file))
    }
}

/// Runs what blocks where it may, and gives the snapshot's lock back with the result.
async fn on_disk<T: Send + 'static>(
    mut incoming: OwnedMutexGuard<Incoming>,
    work: impl FnOnce(&mut Incoming) -> io::Result<T> + Send + 'static,
) -> Result<(OwnedMutexGuard<Incoming>, T), Status> {
    let worked = crate::blocking::blocking(move || {
        let done = work(&mut incoming);
        (incoming, done)
    });
    let broken = |error: &dyn std::error::Error| Status::internal(error.to_string());
    let (incoming, done) = worked.await.map_err(|error| broken(&error))?;
    Ok((incoming, done.map_err(|error| broken(&error))?))
}

async fn next_piece(
    pieces: &mut Streaming<SnapshotPiece>,
) -> Result<Option<SnapshotPiece>, Status> {
    match tokio::time::timeout(PIECE_WAIT_MAX, pieces.message()).await {
        Ok(piece) => piece,
        Err(_) => Err(Status::deadline_exceeded("the snapshot does not go on")),
    }
}

fn append_from_wire(
    request: peer::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, StoredRecordError> {
    let entries = request.entries.iter().map(|bytes| decode_entry(bytes));
    Ok(AppendEntriesRequest {
        vote: vote_from_wire(request.vote),
        prev_log_id: request.previous.map(log_id_from_wire),
        entries: entries.collect::<Result<Vec<RaftEntry>, _>>()?,
        leader_commit: request.commit.map(log_id_from_wire),
    })
}

/// Rule 5.8: a gateway decides nothing about who is in the cluster, and speaks for no other node.
fn check_proposer(caller: Caller, command: &Command) -> Result<(), Status> {
    let is_allowed = match command.unasked() {
        Command::AnnounceNode { node, .. }
        | Command::NoteTrust { node, .. }
        | Command::ConfirmStorage { node, .. } => caller.is_member || node.0 == caller.node,
        _ => caller.is_member || !command.is_for_members_only(),
    };
    if is_allowed {
        return Ok(());
    }
    Err(Status::permission_denied(format!(
        "node {} is a gateway: a member has to propose this",
        caller.node
    )))
}

/// A gateway gets no secrets.
fn check_asker(caller: Caller, query: &Query) -> Result<(), Status> {
    if caller.is_member || !query.is_for_members_only() {
        return Ok(());
    }
    Err(Status::permission_denied(format!(
        "node {} is a gateway: only members may ask this",
        caller.node
    )))
}

/// Whether a member takes entries. Without room it keeps what it has for a vote.
fn has_room(member: &Weak<Member>) -> Result<(), Status> {
    match member.upgrade() {
        Some(member) if member.space.is_scarce() => Err(Status::resource_exhausted(
            "the disk of this member is full",
        )),
        _ => Ok(()),
    }
}

fn log_stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("the log of this member has stopped: {error}"))
}

#[peers::async_trait]
impl PeerCalls for PeerService {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<AppendReply, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<peer::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let (member, call) = self.speaks_of_the_log(&request)?;
        let stopping = member.stopping();
        let caller = peers::caller(&request)?;
        // What ends the requests is told after the answers to those before it.
        let problem: Arc<parking_lot::Mutex<Option<Status>>> = Arc::default();
        let found = Arc::clone(&problem);
        let whose = Weak::clone(&self.member);
        let misunderstandings = Arc::clone(&self.misunderstandings);
        let requests = request
            .into_inner()
            .take_until(stopping)
            .map(move |request| {
                let undecoded = |error| {
                    misunderstandings.tell(caller, &error);
                    Status::failed_precondition(format!("{error}"))
                };
                let request = append_from_wire(request?).map_err(undecoded)?;
                // What has no entries only says that the leader is there.
                if !request.entries.is_empty() {
                    has_room(&whose)?;
                }
                Ok(request)
            });
        let good = move |request: Result<_, Status>| {
            let request = request.map_err(|status| *found.lock() = Some(status));
            std::future::ready(request.ok())
        };
        // The first bad one ends them.
        let requests = requests.scan((), move |(), request| good(request));
        let answers = self.raft.stream_append(requests).map(|result| {
            let reply = match result.map_err(log_stopped)? {
                Ok(last) => AppendReply::Flushed(last.as_ref().map(log_id_to_wire)),
                Err(StreamAppendError::Conflict(previous)) => {
                    AppendReply::Conflict(log_id_to_wire(&previous))
                }
                Err(StreamAppendError::HigherVote(vote)) => {
                    AppendReply::HigherVote(vote_to_wire(&vote))
                }
            };
            Ok(reply)
        });
        let last_word = futures::stream::once(async move {
            let problem = problem.lock().take();
            if let Some(status) = &problem {
                tracing::debug!(%status, "a peer's appends ended");
            }
            problem.map(Err)
        });
        let answers = answers.chain(last_word.filter_map(std::future::ready));
        let answers = answers.map(move |answer| {
            let _until_the_last_answer: &PeerCall = &call;
            answer
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn ask_vote(
        &self,
        request: Request<peer::VoteRequest>,
    ) -> Result<Response<VoteReply>, Status> {
        let _call = self.speaks_of_the_log(&request)?;
        let question = request.into_inner();
        let request = VoteRequest {
            vote: vote_from_wire(question.vote),
            last_log_id: question.last_log.map(log_id_from_wire),
            leadership_transfer: question.leadership_transfer,
        };
        let answer = if question.only_asks {
            self.raft.pre_vote(request).await
        } else {
            self.raft.vote(request).await
        };
        let answer = answer.map_err(log_stopped)?;
        Ok(Response::new(VoteReply {
            vote: vote_to_wire(&answer.vote),
            granted: answer.vote_granted,
            last_log: answer.last_log_id.as_ref().map(log_id_to_wire),
        }))
    }

    async fn snapshot_progress(
        &self,
        request: Request<SnapshotName>,
    ) -> Result<Response<SnapshotReceived>, Status> {
        let _call = self.speaks_of_the_log(&request)?;
        let name = request.into_inner();
        let bytes = self.incoming.lock().await.received(&name);
        Ok(Response::new(SnapshotReceived { bytes }))
    }

    async fn send_snapshot(
        &self,
        request: Request<Streaming<SnapshotPiece>>,
    ) -> Result<Response<SnapshotTaken>, Status> {
        let _call = self.speaks_of_the_log(&request)?;
        has_room(&self.member)?;
        let (vote, name, file) = self.take_pieces(&mut request.into_inner()).await?;
        let (last_log_id, last_membership) = applied_from_wire(name.state)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let snapshot = Snapshot {
            meta: SnapshotMeta {
                last_log_id,
                last_membership,
            },
            snapshot: file.clone(),
        };
        let installed = self
            .raft
            .install_full_snapshot(vote_from_wire(vote), snapshot)
            .await;
        // The member has its own copy now, or needs none.
        if let Err(error) = file.remove() {
            tracing::warn!(%error, "a received snapshot cannot be removed; the next start does");
        }
        let installed = installed.map_err(log_stopped)?;
        Ok(Response::new(SnapshotTaken {
            vote: vote_to_wire(&installed.vote),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<peer::TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderReply>, Status> {
        let _call = self.speaks_of_the_log(&request)?;
        let order = request.into_inner();
        let request = TransferLeaderRequest::new(
            vote_from_wire(order.from),
            order.to,
            order.last_log.map(log_id_from_wire),
        );
        let taken = self.raft.handle_transfer_leader(request).await;
        let refusal = taken.map_err(log_stopped)?.err();
        Ok(Response::new(TransferLeaderReply {
            refusal: refusal.map(|error| error.to_string()),
        }))
    }

    async fn propose(
        &self,
        request: Request<ProposeRequest>,
    ) -> Result<Response<ProposeReply>, Status> {
        let caller = peers::caller(&request)?;
        let request = request.into_inner();
        let entry = wire::decode_entry(&request.entry).map_err(|error| {
            self.misunderstandings.tell(caller, &error);
            Status::invalid_argument(error.to_string())
        })?;
        check_proposer(caller, &entry.command)?;
        let (member, _call) = self.member()?;
        let deadline = deadline_after(request.patience_ms);
        let outcome = member.propose_as_leader(entry, deadline).await;
        Ok(Response::new(outcome))
    }

    async fn confirm(
        &self,
        request: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmReply>, Status> {
        peers::caller(&request)?;
        let (member, _call) = self.member()?;
        let reply = match member.here.confirmed().await {
            Ok(Confirmation::Index(index)) => ConfirmReply::Index(index.0),
            Ok(Confirmation::Elsewhere(leader)) => {
                ConfirmReply::NotLeader(leader.map(|(node, _)| node))
            }
            Ok(Confirmation::NoQuorum) => ConfirmReply::Unavailable("no quorum".to_owned()),
            Err(failure) => ConfirmReply::Unavailable(failure.to_string()),
        };
        Ok(Response::new(reply))
    }

    async fn ask(&self, request: Request<AskRequest>) -> Result<Response<AskReply>, Status> {
        let caller = peers::caller(&request)?;
        let request = request.into_inner();
        let query = wire::decode_query(&request.query).map_err(|error| {
            self.misunderstandings.tell(caller, &error);
            Status::invalid_argument(error.to_string())
        })?;
        check_asker(caller, &query)?;
        let deadline = deadline_after(request.patience_ms);
        let (member, _call) = self.member()?;
        let answered = member.read_for_peer(&query, request.may_be_stale, deadline);
        let reply = match answered.await {
            Ok(answered) => AskReply::Answer {
                answer: wire::encode_answer(&answered.answer).into(),
                stale: answered.stale,
            },
            Err(failure) => AskReply::Unavailable(failure.to_string()),
        };
        Ok(Response::new(reply))
    }
}
