//! Recording a member's start outside of its disk before it takes part (rule 5.9), as a node does: with all other voters, by
//! the calls between nodes and the real book of starts, and in the object store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use cluster::{RecordedStart, StartBook, may_follow, note_of};
use metadata::NodeId as LogNodeId;
use metadata_raft::Member;
use parking_lot::Mutex;
use peers::{Connections, NodeCalls, Request, Response, Status};
use wire::nodes::{
    NodeStatus, OrderReply, OrderRequest, RenewReply, RenewRequest, StartNote, StartNoted,
    StatusRequest,
};
use wire::proofs::{ProveReply, ProveRequest, SignReply, SignRequest};

use crate::network::NodeId;

/// How long one peer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// Between two rounds.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// Between two looks whether another start is known, which also reads the voters' clocks.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// Between two times that a peer is told for which the log waits.
const TELL_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// What the object store takes.
const STORE_TIME: Duration = Duration::from_millis(15);

/// The starts that the object store knows, and who cannot reach it.
#[derive(Default)]
pub struct Bucket {
    starts: Mutex<BTreeMap<NodeId, Vec<RecordedStart>>>,
    unreachable: Mutex<BTreeSet<NodeId>>,
}

impl Bucket {
    /// Whether a node reaches the store from now on.
    pub fn reach(&self, node: NodeId, reaches: bool) {
        let mut unreachable = self.unreachable.lock();
        if reaches {
            unreachable.remove(&node);
        } else {
            unreachable.insert(node);
        }
    }

    /// `None` when the store does not answer.
    fn record(&self, node: NodeId, note: &StartNote) -> Option<bool> {
        if self.unreachable.lock().contains(&node) {
            return None;
        }
        let mut starts = self.starts.lock();
        let known = starts.entry(node).or_default();
        let latest = known.iter().max_by_key(|start| start.starts).copied();
        if !may_follow(latest, note) {
            return Some(false);
        }
        let ours = RecordedStart {
            starts: note.starts,
            nonce: note.nonce,
        };
        if !known.contains(&ours) {
            known.push(ours);
        }
        Some(true)
    }
}

/// The book of one member, and its calls about nodes.
#[derive(Clone)]
pub struct Witness {
    member: Weak<Member>,
    book: Arc<Mutex<StartBook>>,
}

impl Witness {
    /// That of a member, with its book in its folder.
    #[must_use]
    pub fn of(member: &Arc<Member>, folder: &Path) -> Witness {
        Witness {
            member: Arc::downgrade(member),
            book: Arc::new(Mutex::new(StartBook::open(folder))),
        }
    }
}

#[peers::async_trait]
impl NodeCalls for Witness {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<NodeStatus>, Status> {
        Err(Status::unavailable("nobody asks that here"))
    }

    async fn note_start(
        &self,
        request: Request<StartNote>,
    ) -> Result<Response<StartNoted>, Status> {
        let caller = peers::caller(&request)?;
        let gone = || Status::unavailable("this member has stopped");
        let member = self.member.upgrade().ok_or_else(gone)?;
        let noted = self
            .book
            .lock()
            .note(LogNodeId(caller.node), request.get_ref());
        let may = noted.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(StartNoted {
            refusal: (!may).then(|| "a later start is known".to_owned()),
            clock: member.clock(),
        }))
    }

    async fn renew(&self, _: Request<RenewRequest>) -> Result<Response<RenewReply>, Status> {
        Err(Status::unavailable("nobody asks that here"))
    }

    async fn order(&self, _: Request<OrderRequest>) -> Result<Response<OrderReply>, Status> {
        Err(Status::unavailable("nobody asks that here"))
    }

    async fn prove(&self, _: Request<ProveRequest>) -> Result<Response<ProveReply>, Status> {
        Err(Status::unavailable("nobody asks that here"))
    }

    async fn sign(&self, _: Request<SignRequest>) -> Result<Response<SignReply>, Status> {
        Err(Status::unavailable("nobody asks that here"))
    }
}

/// The other voters, or those that a member was told of before it had a log.
fn other_voters(member: &Arc<Member>, known: &[NodeId]) -> Vec<NodeId> {
    let view = member.group();
    let voters = view.nodes.iter().filter(|(_, peer)| peer.votes);
    let mut others: Vec<NodeId> = voters.map(|(id, _)| *id).collect();
    if others.is_empty() {
        others = known.to_vec();
    }
    others.retain(|id| *id != view.node);
    others
}

/// Asks these; `None` for one that is silent.
async fn ask_peers(
    member: &Arc<Member>,
    connections: &Connections,
    whom: Vec<NodeId>,
) -> Vec<Option<bool>> {
    let note = note_of(member);
    let asked = whom.into_iter().map(|id| {
        let address = format!("node-{id}");
        let (mut client, note) = (connections.node_client(id, &address), note.clone());
        async move {
            let began = tokio::time::Instant::now();
            let answer = tokio::time::timeout(ANSWER_TIME_MAX, client.note_start(note)).await;
            let noted = answer.ok()?.ok()?.into_inner();
            member.note_clock(id, noted.clock, began.elapsed());
            if noted.refusal.is_none() {
                member.note_known_to(id);
            }
            Some(noted.refusal.is_none())
        }
    });
    futures::future::join_all(asked).await
}

/// Records the start of a member, however long that takes; gives whether another voter knows of it, and `None` when it
/// contradicts what is recorded. `known` are the members that it was told of before it had a log.
pub async fn record(
    member: &Arc<Member>,
    connections: &Connections,
    bucket: &Bucket,
    known: &[NodeId],
) -> Option<bool> {
    let node = member.group().node;
    loop {
        let peers = ask_peers(member, connections, other_voters(member, known)).await;
        tokio::time::sleep(STORE_TIME).await;
        let store = bucket.record(node, &note_of(member));
        if store == Some(false) || peers.contains(&Some(false)) {
            return None;
        }
        let by_peers = !peers.is_empty() && peers.iter().all(|word| *word == Some(true));
        if store == Some(true) || by_peers {
            return Some(peers.contains(&Some(true)));
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Returns when a later start of the same member is known. Tells those at once that the log waits for.
pub async fn watch(member: Weak<Member>, connections: Connections, heard: Arc<AtomicBool>) {
    let Some(mut to_tell) = member.upgrade().map(|member| member.peers_to_tell()) else {
        return std::future::pending().await;
    };
    let mut all_at = tokio::time::Instant::now() + WATCH_EVERY;
    loop {
        let wanting = tokio::select! {
            wanting = to_tell.next() => wanting.unwrap_or_default(),
            () = tokio::time::sleep_until(all_at) => Vec::new(),
        };
        let Some(member) = member.upgrade() else {
            return std::future::pending().await;
        };
        let is_told = !wanting.is_empty();
        let whom = if is_told {
            wanting
        } else {
            all_at = tokio::time::Instant::now() + WATCH_EVERY;
            other_voters(&member, &[])
        };
        let words = ask_peers(&member, &connections, whom).await;
        if words.contains(&Some(false)) {
            return;
        }
        heard.fetch_or(words.contains(&Some(true)), Ordering::Relaxed);
        drop(member);
        if is_told {
            tokio::time::sleep(TELL_AGAIN_AFTER).await;
        }
    }
}
