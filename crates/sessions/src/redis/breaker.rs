//! The breaker: after a few misses, calls go on without Redis at once, until a probe has found it again.
//!
//! A miss weighs two, an answer takes one away, so that a part of Redis that does not answer is noticed although others do.
//! Each change is logged once, whatever happens meanwhile.

use std::sync::Arc;

use parking_lot::Mutex;
use ports::Degraded;
use tokio::time::Instant;

use crate::status::{Away, STOPPED, Status};

/// See the module.
pub struct Breaker {
    state: Mutex<State>,
    misses_max: u32,
}

enum State {
    Closed {
        weight: u32,
    },
    Open {
        since: Instant,
        why: Arc<str>,
        /// Whether the log knows.
        told: bool,
    },
}

impl Breaker {
    /// Open, until somebody has connected.
    pub fn new(misses_max: u32) -> Breaker {
        Breaker {
            state: Mutex::new(State::Open {
                since: Instant::now(),
                why: "not connected yet".into(),
                told: false,
            }),
            misses_max,
        }
    }

    /// Refuses while it is open.
    pub fn check(&self) -> Result<(), Degraded> {
        match &*self.state.lock() {
            State::Closed { .. } => Ok(()),
            State::Open { why, .. } => Err(Degraded {
                why: Arc::clone(why),
            }),
        }
    }

    /// A call was answered.
    pub fn answered(&self) {
        if let State::Closed { weight } = &mut *self.state.lock() {
            *weight = weight.saturating_sub(1);
        }
    }

    /// A call was not answered, or with a failure. Whether it is open from now on.
    pub fn missed(&self, why: &Arc<str>) -> bool {
        let mut state = self.state.lock();
        if let State::Closed { weight } = &mut *state {
            *weight += 2;
            if *weight < self.misses_max.saturating_mul(2) {
                return false;
            }
            open(&mut state, why);
        }
        true
    }

    /// It could not be reached.
    pub fn unreachable(&self, why: &Arc<str>) {
        open(&mut self.state.lock(), why);
    }

    /// A probe was answered.
    pub fn close(&self) {
        let mut state = self.state.lock();
        if let State::Open { since, told, .. } = &*state {
            let seconds = since.elapsed().as_secs_f64();
            match told {
                true => tracing::info!(away_seconds = seconds, "Redis answers again"),
                false => tracing::info!("sessions, throttles and pull rates are shared in Redis"),
            }
        }
        *state = State::Closed { weight: 0 };
    }

    /// For people.
    pub fn status(&self) -> Status {
        match &*self.state.lock() {
            State::Closed { .. } => Status::Shared,
            State::Open { since, why, .. } => Status::Away(Away {
                lasted: since.elapsed(),
                why: Arc::clone(why),
            }),
        }
    }
}

/// Opens it, or keeps it open with what is known now.
fn open(state: &mut State, why: &Arc<str>) {
    let since = match state {
        State::Open { since, .. } => *since,
        State::Closed { .. } => Instant::now(),
    };
    if !matches!(state, State::Open { told: true, .. }) {
        tracing::warn!(%why, "Redis is away: {STOPPED}");
    }
    *state = State::Open {
        since,
        why: Arc::clone(why),
        told: true,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn closed() -> Breaker {
        let breaker = Breaker::new(3);
        breaker.close();
        breaker
    }

    #[test]
    fn it_begins_open_and_closes_by_a_probe() {
        let breaker = Breaker::new(3);
        assert!(breaker.check().is_err());
        breaker.answered();
        assert!(breaker.check().is_err());
        breaker.close();
        assert!(breaker.check().is_ok());
        assert_eq!(breaker.status(), Status::Shared);
    }

    #[test]
    fn three_misses_in_a_row_open_it() {
        let (breaker, why) = (closed(), "slow".into());
        assert_eq!([(); 3].map(|()| breaker.missed(&why)), [false, false, true]);
        assert_eq!(breaker.check().unwrap_err().why, why);
        assert!(breaker.missed(&why));
    }

    #[test]
    fn few_misses_among_answers_do_not_and_many_do() {
        let why = "slow".into();
        let breaker = closed();
        for call in 0..1000 {
            match call % 10 {
                0 => drop(breaker.missed(&why)),
                _ => breaker.answered(),
            }
        }
        assert!(breaker.check().is_ok());
        for call in 0..20 {
            match call % 2 {
                0 => drop(breaker.missed(&why)),
                _ => breaker.answered(),
            }
        }
        assert!(breaker.check().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn it_says_for_how_long_and_why_last() {
        let breaker = closed();
        breaker.unreachable(&"refused".into());
        tokio::time::advance(Duration::from_secs(7)).await;
        breaker.unreachable(&"timed out".into());
        let Status::Away(away) = breaker.status() else {
            panic!("it is open");
        };
        assert_eq!(away.lasted, Duration::from_secs(7));
        assert_eq!(&*away.why, "timed out");
    }
}
