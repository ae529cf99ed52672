//! Many seeds, on all processors.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::census::Total;
use crate::run;

/// What became of many seeds.
#[derive(Debug, Default)]
pub struct Batch {
    /// How many were run.
    pub ran: u64,
    /// Those that failed, and why, in the order of seeds.
    pub failed: Vec<(u64, Vec<String>)>,
    /// What occurred in all of them.
    pub total: Total,
    /// How long it took.
    pub took: Duration,
}

/// How many seeds can run at once.
#[must_use]
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs `seeds` seeds from `first` on, `jobs` at once; only until one fails, if that is wanted.
#[must_use]
pub fn run(first: u64, seeds: u64, jobs: usize, ends_at_failure: bool) -> Batch {
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let is_over = AtomicBool::new(false);
    let (sender, results) = mpsc::channel();
    let mut batch = Batch::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (sender, next, is_over) = (sender.clone(), &next, &is_over);
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= first + seeds || sender.send((seed, run::seed(seed, false))).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (seed, outcome) in results {
            batch.ran += 1;
            let breaches = match outcome {
                Ok(outcome) => {
                    for line in outcome.census.lines() {
                        batch.total.add_line(line);
                    }
                    outcome.breaches
                }
                Err(problem) => vec![problem],
            };
            if !breaches.is_empty() {
                batch.failed.push((seed, breaches));
                is_over.store(ends_at_failure, Relaxed);
            }
        }
    });
    batch.failed.sort();
    batch.took = began.elapsed();
    batch
}
