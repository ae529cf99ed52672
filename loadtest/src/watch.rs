//! When nothing was answered: the gaps between answers of all clients together, the waits of single clients, and the times
//! in which the machine itself stood still, each with its place in time, so that it can be laid beside what was done to the
//! registry.
//!
//! It must never measure itself into the result: one short lock per answer, and lists that are bounded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Shorter gaps and waits are not listed.
const LISTED_MIN: Duration = Duration::from_millis(50);

/// So many gaps, waits, failures or stalls are listed at most.
const LISTED_MAX: usize = 10_000;

/// How often the stall monitor looks at the clock.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The machine stood still when the monitor was late by more than this.
const STALL_MIN: Duration = Duration::from_millis(50);

/// Latencies up to this are told apart; longer ones count as this.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// A stretch of time.
#[derive(Debug, Clone, Copy, Serialize, PartialEq)]
pub struct Stretch {
    /// When it began, in milliseconds since 1970.
    pub from_unix_ms: f64,
    /// How long it was.
    pub ms: f64,
}

/// Turns moments of this process into moments of the calendar.
#[derive(Debug, Clone, Copy)]
pub struct Calendar {
    instant: Instant,
    unix: Duration,
}

impl Calendar {
    /// Of now.
    pub fn now() -> Calendar {
        Calendar {
            instant: Instant::now(),
            unix: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// The moment, in milliseconds since 1970.
    pub fn unix_ms(&self, at: Instant) -> f64 {
        ms(self.unix + at.saturating_duration_since(self.instant))
    }

    fn stretch(&self, from: Instant, to: Instant) -> Stretch {
        Stretch {
            from_unix_ms: self.unix_ms(from),
            ms: ms(to.saturating_duration_since(from)),
        }
    }
}

/// Answers of one kind, of all clients together. Cheap to clone; all clones write to one record.
#[derive(Clone)]
pub struct Watch {
    calendar: Calendar,
    state: Arc<Mutex<State>>,
}

struct State {
    last: Option<Instant>,
    gaps: Vec<Stretch>,
    longest_gap: Duration,
    waits: Vec<Stretch>,
    latencies_us: Histogram<u64>,
}

impl Watch {
    /// With nothing answered. The first gap begins with the first answer.
    pub fn new(calendar: Calendar) -> Watch {
        let latencies_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
            .expect("the bounds and three digits are allowed");
        let state = State {
            last: None,
            gaps: Vec::new(),
            longest_gap: Duration::ZERO,
            waits: Vec::new(),
            latencies_us,
        };
        Watch {
            calendar,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Takes down an answer, just received, to what a client asked for at `began`.
    pub fn answered(&self, began: Instant) {
        let mut state = lock(&self.state);
        let now = Instant::now();
        self.gap(&mut state, now);
        state.last = Some(now);
        let wait = now.saturating_duration_since(began);
        state
            .latencies_us
            .saturating_record(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
        if wait >= LISTED_MIN && state.waits.len() < LISTED_MAX {
            state.waits.push(self.calendar.stretch(began, now));
        }
    }

    /// Nothing more is asked for: what has passed since the last answer is a gap too.
    pub fn end(&self) {
        let mut state = lock(&self.state);
        self.gap(&mut state, Instant::now());
        state.last = None;
    }

    fn gap(&self, state: &mut State, now: Instant) {
        let Some(last) = state.last else { return };
        let gap = now.saturating_duration_since(last);
        state.longest_gap = state.longest_gap.max(gap);
        if gap >= LISTED_MIN && state.gaps.len() < LISTED_MAX {
            state.gaps.push(self.calendar.stretch(last, now));
        }
    }

    /// Sums up.
    pub fn side(&self, seconds: f64) -> Side {
        let state = lock(&self.state);
        let latency = |us: u64| us as f64 / 1000.0;
        Side {
            count: state.latencies_us.len(),
            per_second: state.latencies_us.len() as f64 / seconds,
            p50_ms: latency(state.latencies_us.value_at_quantile(0.5)),
            p99_ms: latency(state.latencies_us.value_at_quantile(0.99)),
            max_ms: latency(state.latencies_us.max()),
            longest_gap_ms: ms(state.longest_gap),
            gaps: state.gaps.clone(),
            waits: state.waits.clone(),
        }
    }
}

/// What became of one kind of request.
#[derive(Debug, Serialize)]
pub struct Side {
    count: u64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// The longest that one client waited for one answer.
    max_ms: f64,
    /// The longest time in which no client at all was answered.
    pub longest_gap_ms: f64,
    /// Times of 50 ms and more in which no client was answered.
    pub gaps: Vec<Stretch>,
    /// Answers that took 50 ms and more.
    waits: Vec<Stretch>,
}

impl Side {
    /// For people.
    pub fn line(&self, name: &str) -> String {
        format!(
            "{name}: {} ({:.0}/s), p50 {:.2} ms, p99 {:.2} ms, longest wait {:.0} ms, longest gap {:.0} ms",
            self.count, self.per_second, self.p50_ms, self.p99_ms, self.max_ms, self.longest_gap_ms
        )
    }
}

/// A failure and when it was noticed.
#[derive(Debug, Clone, Serialize)]
pub struct Failed {
    /// When, in milliseconds since 1970.
    pub at_unix_ms: f64,
    /// What.
    pub message: String,
}

/// Failures of one class.
#[derive(Clone)]
pub struct Failures {
    calendar: Calendar,
    list: Arc<Mutex<(u64, Vec<Failed>)>>,
}

impl Failures {
    /// None yet.
    pub fn new(calendar: Calendar) -> Failures {
        Failures {
            calendar,
            list: Arc::default(),
        }
    }

    /// Takes one down.
    pub fn push(&self, error: &anyhow::Error) {
        let mut list = lock(&self.list);
        list.0 += 1;
        if list.1.len() < LISTED_MAX {
            list.1.push(Failed {
                at_unix_ms: self.calendar.unix_ms(Instant::now()),
                message: format!("{error:#}"),
            });
        }
    }

    /// How many, and the first ones.
    pub fn all(&self) -> (u64, Vec<Failed>) {
        lock(&self.list).clone()
    }
}

/// Watches the machine: a thread that does nothing but look at the clock, and notes when it could not.
pub struct StallMonitor {
    ends: Arc<Mutex<bool>>,
    thread: thread::JoinHandle<Vec<Stretch>>,
}

impl StallMonitor {
    /// Starts to watch.
    pub fn start(calendar: Calendar) -> StallMonitor {
        let ends = Arc::new(Mutex::new(false));
        let end = ends.clone();
        let thread = thread::spawn(move || {
            let mut stalls = Vec::new();
            let mut last = Instant::now();
            while !*lock(&end) {
                thread::sleep(LOOK_EVERY);
                let now = Instant::now();
                if is_stall(last, now) && stalls.len() < LISTED_MAX {
                    stalls.push(calendar.stretch(last, now));
                }
                last = now;
            }
            stalls
        });
        StallMonitor { ends, thread }
    }

    /// Stops, and tells when the machine stood still.
    pub fn stop(self) -> Vec<Stretch> {
        *lock(&self.ends) = true;
        self.thread.join().unwrap_or_default()
    }
}

fn is_stall(last: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last) > LOOK_EVERY + STALL_MIN
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gap_is_between_answers_of_all_and_wait_is_of_one() {
        let watch = Watch::new(Calendar::now());
        let began = Instant::now();
        thread::sleep(Duration::from_millis(80));
        watch.answered(began);
        let side = watch.side(1.0);
        assert_eq!((side.gaps.len(), side.waits.len()), (0, 1), "{side:?}");
        thread::sleep(Duration::from_millis(60));
        watch.answered(Instant::now());
        let side = watch.side(1.0);
        assert_eq!((side.gaps.len(), side.waits.len()), (1, 1), "{side:?}");
        assert!(side.gaps[0].ms >= 60.0 && side.longest_gap_ms >= 60.0);
        assert!(side.gaps[0].from_unix_ms > side.waits[0].from_unix_ms);
    }

    #[test]
    fn silence_until_the_end_is_a_gap() {
        let watch = Watch::new(Calendar::now());
        watch.answered(Instant::now());
        thread::sleep(Duration::from_millis(70));
        watch.end();
        assert!(watch.side(1.0).longest_gap_ms >= 70.0);
        // What was before the first answer is none: a load that has not begun waits for nothing.
        let silent = Watch::new(Calendar::now());
        thread::sleep(Duration::from_millis(5));
        silent.end();
        assert_eq!(silent.side(1.0).longest_gap_ms, 0.0);
    }

    #[test]
    fn clock_that_was_looked_at_late_is_a_stall() {
        let now = Instant::now();
        assert!(!is_stall(now, now + LOOK_EVERY + STALL_MIN));
        assert!(is_stall(
            now,
            now + LOOK_EVERY + STALL_MIN + Duration::from_millis(1)
        ));
        assert!(StallMonitor::start(Calendar::now()).stop().len() < LISTED_MAX);
    }
}
