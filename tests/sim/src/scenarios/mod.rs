//! What seeds have found, written down: a schedule that leads to it whatever the dice say later. Each is played by the suite, and
//! with the bug that it is about switched on it must fail.

mod late_writer;
mod told_offset;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::clients::Library;
use crate::world::World;

/// A schedule with a name.
pub struct Scenario {
    /// Its name, which says what holds.
    pub name: &'static str,
    /// The mutant that brings the bug back.
    pub mutant: &'static str,
    /// What happens.
    pub play: fn(Arc<World>, Arc<Library>) -> BoxFuture<'static, ()>,
}

/// All of them.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "a_write_on_a_slow_link_takes_nothing_back",
        mutant: "go_back_for_a_late_writer",
        play: late_writer::on_a_slow_link,
    },
    Scenario {
        name: "a_node_that_stood_still_takes_nothing_back",
        mutant: "go_back_for_a_late_writer",
        play: late_writer::at_a_node_that_stands_still,
    },
    Scenario {
        name: "an_offset_that_was_told_is_not_taken_back",
        mutant: "tell_what_may_be_taken_back",
        play: told_offset::is_not_taken_back,
    },
];
