//! What a run measured: per operation the rate, the latencies, the longest gap, and every kind of failure.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use comfy_table::Table;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies up to this are told apart; longer ones count as this.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// How many different messages of failure are kept.
const MESSAGES_MAX: usize = 20;

/// Takes down what workers do. Cheap to clone; all clones write to one record.
#[derive(Clone)]
pub struct Recorder {
    started: Instant,
    kinds: Arc<[Kind]>,
    messages: Arc<Mutex<BTreeMap<String, u64>>>,
    failures: Arc<AtomicU64>,
}

struct Kind {
    name: &'static str,
    latencies_us: Mutex<Histogram<u64>>,
    bytes: AtomicU64,
    last_us: AtomicU64,
    longest_gap_us: AtomicU64,
}

impl Recorder {
    /// A record of these operations. The first one is what the run counts.
    pub fn new(kinds: &[&'static str]) -> Recorder {
        let kind = |name: &&'static str| Kind {
            name,
            latencies_us: Mutex::new(histogram()),
            bytes: AtomicU64::new(0),
            last_us: AtomicU64::new(0),
            longest_gap_us: AtomicU64::new(0),
        };
        Recorder {
            started: Instant::now(),
            kinds: kinds.iter().map(kind).collect(),
            messages: Arc::default(),
            failures: Arc::default(),
        }
    }

    /// Takes down an operation that began at `began`, has just been answered, and moved so many bytes.
    pub fn done(&self, kind: &'static str, began: Instant, bytes: u64) {
        let Some(kind) = self.kinds.iter().find(|known| known.name == kind) else {
            return;
        };
        let now_us = micros(self.started.elapsed());
        lock(&kind.latencies_us).saturating_record(micros(began.elapsed()));
        kind.bytes.fetch_add(bytes, Ordering::Relaxed);
        let last_us = kind.last_us.fetch_max(now_us, Ordering::Relaxed);
        kind.longest_gap_us
            .fetch_max(now_us.saturating_sub(last_us), Ordering::Relaxed);
    }

    /// Takes down a failure.
    pub fn failed(&self, error: &anyhow::Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut messages = lock(&self.messages);
        let message = format!("{error:#}");
        if messages.len() < MESSAGES_MAX || messages.contains_key(&message) {
            *messages.entry(message).or_default() += 1;
        }
    }

    /// How many of the first kind are done.
    pub fn operations(&self) -> u64 {
        self.kinds
            .first()
            .map_or(0, |kind| lock(&kind.latencies_us).len())
    }

    /// How many have failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Sums up.
    pub fn report(&self, name: &str, elapsed: Duration) -> Report {
        let seconds = elapsed.as_secs_f64();
        let operations = self.kinds.iter().map(|kind| kind.report(seconds)).collect();
        let failures = self.failures();
        Report {
            name: name.to_owned(),
            seconds,
            operations,
            failures,
            messages: lock(&self.messages).clone(),
        }
    }
}

impl Kind {
    fn report(&self, seconds: f64) -> Operation {
        let latencies = lock(&self.latencies_us);
        let ms = |us: u64| us as f64 / 1000.0;
        let bytes = self.bytes.load(Ordering::Relaxed);
        Operation {
            operation: self.name,
            count: latencies.len(),
            per_second: latencies.len() as f64 / seconds,
            bytes,
            mib_per_second: bytes as f64 / 1_048_576.0 / seconds,
            p50_ms: ms(latencies.value_at_quantile(0.5)),
            p90_ms: ms(latencies.value_at_quantile(0.9)),
            p99_ms: ms(latencies.value_at_quantile(0.99)),
            max_ms: ms(latencies.max()),
            longest_gap_ms: ms(self.longest_gap_us.load(Ordering::Relaxed)),
        }
    }
}

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    name: String,
    seconds: f64,
    operations: Vec<Operation>,
    failures: u64,
    messages: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct Operation {
    operation: &'static str,
    count: u64,
    per_second: f64,
    bytes: u64,
    mib_per_second: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    longest_gap_ms: f64,
}

impl Report {
    /// How many operations failed.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header([
            "operation",
            "count",
            "per s",
            "MiB/s",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "max ms",
            "longest gap ms",
        ]);
        for row in &self.operations {
            let figures = [
                row.mib_per_second,
                row.p50_ms,
                row.p90_ms,
                row.p99_ms,
                row.max_ms,
                row.longest_gap_ms,
            ];
            let head = [
                row.operation.to_owned(),
                row.count.to_string(),
                format!("{:.0}", row.per_second),
            ];
            table.add_row(
                head.into_iter()
                    .chain(figures.map(|figure| format!("{figure:.2}"))),
            );
        }
        let mut text = format!(
            "{}: {:.1} s, {} failed\n{table}",
            self.name, self.seconds, self.failures
        );
        for (message, count) in &self.messages {
            text.push_str(&format!("\n{count} × {message}"));
        }
        text
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
        .expect("the bounds and three digits are allowed")
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_the_longest_time_without_an_answer() {
        let recorder = Recorder::new(&["pull"]);
        let began = recorder.started;
        recorder.done("pull", began, 10);
        let gap = Duration::from_millis(30);
        while recorder.started.elapsed() < gap {
            std::hint::spin_loop();
        }
        recorder.done("pull", Instant::now(), 10);
        let report = recorder.report("pull", gap);
        assert!(report.operations[0].longest_gap_ms >= 25.0, "{report:?}");
        assert_eq!(
            (report.operations[0].count, report.operations[0].bytes),
            (2, 20)
        );
    }

    #[test]
    fn failures_are_counted_by_their_message() {
        let recorder = Recorder::new(&["pull"]);
        recorder.failed(&anyhow::anyhow!("gone"));
        recorder.failed(&anyhow::anyhow!("gone"));
        let report = recorder.report("pull", Duration::from_secs(1));
        assert_eq!(report.failures(), 2);
        assert!(report.table().contains("2 × gone"));
    }
}
