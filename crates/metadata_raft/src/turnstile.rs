//! The entrance of commands to the log of the member that leads: one goes at once, and those that come while it is under way
//! go together after it.
//!
//! A batch is one record with one fsync and one message to each peer, whatever it holds; without this, clients that come a
//! little apart each pay for all of that. Must never answer for a command that has gone in: only the log does.

use futures::StreamExt;
use futures::stream::BoxStream;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::Fatal;
use openraft::raft::WriteResult;
use tokio::sync::{mpsc, oneshot};

use crate::member::RaftHandle;
use crate::types::{Proposal, TypeConfig};

/// Commands that go together at most.
const BATCH_MAX: usize = 1024;

/// What the log makes of a command.
pub(crate) type Decided = Result<WriteResult<TypeConfig>, Fatal<TypeConfig>>;

struct Waiting {
    proposal: Proposal,
    decided: oneshot::Sender<Decided>,
}

/// See the module.
pub(crate) struct Turnstile {
    waiting: mpsc::Sender<Waiting>,
}

impl Turnstile {
    /// Starts the task that lets commands in. It ends when the last entrance is dropped.
    pub(crate) fn start(raft: RaftHandle) -> (Turnstile, tokio::task::JoinHandle<()>) {
        let (waiting, arrivals) = mpsc::channel(BATCH_MAX);
        (Turnstile { waiting }, tokio::spawn(let_in(raft, arrivals)))
    }

    /// Has the log decide a command. `None` when the log was closed, perhaps after it has taken the command. Who stops waiting
    /// before it went in has withdrawn it.
    pub(crate) async fn decided(&self, proposal: Proposal) -> Option<Decided> {
        let (sender, receiver) = oneshot::channel();
        let waiting = Waiting {
            proposal,
            decided: sender,
        };
        self.waiting.send(waiting).await.ok()?;
        receiver.await.ok()
    }

    /// How many wait, and how many may.
    #[cfg(feature = "simulation")]
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let most = self.waiting.max_capacity();
        (most - self.waiting.capacity(), most)
    }
}

async fn let_in(raft: RaftHandle, mut arrivals: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::new();
    while arrivals.recv_many(&mut waiting, BATCH_MAX).await > 0 {
        waiting.retain(|waiting| !waiting.decided.is_closed());
        if waiting.is_empty() {
            continue;
        }
        let (proposals, told): (Vec<_>, Vec<_>) = waiting
            .drain(..)
            .map(|waiting| (waiting.proposal, waiting.decided))
            .unzip();
        match raft.client_write_many(proposals).await {
            Ok(decisions) => {
                let telling = tokio::spawn(tell(decisions, told));
                tokio::select! {
                    // A panic in there is told by the dropped senders.
                    _ = telling => {}
                    // Who leads now decides what is under way, in its time. What comes next has to go there, too.
                    () = leads_no_more(&raft) => {}
                }
            }
            Err(fatal) => {
                for decided in told {
                    // Who gave up waiting is not there any more.
                    drop(decided.send(Err(fatal.clone())));
                }
            }
        }
    }
}

/// Passes on what the log decides, in the order in which the commands went in.
async fn tell(mut decisions: BoxStream<'static, Decided>, told: Vec<oneshot::Sender<Decided>>) {
    for decided in told {
        let Some(decision) = decisions.next().await else {
            // The log is closed; so says the dropped sender.
            return;
        };
        // Who gave up waiting is not there any more.
        drop(decided.send(decision));
    }
}

/// Waits until this member does not lead. At once if it does not.
async fn leads_no_more(raft: &RaftHandle) {
    let mut metrics = raft.server_metrics();
    while metrics.borrow_and_update().state == ServerState::Leader {
        if metrics.changed().await.is_err() {
            return;
        }
    }
}
