//! Faults of every kind while clients work without pause: nothing is lost, nothing fails, everything can be explained.
//!
//! `CHAOS_SECONDS` and `CHAOS_SEED` make other runs; `cargo xtask chaos` sets them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chaos_suite::{Length, run};

/// Of every change: one round of the faults that are quick, and an outage.
const SECONDS: u64 = 120;

/// The figure of a release build is 1 s; with room for a debug build on a machine that does other things.
const GAP_MS: u64 = 3_000;

/// Runs this long have time for faults that take long.
const LONG_SECONDS: u64 = 600;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The folder of what is built, two above the test program.
fn target() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(3).map(Path::to_owned);
    folder.context("a test program is below `target`")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_breaks_whatever_is_done_to_a_cluster() -> anyhow::Result<()> {
    let seconds = number("CHAOS_SECONDS").unwrap_or(SECONDS);
    let seed = number("CHAOS_SEED").unwrap_or_else(rand::random);
    println!("to repeat its choices: CHAOS_SEED={seed} CHAOS_SECONDS={seconds}");
    let length = Length {
        time: Duration::from_secs(seconds),
        seed,
        with_long: seconds >= LONG_SECONDS,
        gap_max: Duration::from_millis(number("CHAOS_GAP_MS").unwrap_or(GAP_MS)),
        report: target()?.join("chaos"),
    };
    let report = run(&length).await?;
    anyhow::ensure!(report.is_good(), "a promise broke, seed {seed}");
    Ok(())
}
