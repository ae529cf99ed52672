//! How long a cluster of three members does not answer when its leader is killed, stopped politely, or hangs: the longest
//! time without an acknowledged write, and without an answered read, over all clients of `holdfast-load mixed`.
//!
//! Run by `cargo xtask failover` on release builds. Writes its section of `docs/performance.md`; `--check` also fails where
//! a wanted figure is missed.

mod page;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

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
    /// How often it is stopped politely, and how often it hangs.
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
    if !options.dry_run {
        page::write(&options.root.join("docs/performance.md"), &results)?;
    }
    Ok(results.iter().all(trial::Outcome::is_reached))
}
