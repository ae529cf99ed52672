//! Ends the process at a named step, as `kill -9` would, so that a test can see what a restart finds.
//!
//! Only builds with the feature `failpoints` have this file; none of them is for use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use crate::failure::Failure;

/// The variable that names the step: `HOLDFAST_CRASH_AT=<step>[:nth]`, the first time unless another is said.
const VARIABLE: &str = "HOLDFAST_CRASH_AT";

/// The steps of all crates.
fn all() -> impl Iterator<Item = &'static str> {
    let steps = [registry::steps::ALL, blobs::STEPS, metadata_raft::STEPS];
    steps.into_iter().flatten().copied()
}

/// Every step, one a line.
pub fn list() -> String {
    all().map(|step| format!("{step}\n")).collect()
}

/// Arms the step that the environment names.
///
/// # Errors
/// When there is no such step.
pub fn arm() -> Result<(), Failure> {
    let Ok(asked) = std::env::var(VARIABLE) else {
        return Ok(());
    };
    let (step, nth) = parse(&asked).ok_or_else(|| {
        Failure::new(format!(
            "{VARIABLE}={asked} names no step: `holdfast steps` lists them"
        ))
    })?;
    let reached = Arc::new(AtomicU64::new(0));
    let armed = fail::cfg_callback(step, move || {
        if reached.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            // Nothing may run after this step: no destructor, no flush, no other thread.
            let killed = kill_process(getpid(), Signal::KILL);
            unreachable!("the process outlived its own end: {killed:?}");
        }
    });
    armed.map_err(|error| Failure::new(format!("{VARIABLE}={asked}: {error}")))
}

/// The step and how often it must be reached. Names hold colons, so the last one decides only before a number.
fn parse(text: &str) -> Option<(&'static str, u64)> {
    let (name, nth) = match text.rsplit_once(':').map(|(name, nth)| (name, nth.parse())) {
        Some((name, Ok(nth))) => (name, nth),
        _ => (text, 1),
    };
    all()
        .find(|step| *step == name)
        .filter(|_| nth > 0)
        .map(|step| (step, nth))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_step_is_named_once_and_can_be_armed() {
        let names: BTreeSet<&str> = all().collect();
        assert_eq!(names.len(), all().count());
        for step in all() {
            assert_eq!(parse(step), Some((step, 1)));
            assert_eq!(parse(&format!("{step}:3")), Some((step, 3)));
        }
        assert_eq!(parse("no::such::step"), None);
        assert_eq!(
            parse(&format!("{}:0", registry::steps::OPEN_AFTER_ENTRY)),
            None
        );
    }
}
