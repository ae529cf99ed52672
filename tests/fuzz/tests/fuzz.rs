//! The suite `fuzz`: what was found once, then each target for a moment, by a fixed seed and by a fresh one.

use std::time::{Duration, SystemTime};

use fuzz::{Budget, Report};

/// All targets together take so long by each seed.
const TIME: Duration = Duration::from_secs(30);
const FIXED: u64 = 1;

fn all_by(seed: u64, threads: usize) {
    fuzz::listen_for_panics();
    println!("cargo xtask fuzz --minutes 1 --seed {seed}");
    let targets = fuzz::all();
    let budget = Budget {
        seed,
        time: Some(TIME / targets.len() as u32),
        inputs: None,
        threads,
        careful: false,
    };
    let reports: Vec<Report> = targets
        .iter()
        .map(|target| fuzz::run(target, &budget))
        .collect();
    let told: String = reports.iter().map(fuzz::tell).collect();
    println!("{}", fuzz::table(&reports));
    assert!(told.is_empty(), "{told}");
    for report in &reports {
        assert!(report.accepted > 0, "{} accepts nothing", report.name);
    }
}

#[test]
fn nothing_that_parses_fails_by_a_fixed_seed() {
    all_by(FIXED, 1);
}

#[test]
fn nothing_that_parses_fails_by_a_fresh_seed() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    all_by(now.map_or(7, |time| u64::from(time.subsec_nanos())), 1);
}
