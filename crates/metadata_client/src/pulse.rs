//! Whether the members can be reached, and how far their log has come: asked all the time, so that a gateway knows it
//! before a client asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use metadata::LogIndex;
use parking_lot::Mutex;
use ports::metadata_store::freshness::Freshness;
use ports::metadata_store::metric;
use ports::{Deadline, MetadataFailure};
use tokio::sync::Notify;
use wire::peer::{ConfirmReply, ConfirmRequest};

use crate::roster::MemberAddress;
use crate::{Shared, unavailable};

const BEAT_EVERY: Duration = Duration::from_millis(500);
const BEAT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The leader is waited for so long.
const CONFIRM_TIME_MAX: Duration = Duration::from_millis(700);
/// When all members are asked, one that hangs must not hold up the next round.
const LOOK_TIME_MAX: Duration = Duration::from_millis(200);
/// Between two rounds of asking all, at least.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(30);
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
    look: Arc<Notify>,
}

impl Pulse {
    /// Has the leader looked for among all members, now.
    pub(crate) fn look_for_leader(&self) {
        self.look.notify_one();
    }

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

/// Confirms as long as the client lives: by the leader while it answers, else by whoever of all members leads.
pub(crate) async fn beat(shared: Weak<Shared>) {
    let mut leader_answers = true;
    while let Some(client) = shared.upgrade() {
        let look = Arc::clone(&client.pulse.look);
        let confirmation = async {
            match leader_answers {
                true => client.confirm_unless_called().await,
                false => client.confirm_by_anyone().await,
            }
        };
        let confirmed = client.pulse.freshness.looked_after(confirmation).await;
        metric::can_confirm(client.pulse.freshness.is_ready());
        drop(client);
        let pause = if confirmed {
            BEAT_EVERY
        } else {
            BEAT_AGAIN_AFTER
        };
        let is_called = tokio::time::timeout(pause, look.notified()).await.is_ok();
        leader_answers = confirmed && !is_called;
        if is_called {
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
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

    /// Asks the leader, or everyone as soon as somebody waits for it in vain.
    async fn confirm_unless_called(&self) -> bool {
        tokio::select! {
            confirmed = self.confirm() => confirmed,
            () = self.pulse.look.notified() => self.confirm_by_anyone().await,
        }
    }

    /// Asks whoever leads, as far as is known, for a confirmation.
    async fn confirm(&self) -> bool {
        let Some(member) = self.roster.leader() else {
            return false;
        };
        match self.confirm_by(&member, CONFIRM_TIME_MAX).await {
            Confirmed::Yes => return true,
            // One that has stopped may still name itself.
            Confirmed::By(leader) if leader != member.node => self.roster.set_leader(Some(leader)),
            Confirmed::By(_) | Confirmed::No => self.roster.forget_leader(member.node),
        }
        false
    }

    /// Asks all members at once for a confirmation, which only the leader can give.
    async fn confirm_by_anyone(&self) -> bool {
        let mut asked: FuturesUnordered<_> = self
            .roster
            .all()
            .into_iter()
            .map(|member| async move { self.confirm_by(&member, LOOK_TIME_MAX).await })
            .collect();
        marks::note(
            "members asked at once",
            asked.len(),
            self.roster.all().len(),
        );
        while let Some(confirmed) = asked.next().await {
            if matches!(confirmed, Confirmed::Yes) {
                return true;
            }
        }
        false
    }

    async fn confirm_by(&self, member: &MemberAddress, time_max: Duration) -> Confirmed {
        let mut client = self.connections.client(member.node, &member.address);
        let asked = client.confirm(ConfirmRequest);
        match tokio::time::timeout(time_max, asked).await {
            Ok(Ok(reply)) => match reply.into_inner() {
                ConfirmReply::Index(index) => {
                    self.pulse.confirmed(index);
                    self.roster.has_led(member.node);
                    Confirmed::Yes
                }
                ConfirmReply::NotLeader(leader) => leader.map_or(Confirmed::No, Confirmed::By),
                ConfirmReply::Unavailable(reason) => {
                    tracing::debug!(node = member.node, reason, "a member cannot confirm");
                    Confirmed::No
                }
            },
            Ok(Err(status)) => {
                tracing::debug!(node = member.node, %status, "a member does not answer");
                Confirmed::No
            }
            Err(_) => {
                self.roster.was_silent(member.node);
                Confirmed::No
            }
        }
    }
}

/// What a member said.
enum Confirmed {
    Yes,
    /// This one would have to.
    By(u64),
    No,
}
