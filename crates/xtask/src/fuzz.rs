//! `cargo xtask fuzz`: the fuzzers, built to be fast, for as long as wanted.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::check::cargo;

/// The build of the fuzzers: fast, and with the checks of a debug build.
const BUILD: &[&str] = &[
    "build",
    "--quiet",
    "--profile",
    "sim",
    "--package",
    "fuzz",
    "--bin",
    "fuzz",
];

/// What `cargo xtask fuzz` may be told.
#[derive(Args)]
pub struct Options {
    /// How long, all targets together
    #[arg(long)]
    minutes: Option<u64>,
    /// Only this target; may be repeated
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Repeats the choices of a run
    #[arg(long)]
    seed: Option<u64>,
    /// How many inputs for each target
    #[arg(long)]
    inputs: Option<u64>,
    /// Tries this one input of the target, and nothing else
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// How many threads
    #[arg(long)]
    jobs: Option<usize>,
    /// Lists the targets
    #[arg(long)]
    list: bool,
}

impl Options {
    /// As the program takes them.
    fn arguments(&self) -> Vec<String> {
        let mut all = Vec::new();
        let numbers = [
            ("--minutes", self.minutes.map(|n| n.to_string())),
            ("--seed", self.seed.map(|n| n.to_string())),
            ("--inputs", self.inputs.map(|n| n.to_string())),
            ("--jobs", self.jobs.map(|n| n.to_string())),
            ("--file", self.file.clone()),
        ];
        for (name, value) in numbers {
            if let Some(value) = value {
                all.extend([name.to_owned(), value]);
            }
        }
        for target in &self.target {
            all.extend(["--target".to_owned(), target.clone()]);
        }
        if self.list {
            all.push("--list".to_owned());
        }
        all
    }
}

/// Builds the fuzzers and runs them. When an input ends the process itself, which no fuzzer can catch, they run once more
/// with each input in a file, so that the input is known.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let built = cargo(root, BUILD).status().context("cannot start cargo")?;
    if !built.success() {
        bail!("the fuzzers do not build");
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let fuzz = || {
        let mut command = Command::new(target.join("sim").join("fuzz"));
        command.current_dir(root).args(options.arguments());
        command
    };
    let status = fuzz().status().context("cannot start the fuzzers")?;
    if status.success() {
        return Ok(());
    }
    if status.code().is_none() {
        println!(
            "the process died ({status}): once more, with each input in a file of target/fuzz"
        );
        if options.seed.is_none() {
            bail!("repeat with the printed --seed to find the input");
        }
        fuzz().arg("--careful").status()?;
    }
    bail!("the fuzzers found something")
}
