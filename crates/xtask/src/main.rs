//! The developer's tools: `check`, `fix`, `tidy`, `test`, `cluster`, `chaos`, `failover`, `sim`, `mutants`, `fuzz` and `bench`.
//!
//! `check` and `tidy` only read; `fix` writes; `test` installs what the suites need and runs them all. This file is the
//! command line only: each verb has a module, and nothing here ships with the product.

mod bench;
mod check;
mod failover;
mod fuzz;
mod install;
mod run;
mod sim;
mod suites;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Holdfast's developer tools.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Formatting, clippy, docs and tidy, as CI wants them; changes nothing.
    Check,
    /// Formats the code and applies what clippy can mend.
    Fix,
    /// The rules of the house that no compiler knows.
    Tidy,
    /// Installs what the suites need, runs them, and ends with a table.
    Test(suites::Options),
    /// Runs the suite `cluster` as long as a release wants it.
    Cluster(suites::cluster::Options),
    /// Does everything to a cluster that may happen to one, for as long as one wants, and proves that nothing was lost.
    Chaos(suites::chaos::Options),
    /// Measures how long a cluster does not answer when its leader dies, and writes it into docs/performance.md.
    Failover(failover::Options),
    /// Runs the deterministic simulation over many seeds, or over one with its trace.
    Sim(sim::Options),
    /// Switches known bugs on, one after the other, and wants each found by the simulation.
    Mutants(sim::MutantOptions),
    /// Fuzzes everything that parses, and sequences of requests, for as long as one wants.
    Fuzz(fuzz::Options),
    /// Measures Holdfast beside its peers and writes docs/performance.md.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    let outcome = workspace_root().and_then(|root| match verb {
        Verb::Check => check::check(&root),
        Verb::Fix => check::fix(&root),
        Verb::Tidy => tidy::run(&root),
        Verb::Test(options) => suites::run(&root, &options),
        Verb::Cluster(options) => suites::cluster::run(&root, &options),
        Verb::Chaos(options) => suites::chaos::run(&root, &options),
        Verb::Failover(options) => failover::run(&root, &options),
        Verb::Sim(options) => sim::run(&root, &options),
        Verb::Mutants(options) => sim::mutants(&root, &options),
        Verb::Fuzz(options) => fuzz::run(&root, &options),
        Verb::Bench(options) => bench::run(&root, &options),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace's `Cargo.toml`, found from this crate's own place in it.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let root = manifest
        .ancestors()
        .nth(2)
        .context("crates/xtask is two folders below the root")?;
    Ok(root.to_path_buf())
}
