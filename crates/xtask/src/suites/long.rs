//! The suites that may be run longer than each change runs them: one of them alone, as long as somebody wants it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::build::{self, Built};
use super::{SUITES, Suite, build_for, commands, run_one};
use crate::install::{self, Cache, Need};

/// What is run.
#[derive(Clone, Copy)]
pub enum Programs {
    /// What the tests of each change are run with.
    OfTests,
    /// The program as it ships, and the tests of this package, as fast.
    Shipped(&'static str),
}

impl Programs {
    fn build(self, root: &Path, suite: &Suite) -> anyhow::Result<Built> {
        match self {
            Programs::OfTests => build_for(root, &[suite]),
            Programs::Shipped(package) => build::shipped(root, package),
        }
    }
}

/// Installs what the suite needs, builds it, and runs each of its programs as `prepare` has it.
pub fn run(
    root: &Path,
    name: &str,
    programs: Programs,
    time: Duration,
    prepare: impl Fn(&mut Command),
) -> anyhow::Result<()> {
    let suite = SUITES.iter().find(|suite| suite.name == name);
    let suite = suite.with_context(|| format!("there is a suite `{name}`"))?;
    let cache = Cache::find()?;
    let needs: Vec<&Need> = suite.needs.iter().collect();
    if let Some((_, why)) = install::all(&cache, &needs).first() {
        bail!("what the suite needs is missing: {why}");
    }
    let binaries = programs.build(root, suite)?;
    let deadline = Instant::now() + time;
    let mut failed = Vec::new();
    for mut command in commands(root, suite, &binaries) {
        cache.put_on_path(&mut command);
        prepare(&mut command);
        match run_one(&mut command, deadline) {
            Ok(counts) if counts.failed == 0 => {}
            Ok(counts) => failed.push(format!("{} tests failed", counts.failed)),
            Err(why) => failed.push(why),
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}
