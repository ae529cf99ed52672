//! `cargo xtask chaos`: the suite `chaos` as long as somebody wants it, where every change runs it short.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{SUITES, build_for, commands, run_one};
use crate::install::{self, Cache, Need};

/// The audit and the check of histories may take as long as the faults, and so much more.
const AFTERWARDS: Duration = Duration::from_secs(1200);

/// What `cargo xtask chaos` may be told.
#[derive(Args)]
pub struct Options {
    /// How long faults are done
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Repeats the choices of a run
    #[arg(long)]
    seed: Option<u64>,
    /// Only covered faults of this kind, as the report names it; may be repeated
    #[arg(long, value_name = "KIND")]
    only: Vec<String>,
    /// The longest time without an answer that is no breach, in milliseconds
    #[arg(long, default_value_t = 1000)]
    gap_max_ms: u64,
}

/// Installs, builds and runs it. The report is in `target/chaos`.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let suite = SUITES
        .iter()
        .find(|suite| suite.name == "chaos")
        .context("there is a suite `chaos`")?;
    let cache = Cache::find()?;
    let needs: Vec<&Need> = suite.needs.iter().collect();
    if let Some((_, why)) = install::all(&cache, &needs).first() {
        bail!("what the suite needs is missing: {why}");
    }
    let binaries = build_for(root, &[suite])?;
    let time = Duration::from_secs(60 * options.minutes);
    let deadline = Instant::now() + 2 * time + AFTERWARDS;
    let mut failed = Vec::new();
    for mut command in commands(root, suite, &binaries) {
        cache.put_on_path(&mut command);
        command
            .env("CHAOS_SECONDS", time.as_secs().to_string())
            .env("CHAOS_GAP_MS", options.gap_max_ms.to_string())
            .arg("--nocapture");
        if let Some(seed) = options.seed {
            command.env("CHAOS_SEED", seed.to_string());
        }
        if !options.only.is_empty() {
            command.env("CHAOS_ONLY", options.only.join(","));
        }
        match run_one(&mut command, deadline) {
            Ok(counts) if counts.failed == 0 => {}
            Ok(counts) => failed.push(format!("{} tests failed", counts.failed)),
            Err(why) => failed.push(why),
        }
    }
    println!("the report is target/chaos/report.html");
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}
