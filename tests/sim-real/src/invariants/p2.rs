//! P2, linearizable: the history of each tag is one that a single node could have given.

use linearizability::tag::Tag;
use linearizability::{STEPS_MAX, Verdict, check};

use crate::ledger::Ledger;

/// Checks every history; tells what breaks.
#[must_use]
pub fn check_all(ledger: &Ledger) -> Vec<String> {
    let mut broken = Vec::new();
    for (tag, operations) in ledger.tags().by_key() {
        match check(&Tag::of(&operations), &operations, STEPS_MAX) {
            Verdict::Linearizable => {}
            Verdict::NotLinearizable(example) => {
                broken.push(format!("P2: v{tag} is not linearizable:\n{example}"));
            }
            Verdict::Undecided { operations, steps } => broken.push(format!(
                "P2: v{tag}: not decided after {steps} steps over {operations} operations"
            )),
        }
    }
    broken
}
