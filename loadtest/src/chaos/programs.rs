//! Programs of others that run beside our own clients: docker, podman, whatever a command line can start.
//!
//! A command is run again and again by `sh -c`, with `HOLDFAST_CHAOS_REGISTRY` (`HOST:PORT`), `HOLDFAST_CHAOS_REPOSITORY`
//! and `HOLDFAST_CHAOS_ROUND` in its environment. One that ends with another status than 0 has failed.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::{World, lock};

/// A command that takes longer has failed.
const TIME_MAX: Duration = Duration::from_secs(300);

const REST: Duration = Duration::from_millis(500);

/// So much of what a failed command said is kept, from its end.
const SAID_MAX: usize = 2_000;

/// One run of a command.
#[derive(Debug, Clone, Serialize)]
pub struct ProgramRun {
    /// When it was started, in microseconds since the run's beginning.
    pub began_us: u64,
    /// When it ended.
    pub ended_us: u64,
    /// Which command, by its place among them.
    pub command: usize,
    /// What it said, if it failed.
    pub failed: Option<String>,
}

pub(super) async fn run_on(world: Arc<World>, command: usize) {
    let mut round = 0_u64;
    while !world.ended.load(Ordering::Relaxed) {
        round += 1;
        let began_us = world.timeline.now_us();
        let failed = run(&world, command, round).await.err();
        let ended_us = world.timeline.now_us();
        lock(&world.programs).push(ProgramRun {
            began_us,
            ended_us,
            command,
            failed,
        });
        tokio::time::sleep(REST).await;
    }
}

async fn run(world: &World, command: usize, round: u64) -> Result<(), String> {
    let mut shell = tokio::process::Command::new("sh");
    shell
        .args(["-c", &world.plan.programs[command]])
        .env("HOLDFAST_CHAOS_REGISTRY", world.plan.front.authority())
        .env("HOLDFAST_CHAOS_REPOSITORY", &world.plan.repository)
        .env("HOLDFAST_CHAOS_ROUND", round.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(TIME_MAX, shell.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("it cannot be started: {error}")),
        Err(_) => return Err(format!("it did not end within {TIME_MAX:?}")),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let from = said.len().saturating_sub(SAID_MAX);
    let from = (from..said.len())
        .find(|at| said.is_char_boundary(*at))
        .unwrap_or(0);
    Err(format!("{}: {}", output.status, &said[from..]))
}
