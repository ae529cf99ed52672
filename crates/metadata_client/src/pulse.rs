//! Whether the members can be reached, and how far their log has come: asked all the time, so that a gateway knows it
//! before a client asks.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metadata::LogIndex;
use parking_lot::Mutex;
use ports::metadata_store::freshness::Freshness;
use ports::metadata_store::metric;
use ports::{Deadline, MetadataFailure};
use wire::peer::{ConfirmReply, ConfirmRequest};

use crate::{Shared, unavailable};

const BEAT_EVERY: Duration = Duration::from_millis(500);
const BEAT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// A member that does not confirm for so long is passed over.
const CONFIRM_TIME_MAX: Duration = Duration::from_millis(700);
/// An index counts as seen for so long: replies are remembered for ten minutes.
const SEEN_FOR: Duration = Duration::from_secs(30);
/// Between two tries, while nobody confirms.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// How far the log was when somebody last confirmed something, and when that was.
#[derive(Default)]
pub(crate) struct Pulse {
    index: AtomicU64,
    index_at: Mutex<Option<Instant>>,
    pub(crate) freshness: Freshness,
}

impl Pulse {
    pub(crate) fn index(&self) -> LogIndex {
        LogIndex(self.index.load(Ordering::Acquire))
    }

    fn confirmed(&self, index: u64) {
        self.index.fetch_max(index, Ordering::AcqRel);
        *self.index_at.lock() = Some(Instant::now());
        self.freshness.confirmed();
    }

    fn index_is_recent(&self) -> bool {
        self.index_at
            .lock()
            .is_some_and(|at| at.elapsed() < SEEN_FOR)
    }
}

/// Confirms as long as the client lives.
pub(crate) async fn beat(shared: Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        let confirmed = shared.confirm().await;
        metric::can_confirm(shared.pulse.freshness.is_ready());
        drop(shared);
        let pause = if confirmed {
            BEAT_EVERY
        } else {
            BEAT_AGAIN_AFTER
        };
        tokio::time::sleep(pause).await;
    }
}

impl Shared {
    /// An index that the log has reached; a recent one is good enough.
    pub(crate) async fn seen(&self, deadline: Deadline) -> Result<LogIndex, MetadataFailure> {
        while self.pulse.index() == LogIndex(0) || !self.pulse.index_is_recent() {
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
