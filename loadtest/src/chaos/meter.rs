//! What became of requests through the balancer, second by second.
//!
//! It must never measure itself into the result: one short lock per answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use super::timeline::Timeline;

/// So many failures are told one by one.
const LISTED_MAX: usize = 2_000;

/// So many latencies of one second are kept, for its quantiles.
const SAMPLES_MAX: usize = 2_000;

/// Shorter times without an answer are not listed: probes of a kind come each 100 ms.
const GAP_MIN_US: u64 = 200_000;

/// What happens to a request whose node dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Repeatable {
    /// The balancer asks another node.
    ByBalancer,
    /// Only its client may send it again: bodies of blobs, `PATCH`, `DELETE`.
    ByClient,
}

/// A request that had no good answer.
#[derive(Debug, Clone, Serialize)]
pub struct Failed {
    /// When it was sent, in microseconds since the run's beginning.
    pub began_us: u64,
    /// When it had failed.
    pub ended_us: u64,
    /// Who may send it again.
    pub repeatable: Repeatable,
    /// Whether there was an answer, and its body was an error as the specification has it.
    pub is_oci_json: bool,
    /// What was asked and what came.
    pub message: String,
}

/// A stretch in which nobody was answered a read, or nobody a write.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Gap {
    /// When it began.
    pub began_us: u64,
    /// When it ended.
    pub ended_us: u64,
    /// Whether writes were not answered, or reads.
    pub of_writes: bool,
}

/// One second.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Second {
    /// Reads that were answered.
    pub reads: u32,
    /// Writes that were answered.
    pub writes: u32,
    /// Requests that failed.
    pub failed: u32,
    /// The latency that half of the answers did not exceed.
    pub p50_ms: f64,
    /// The latency that 99 of 100 answers did not exceed.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    #[serde(skip)]
    samples: Vec<u32>,
}

/// The record. Cheap to clone; all clones write to one.
#[derive(Clone)]
pub struct Meter {
    timeline: Timeline,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    seconds: Vec<Second>,
    failed: Vec<Failed>,
    failed_count: u64,
    /// Of reads and of writes.
    last_us: [Option<u64>; 2],
    gaps: Vec<Gap>,
}

/// What was measured.
pub(super) struct Measured {
    pub(super) seconds: Vec<Second>,
    pub(super) failed: Vec<Failed>,
    pub(super) failed_count: u64,
    pub(super) gaps: Vec<Gap>,
}

impl Meter {
    pub(super) fn new(timeline: Timeline) -> Self {
        let state = Arc::default();
        Self { timeline, state }
    }

    /// A request was answered just now.
    pub(super) fn answered(&self, began: Instant, is_write: bool) {
        let now = Instant::now();
        let at = self.timeline.us(now);
        let mut state = self.lock();
        let last = state.last_us[usize::from(is_write)].replace(at);
        if let Some(began_us) = last.filter(|last| at.saturating_sub(*last) >= GAP_MIN_US) {
            state.gaps.push(Gap {
                began_us,
                ended_us: at,
                of_writes: is_write,
            });
        }
        let second = second(&mut state, at);
        match is_write {
            true => second.writes += 1,
            false => second.reads += 1,
        }
        let latency = now.saturating_duration_since(began).as_micros();
        let latency = u32::try_from(latency).unwrap_or(u32::MAX);
        second.max_ms = second.max_ms.max(f64::from(latency) / 1000.0);
        if second.samples.len() < SAMPLES_MAX {
            second.samples.push(latency);
        }
    }

    /// A request has failed just now.
    pub(super) fn failed(
        &self,
        began: Instant,
        repeatable: Repeatable,
        is_oci_json: bool,
        message: String,
    ) {
        let (began_us, ended_us) = (self.timeline.us(began), self.timeline.now_us());
        let mut state = self.lock();
        second(&mut state, ended_us).failed += 1;
        state.failed_count += 1;
        if state.failed.len() < LISTED_MAX {
            state.failed.push(Failed {
                began_us,
                ended_us,
                repeatable,
                is_oci_json,
                message,
            });
        }
    }

    pub(super) fn measured(&self) -> Measured {
        let state = self.lock();
        let mut seconds = state.seconds.clone();
        for second in &mut seconds {
            second.samples.sort_unstable();
            let quantile = |of: usize| {
                let place = (second.samples.len() * of / 100).min(second.samples.len().max(1) - 1);
                f64::from(second.samples.get(place).copied().unwrap_or(0)) / 1000.0
            };
            (second.p50_ms, second.p99_ms) = (quantile(50), quantile(99));
        }
        Measured {
            seconds,
            failed: state.failed.clone(),
            failed_count: state.failed_count,
            gaps: state.gaps.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn second(state: &mut State, at_us: u64) -> &mut Second {
    let number = usize::try_from(at_us / 1_000_000).unwrap_or(0);
    if state.seconds.len() <= number {
        state.seconds.resize_with(number + 1, Second::default);
    }
    &mut state.seconds[number]
}
