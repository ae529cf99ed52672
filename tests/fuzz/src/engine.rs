//! One part of a target's run: makes inputs, tries them, keeps what led somewhere new, and tells what failed.
//!
//! A part depends on the seed and its number alone, so that threads may share a run and each of its parts can be repeated.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::panics::{self, Panic};
use crate::target::{Shape, Target, Verdict};
use crate::watch::Slot;
use crate::{corpus, memory, minimise, mutate};

/// An input may take so long. Longer ones are tried twice more, since the machine may have been busy.
const TIME_MAX: Duration = Duration::from_secs(1);
/// And a sequence, which is many requests, so long.
const SEQUENCE_TIME_MAX: Duration = Duration::from_secs(20);
/// An input may make a parser hold so many bytes at once, and so many for each of its own.
const MEMORY_MAX: usize = 4 * 1024 * 1024;
const MEMORY_PER_BYTE: usize = 256;
/// Inputs that are kept to be changed.
const POOL_MAX: usize = 2_048;
/// Ways that are remembered.
const WAYS_MAX: usize = 65_536;
/// The longest input that is made.
const INPUT_MAX: usize = 16 * 1024;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Something panicked, or an assertion did not hold.
    Panicked(Panic),
    /// It took too long.
    Slow(Duration),
    /// It took too much memory, in bytes.
    Greedy(usize),
}

impl Fault {
    /// Whether it is the same fault, seen by another input.
    fn is_like(&self, other: &Fault) -> bool {
        match (self, other) {
            (Fault::Panicked(a), Fault::Panicked(b)) => a.place == b.place,
            (Fault::Slow(_), Fault::Slow(_)) | (Fault::Greedy(_), Fault::Greedy(_)) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Panicked(panic) => write!(f, "{}: {}", panic.place, panic.message),
            Fault::Slow(time) => write!(f, "it took {time:?}"),
            Fault::Greedy(bytes) => write!(f, "it took {bytes} bytes of memory"),
        }
    }
}

/// An input that fails.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Of which target.
    pub target: &'static str,
    /// As small as it was made.
    pub input: Vec<u8>,
    /// What it does.
    pub fault: Fault,
}

/// What a part of a run counts.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub units: u64,
    pub accepted: u64,
    pub slowest: Duration,
    pub most_memory: usize,
    pub findings: Vec<Finding>,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.units += other.units;
        self.accepted += other.accepted;
        self.slowest = self.slowest.max(other.slowest);
        self.most_memory = self.most_memory.max(other.most_memory);
        for finding in other.findings {
            if !self
                .findings
                .iter()
                .any(|f| f.fault.is_like(&finding.fault))
            {
                self.findings.push(finding);
            }
        }
    }
}

/// What came of an input, what it took, and what is wrong with that.
struct Tried {
    verdict: Option<Verdict>,
    time: Duration,
    memory: usize,
    fault: Option<Fault>,
}

fn attempt(target: &Target, input: &[u8]) -> Tried {
    let memory = memory::begin();
    let begun = Instant::now();
    let result = panics::heard(|| (target.check)(input));
    let time = begun.elapsed();
    let memory = memory::most_since(memory);
    let time_max = match target.shape {
        Shape::Records(_) => SEQUENCE_TIME_MAX,
        Shape::Text(_) | Shape::Fields(_) | Shape::Bytes => TIME_MAX,
    };
    let bound = MEMORY_MAX + MEMORY_PER_BYTE * input.len();
    let fault = match &result {
        Err(panic) => Some(Fault::Panicked(panic.clone())),
        Ok(_) if memory > bound => Some(Fault::Greedy(memory)),
        Ok(_) if time > time_max => Some(Fault::Slow(time)),
        Ok(_) => None,
    };
    Tried {
        verdict: result.ok(),
        time,
        memory,
        fault,
    }
}

/// Tries an input: twice more if it was slow.
fn try_whole(target: &Target, input: &[u8]) -> Tried {
    let mut tried = attempt(target, input);
    for _ in 0..2 {
        if matches!(tried.fault, Some(Fault::Slow(_))) {
            tried = attempt(target, input);
        }
    }
    tried
}

/// Tries one input, after nothing.
///
/// # Errors
/// What is wrong with it.
pub fn try_input(target: &Target, input: &[u8]) -> Result<Verdict, Fault> {
    (target.fresh)();
    let tried = try_whole(target, input);
    match (tried.fault, tried.verdict) {
        (Some(fault), _) => Err(fault),
        (None, Some(verdict)) => Ok(verdict),
        (None, None) => unreachable!("without a verdict there is a fault"),
    }
}

