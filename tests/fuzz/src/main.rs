//! `fuzz`: runs fuzzers, for a time or a number of inputs, or repeats one input. `cargo xtask fuzz` builds it and runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use fuzz::{Budget, Report, Target};

/// Fuzzes everything that parses, and sequences of requests.
#[derive(Parser)]
struct Options {
    /// How long, all targets together
    #[arg(long)]
    minutes: Option<u64>,
    /// How many inputs for each target
    #[arg(long)]
    inputs: Option<u64>,
    /// Only this target; may be repeated
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Repeats the choices of a run; the targets' parts depend on nothing else
    #[arg(long)]
    seed: Option<u64>,
    /// Tries this one input of the target, and nothing else
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How many threads; as many as there are processors, unless said otherwise
    #[arg(long)]
    jobs: Option<usize>,
    /// Writes each input to `target/fuzz` before it is tried, to find one that ends the process
    #[arg(long)]
    careful: bool,
    /// Lists the targets
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let all = || fuzz::all().into_iter();
    if options.list {
        all().for_each(|target| println!("{}", target.name));
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = options
        .target
        .iter()
        .find(|name| !all().any(|target| target.name == **name))
    {
        eprintln!("error: no target is called `{unknown}`; --list names them");
        return ExitCode::from(2);
    }
    let chosen: Vec<&'static Target> = all()
        .filter(|target| {
            options.target.is_empty() || options.target.iter().any(|name| name == target.name)
        })
        .collect();
    fuzz::listen_for_panics();
    let is_well = match &options.file {
        Some(file) => repeat(&chosen, file),
        None => many(&chosen, &options),
    };
    if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Tries one input.
fn repeat(targets: &[&'static Target], file: &Path) -> bool {
    let [target] = targets else {
        eprintln!("error: --file needs one --target");
        return false;
    };
    let input = match std::fs::read(file) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("error: {}: {error}", file.display());
            return false;
        }
    };
    match fuzz::try_input(target, &input) {
        Ok(verdict) => {
            println!("{verdict:?}");
            true
        }
        Err(fault) => {
            println!("{fault}");
            false
        }
    }
}

fn many(targets: &[&'static Target], options: &Options) -> bool {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let fresh = || clock.map_or(0, |time| time.as_nanos() as u64 % 1_000_000_007);
    let seed = options.seed.unwrap_or_else(fresh);
    let share = |minutes: u64| Duration::from_secs(60 * minutes) / targets.len().max(1) as u32;
    let neither = options.minutes.is_none() && options.inputs.is_none();
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let budget = Budget {
        seed,
        time: options.minutes.map(share),
        inputs: options.inputs.or(neither.then_some(100_000)),
        threads: options.jobs.unwrap_or_else(processors),
        careful: options.careful,
    };
    println!("seed {seed}");
    let reports: Vec<Report> = targets
        .iter()
        .map(|target| {
            let report = fuzz::run(target, &budget);
            eprintln!("{}: {} inputs", report.name, report.inputs);
            print!("{}", fuzz::tell(&report));
            report
        })
        .collect();
    print!("{}", fuzz::table(&reports));
    reports.iter().all(|report| report.findings.is_empty())
}
