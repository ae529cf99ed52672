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

use crate::network::NodeId;

/// How long one peer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// Between two rounds.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// Between two looks whether another start is known, which also reads the voters' clocks.
const WATCH_EVERY: Duration = Duration::from_secs(2);
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
}

/// Asks every other voter; `None` for one that is silent.
async fn ask_peers(
    member: &Arc<Member>,
    connections: &Connections,
    known: &[NodeId],
) -> Vec<Option<bool>> {
    let note = note_of(member);
    let view = member.group();
    let voters = view.nodes.iter().filter(|(_, peer)| peer.votes);
    let mut others: Vec<NodeId> = voters.map(|(id, _)| *id).collect();
    if others.is_empty() {
        others = known.to_vec();
    }
    others.retain(|id| *id != view.node);
    let asked = others.into_iter().map(|id| {
        let address = format!("node-{id}");
        let (mut client, note) = (connections.node_client(id, &address), note.clone());
        async move {
            let began = tokio::time::Instant::now();
            let answer = tokio::time::timeout(ANSWER_TIME_MAX, client.note_start(note)).await;
            let noted = answer.ok()?.ok()?.into_inner();
            member.note_clock(id, noted.clock, began.elapsed());
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
        let peers = ask_peers(member, connections, known).await;
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

/// Returns when a later start of the same member is known.
pub async fn watch(member: Weak<Member>, connections: Connections, heard: Arc<AtomicBool>) {
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        let Some(member) = member.upgrade() else {
            return std::future::pending().await;
        };
        let words = ask_peers(&member, &connections, &[]).await;
        if words.contains(&Some(false)) {
            return;
        }
        heard.fetch_or(words.contains(&Some(true)), Ordering::Relaxed);
    }
}
