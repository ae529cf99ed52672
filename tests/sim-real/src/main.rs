//! `sim-real`: seeds of the real consensus, each in a process of its own.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use sim_real::run::{self, Outcome};
use sim_real::trace::Trace;

/// So many are run when nobody says how many.
const SEEDS: u64 = 100;
/// A seed that takes longer has hung.
const SEED_TIME_MAX: Duration = Duration::from_secs(120);

/// In a run of this many seeds everything has to occur this often.
const SEEDS_OF_A_LONG_RUN: u64 = 1_000;
const OCCURRENCES_MIN: u64 = 100;

/// Runs seeds of the real consensus.
#[derive(Parser)]
struct Options {
    /// How many seeds to run; 100 when it is not said.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first of them; alone, it is run in this process, and its trace is shown when it fails.
    #[arg(long)]
    seed: Option<u64>,
    /// Processes at once.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Goes on after a failure, and counts.
    #[arg(long)]
    go_on: bool,
    /// Switches a mutant on: then a seed must fail.
    #[arg(long, env = mutants::VARIABLE)]
    mutant: Option<String>,
    /// Runs every mutant of the real log until a seed finds it, and fails unless each is found.
    #[arg(long)]
    mutants: bool,
    /// Prints everything as it happens.
    #[arg(long)]
    trace: bool,
    /// Prints the log of the members.
    #[arg(long)]
    log: bool,
    /// Runs this one seed, and says what came of it on one line.
    #[arg(long, hide = true)]
    one: Option<u64>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.log {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .without_time()
            .init();
    }
    if let Some(name) = &options.mutant
        && let Err(problem) = mutants::choose(name)
    {
        println!("{problem}");
        return ExitCode::FAILURE;
    }
    if options.mutants {
        return every_mutant(&options);
    }
    match (options.one, options.seed) {
        (Some(seed), _) => one(seed, &options, false),
        (None, Some(seed)) if options.seeds.is_none() => one(seed, &options, true),
        (None, first) => many(first.unwrap_or_else(fresh_seed), &options),
    }
}

/// Each mutant of the real log, until a seed finds it.
fn every_mutant(options: &Options) -> ExitCode {
    let first = options.seed.unwrap_or_else(fresh_seed);
    let mut missed = Vec::new();
    let ours = mutants::ALL
        .iter()
        .filter(|mutant| mutant.by == mutants::By::RealLog);
    for mutant in ours {
        let began = Instant::now();
        let sum = seeds(first, options, Some(mutant.name));
        let name = mutant.name;
        match sum.failed.first() {
            Some(seed) => println!(
                "{name}: found by seed {seed}, {} of them in {:.0} s: {}",
                sum.ran,
                began.elapsed().as_secs_f64(),
                sum.first_broken
            ),
            None => {
                println!("{name}: NOT FOUND by {} seeds", sum.ran);
                missed.push(name);
            }
        }
    }
    if missed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn fresh_seed() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap_or_default().as_secs() * 1_000
}

