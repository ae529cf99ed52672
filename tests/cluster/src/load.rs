//! `holdfast-load mixed` beside a test: writers and readers without pause until they are told to end, and their report.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::{Process, holdfast};
use serde::Deserialize;

const START_MAX: Duration = Duration::from_secs(60);

/// It reads back all that was acknowledged before it ends.
const END_MAX: Duration = Duration::from_secs(600);

/// Longer than any test.
const DURATION: &str = "3h";

/// A load that runs. Ends when dropped.
pub struct Load {
    process: Process,
}

/// What the load client reports, as far as it is read here.
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    /// Acknowledged.
    pub writes: Side,
    /// Answered.
    pub reads: Side,
    /// Requests that failed, bodies of blobs excepted.
    pub failures: u64,
    /// The first of them.
    pub failed: Vec<Failed>,
    /// Bodies of blobs that were cut.
    pub blob_body_failures: u64,
    /// The first of them.
    pub blob_bodies_failed: Vec<Failed>,
    /// Answers that said that they may be stale.
    pub warned: u64,
    /// How much was read back.
    pub read_back: u64,
    /// What was acknowledged and is gone.
    pub lost: Vec<String>,
    /// When the machine stood still.
    pub stalls: Vec<Stretch>,
}

/// One kind of request.
#[derive(Debug, Clone, Deserialize)]
pub struct Side {
    /// How many.
    pub count: u64,
    /// The longest time in which no client was answered.
    pub longest_gap_ms: f64,
    /// The longest that one client waited for one answer.
    pub max_ms: f64,
    /// Times of 50 ms and more in which no client was answered.
    pub gaps: Vec<Stretch>,
    /// Answers that took 50 ms and more.
    pub waits: Vec<Stretch>,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Stretch {
    /// When it began, in milliseconds since 1970.
    pub from_unix_ms: f64,
    /// How long it was.
    pub ms: f64,
}

/// A failure.
#[derive(Debug, Clone, Deserialize)]
pub struct Failed {
    /// When, in milliseconds since 1970.
    pub at_unix_ms: f64,
    /// What.
    pub message: String,
}

impl Load {
    /// Starts so many writers and readers at `HOST:PORT`, and waits until they run.
    pub fn start(address: &str, writers: u32, readers: u32) -> anyhow::Result<Self> {
        Self::start_as(&program()?, address, writers, readers)
    }

    /// As [`Self::start`], with this build of `holdfast-load`.
    pub fn start_as(
        program: &std::path::Path,
        address: &str,
        writers: u32,
        readers: u32,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["mixed", "--json", "--duration", DURATION]);
        command.args(["--url", &format!("http://{address}")]);
        command.args(["--writers", &writers.to_string()]);
        command.args(["--readers", &readers.to_string()]);
        let mut process = Process::start("holdfast-load", &mut command)?;
        process.wait_for_line("running", START_MAX)?;
        Ok(Self { process })
    }

    /// Ends it and gives its report.
    pub fn end(mut self) -> anyhow::Result<Report> {
        self.process.terminate()?;
        let rest = self.process.wait_for_line("{", END_MAX)?;
        let report: Report = serde_json::from_str(&format!("{{{rest}"))
            .with_context(|| format!("odd report: {rest}"))?;
        self.process.wait(END_MAX)?;
        Ok(report)
    }
}

impl Report {
    /// That nothing failed but bodies of blobs, that no acknowledged thing is lost, and that something was done at all.
    pub fn ensure_harmless(&self) -> anyhow::Result<()> {
        ensure!(
            self.failures == 0,
            "{} requests failed: {:?}",
            self.failures,
            &self.failed[..self.failed.len().min(5)]
        );
        ensure!(self.lost.is_empty(), "lost: {:?}", self.lost);
        ensure!(
            self.writes.count > 0 && self.reads.count > 0 && self.read_back > 0,
            "nothing was done: {self:?}"
        );
        Ok(())
    }

    /// The same, and that no body was cut either: nobody died.
    pub fn ensure_unnoticed(&self) -> anyhow::Result<()> {
        self.ensure_harmless()?;
        ensure!(
            self.blob_body_failures == 0,
            "{} bodies of blobs were cut: {:?}",
            self.blob_body_failures,
            &self.blob_bodies_failed[..self.blob_bodies_failed.len().min(5)]
        );
        Ok(())
    }

    /// One line for people.
    pub fn line(&self) -> String {
        format!(
            "{} writes, {} reads, {} failed, {} bodies cut, {} warned, {} read back; longest gap {:.0} ms (writes), {:.0} ms (reads); \
             longest wait {:.0} ms, {:.0} ms; {} stalls",
            self.writes.count,
            self.reads.count,
            self.failures,
            self.blob_body_failures,
            self.warned,
            self.read_back,
            self.writes.longest_gap_ms,
            self.reads.longest_gap_ms,
            self.writes.max_ms,
            self.reads.max_ms,
            self.stalls.len()
        )
    }
}

/// The built load client, beside the built `holdfast`.
fn program() -> anyhow::Result<PathBuf> {
    let path = holdfast::program()?.with_file_name("holdfast-load");
    ensure!(
        path.is_file(),
        "there is no built `holdfast-load`: run the tests by `cargo xtask test`"
    );
    Ok(path)
}
