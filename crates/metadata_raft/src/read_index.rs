//! ReadIndex, shared: whoever waits when a confirmation begins is served by it. The leader confirms; another member asks
//! it. Reads are held through an election, each until its own deadline.
//!
//! A confirmation that began before a read arrived says nothing about what was committed in between, so a read is
//! never served by one that is under way already (PROTOCOLS: "Reads").

use std::time::{Duration, Instant};

use metadata::LogIndex;
use openraft::ReadPolicy;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use peers::Connections;
use ports::{Deadline, MetadataFailure};
use tokio::sync::{mpsc, oneshot};
use wire::peer::{ConfirmReply, ConfirmRequest};

use crate::member::RaftHandle;
use crate::metric;

/// A confirmation that takes longer is begun again: the leader may have been cut off.
const CONFIRM_TIME_MAX: Duration = Duration::from_millis(500);
/// Between two tries, while there is no leader.
const RETRY_AFTER: Duration = Duration::from_millis(15);

/// Reads that may wait at once.
const WAITING_MAX: usize = 16 * 1024;

type Waiter = oneshot::Sender<Result<LogIndex, MetadataFailure>>;

/// The entrance for reads.
pub(crate) struct ReadIndex {
    waiting: mpsc::Sender<Waiter>,
}

impl ReadIndex {
    /// Starts the task that confirms. It ends when the last entrance is dropped.
    pub(crate) fn start(
        raft: RaftHandle,
        here: Here,
        node: u64,
        connections: Connections,
    ) -> (ReadIndex, tokio::task::JoinHandle<()>) {
        let (waiting, arrivals) = mpsc::channel(WAITING_MAX);
        let confirmer = Confirmer {
            raft,
            here,
            node,
            connections,
        };
        (
            ReadIndex { waiting },
            tokio::spawn(confirm_for_ever(confirmer, arrivals)),
        )
    }

    /// How many wait, and how many may.
    #[cfg(feature = "simulation")]
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let most = self.waiting.max_capacity();
        (most - self.waiting.capacity(), most)
    }

    /// The index that a state must have applied to answer a read that arrives now.
    pub(crate) async fn confirmed(&self, deadline: Deadline) -> Result<LogIndex, MetadataFailure> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.try_send(sender).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => unavailable("too many reads wait"),
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        match tokio::time::timeout_at(deadline, receiver).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(stopped()),
            Err(_) => Err(unavailable(
                "no confirmation that nothing newer exists came before the deadline",
            )),
        }
    }
}

fn unavailable(reason: impl ToString) -> MetadataFailure {
    MetadataFailure::Unavailable {
        reason: reason.to_string(),
    }
}

fn stopped() -> MetadataFailure {
    MetadataFailure::Stopped {
        reason: "the metadata log is closed".to_owned(),
    }
}

/// What asking for a confirmation came to.
#[derive(Clone)]
pub(crate) enum Confirmation {
    /// A state that has applied this answers a read that began before the asking.
    Index(LogIndex),
    /// This member does not lead; that one does, as far as it knows.
    Elsewhere(Option<(u64, String)>),
    /// Too few answered.
    NoQuorum,
}

/// Confirms for this member's reads and for those of others, while it leads. Whoever waits when a confirmation begins is
/// served by it. Asks no leader elsewhere: members that asked each other on behalf of each other, while the lead changes,
/// would wait in a circle.
#[derive(Clone)]
pub(crate) struct Here {
    waiting: mpsc::Sender<oneshot::Sender<Result<Confirmation, MetadataFailure>>>,
}

impl Here {
    /// Starts the task that confirms. It ends when the last entrance is dropped.
    pub(crate) fn start(raft: RaftHandle) -> (Here, tokio::task::JoinHandle<()>) {
        let (waiting, mut arrivals) = mpsc::channel(WAITING_MAX);
        let confirming = async move {
            let mut waiting: Vec<oneshot::Sender<_>> = Vec::new();
            while arrivals.recv_many(&mut waiting, WAITING_MAX).await > 0 {
                waiting.retain(|waiter| !waiter.is_closed());
                if waiting.is_empty() {
                    continue;
                }
                let confirmed = tokio::time::timeout(CONFIRM_TIME_MAX, confirm_here(&raft)).await;
                let confirmed = confirmed.unwrap_or(Ok(Confirmation::NoQuorum));
                for waiter in waiting.drain(..) {
                    // Who gave up waiting is not there any more.
                    drop(waiter.send(confirmed.clone()));
                }
            }
        };
        (Here { waiting }, tokio::spawn(confirming))
    }