/// Runs a seed on a thread of its own.
fn one(seed: u64, options: &Options, shows: bool) -> ExitCode {
    let folder = Folder::new(seed);
    let trace = Arc::new(Trace::new(options.trace));
    let traced = Arc::clone(&trace);
    let path = folder.0.clone();
    let running = std::thread::spawn(move || run::run(seed, &path, &traced, run::FAULTS_MS));
    let Ok(outcome) = running.join() else {
        println!("seed {seed} panicked");
        return ExitCode::FAILURE;
    };
    if shows && !outcome.broken.is_empty() {
        for line in trace.lines() {
            println!("{line}");
        }
    }
    println!("{}", line_of(seed, &outcome));
    for broken in &outcome.broken {
        println!("BROKEN {broken}");
    }
    if outcome.broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn line_of(seed: u64, outcome: &Outcome) -> String {
    let counts: Vec<String> = outcome
        .counts
        .iter()
        .map(|(what, times)| format!("{what}={times}"))
        .collect();
    format!(
        "seed {seed} hash {:016x} events {} simulated {} ms; {}",
        outcome.hash,
        outcome.events,
        outcome.simulated_ms,
        counts.join("; ")
    )
}

/// The disks of a run, gone with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(seed: u64) -> Folder {
        let memory = std::path::Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        Folder(base.join(format!("holdfast-sim-{}-{seed}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in memory, and named by its process.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[derive(Default)]
struct Sum {
    counts: BTreeMap<String, u64>,
    failed: Vec<u64>,
    ran: u64,
    simulated_ms: u64,
    first_broken: String,
}

/// Runs seeds until one fails, or all of them.
fn seeds(first: u64, options: &Options, mutant: Option<&str>) -> Sum {
    let next = AtomicU64::new(first);
    let stop = AtomicBool::new(false);
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + options.seeds.unwrap_or(SEEDS) || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (is_good, said) = in_process(seed, mutant);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.ran += 1;
                    add(&mut sum, &said);
                    if !is_good {
                        if sum.failed.is_empty() {
                            let broken = said.lines().find(|line| line.starts_with("BROKEN"));
                            sum.first_broken = broken.unwrap_or(&said).chars().take(160).collect();
                        }
                        if mutant.is_none() {
                            println!("{said}\nrepeat it: cargo run --profile sim -p sim-real --features next-format -- --seed {seed}");
                        }
                        sum.failed.push(seed);
                        stop.store(mutant.is_some() || !options.go_on, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn many(first: u64, options: &Options) -> ExitCode {
    let began = Instant::now();
    let sum = seeds(first, options, options.mutant.as_deref());
    if options.mutant.is_some() {
        println!("{}", sum.first_broken);
    }
    for (what, times) in &sum.counts {
        println!("{times:>10}  {what}");
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    println!(
        "{} seeds in {minutes:.1} min, {:.0} s of simulated time, {} failed {:?}",
        sum.ran,
        sum.simulated_ms as f64 / 1e3,
        sum.failed.len(),
        sum.failed
    );
    let rare = rare(&sum);
    for what in &rare {
        println!("RARE {what}: a run proves nothing of what hardly occurs in it");
    }
    if sum.failed.is_empty() && rare.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What occurred too seldom in a long run.
fn rare(sum: &Sum) -> Vec<String> {
    if sum.ran < SEEDS_OF_A_LONG_RUN {
        return Vec::new();
    }
    let times = |what: &String| sum.counts.get(what).copied().unwrap_or(0);
    let expected = run::expected().into_iter();
    let rare = expected.filter(|what| times(what) < OCCURRENCES_MIN);
    rare.map(|what| format!("{} of {what}", times(&what)))
        .collect()
}

fn add(sum: &mut Sum, said: &str) {
    let Some(line) = said.lines().find(|line| line.starts_with("seed ")) else {
        return;
    };
    let (head, counts) = line.split_once("; ").unwrap_or((line, ""));
    let simulated = head.split("simulated ").nth(1);
    let ms = simulated.and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    sum.simulated_ms += ms.unwrap_or(0);
    for part in counts.split("; ") {
        if let Some((what, times)) = part.rsplit_once('=') {
            let times = times.parse().unwrap_or(0);
            let all = sum.counts.entry(what.to_owned()).or_default();
            *all = match what.starts_with("mark: ") {
                true => times.max(*all),
                false => *all + times,
            };
        }
    }
}

/// Runs a seed in a process of its own; gives whether all is well, and what it said.
fn in_process(seed: u64, mutant: Option<&str>) -> (bool, String) {
    let program = std::env::current_exe().unwrap_or_else(|_| "sim-real".into());
    let mut command = Command::new(program);
    if let Some(mutant) = mutant {
        command.env(mutants::VARIABLE, mutant);
    }
    let child = command
        .args(["--one", &seed.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return (false, format!("seed {seed} cannot be started: {error}")),
    };
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(_)) | Err(_) => break,
            Ok(None) if began.elapsed() > SEED_TIME_MAX => {
                // It ends here and now, or has ended.
                drop(child.kill());
                return (false, format!("seed {seed} does not end"));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    match child.wait_with_output() {
        Ok(output) => {
            let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
            if !output.status.success() {
                said.push_str(&String::from_utf8_lossy(&output.stderr));
            }
            (output.status.success(), said)
        }
        Err(error) => (false, format!("seed {seed}: {error}")),
    }
}
