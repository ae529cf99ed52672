//! Some seeds, each time that the tests run: fixed ones, fresh ones, and some twice.

use std::time::{SystemTime, UNIX_EPOCH};

use sim::{batch, run, scenarios};

/// Seeds that are run each time.
const FIXED: u64 = 40;
/// Seeds that nobody has run before.
const FRESH: u64 = 20;
/// Seeds that are run twice.
const TWICE: u64 = 16;

fn hold(first: u64, seeds: u64) {
    let result = batch::run(first, seeds, batch::processors(), false);
    for (seed, breaches) in &result.failed {
        eprintln!("cargo xtask sim --seed {seed}: {}", breaches.join("; "));
    }
    assert!(
        result.failed.is_empty(),
        "{} seeds fail",
        result.failed.len()
    );
    assert_eq!(result.ran, seeds);
}

#[test]
fn fixed_seeds_break_no_promise() {
    hold(1, FIXED);
}

#[test]
fn fresh_seeds_break_no_promise() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    hold(now.as_secs() * 1_000, FRESH);
}

#[test]
fn a_seed_does_the_same_again() {
    for seed in 1_000..1_000 + TWICE {
        let [first, second] = [(); 2].map(|()| run::seed(seed, false).unwrap());
        assert_eq!(first, second, "seed {seed}");
        let with_text = run::seed(seed, true).unwrap();
        assert_eq!(with_text.hash, first.hash, "seed {seed}");
    }
}

#[test]
fn different_seeds_do_different_things() {
    let [first, second] = [1, 2].map(|seed| run::seed(seed, false).unwrap().hash);
    assert_ne!(first, second);
}

#[test]
fn what_was_found_once_does_not_come_back() {
    for scenario in scenarios::ALL {
        let played = |mutant| run::scenario(scenario.name, mutant).unwrap().unwrap();
        let outcome = played(None);
        assert_eq!(outcome.breaches, [""; 0], "{}", scenario.name);
        if cfg!(feature = "mutants") {
            let with_the_bug = played(Some(scenario.mutant)).breaches;
            assert!(!with_the_bug.is_empty(), "{} proves nothing", scenario.name);
        }
    }
}
