//! The blobs go to another store: the move begins, every node follows, and one entry switches to the new store. Rule 5.14.
//!
//! No step is taken before every node has taken the one before it: a node that is paused or dead holds the move up, and has
//! nothing to lose when it comes back. A node that was removed counts until it cannot have anything under way any more.

use super::node::find;
use super::state::{State, Stop, invalid};
use crate::PLACE_BYTES_MAX;
use crate::keys;
use crate::node::{NodeId, STORAGE_PROBLEM_BYTES_MAX, StorageWord};
use crate::reply::{Refusal, Reply};

/// A removed node is heard by nobody after this time, in milliseconds; commands of its own are long decided.
const REMOVED_IS_HEARD_MS: u64 = 15_000;

/// How many nodes one refusal names.
const NODES_NAMED_MAX: usize = 20;

/// [`crate::Command::MoveStorage`].
pub(super) fn begin_move(
    state: &mut State<'_>,
    to: &str,
    uploads_idle_ms: u64,
) -> Result<Reply, Stop> {
    if to.is_empty() || to.len() > PLACE_BYTES_MAX || to.chars().any(char::is_control) {
        let reason = format!(
            "a store's name has from 1 to {PLACE_BYTES_MAX} bytes and no control characters"
        );
        return Err(invalid(reason).into());
    }
    let storage = &mut state.cluster.storage;
    match &storage.moving_to {
        Some(target) if target != to => {
            let reason = format!("the blobs are being moved to {target}");
            return Err(invalid(reason).into());
        }
        Some(_) => {}
        None => {
            storage.moving_to = Some(to.to_owned());
            storage.step += 1;
        }
    }
    storage.uploads_idle_ms = uploads_idle_ms;
    Ok(Reply::Done)
}

/// [`crate::Command::ConfirmStorage`].
pub(super) fn confirm(
    state: &mut State<'_>,
    node: NodeId,
    step: u64,
    problem: Option<&str>,
) -> Result<Reply, Stop> {
    let mut row = find(state, node)?;
    if row.removed.is_some() {
        return Err(Refusal::NodeRemoved.into());
    }
    let is_line =
        |text: &str| text.len() <= STORAGE_PROBLEM_BYTES_MAX && !text.chars().any(char::is_control);
    if !problem.is_none_or(is_line) {
        let reason = format!(
            "a problem has at most {STORAGE_PROBLEM_BYTES_MAX} bytes and no control characters"
        );
        return Err(invalid(reason).into());
    }
    let current = state.cluster.storage.step;
    if step > current {
        let reason = format!("step {step} of a move is not due, but {current}");
        return Err(invalid(reason).into());
    }
    if step < current {
        // Said too late to mean anything.
        return Ok(Reply::Done);
    }
    row.storage = match problem {
        None => StorageWord {
            step,
            problem: None,
        },
        Some(problem) => StorageWord {
            step: row.storage.step,
            problem: Some(problem.to_owned()),
        },
    };
    state.put(&keys::node(node), row)?;
    Ok(Reply::Done)
}

/// [`crate::Command::FillStorage`].
pub(super) fn fill(state: &mut State<'_>, step: u64) -> Result<Reply, Stop> {
    let storage = &state.cluster.storage;
    if storage.writes_to_new && step.checked_add(1) == Some(storage.step) {
        return Ok(Reply::Done);
    }
    if storage.moving_to.is_none() || storage.writes_to_new || storage.step != step {
        return Err(not_at(step, storage.step).into());
    }
    require_confirmed(state)?;
    let storage = &mut state.cluster.storage;
    storage.writes_to_new = true;
    storage.step += 1;
    Ok(Reply::Done)
}

/// [`crate::Command::CancelMove`].
pub(super) fn cancel(state: &mut State<'_>, step: u64) -> Result<Reply, Stop> {
    let storage = &mut state.cluster.storage;
    if storage.moving_to.is_none() || storage.step != step {
        return Err(not_at(step, storage.step).into());
    }
    if storage.writes_to_new {
        let reason = "blobs that were pushed meanwhile are in the new store only: the move has to be finished";
        return Err(invalid(reason).into());
    }
    storage.moving_to = None;
    storage.uploads_idle_ms = 0;
    storage.step += 1;
    Ok(Reply::Done)
}

/// [`crate::Command::SwitchStorage`].
pub(super) fn switch(state: &mut State<'_>, generation: u64) -> Result<Reply, Stop> {
    let storage = &state.cluster.storage;
    if storage.moving_to.is_none() && storage.generation == generation && generation > 0 {
        return Ok(Reply::Done);
    }
    if storage.moving_to.is_none() || storage.generation.checked_add(1) != Some(generation) {
        let current = storage.generation;
        let reason = format!("the blobs were moved {current} times, and are not moved now");
        return Err(invalid(reason).into());
    }
    if !storage.writes_to_new {
        return Err(invalid("blobs still go to the old store").into());
    }
    require_confirmed(state)?;
    let storage = &mut state.cluster.storage;
    storage.generation = generation;
    storage.place = storage.moving_to.take();
    storage.writes_to_new = false;
    storage.uploads_idle_ms = 0;
    storage.step += 1;
    Ok(Reply::Done)
}

fn not_at(step: u64, current: u64) -> Refusal {
    invalid(format!(
        "the move of the blobs is not at step {step}, but at {current}"
    ))
}

/// Refuses the next step while a node has not taken this one.
fn require_confirmed(state: &State<'_>) -> Result<(), Stop> {
    let (now, step) = (state.now(), state.cluster.storage.step);
    let behind = state.nodes()?.into_iter().filter_map(|(node, row)| {
        let is_heard = row
            .removed
            .is_none_or(|removed| removed.plus_ms(REMOVED_IS_HEARD_MS) > now);
        (is_heard && row.storage.step != step).then(|| node.to_string())
    });
    let behind: Vec<String> = behind.take(NODES_NAMED_MAX).collect();
    if behind.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "the move of the blobs waits for nodes {}",
        behind.join(", ")
    );
    Err(invalid(reason).into())
}
