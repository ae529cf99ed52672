//! Faults of every kind while clients work without pause: nothing is lost, nothing fails, everything can be explained.
//!
//! `CHAOS_SECONDS`, `CHAOS_SEED` and `CHAOS_ONLY` make other runs; `cargo xtask chaos` sets them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chaos_suite::{Kind, Length, run};

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

/// Those that `CHAOS_ONLY` names, with commas between them; else all, or all that are quick.
fn kinds(with_long: bool) -> anyhow::Result<Vec<Kind>> {
    let Ok(named) = std::env::var("CHAOS_ONLY") else {
        let all = Kind::COVERED.into_iter();
        return Ok(all.filter(|kind| with_long || !kind.is_long()).collect());
    };
    let of = |name: &str| {
        let mut kinds = Kind::COVERED.into_iter();
        let found = kinds.find(|kind| kind.name() == name.trim());
        found.with_context(|| format!("no covered fault is called {name:?}"))
    };
    named.split(',').map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_breaks_whatever_is_done_to_a_cluster() -> anyhow::Result<()> {
    let seconds = number("CHAOS_SECONDS").unwrap_or(SECONDS);
    let seed = number("CHAOS_SEED").unwrap_or_else(rand::random);
    println!("to repeat its choices: CHAOS_SEED={seed} CHAOS_SECONDS={seconds}");
    let length = Length {
        time: Duration::from_secs(seconds),
        seed,
        kinds: kinds(seconds >= LONG_SECONDS)?,
        gap_max: Duration::from_millis(number("CHAOS_GAP_MS").unwrap_or(GAP_MS)),
        report: target()?.join("chaos"),
    };
    let report = run(&length).await?;
    anyhow::ensure!(report.is_good(), "a promise broke, seed {seed}");
    Ok(())
}
