//! How long a cluster of three members does not answer when its leader is killed, stopped politely, or hangs: the longest
//! time without an acknowledged write, and without an answered read, over all clients of `holdfast-load mixed`. And how long
//! new nodes take until they serve.
//!
//! Run by `cargo xtask failover` on release builds. Writes its section of `docs/performance.md`; `--check` also fails where
//! a wanted figure is missed.

mod arrival;
mod page;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use harness::cluster::Role;

use trial::{Fault, Trial};

/// What it may be told.
#[derive(Parser)]
struct Options {
    /// The folder with the release builds of `holdfast` and `holdfast-load`.
    #[arg(long)]
    binaries: PathBuf,
    /// The workspace.
    #[arg(long)]
    root: PathBuf,
    /// How often the leader is killed.
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// How often it is stopped politely, how often it hangs, and how many nodes of each role come.
    #[arg(long, default_value_t = 5)]
    others: usize,
    /// Fail where a wanted figure is missed.
    #[arg(long)]
    check: bool,
    /// Do not write the page.
    #[arg(long)]
    dry_run: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match execute(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) if options.check => ExitCode::FAILURE,
        Ok(false) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failover: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures everything; whether all wanted figures are reached.
fn execute(options: &Options) -> anyhow::Result<bool> {
    let mut results = Vec::new();
    for (fault, times) in [
        (Fault::Killed, options.kills),
        (Fault::Stopped, options.others),
        (Fault::Hangs, options.others),
    ] {
        if times > 0 {
            let result = Trial::new(&options.binaries, fault)?.measure(times)?;
            println!("{}", result.lines());
            results.push(result);
        }
    }
    let mut arrivals = Vec::new();
    for role in [Role::Gateway, Role::Member] {
        if options.others > 0 {
            let arrival = arrival::measure(&options.binaries, role, options.others)?;
            println!("{}", arrival.line());
            arrivals.push(arrival);
        }
    }
    if !options.dry_run {
        let page = options.root.join("docs/performance.md");
        page::write(&page, &results, &arrivals)?;
    }
    let faults = results.iter().all(trial::Outcome::is_reached);
    Ok(faults && arrivals.iter().all(arrival::Arrival::is_reached))
}
