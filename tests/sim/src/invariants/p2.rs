//! P2, linearizable: what clients did to a tag through all nodes, and what they saw, is what one node could have done.

use std::sync::Arc;

use linearizability::tag::{Input, Output, Tag as TagModel, Target, When};
use linearizability::{History, STEPS_MAX, Ticket, Verdict};
use oci::{Digest, RepositoryName, Tag};
use parking_lot::Mutex;

use crate::census::Kind;
use crate::machine::elapsed;
use crate::world::World;

/// The history of a tag has an order.
pub const TAGS: &str = "P2 tag history";

/// What must hold of a tag for a request to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    None,
    /// It points at this.
    Matches(Digest),
    /// It does not exist.
    Absent,
}

impl Condition {
    /// In the words of the model.
    #[must_use]
    pub fn when(self) -> Option<When> {
        match self {
            Condition::None => None,
            Condition::Matches(digest) => Some(When::Is(target(&digest))),
            Condition::Absent => Some(When::Absent),
        }
    }
}

/// What a manifest is called in histories: the beginning of its digest.
#[must_use]
pub fn target(digest: &Digest) -> Target {
    Arc::from(&digest.hex()[..12])
}

/// The histories of all tags.
#[derive(Debug, Default)]
pub struct Histories(Mutex<History<(RepositoryName, Tag), Input, Output>>);

fn now() -> u64 {
    elapsed().as_micros() as u64
}

impl Histories {
    /// A request is sent.
    pub fn begin(&self, client: u64, at: (&RepositoryName, &Tag), input: Input) -> Ticket {
        let key = (at.0.clone(), at.1.clone());
        self.0.lock().called(now(), &client.to_string(), key, input)
    }

    /// The answer has come.
    pub fn end(&self, ticket: Ticket, output: Output) {
        self.0.lock().returned(now(), ticket, output);
    }

    /// It had no effect and will have none: it never was.
    pub fn had_no_effect(&self, ticket: Ticket) {
        self.0.lock().never_happened(ticket);
    }
}

/// Checks every history.
pub fn check(world: &World) {
    let histories = world.watch.tags.0.lock().by_key();
    for ((repository, tag), history) in histories {
        world.census.count(Kind::Invariant, TAGS);
        match linearizability::check(&TagModel::of(&history), &history, STEPS_MAX) {
            Verdict::Linearizable => {}
            Verdict::NotLinearizable(why) => {
                for line in why.to_string().lines() {
                    world.trace.note(format_args!("{line}"));
                }
                let (unexplained, states) = (&why.unexplained, why.possible_states.join("; or "));
                world.breach("P2", format!("{repository}:{tag}: nothing explains `{unexplained}`; it could have been {states}"));
            }
            Verdict::Undecided { operations, steps } => {
                let said = format!(
                    "{repository}:{tag}: {operations} operations were not decided in {steps} steps"
                );
                world.breach("P2", said);
            }
        }
    }
}