/// What a part is told.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub seed: u64,
    pub number: u64,
    pub inputs: u64,
    /// Until then.
    pub deadline: Option<Instant>,
    /// Each input is written to a file before it is tried, so that it is known when the process does not survive it.
    pub careful: bool,
}

/// Runs a part.
pub fn run_part(target: &'static Target, seeds: &[Vec<u8>], part: Part, slot: &Slot) -> Tally {
    let mut dice = Dice::of(part.seed, target.name, part.number);
    let mut pool: Vec<Vec<u8>> = seeds.to_vec();
    let mut ways = HashSet::new();
    let mut tally = Tally::default();
    let mut input = Vec::new();
    let careful = part.careful.then(|| careful_file(target.name));
    (target.fresh)();
    for count in 0..part.inputs {
        if count % 64 == 0 && part.deadline.is_some_and(|end| Instant::now() > end) {
            break;
        }
        make(target, &pool, &mut dice, &mut input);
        slot.begin(&input);
        if let Some(file) = &careful {
            std::fs::write(file, &input).expect("the folder `target` can be written");
        }
        let tried = try_whole(target, &input);
        tally.slowest = tally.slowest.max(tried.time);
        tally.most_memory = tally.most_memory.max(tried.memory);
        if let Some(verdict) = tried.verdict {
            tally.units += verdict.units;
            tally.accepted += verdict.accepted;
            learn(target.shape, verdict, &input, &mut ways, &mut pool);
        }
        if let Some(fault) = tried.fault {
            let finding = smallest(target, &input, fault);
            tally.add(Tally {
                findings: vec![finding],
                ..Tally::default()
            });
            (target.fresh)();
            if tally.findings.len() >= 4 {
                break;
            }
        }
    }
    tally
}

/// The next input.
fn make(target: &Target, pool: &[Vec<u8>], dice: &mut Dice, input: &mut Vec<u8>) {
    input.clear();
    let generated = match target.generate {
        Some(generate) if pool.is_empty() || dice.once_in(2) => {
            *input = generate(dice);
            true
        }
        _ if pool.is_empty() => false,
        _ => {
            input.extend_from_slice(dice.pick::<Vec<u8>>(pool));
            false
        }
    };
    if !(generated && dice.once_in(4)) {
        let mut changes = 1;
        while changes < 8 && dice.once_in(3) {
            changes += 1;
        }
        for _ in 0..changes {
            mutate::change(target.shape, pool, dice, input);
        }
    }
    input.truncate(INPUT_MAX);
    if let Some(repair) = target.repair
        && !dice.once_in(8)
    {
        repair(input);
    }
}

/// Keeps an input that led somewhere new.
fn learn(
    shape: Shape,
    verdict: Verdict,
    input: &[u8],
    ways: &mut HashSet<u64>,
    pool: &mut Vec<Vec<u8>>,
) {
    if ways.len() >= WAYS_MAX || pool.len() >= POOL_MAX {
        return;
    }
    let way = match verdict.accepted {
        0 => verdict.way,
        _ => mutate::form(shape, input) ^ verdict.way,
    };
    if ways.insert(way) {
        pool.push(input.to_vec());
    }
}

fn smallest(target: &'static Target, input: &[u8], fault: Fault) -> Finding {
    let again = |candidate: &[u8]| try_input(target, candidate).err();
    let fails = |candidate: &[u8]| again(candidate).is_some_and(|found| found.is_like(&fault));
    if !fails(input) {
        // It needs what earlier inputs left behind, and is told as it is.
        return Finding {
            target: target.name,
            input: input.to_vec(),
            fault,
        };
    }
    let input = minimise::minimise(input, target.shape, fails);
    let fault = again(&input).unwrap_or(fault);
    Finding {
        target: target.name,
        input,
        fault,
    }
}

/// Where a careful run keeps the input that it tries.
fn careful_file(target: &str) -> std::path::PathBuf {
    let file = corpus::careful_folder().join(format!("{target}-{:?}", std::thread::current().id()));
    let folder = file.parent().expect("it is in a folder");
    std::fs::create_dir_all(folder).expect("the folder `target` can be written");
    file
}

/// What the corpus and the seeds of a target are.
pub fn beginnings(target: &Target) -> Vec<Vec<u8>> {
    let mut all = (target.seeds)();
    all.extend(
        corpus::found(target.name)
            .into_iter()
            .map(|(_, input)| input),
    );
    all
}
