//! `cargo xtask sim` and `cargo xtask mutants`: the simulation, built to be fast, over as many seeds as wanted.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::check::cargo;

/// The build of the simulation: fast, with the bugs that can be switched on, and with the next format of the log.
const BUILD: &[&str] = &[
    "--profile",
    "sim",
    "--package",
    "sim",
    "--bin",
    "sim",
    "--features",
    "sim/mutants,sim/next-format",
];

/// The same with the real consensus: one process a seed.
const REAL: &[&str] = &[
    "--profile",
    "sim",
    "--package",
    "sim-real",
    "--bin",
    "sim-real",
    "--features",
    "sim-real/next-format",
];

/// A mutant is caught within so many seeds, or the simulation does not do what it is for.
const SEEDS_PER_MUTANT: u64 = 2_000;

/// What `cargo xtask sim` may be told.
#[derive(Args)]
pub struct Options {
    /// Passed on: `--seeds N`, `--seed S`, `--mutant NAME`; see `cargo xtask sim -- --help`. After `--consensus real` to the
    /// simulation of the real consensus.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// What `cargo xtask mutants` may be told.
#[derive(Args)]
pub struct MutantOptions {
    /// Tries these alone.
    names: Vec<String>,
}

/// Runs the simulation.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let (mut command, arguments) = match &options.arguments[..] {
        [consensus, real, rest @ ..] if consensus == "--consensus" && real == "real" => {
            (built(root, REAL, "sim-real")?, rest)
        }
        all => (simulation(root)?, all),
    };
    let status = command.args(arguments).status()?;
    if status.success() {
        Ok(())
    } else {
        bail!("the simulation found something")
    }
}

/// Switches each mutant on and wants it caught; then the code as it is has to pass the same seeds.
pub fn mutants(root: &Path, options: &MutantOptions) -> anyhow::Result<()> {
    let listed = simulation(root)?.arg("--list-mutants").output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut missed = Vec::new();
    let mut most = 0;
    for line in listed.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, promise, "PureLog", what] = fields[..] else {
            continue;
        };
        if !options.names.is_empty() && !options.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        match caught_after(root, name)? {
            Some((seed, how)) => {
                most = most.max(seed);
                println!("{promise} {name}: caught by seed {seed} ({what})\n     {how}");
            }
            None => {
                println!("{promise} {name}: NOT CAUGHT ({what})");
                missed.push(name.to_owned());
            }
        }
    }
    if !missed.is_empty() {
        bail!(
            "not caught within {SEEDS_PER_MUTANT} seeds: {}",
            missed.join(", ")
        );
    }
    let seeds = SEEDS_PER_MUTANT.to_string();
    if options.names.is_empty() {
        let mut real = built(root, REAL, "sim-real")?;
        let status = real
            .args(["--mutants", "--seeds", &seeds, "--seed", "1"])
            .status()?;
        if !status.success() {
            bail!("a mutant of the real consensus was not caught");
        }
    }
    println!("every mutant was caught; the last one over the pure log needed {most} seeds");
    let status = simulation(root)?.args(["--seeds", &seeds]).status()?;
    if !status.success() {
        bail!("without a mutant the simulation fails, too");
    }
    Ok(())
}

/// The first seed that fails with a mutant, and how.
fn caught_after(root: &Path, name: &str) -> anyhow::Result<Option<(u64, String)>> {
    let seeds = SEEDS_PER_MUTANT.to_string();
    let mut command = simulation(root)?;
    let output = command
        .args(["--mutant", name, "--seeds", &seeds, "--first"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let failure = text.lines().find_map(|line| line.strip_prefix("seed "));
    let Some((seed, how)) = failure.and_then(|line| line.split_once(" fails: ")) else {
        return Ok(None);
    };
    let seed = seed.parse().context("the simulation names a seed")?;
    Ok(Some((seed, how.to_owned())))
}

/// The simulation, built.
fn simulation(root: &Path) -> anyhow::Result<Command> {
    built(root, BUILD, "sim")
}

/// A program of the profile `sim`, built.
fn built(root: &Path, build_of: &[&str], program: &str) -> anyhow::Result<Command> {
    let mut build = cargo(root, &["build", "--quiet"]);
    let status = build
        .args(build_of)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the simulation does not build");
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let mut command = Command::new(target.join("sim").join(program));
    command.current_dir(root);
    Ok(command)
}
