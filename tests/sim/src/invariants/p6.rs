//! P6, deterministic: members that applied the same index hold the same state, and that state is sound.

use metadata::{MemoryTables, invariant};

use super::p1::Decided;
use crate::census::Kind;
use crate::log::Machine;
use crate::world::World;

/// Two members at one index have equal states.
pub const EQUAL: &str = "P6 equal states";
/// The tables are sound.
pub const TABLES: &str = "P6 sound tables";

/// Compares a member's state with the first one at this index. Tells whether it is the first.
pub fn check_equal(
    world: &World,
    decided: &mut Decided,
    node: u64,
    index: u64,
    machine: &Machine,
) -> bool {
    let Some(known) = decided.chain(index, machine.chain) else {
        return true;
    };
    world.census.count(Kind::Invariant, EQUAL);
    if known != machine.chain {
        world.breach(
            "P6",
            format!("member {node} has another state at index {index}"),
        );
    }
    false
}

/// Whole tables are read by the check of the tables, and so it is made after one entry of so many; a trace has it after each.
const CHECKED_EVERY: u64 = 12;

/// Checks every invariant of the tables, now and then.
pub fn check_tables(world: &World, index: u64, tables: &MemoryTables) {
    if index.is_multiple_of(CHECKED_EVERY) || world.trace.keeps_text() {
        check_tables_now(world, index, tables);
    }
}

fn check_tables_now(world: &World, index: u64, tables: &MemoryTables) {
    world.census.count(Kind::Invariant, TABLES);
    if let Err(broken) = invariant::check_all(tables) {
        world.breach(
            "P6",
            format!("the tables are not sound at index {index}: {broken}"),
        );
    }
}

/// Compares whole states, row by row.
pub fn check_all_equal(world: &World, states: &[Machine]) {
    for state in states {
        check_tables_now(world, world.watch.last_decided(), &state.tables);
        world.census.count(Kind::Invariant, EQUAL);
        if state.tables != states[0].tables {
            world.breach(
                "P6",
                "members at the same index have different rows".to_owned(),
            );
        }
    }
}
