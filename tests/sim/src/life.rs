//! The life of a node: from a start to a crash or a stop. What a node did before is nothing to the next life of it.
//!
//! The tasks of a life end with it. Those that the product starts by itself cannot be ended from outside; but all that they can do
//! is to call other nodes and the store, and those doors are shut from then on: nothing of them is ever seen again.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// See the module.
#[derive(Debug)]
pub struct Life {
    /// Whose.
    pub node: u64,
    /// Counts the lives of a node from 1.
    pub number: u64,
    /// Whether the node is a member of the log.
    pub is_member: bool,
    ended: CancellationToken,
    paused: watch::Sender<bool>,
}

impl Life {
    /// A life begins.
    #[must_use]
    pub fn begin(node: u64, number: u64, is_member: bool) -> Arc<Life> {
        Arc::new(Life {
            node,
            number,
            is_member,
            ended: CancellationToken::new(),
            paused: watch::Sender::new(false),
        })
    }

    /// It ends here.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Completes when it ends.
    pub async fn ends(&self) {
        self.ended.cancelled().await;
    }

    /// The process stands still, or goes on.
    pub fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Whether the process stands still.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Completes while the node runs: never after the life has ended, and not while it stands still.
    pub async fn goes_on(&self) {
        if !self.is_paused() && !self.has_ended() {
            return;
        }
        let mut paused = self.paused.subscribe();
        // The sender lives as long as this.
        let _ = paused.wait_for(|paused| !paused).await;
        if self.has_ended() {
            std::future::pending::<()>().await;
        }
    }

    /// Runs a task that ends with the life.
    pub fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let life = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = life.ends() => {}
                () = task => {}
            }
        });
    }
}
