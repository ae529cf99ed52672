//! P8, closed by default: what people were allowed and refused, through all nodes, is what one node could have decided that does one
//! thing at a time. So a permission whose taking was acknowledged is used by no later request, one that was given counts on every
//! node from then on, and a proof that was ended proves nothing.
//!
//! Answers that say that they may be stale are no part of it (protocols 4.3).

use std::fmt;

use linearizability::{History, Model, STEPS_MAX, Ticket, Verdict};
use metadata::TableId;
use metadata::access::Right;
use parking_lot::Mutex;

use crate::census::Kind;
use crate::log::{Applied, Content};
use crate::machine::elapsed;
use crate::world::World;

/// The history of a permission has an order.
pub const PERMISSIONS: &str = "P8 permission history";
/// An entry that was refused changed nothing that people see.
pub const REFUSED: &str = "P8 refused leaves no trace";

/// How much somebody may in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing.
    None,
    /// Pull.
    Pull,
    /// And push.
    Push,
    /// And delete.
    Delete,
}

impl Level {
    fn has(self, right: Right) -> bool {
        match right {
            Right::Pull => self >= Level::Pull,
            Right::Push => self >= Level::Push,
            Right::Delete | Right::Maintain | Right::Own => self >= Level::Delete,
        }
    }
}

/// What is done with a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// It is this from now on.
    Turn(Level),
    /// Every proof of before ends.
    EndProofs,
    /// The account may do nothing, and what it proved ends.
    Lock,
    /// The account may again what it might.
    Unlock,
    /// The account ends.
    End,
    /// How many proofs were ended is asked.
    Learn,
    /// A right is used.
    Use {
        /// Which.
        right: Right,
        /// How many proofs had been ended when this one was made; `None`: this one does not end with those.
        proof: Option<u64>,
    },
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// It was done.
    Done,
    /// So many proofs were ended.
    Proofs(u64),
    /// The right was used.
    Allowed,
    /// It was refused.
    Denied,
}

/// What a permission is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    level: Level,
    proofs: u64,
    is_locked: bool,
    has_ended: bool,
}

/// The model of one permission of one account.
struct Permission;

impl Model for Permission {
    type State = State;
    type Input = Input;
    type Output = Output;

    fn initial(&self) -> State {
        State {
            level: Level::None,
            proofs: 0,
            is_locked: false,
            has_ended: false,
        }
    }

    fn apply(&self, state: &State, input: &Input, output: Option<&Output>) -> Option<State> {
        let mut after = state.clone();
        match input {
            Input::Turn(level) => after.level = *level,
            Input::EndProofs => after.proofs += 1,
            Input::Lock => {
                after.proofs += u64::from(!state.is_locked);
                after.is_locked = true;
            }
            Input::Unlock => after.is_locked = false,
            Input::End => after.has_ended = true,
            Input::Learn => {
                let is_true = output.is_none_or(|told| *told == Output::Proofs(state.proofs));
                return is_true.then_some(after);
            }
            Input::Use { right, proof } => {
                let is_proved = proof.is_none_or(|proof| proof == state.proofs);
                let is_there = !state.is_locked && !state.has_ended;
                let may = is_there && is_proved && state.level.has(*right);
                let expected = if may { Output::Allowed } else { Output::Denied };
                return output.is_none_or(|told| *told == expected).then_some(after);
            }
        }
        Some(after)
    }

