//! P6, deterministic: members that applied the same index hold the same state, and that state is sound.

use metadata::{MemoryTables, invariant};

use super::p1::Effect;
use crate::census::Kind;
use crate::log::{Applied, Machine};
use crate::world::World;

/// Two members at one index have equal states.
pub const EQUAL: &str = "P6 equal states";
/// The tables are sound.
pub const TABLES: &str = "P6 sound tables";

/// Compares what an entry did to a member's state with what it did to the first that applied it. States that were equal before are
/// equal then; they are compared whole at the end.
pub fn check_equal(world: &World, known: &Effect, node: u64, applied: &Applied) {
    world.census.count(Kind::Invariant, EQUAL);
    if !known.is_of(applied) {
        world.breach(
            "P6",
            format!(
                "member {node} comes to another state at index {}",
                applied.index
            ),
        );
    }
}

/// Whole tables are read by the check of the tables, and so it is made after one entry of so many; a trace has it after each.
const CHECKED_EVERY: u64 = 40;

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
pub fn check_all_equal(world: &World, states: &[(u64, Machine)]) {
    let Some((_, first)) = states.first() else {
        return;
    };
    check_tables_now(world, world.watch.last_decided(), &first.tables);
    for (_, state) in states {
        world.census.count(Kind::Invariant, EQUAL);
        if state.tables != first.tables {
            world.breach(
                "P6",
                "members at the same index have different rows".to_owned(),
            );
        }
    }
}
