//! `cargo xtask failover`: builds what ships as it ships, and measures how long a cluster does not answer when its leader dies,
//! is stopped politely, or hangs.

use std::path::Path;

use anyhow::bail;
use clap::Args;

use crate::check::cargo;
use crate::install::{self, Cache, Need};
use crate::{run, suites};

/// The balancer in front.
const BALANCER: Need = Need::Debian(&["haproxy"]);

/// What `cargo xtask failover` may be told; all of it goes to the measurement.
#[derive(Args)]
pub struct Options {
    /// Fail where a wanted figure is missed
    #[arg(long)]
    check: bool,
    /// How often the leader is killed
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// How often it is stopped politely, and how often it hangs
    #[arg(long, default_value_t = 5)]
    others: usize,
}

/// Builds, installs and measures.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let cache = Cache::find()?;
    if let Some((_, why)) = install::all(&cache, &[&BALANCER, &suites::GARAGE]).first() {
        bail!("what the measurement needs is missing: {why}");
    }
    run::succeed(&mut cargo(root, &["build", "--release", "-p", "holdfast"]))?;
    let programs = [
        "build",
        "--release",
        "-p",
        "holdfast-load",
        "-p",
        "cluster-suite",
    ];
    run::succeed(&mut cargo(root, &programs))?;
    let binaries = root.join("target/release");
    let mut failover = run::command(binaries.join("failover"), [""; 0]);
    failover.args(["--kills", &options.kills.to_string()]);
    failover.args(["--others", &options.others.to_string()]);
    failover.arg("--root").arg(root);
    failover.arg("--binaries").arg(&binaries);
    cache.put_on_path(&mut failover);
    if options.check {
        failover.arg("--check");
    }
    run::succeed(&mut failover)
}
