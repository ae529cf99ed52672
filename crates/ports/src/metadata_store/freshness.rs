//! When a node last had a read confirmed, and what follows from it: whether it is ready, and whether a pull may be
//! answered from the last state. The rule is the same for members and gateways, so it stands here once.
//!
//! It must never let a read pass that was not confirmed unless nothing was for [`STALE_AFTER`], in which the node did try: a
//! process that was stopped, and wakes, has not tried.
//! PROTOCOLS, "Reads", rule 2, and "The balancer's part", rule 1.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Answered, MetadataFailure};
use crate::Deadline;

/// A node is ready for so long after a read was confirmed.
pub const READY_FOR: Duration = Duration::from_secs(2);
/// When nothing could be confirmed for so long, pulls may be answered from the last state.
pub const STALE_AFTER: Duration = Duration::from_secs(5);

/// A node that is awake looks at itself so often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// One that has not looked at itself for so long was not awake.
const STOOD_STILL: Duration = Duration::from_secs(2);

/// When reads were confirmed. Shared by all that read at a node.
#[derive(Debug)]
pub struct Freshness {
    began: Instant,
    here: Mark,
    anywhere: Mark,
    looked: Mark,
    woke: Mark,
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
            looked: Mark::default(),
            woke: Mark::default(),
        }
    }

    /// Does the work by which a node finds out whether reads can be confirmed, and notices meanwhile when it stood still.
    pub async fn looked_after<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            self.look();
            if let Ok(done) = tokio::time::timeout(LOOK_EVERY, &mut work).await {
                return done;
            }
        }
    }

    /// Notices that the node stood still since the last look.
    fn look(&self) {
        let last = self.looked.at(self.began);
        if last.is_some_and(|last| last.elapsed() > STOOD_STILL) {
            self.woke.set(self.began);
        }
        self.looked.set(self.began);
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
        // Whoever wakes may ask this before anything else is done.
        self.look();
        let marks = [self.anywhere.at(self.began), self.woke.at(self.began)];
        let tries_since = marks.into_iter().flatten().max().unwrap_or(self.began);
        tries_since + STALE_AFTER
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

    #[test]
    fn node_that_stood_still_tries_again_before_it_gives_up() {
        let still = Duration::from_secs(6);
        let looked_at = |ms| Freshness {
            looked: Mark(AtomicU64::new(ms)),
            ..begun_before(still)
        };
        let awake = looked_at(5_900);
        assert!(awake.is_lost());
        let woken = looked_at(1);
        assert!(!woken.is_lost());
        let tries_for = woken.stale_from() - Instant::now();
        assert!(tries_for > STALE_AFTER - Duration::from_secs(1));
        // It woke once: a second look is nothing new.
        assert!(woken.stale_from() - Instant::now() <= tries_for);
    }

    #[tokio::test]
    async fn work_is_looked_after_to_its_end() {
        let freshness = Freshness::new();
        let done = freshness.looked_after(async {
            tokio::time::sleep(20 * MS).await;
            7
        });
        assert_eq!(done.await, 7);
        assert!(freshness.looked.at(freshness.began).is_some());
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
