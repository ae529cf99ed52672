//! Whether the members can be reached, and how far their log has come: asked all the time, so that a gateway knows it
//! before a client asks.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metadata::LogIndex;
use parking_lot::Mutex;
use ports::{Deadline, MetadataFailure};
use wire::peer::{ConfirmReply, ConfirmRequest};

use crate::{Shared, unavailable};

const BEAT_EVERY: Duration = Duration::from_millis(500);
/// A member that does not confirm for so long is passed over.
const CONFIRM_TIME_MAX: Duration = Duration::from_millis(700);
/// A confirmation counts for so long.
const FRESH_FOR: Duration = Duration::from_secs(2);
/// An index counts as seen for so long: replies are remembered for ten minutes.
const SEEN_FOR: Duration = Duration::from_secs(30);
/// Between two tries, while nobody confirms.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// The last confirmation.
#[derive(Default)]
pub(crate) struct Pulse {
    index: AtomicU64,
    at: Mutex<Option<Instant>>,
}

impl Pulse {
    pub(crate) fn index(&self) -> LogIndex {
        LogIndex(self.index.load(Ordering::Acquire))
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.is_younger_than(FRESH_FOR)
    }

    /// Somebody answered from a confirmed state.
    pub(crate) fn felt(&self) {
        *self.at.lock() = Some(Instant::now());
    }

    fn is_younger_than(&self, age: Duration) -> bool {
        self.at.lock().is_some_and(|at| at.elapsed() < age)
    }

    fn confirmed(&self, index: u64) {
        self.index.fetch_max(index, Ordering::AcqRel);
        self.felt();
    }
}

/// Confirms as long as the client lives.
pub(crate) async fn beat(shared: Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        shared.confirm().await;
        drop(shared);
        tokio::time::sleep(BEAT_EVERY).await;
    }
}

impl Shared {
    /// An index that the log has reached; a recent one is good enough.
    pub(crate) async fn seen(&self, deadline: Deadline) -> Result<LogIndex, MetadataFailure> {
        while self.pulse.index() == LogIndex(0) || !self.pulse.is_younger_than(SEEN_FOR) {
            if deadline <= Deadline::now() {
                return Err(unavailable("no member could be reached"));
            }
            if !self.confirm().await {
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
        Ok(self.pulse.index())
    }

    /// Asks whoever leads, as far as is known, for a confirmation.
    async fn confirm(&self) -> bool {
        let Some(member) = self.roster.leader() else {
            return false;
        };
        let mut client = self.connections.client(member.node, &member.address);
        let asked = client.confirm(ConfirmRequest);
        let leader = match tokio::time::timeout(CONFIRM_TIME_MAX, asked).await {
            Ok(Ok(reply)) => match reply.into_inner() {
                ConfirmReply::Index(index) => {
                    self.pulse.confirmed(index);
                    self.roster.set_leader(Some(member.node));
                    return true;
                }
                // One that has stopped may still name itself.
                ConfirmReply::NotLeader(leader) => leader.filter(|node| *node != member.node),
                ConfirmReply::Unavailable(reason) => {
                    tracing::debug!(node = member.node, reason, "a member cannot confirm");
                    None
                }
            },
            Ok(Err(status)) => {
                tracing::debug!(node = member.node, %status, "a member does not answer");
                None
            }
            Err(_) => None,
        };
        self.roster.set_leader(leader);
        false
    }
}