    /// Has a read confirmed that arrives now, if this member leads.
    pub(crate) async fn confirmed(&self) -> Result<Confirmation, MetadataFailure> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.try_send(sender).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => unavailable("too many reads wait"),
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        receiver.await.map_err(|_| stopped())?
    }
}

/// The member that leads, if another one than `node` does as far as is known here, and where it is.
pub(crate) fn other_leader(raft: &RaftHandle, node: u64) -> Option<(u64, String)> {
    let metrics = raft.server_metrics();
    let metrics = metrics.borrow_watched();
    let leader = metrics.current_leader.filter(|leader| *leader != node)?;
    let at = metrics.membership_config.membership().get_node(&leader)?;
    Some((leader, at.addr.clone()))
}

async fn confirm_here(raft: &RaftHandle) -> Result<Confirmation, MetadataFailure> {
    match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(linearizer) => {
            let index = linearizer.read_log_id().index();
            Ok(Confirmation::Index(LogIndex(index)))
        }
        Err(RaftError::Fatal(fatal)) => Err(MetadataFailure::Stopped {
            reason: fatal.to_string(),
        }),
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
            let address = forward.leader_node.map(|node| node.addr);
            Ok(Confirmation::Elsewhere(forward.leader_id.zip(address)))
        }
        Err(RaftError::APIError(error)) => {
            tracing::debug!(%error, "no confirmation of a read");
            Ok(Confirmation::NoQuorum)
        }
    }
}

/// Asks for confirmations: here while this node leads, else the leader.
struct Confirmer {
    raft: RaftHandle,
    here: Here,
    node: u64,
    connections: Connections,
}

impl Confirmer {
    /// The index, or `None` when there was none this time.
    async fn confirm(&self) -> Result<Option<LogIndex>, MetadataFailure> {
        let here = match other_leader(&self.raft, self.node) {
            // Its own log would only say so.
            Some(leader) => Confirmation::Elsewhere(Some(leader)),
            None => self.here.confirmed().await?,
        };
        match here {
            Confirmation::Index(index) => Ok(Some(index)),
            Confirmation::Elsewhere(Some((leader, address))) if leader != self.node => {
                tokio::select! {
                    index = self.ask(leader, &address) => Ok(index),
                    // Its answer would come late, or never.
                    () = another_leads(&self.raft, leader) => Ok(None),
                }
            }
            Confirmation::Elsewhere(_) | Confirmation::NoQuorum => Ok(None),
        }
    }

    async fn ask(&self, leader: u64, address: &str) -> Option<LogIndex> {
        let mut client = self.connections.client(leader, address);
        match client.confirm(ConfirmRequest).await {
            Ok(reply) => match reply.into_inner() {
                ConfirmReply::Index(index) => Some(LogIndex(index)),
                ConfirmReply::NotLeader(_) | ConfirmReply::Unavailable(_) => None,
            },
            Err(status) => {
                tracing::debug!(leader, %status, "the leader gave no confirmation");
                None
            }
        }
    }
}

/// Waits until another one is known to lead.
pub(crate) async fn another_leads(raft: &RaftHandle, than: u64) {
    // Who leads changes rarely; what else is told of the group, with each entry.
    let mut metrics = raft.server_metrics();
    while metrics
        .borrow_and_update()
        .current_leader
        .is_none_or(|leader| leader == than)
    {
        if metrics.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn confirm_for_ever(confirmer: Confirmer, mut arrivals: mpsc::Receiver<Waiter>) {
    let mut waiting = Vec::new();
    while arrivals.recv_many(&mut waiting, WAITING_MAX).await > 0 {
        let confirmed = loop {
            // Who arrived before this try began is served by it, too.
            while waiting.len() < WAITING_MAX
                && let Ok(arrived) = arrivals.try_recv()
            {
                waiting.push(arrived);
            }
            waiting.retain(|waiter| !waiter.is_closed());
            if waiting.is_empty() {
                break None;
            }
            let began = Instant::now();
            match tokio::time::timeout(CONFIRM_TIME_MAX, confirmer.confirm()).await {
                Ok(Ok(Some(index))) => {
                    metric::confirmed(began, waiting.len());
                    break Some(Ok(index));
                }
                Ok(Err(stopped)) => break Some(Err(stopped)),
                Ok(Ok(None)) => {
                    metric::not_confirmed();
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(_) => metric::not_confirmed(),
            }
        };
        let Some(confirmed) = confirmed else { continue };
        while mutants::active!("confirm_who_came_later")
            && let Ok(arrived) = arrivals.try_recv()
        {
            waiting.push(arrived);
        }
        for waiter in waiting.drain(..) {
            // Who gave up waiting is not there any more.
            drop(waiter.send(confirmed.clone()));
        }
    }
}
