//! Whether a directory is asked at all: after a few failures in a row it is not, for a while that grows; then one tries it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So many failures in a row are no accident.
const FAILURES_MAX: u32 = 3;
/// How long nobody asks after that, at first and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    /// Until when nobody asks, or nobody else does.
    closed_until: Option<Instant>,
}

impl State {
    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(FAILURES_MAX).min(10);
        PAUSE_MAX.min(PAUSE_MIN * 2_u32.pow(doublings))
    }

    /// Whether to ask at `now`. Who does within a pause that is over does so alone, for `time_max`.
    fn may_ask(&mut self, now: Instant, time_max: Duration) -> bool {
        if self.failures < FAILURES_MAX {
            return true;
        }
        if self.closed_until.is_some_and(|until| until > now) {
            return false;
        }
        self.closed_until = Some(now + time_max);
        true
    }

    fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            self.closed_until = Some(now + self.pause());
        }
        self.failures == FAILURES_MAX
    }

    fn answered(&mut self) -> bool {
        let was_closed = self.failures >= FAILURES_MAX;
        *self = State::default();
        was_closed
    }
}

impl Breaker {
    pub(super) fn may_ask(&self, time_max: Duration) -> bool {
        self.0.lock().may_ask(Instant::now(), time_max)
    }

    /// Tells whether this was one too many.
    pub(super) fn failed(&self) -> bool {
        self.0.lock().failed(Instant::now())
    }

    /// Tells whether it had not answered before.
    pub(super) fn answered(&self) -> bool {
        self.0.lock().answered()
    }

    /// Whether it is known not to answer.
    pub(super) fn is_closed(&self) -> bool {
        self.0.lock().failures >= FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME_MAX: Duration = Duration::from_secs(5);

    #[test]
    fn directory_that_fails_is_left_alone_and_tried_by_one() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut state = State::default();
        assert!(!state.failed(at(0)) && !state.failed(at(0)));
        assert!(state.may_ask(at(0), TIME_MAX));
        assert!(state.failed(at(0)), "the third tells");
        assert!(!state.may_ask(at(999), TIME_MAX));
        assert!(state.may_ask(at(1000), TIME_MAX), "one tries");
        assert!(!state.may_ask(at(1001), TIME_MAX), "nobody else");
        assert!(!state.failed(at(2000)));
        assert!(!state.may_ask(at(3999), TIME_MAX), "twice as long");
        assert!(state.may_ask(at(4000), TIME_MAX));
        assert!(state.answered());
        assert!(state.may_ask(at(4001), TIME_MAX) && state.may_ask(at(4001), TIME_MAX));
        assert!(!state.answered());
    }

    #[test]
    fn pause_has_an_end_and_so_has_a_try_that_was_dropped() {
        let start = Instant::now();
        let mut state = State::default();
        for _ in 0..100 {
            state.failed(start);
        }
        assert_eq!(state.pause(), PAUSE_MAX);
        assert!(state.may_ask(start + PAUSE_MAX, TIME_MAX));
        assert!(state.may_ask(start + PAUSE_MAX + TIME_MAX, TIME_MAX));
    }
}
