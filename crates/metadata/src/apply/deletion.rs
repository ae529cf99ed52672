//! The delete queue: objects that nothing names any more, in the order in which their bytes may go. Rules 2.4 and 6.1.

use std::collections::BTreeSet;

use super::state::{State, Stop, invalid};
use crate::answer::due_range;
use crate::ids::MultipartId;
use crate::keys;
use crate::object_key::ObjectKey;
use crate::reply::Reply;
use crate::rows::DeletionRow;
use crate::{DELETIONS_PER_ENTRY_MAX, READ_MS_MAX};

/// How many rows of the queue one entry looks through for objects that are gone.
const ROWS_SEARCHED_MAX: usize = 4 * DELETIONS_PER_ENTRY_MAX;

/// Queues an object that nobody can be reading: it may go at once.
pub(super) fn queue_unread(
    state: &mut State<'_>,
    object: ObjectKey,
    multipart: Option<MultipartId>,
) -> Result<(), Stop> {
    queue(state, object, multipart, 0)
}

/// Queues an object that may be being read: it goes after the longest read.
pub(super) fn queue_after_reads(state: &mut State<'_>, object: ObjectKey) -> Result<(), Stop> {
    queue(state, object, None, READ_MS_MAX)
}

fn queue(
    state: &mut State<'_>,
    object: ObjectKey,
    multipart: Option<MultipartId>,
    delay_ms: u64,
) -> Result<(), Stop> {
    // Borrowed from a cluster that this one was restored from: not to be deleted (rule 6.1).
    let is_own = object.is_of(state.cluster_id()?);
    let mut adopted = state.cluster.adopted_from.iter();
    if !is_own && !adopted.any(|cluster| object.is_of(*cluster)) {
        return Ok(());
    }
    let key = keys::deletion(state.now().plus_ms(delay_ms), &object);
    let row = DeletionRow {
        key: object,
        multipart,
    };
    state.put(&key, row)
}

/// [`crate::Command::ObjectsDeleted`]. Only what was due is searched: what else is named has not been handed out.
pub(super) fn objects_deleted(state: &mut State<'_>, objects: &[ObjectKey]) -> Result<Reply, Stop> {
    if objects.len() > DELETIONS_PER_ENTRY_MAX {
        return Err(invalid("more objects than one entry may remove").into());
    }
    let gone: BTreeSet<&ObjectKey> = objects.iter().collect();
    let due = due_range(&state.cluster.upkeep, state.now());
    let found = state.collect(&due, ROWS_SEARCHED_MAX, |key, row: DeletionRow| {
        Some((keys::read_deletion(key)?.0, row.key))
    })?;
    for (due, object) in found {
        if gone.contains(&object) {
            state.remove(&keys::deletion(due, &object))?;
        }
    }
    Ok(Reply::Done)
}
