//! `cargo xtask check` and `cargo xtask fix`: what CI demands of the text, and the part of it that a program can mend.
//!
//! `check` must never write into the tree. All cargo commands here and in the test run select the same packages and
//! features, so that each library is compiled once for checking and once for running, and not more.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::bail;

use crate::{run, tidy};

/// What every cargo command selects; two selections would be two builds of the dependencies.
pub const SELECTION: [&str; 2] = ["--workspace", "--all-features"];

/// The same for commands that look at tests too.
const ALL_TARGETS: &str = "--all-targets";

/// Runs every check, even after one failed, and fails when any did.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    let mut step = |name: &'static str, outcome: &dyn Fn() -> anyhow::Result<()>| {
        let start = Instant::now();
        let result = outcome();
        let seconds = start.elapsed().as_secs_f32();
        match result {
            Ok(()) => println!("{name}: ok ({seconds:.1} s)"),
            Err(error) => {
                println!("{name}: FAILED ({seconds:.1} s): {error:#}");
                failed.push(name);
            }
        }
    };
    step("tidy", &|| tidy::run(root));
    step("formatting", &|| {
        run::succeed(&mut cargo(root, &["fmt", "--all", "--check"]))
    });
    step("clippy", &|| {
        let mut clippy = cargo(root, &["clippy", "--quiet"]);
        run::succeed(
            clippy
                .args(SELECTION)
                .args([ALL_TARGETS, "--", "-D", "warnings"]),
        )
    });
    step("docs", &|| {
        let mut doc = cargo(root, &["doc", "--quiet", "--no-deps"]);
        run::succeed(doc.args(SELECTION).env("RUSTDOCFLAGS", "-D warnings"))
    });
    if !failed.is_empty() {
        bail!("check failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Formats, and lets clippy rewrite what it is sure of.
pub fn fix(root: &Path) -> anyhow::Result<()> {
    let mut clippy = cargo(
        root,
        &["clippy", "--fix", "--allow-dirty", "--allow-staged"],
    );
    run::succeed(clippy.args(SELECTION).arg(ALL_TARGETS))?;
    run::succeed(&mut cargo(root, &["fmt", "--all"]))
}

/// Cargo at the root, by the toolchain that built this program.
pub fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = run::command(program, arguments);
    cargo.current_dir(root);
    cargo
}
