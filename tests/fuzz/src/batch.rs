//! A run: targets one after the other, each on all processors, for a time or a number of inputs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::engine::{self, Finding, Part, Tally};
use crate::target::Target;
use crate::watch::{self, Slot};

/// So many inputs are one part.
const PART_INPUTS: u64 = 2_000;

/// How much is done for each target.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The seed of the run.
    pub seed: u64,
    /// For so long at most.
    pub time: Option<Duration>,
    /// So many inputs at least, if the time allows.
    pub inputs: Option<u64>,
    /// On so many threads.
    pub threads: usize,
    /// Each input is written to a file before it is tried.
    pub careful: bool,
}

/// What a target's run came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// The target.
    pub name: &'static str,
    /// Inputs; requests, where an input is a sequence of them.
    pub inputs: u64,
    /// How many of these were accepted.
    pub accepted: u64,
    /// How long it took.
    pub took: Duration,
    /// The slowest input.
    pub slowest: Duration,
    /// The most memory, in bytes, that an input made a parser hold.
    pub most_memory: usize,
    /// What failed, one input for each place.
    pub findings: Vec<Finding>,
}

/// Runs a target.
#[must_use]
pub fn run(target: &'static Target, budget: &Budget) -> Report {
    let begun = Instant::now();
    let seeds = engine::beginnings(target);
    let slots: Vec<Slot> = (0..budget.threads)
        .map(|_| Slot::new(target.name))
        .collect();
    let shared = Shared {
        target,
        seeds: &seeds,
        budget,
        deadline: budget.time.map(|time| begun + time),
        next: AtomicU64::new(0),
        total: Mutex::new(first(target, &seeds)),
    };
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch::watch(&slots, &ended));
        let workers: Vec<_> = slots
            .iter()
            .map(|slot| scope.spawn(|| shared.work(slot)))
            .collect();
        let died = workers
            .into_iter()
            .filter_map(|worker| worker.join().err())
            .count();
        ended.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        assert_eq!(died, 0, "the fuzzer itself panicked");
    });
    let total = shared.total.into_inner().expect("no worker panicked");
    Report {
        name: target.name,
        inputs: total.units,
        accepted: total.accepted,
        took: begun.elapsed(),
        slowest: total.slowest,
        most_memory: total.most_memory,
        findings: total.findings,
    }
}

/// Every seed and every input that was found once, as it is.
fn first(target: &'static Target, seeds: &[Vec<u8>]) -> Tally {
    let mut tally = Tally::default();
    for input in seeds {
        match engine::try_input(target, input) {
            Ok(verdict) => {
                tally.units += verdict.units;
                tally.accepted += verdict.accepted;
            }
            Err(fault) => tally.add(Tally {
                findings: vec![Finding {
                    target: target.name,
                    input: input.clone(),
                    fault,
                }],
                ..Tally::default()
            }),
        }
    }
    tally
}

struct Shared<'a> {
    target: &'static Target,
    seeds: &'a [Vec<u8>],
    budget: &'a Budget,
    deadline: Option<Instant>,
    next: AtomicU64,
    total: Mutex<Tally>,
}

impl Shared<'_> {
    fn work(&self, slot: &Slot) {
        while !self.is_done() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let part = Part {
                seed: self.budget.seed,
                number,
                inputs: PART_INPUTS.min(self.budget.inputs.unwrap_or(u64::MAX)),
                deadline: self.deadline,
                careful: self.budget.careful,
            };
            let tally = engine::run_part(self.target, self.seeds, part, slot);
            self.total.lock().expect("no worker panicked").add(tally);
        }
    }

    fn is_done(&self) -> bool {
        let total = self.total.lock().expect("no worker panicked");
        let enough = self
            .budget
            .inputs
            .is_some_and(|inputs| total.units >= inputs);
        let late = self.deadline.is_some_and(|end| Instant::now() > end);
        enough || late || total.findings.len() >= 4
    }
}