    fn only_observes(&self, input: &Input, _: &Output) -> bool {
        matches!(input, Input::Learn | Input::Use { .. })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (level, proofs) = (self.level, self.proofs);
        write!(f, "{level:?}, {proofs} proofs ended")?;
        f.write_str(if self.is_locked { ", locked" } else { "" })?;
        f.write_str(if self.has_ended { ", gone" } else { "" })
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Use {
                right,
                proof: Some(proof),
            } => write!(f, "{} by proof {proof}", right.name()),
            Input::Use { right, proof: None } => f.write_str(right.name()),
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A permission: what it is of, and its number.
pub type PermissionId = (&'static str, u64);

/// The histories of all permissions.
#[derive(Debug, Default)]
pub struct Permissions(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    history: History<PermissionId, Input, Output>,
    permissions: u64,
}

fn now() -> u64 {
    elapsed().as_micros() as u64
}

impl Permissions {
    /// A permission that nobody has yet.
    pub fn fresh(&self, what: &'static str) -> PermissionId {
        let inner = &mut *self.0.lock();
        inner.permissions += 1;
        (what, inner.permissions)
    }

    /// A request is sent.
    pub fn begin(&self, client: u64, permission: PermissionId, input: Input) -> Ticket {
        let history = &mut self.0.lock().history;
        history.called(now(), &client.to_string(), permission, input)
    }

    /// The answer has come.
    pub fn end(&self, ticket: Ticket, output: Output) {
        self.0.lock().history.returned(now(), ticket, output);
    }

    /// It had no effect and will have none, or it told nothing.
    pub fn had_no_effect(&self, ticket: Ticket) {
        self.0.lock().history.never_happened(ticket);
    }
}

/// Checks every history.
pub fn check(world: &World) {
    let histories = world.watch.permissions.0.lock().history.by_key();
    for ((what, number), history) in histories {
        world.census.count(Kind::Invariant, PERMISSIONS);
        match linearizability::check(&Permission, &history, STEPS_MAX) {
            Verdict::Linearizable => {}
            Verdict::NotLinearizable(why) => {
                for line in why.to_string().lines() {
                    world.trace.note(format_args!("{line}"));
                }
                let (unexplained, states) = (&why.unexplained, why.possible_states.join("; or "));
                let said = format!(
                    "permission {number} ({what}): nothing explains `{unexplained}`; it could have been {states}"
                );
                world.breach("P8", said);
            }
            Verdict::Undecided { operations, steps } => {
                let said = format!(
                    "permission {number} ({what}): {operations} operations were not decided in {steps} steps"
                );
                world.breach("P8", said);
            }
        }
    }
}

/// What an entry may change that is refused: the clock, what is remembered of commands, and what is to be deleted.
const OF_REFUSALS: [TableId; 7] = [
    TableId::Cluster,
    TableId::Reply,
    TableId::ReplyOrder,
    TableId::Deletion,
    TableId::RecentPut,
    TableId::IdempotencyKey,
    TableId::FirstAnswerOrder,
];

/// An entry was applied, for the first time: what it was refused it did not do.
pub fn check_refused(world: &World, applied: &Applied) {
    let Content::Command(entry) = &applied.entry.content else {
        return;
    };
    if !matches!(applied.reply, Some(metadata::Reply::Refused(_))) {
        return;
    }
    world.census.count(Kind::Invariant, REFUSED);
    let changed = applied
        .changes
        .iter()
        .find(|change| !OF_REFUSALS.contains(&change.table));
    if let Some(change) = changed {
        let name = crate::log::command_name(&entry.command);
        let (index, table) = (applied.index, change.table);
        let said = format!("entry {index}, {name}, was refused and changed {table:?}");
        world.breach("P8", said);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(requests: &[(u64, u64, Input, Option<Output>)]) -> bool {
        let permissions = Permissions::default();
        let permission = permissions.fresh("test");
        let inner = &mut *permissions.0.lock();
        for (called, returned, input, output) in requests {
            let ticket = inner
                .history
                .called(*called, "1", permission, input.clone());
            if let Some(output) = output {
                inner.history.returned(*returned, ticket, *output);
            }
        }
        let history = &inner.history.by_key()[&permission];
        linearizability::check(&Permission, history, STEPS_MAX) == Verdict::Linearizable
    }

    fn push(proof: u64) -> Input {
        Input::Use {
            right: Right::Push,
            proof: Some(proof),
        }
    }

    #[test]
    fn right_that_was_taken_is_not_used_by_a_later_request() {
        let given = (1, 2, Input::Turn(Level::Push), Some(Output::Done));
        let taken = (3, 6, Input::Turn(Level::Pull), Some(Output::Done));
        let allowed = |called| (called, called + 1, push(0), Some(Output::Allowed));
        assert!(judged(&[given.clone(), taken.clone(), allowed(5)]));
        assert!(!judged(&[given.clone(), taken.clone(), allowed(7)]));
        // Nobody was told that it was taken: it may still be there, and then it is gone for good.
        let unknown = (3, 0, Input::Turn(Level::Pull), None);
        let denied = (9, 10, push(0), Some(Output::Denied));
        assert!(judged(&[
            given.clone(),
            unknown.clone(),
            allowed(7),
            denied.clone()
        ]));
        assert!(!judged(&[given, unknown, denied, allowed(11)]));
    }

    #[test]
    fn ended_proof_proves_nothing_and_the_next_one_does() {
        let given = (1, 2, Input::Turn(Level::Delete), Some(Output::Done));
        let lock = (3, 4, Input::Lock, Some(Output::Done));
        let unlock = (5, 6, Input::Unlock, Some(Output::Done));
        let told = (7, 8, Input::Learn, Some(Output::Proofs(1)));
        let used = |proof, output| (9, 10, push(proof), Some(output));
        let with = |last| {
            judged(&[
                given.clone(),
                lock.clone(),
                unlock.clone(),
                told.clone(),
                last,
            ])
        };
        assert!(with(used(0, Output::Denied)));
        assert!(!with(used(0, Output::Allowed)));
        assert!(with(used(1, Output::Allowed)));
        assert!(!with(used(1, Output::Denied)));
    }
}
