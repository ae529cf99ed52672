//! Whether a history of concurrent operations can be explained by one object that does one thing at a time.
//!
//! Wing and Gong's search ("Testing and verifying concurrent objects", 1993) with Lowe's improvements ("Testing for
//! linearizability", 2017): operations are linearized just in time, when one has to return; and what was tried once, a set
//! of linearized operations with a state, is never tried again. An operation whose outcome nobody knows may take effect at
//! any later time, or never.
//!
//! The work is bounded: beyond so many steps the answer is [`Verdict::Undecided`], which is no pass. Nothing here knows of
//! clocks, threads or networks; the same history always gets the same answer.

mod bits;
mod check;
mod counter_example;
mod history;
mod timeline;

pub mod notation;
pub mod tag;
pub mod upload;

use std::fmt::Display;
use std::hash::Hash;

pub use check::{STEPS_MAX, Verdict, check};
pub use counter_example::CounterExample;
pub use history::{History, Operation, Outcome, Ticket};

/// What an object does when it does one thing at a time.
pub trait Model {
    /// What it remembers. Two states that nothing can tell apart should be equal: the search forgets one of them.
    type State: Clone + Eq + Hash + Display;
    /// What is asked of it.
    type Input: Clone + PartialEq + Display;
    /// What it answers.
    type Output: Clone + Display;

    /// Before anything was asked.
    fn initial(&self) -> Self::State;

    /// The state after `input` was done with this output; `None` if it cannot have had it. Without an output nobody knows
    /// it: the state after its effect, or `None` if it cannot have one.
    fn apply(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// Another input that would do as well for an operation of unknown outcome. The fewer kinds of those there are, the shorter
    /// is the search.
    fn like(&self, input: &Self::Input) -> Self::Input {
        input.clone()
    }

    /// Whether an operation with this output changes no state, whatever the state is. A shortcut: `false` is always right.
    fn only_observes(&self, _input: &Self::Input, _output: &Self::Output) -> bool {
        false
    }
}
