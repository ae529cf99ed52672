//! `cargo xtask bench`: builds what ships as it ships, installs the peers, and runs the benchmarks of `tests/bench`.

use std::path::Path;

use anyhow::bail;
use clap::Args;

use crate::check::cargo;
use crate::install::{self, Cache, Need};
use crate::{run, suites};

/// The programs that Holdfast is measured beside.
const PEERS: Need = Need::Debian(&[
    "curl",
    "docker-registry",
    "etcd-client",
    "etcd-server",
    "haproxy",
    "nginx-light",
    "openssl",
]);

/// What `cargo xtask bench` may be told; all of it goes to the benchmarks.
#[derive(Args)]
pub struct Options {
    /// Fail where a wanted figure is missed.
    #[arg(long)]
    check: bool,
    /// Only rows whose name contains this; the page is not written.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// How often each side runs.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// Builds, installs and measures.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let cache = Cache::find()?;
    let unmet = install::all(&cache, &[&PEERS, &suites::GARAGE]);
    if let Some((_, why)) = unmet.first() {
        bail!("what the benchmarks need is missing: {why}");
    }
    run::succeed(&mut cargo(root, &["build", "--release", "-p", "holdfast"]))?;
    let programs = ["build", "--release", "-p", "holdfast-load", "-p", "bench"];
    run::succeed(&mut cargo(root, &programs))?;
    let binaries = root.join("target/release");
    let mut bench = run::command(
        binaries.join("bench"),
        ["--runs", &options.runs.to_string()],
    );
    bench
        .arg("--root")
        .arg(root)
        .arg("--binaries")
        .arg(&binaries);
    cache.put_on_path(&mut bench);
    if options.check {
        bench.arg("--check");
    }
    if let Some(only) = &options.only {
        bench.args(["--only", only]);
    }
    run::succeed(&mut bench)
}
