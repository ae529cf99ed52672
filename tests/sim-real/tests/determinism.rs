//! One seed, one run.
//!
//! Each run is a process of its own: this test starts itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};
use std::sync::Arc;

use sim_real::trace::Trace;

/// Says to a process of this test which run it is.
const RUN: &str = "SIM_REAL_RUN";

/// Starts one test of this file again, as the process of a run.
fn in_process(test: &str, run: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact", test])
        .env(RUN, run)
        .output()
        .unwrap()
}

fn short_run(seed: u64) -> String {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let trace = Arc::new(Trace::new(std::env::var_os("SIM_TRACE").is_some()));
    let outcome = sim_real::run::run(seed, folder.path(), &trace, (900, 1_000));
    assert_eq!(outcome.broken, [""; 0]);
    format!("hash {:016x} of {}", outcome.hash, outcome.events)
}

#[test]
fn one_seed_gives_one_run() {
    const NAME: &str = "one_seed_gives_one_run";
    if let Ok(seed) = std::env::var(RUN) {
        println!("{}", short_run(seed.parse().unwrap()));
        return;
    }
    let once = |seed: u64| {
        let child = in_process(NAME, &seed.to_string());
        let text = String::from_utf8_lossy(&child.stdout).into_owned();
        let line = text.lines().find(|line| line.starts_with("hash "));
        let line = line.map(str::to_owned);
        line.unwrap_or_else(|| panic!("{text} {}", String::from_utf8_lossy(&child.stderr)))
    };
    let hashes = [1, 2, 3].map(|seed| {
        let hash = once(seed);
        assert_eq!(hash, once(seed), "seed {seed}");
        hash
    });
    assert_ne!(hashes[0], hashes[1]);
}
