//! `cargo xtask chaos`: the suite `chaos` as long as somebody wants it, where every change runs it short.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::long::{self, Programs};

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
    let time = Duration::from_secs(60 * options.minutes);
    let programs = Programs::Shipped("chaos-suite");
    let outcome = long::run(root, "chaos", programs, 2 * time + AFTERWARDS, |command| {
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
    });
    println!("the report is target/chaos/report.html");
    outcome
}
