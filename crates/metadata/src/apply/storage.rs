//! The blobs go to another store: the move begins, and the node switches to the new store. Rule 5.14.
//!
//! Only a node that is alone moves: the log cannot tell which store another node writes to.

use super::state::{State, Stop, invalid};
use crate::PLACE_BYTES_MAX;
use crate::reply::Reply;

/// [`crate::Command::MoveStorage`].
pub(super) fn begin_move(state: &mut State<'_>, to: &str) -> Result<Reply, Stop> {
    if to.is_empty() || to.len() > PLACE_BYTES_MAX || to.chars().any(char::is_control) {
        let reason = format!(
            "a store's name has from 1 to {PLACE_BYTES_MAX} bytes and no control characters"
        );
        return Err(invalid(reason).into());
    }
    if state.is_founded() {
        return Err(invalid("the blobs of a cluster are not moved, only those of one node").into());
    }
    match &state.cluster.storage.moving_to {
        Some(target) if target != to => {
            let reason = format!("the blobs are being moved to {target}");
            Err(invalid(reason).into())
        }
        _ => {
            state.cluster.storage.moving_to = Some(to.to_owned());
            Ok(Reply::Done)
        }
    }
}

/// [`crate::Command::SwitchStorage`].
pub(super) fn switch(state: &mut State<'_>, generation: u64) -> Result<Reply, Stop> {
    let storage = &mut state.cluster.storage;
    if storage.moving_to.is_none() && storage.generation == generation && generation > 0 {
        return Ok(Reply::Done);
    }
    if storage.moving_to.is_none() || storage.generation.checked_add(1) != Some(generation) {
        let current = storage.generation;
        let reason = format!("the blobs were moved {current} times, and are not moved now");
        return Err(invalid(reason).into());
    }
    storage.generation = generation;
    storage.place = storage.moving_to.take();
    Ok(Reply::Done)
}
