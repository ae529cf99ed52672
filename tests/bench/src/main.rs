//! The benchmarks: Holdfast with the defaults of `serve`, fsync on, beside what Debian packages, in one run.
//!
//! Machines differ and are noisy, so every figure is a ratio to something measured in the same minute: the two
//! sides alternate, each runs five times, and medians are compared. Writes `docs/performance.md`; `--check` also fails
//! where a wanted ratio is missed.

mod access_rows;
mod cluster_rows;
mod etcd;
mod figure;
mod page;
mod peers;
mod process;
mod rows;
mod tag_moves;
mod warm_memory;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use rows::{Bench, Row};

/// Holdfast beside its peers.
#[derive(Parser)]
struct Options {
    /// The folder with the release builds of `holdfast` and `holdfast-load`.
    #[arg(long)]
    binaries: PathBuf,
    /// The workspace.
    #[arg(long)]
    root: PathBuf,
    /// How often each side runs.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only rows whose name contains this.
    #[arg(long)]
    only: Option<String>,
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
        Ok(rows) => {
            let missed = rows.iter().filter(|row| !row.reached()).count();
            if options.check && missed > 0 {
                eprintln!("{missed} of {} figures are missed", rows.len());
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(options: &Options) -> anyhow::Result<Vec<Row>> {
    let work = tempfile::tempdir().context("no temporary folder")?;
    let bench = Bench {
        binaries: options.binaries.clone(),
        work: work.path().to_owned(),
        runs: options.runs,
    };
    let mut rows = Vec::new();
    for (name, measure) in rows::ALL {
        if options
            .only
            .as_ref()
            .is_some_and(|only| !name.contains(only.as_str()))
        {
            continue;
        }
        eprintln!("{name} …");
        let row =
            measure(&bench).with_context(|| format!("the row {name:?} could not be measured"))?;
        println!("{}", page::line(&row));
        rows.push(row);
    }
    if !options.dry_run && options.only.is_none() {
        page::write(
            &options.root.join("docs/performance.md"),
            &rows,
            options.runs,
        )?;
    }
    Ok(rows)
}
