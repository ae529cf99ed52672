//! `sim`: runs many seeds and counts, or one with its trace. `cargo xtask sim` builds it with what it needs and runs it.

use std::process::ExitCode;

use clap::Parser;
use sim::{batch, run, scenarios};

/// Lines of a failing seed's trace that are shown at most.
const LINES_SHOWN: usize = 150;
/// In a run of so many seeds, everything must occur.
const SEEDS_THAT_COVER: u64 = 1_000;
/// So often.
const OCCURRENCES_MIN: u64 = 100;

/// Runs seeds of the simulation over the pure log.
#[derive(Parser)]
struct Options {
    /// How many seeds, from `--seed` on, or from 1.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed; alone, it is run with its trace.
    #[arg(long)]
    seed: Option<u64>,
    /// Switches a bug on, by its name.
    #[arg(long)]
    mutant: Option<String>,
    /// Ends at the first seed that fails.
    #[arg(long)]
    first: bool,
    /// Lists the mutants: name, promise, which simulation finds it, what it does.
    #[arg(long)]
    list_mutants: bool,
    /// Plays a scenario by its name, with its trace; without a name that is known, lists them.
    #[arg(long)]
    scenario: Option<String>,
    /// How many seeds at once; as many as there are processors, unless said otherwise.
    #[arg(long)]
    jobs: Option<usize>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list_mutants {
        for mutant in mutants::ALL {
            println!(
                "{}\tP{}\t{:?}\t{}",
                mutant.name, mutant.promise, mutant.by, mutant.what
            );
        }
        return ExitCode::SUCCESS;
    }
    if let Some(name) = &options.scenario {
        return match play(name, options.mutant.as_deref()) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        };
    }
    if let Some(name) = &options.mutant
        && let Err(problem) = choose(name)
    {
        eprintln!("error: {problem}");
        return ExitCode::from(2);
    }
    let is_well = match (options.seed, options.seeds) {
        (Some(seed), None) => one(&options, seed),
        (first, seeds) => many(
            &options,
            first.unwrap_or(1),
            seeds.unwrap_or(SEEDS_THAT_COVER),
        ),
    };
    if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(feature = "mutants")]
fn choose(name: &str) -> Result<(), String> {
    mutants::choose(name)
}

#[cfg(not(feature = "mutants"))]
fn choose(_name: &str) -> Result<(), String> {
    Err("mutants are only in a build with the feature `mutants`".to_owned())
}

/// Plays a scenario and shows all of it.
fn play(name: &str, mutant: Option<&str>) -> bool {
    match run::scenario(name, mutant) {
        Some(Ok(outcome)) => show(name, &outcome),
        Some(Err(problem)) => {
            println!("{name}: {problem}");
            false
        }
        None => {
            for scenario in scenarios::ALL {
                println!("{}", scenario.name);
            }
            false
        }
    }
}

/// Shows a run. Whether all was well.
fn show(name: &str, outcome: &run::Outcome) -> bool {
    for line in &outcome.lines {
        println!("{line}");
    }
    print!("{}", outcome.census);
    println!(
        "{name}: trace {:016x}, {:?} simulated",
        outcome.hash, outcome.simulated
    );
    for breach in &outcome.breaches {
        println!("{breach}");
    }
    outcome.breaches.is_empty()
}

/// Runs one seed and shows all of it.
fn one(options: &Options, seed: u64) -> bool {
    match run::seed(seed, true) {
        Ok(outcome) => show(&format!("seed {seed}"), &outcome),
        Err(problem) => {
            println!("seed {seed}: {problem}");
            println!("repeat: {}", repeat(options, seed));
            false
        }
    }
}

/// Runs many seeds and counts.
fn many(options: &Options, first: u64, seeds: u64) -> bool {
    let jobs = options.jobs.unwrap_or_else(batch::processors);
    let result = batch::run(first, seeds, jobs, options.first);
    if !options.first {
        print!("{}", result.total.table());
    }
    for (seed, breaches) in &result.failed {
        println!("seed {seed} fails: {}", breaches.join("; "));
        println!("  repeat: {}", repeat(options, *seed));
    }
    if let Some((seed, _)) = result.failed.first()
        && options.mutant.is_none()
    {
        show_end(*seed);
    }
    let seconds = result.took.as_secs_f64();
    println!(
        "{} seeds in {seconds:.1} s, {:.0} a minute; {} failed",
        result.ran,
        result.ran as f64 / seconds * 60.0,
        result.failed.len()
    );
    let rare = match result.ran >= SEEDS_THAT_COVER && !options.first {
        true => result.total.rare(OCCURRENCES_MIN),
        false => Vec::new(),
    };
    for rare in &rare {
        println!("rare: {rare}");
    }
    result.failed.is_empty() && rare.is_empty()
}

fn repeat(options: &Options, seed: u64) -> String {
    let mutant = options
        .mutant
        .as_ref()
        .map(|name| format!(" --mutant {name}"));
    format!(
        "cargo xtask sim --seed {seed}{}",
        mutant.unwrap_or_default()
    )
}

/// The end of a failing seed's trace.
fn show_end(seed: u64) {
    if let Ok(outcome) = run::seed(seed, true) {
        println!("\nthe end of the trace of seed {seed}:");
        let skipped = outcome.lines.len().saturating_sub(LINES_SHOWN);
        for line in &outcome.lines[skipped..] {
            println!("{line}");
        }
    }
}
