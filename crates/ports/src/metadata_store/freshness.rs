//! When a node last had a read confirmed, and what follows from it: whether it is ready, and whether a pull may be
//! answered from the last state. The rule is the same for members and gateways, so it stands here once.
//!
//! It must never let a read pass that was not confirmed unless nothing was for [`STALE_AFTER`].
//! PROTOCOLS, "Reads", rule 2, and "The balancer's part", rule 1.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Answered, MetadataFailure};
use crate::Deadline;

/// A node is ready for so long after a read was confirmed.
pub const READY_FOR: Duration = Duration::from_secs(2);
/// When nothing could be confirmed for so long, pulls may be answered from the last state.
pub const STALE_AFTER: Duration = Duration::from_secs(5);

/// When reads were confirmed. Shared by all that read at a node.
#[derive(Debug)]
pub struct Freshness {
    began: Instant,
    here: Mark,
    anywhere: Mark,
}

/// Milliseconds after the beginning, plus one; 0 is never.
#[derive(Debug, Default)]
struct Mark(AtomicU64);

impl Mark {
    fn set(&self, began: Instant) {
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        // The latest counts, whoever comes first.
        self.0.fetch_max(ms + 1, Ordering::Relaxed);
    }

    fn at(&self, began: Instant) -> Option<Instant> {
        let ms = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        Some(began + Duration::from_millis(ms))
    }
}

impl Freshness {
    /// Of a node that begins now and has had nothing confirmed.
    #[must_use]
    pub fn new() -> Freshness {
        Freshness {
            began: Instant::now(),
            here: Mark::default(),
            anywhere: Mark::default(),
        }
    }

    /// A read was confirmed the way this node confirms reads.
    pub fn confirmed(&self) {
        self.here.set(self.began);
        self.anywhere.set(self.began);
    }

    /// A read was confirmed, but only by asking another node to answer it: this one should not be sent requests.
    pub fn confirmed_elsewhere(&self) {
        self.anywhere.set(self.began);
    }

    /// When [`Freshness::confirmed`] was last said.
    #[must_use]
    pub fn last(&self) -> Option<Instant> {
        self.here.at(self.began)
    }

    /// Whether [`Freshness::confirmed`] was said within the last [`READY_FOR`].
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready_at(Instant::now())
    }

    fn is_ready_at(&self, now: Instant) -> bool {
        self.last().is_some_and(|last| now < last + READY_FOR)
    }

    /// From when on pulls may be answered from the last state, unless something is confirmed before.
    #[must_use]
    pub fn stale_from(&self) -> Instant {
        self.anywhere.at(self.began).unwrap_or(self.began) + STALE_AFTER
    }

    /// Whether it is known that nothing can be confirmed: pulls need not wait to find out.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.stale_from() <= Instant::now()
    }

    /// Reads by `confirmed`, which is given the time until which it may try. `None`: the last state may be the answer.
    pub async fn confirmed_unless_lost<F>(
        &self,
        deadline: Deadline,
        mut confirmed: impl FnMut(Deadline) -> F,
    ) -> Option<Result<Answered, MetadataFailure>>
    where
        F: Future<Output = Result<Answered, MetadataFailure>>,
    {
        loop {
            let lost_at = self.stale_from();
            if lost_at <= Instant::now() {
                return None;
            }
            let until = lost_at.min(deadline);
            let outcome = confirmed(until).await;
            // One that gave up early did not fail for want of a confirmation.
            let timed_out = matches!(outcome, Err(MetadataFailure::Unavailable { .. }))
                && until <= Instant::now();
            if !timed_out || deadline <= until {
                return Some(outcome);
            }
        }
    }
}

impl Default for Freshness {
    fn default() -> Freshness {
        Freshness::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::Answer;

    const MS: Duration = Duration::from_millis(1);

    /// As it is when nothing was confirmed since the node began, so long ago.
    fn begun_before(age: Duration) -> Freshness {
        Freshness {
            began: Instant::now() - age,
            ..Freshness::new()
        }
    }

    async fn in_vain(until: Deadline) -> Result<Answered, MetadataFailure> {
        tokio::time::sleep_until(until).await;
        Err(MetadataFailure::Unavailable {
            reason: "nobody confirms".to_owned(),
        })
    }

    #[test]
    fn ready_for_two_seconds_after_a_confirmation_here() {
        let freshness = Freshness::new();
        assert!(!freshness.is_ready());
        freshness.confirmed_elsewhere();
        assert!(!freshness.is_ready());
        freshness.confirmed();
        let last = freshness.last().unwrap();
        assert!(freshness.is_ready());
        assert!(freshness.is_ready_at(last + READY_FOR - MS));
        assert!(!freshness.is_ready_at(last + READY_FOR));
    }

    #[test]
    fn lost_five_seconds_after_any_confirmation_and_after_the_beginning() {
        assert!(!begun_before(STALE_AFTER - Duration::from_secs(1)).is_lost());
        let freshness = begun_before(STALE_AFTER);
        assert!(freshness.is_lost());
        freshness.confirmed_elsewhere();
        assert!(!freshness.is_lost());
        let from_now = freshness.stale_from() - Instant::now();
        assert!(
            from_now > STALE_AFTER - Duration::from_secs(1),
            "{from_now:?}"
        );
    }

    #[tokio::test]
    async fn a_read_waits_until_nothing_was_confirmed_for_five_seconds_and_no_later_one_waits() {
        let freshness = begun_before(STALE_AFTER - 200 * MS);
        let began = Instant::now();
        let deadline = began + Duration::from_secs(60);
        let read = freshness.confirmed_unless_lost(deadline, in_vain).await;
        assert!(read.is_none());
        assert!(began.elapsed() >= 190 * MS, "{:?}", began.elapsed());
        let asked = |_| -> std::future::Ready<_> { panic!("nobody needs to be asked") };
        let read = freshness.confirmed_unless_lost(deadline, asked).await;
        assert!(read.is_none());
    }

    #[tokio::test]
    async fn what_others_had_confirmed_prolongs_the_wait_up_to_the_deadline() {
        let freshness = begun_before(STALE_AFTER - 50 * MS);
        let deadline = Instant::now() + 200 * MS;
        let confirmed = |until| {
            freshness.confirmed_elsewhere();
            in_vain(until)
        };
        let read = freshness.confirmed_unless_lost(deadline, confirmed).await;
        assert!(
            matches!(read, Some(Err(MetadataFailure::Unavailable { .. }))),
            "{read:?}"
        );
        assert!(deadline <= Instant::now());
    }

    #[tokio::test]
    async fn answers_and_other_failures_are_given_at_once() {
        let freshness = Freshness::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        let answered = Answered {
            answer: Answer::Absent,
            stale: false,
        };
        let answers = |_| std::future::ready(Ok(answered.clone()));
        let read = freshness.confirmed_unless_lost(deadline, answers).await;
        assert_eq!(read.and_then(Result::ok), Some(answered.clone()));
        let busy = |_| {
            let reason = "too many reads wait".to_owned();
            std::future::ready(Err(MetadataFailure::Unavailable { reason }))
        };
        let read = freshness.confirmed_unless_lost(deadline, busy).await;
        assert!(matches!(read, Some(Err(_))), "{read:?}");
    }
}
