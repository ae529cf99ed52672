//! The delete queue: objects that nothing names any more, in the order in which their bytes may go. Rules 2.4 and 6.1.

use std::collections::BTreeSet;

use super::state::{State, Stop, invalid};
use crate::DELETIONS_PER_ENTRY_MAX;
use crate::ids::MultipartId;
use crate::keys;
use crate::object_key::ObjectKey;
use crate::reply::Reply;
use crate::rows::DeletionRow;

/// The longest read of an object, or the life of a presigned URL, in milliseconds.
pub(super) const READ_MS_MAX: u64 = 60 * 60 * 1000;

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
    // Borrowed from the cluster that this one was restored from: never deleted (rule 6.1).
    if !object.is_of(state.cluster_id()?) {
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
    let due = keys::deletions_due(state.now());
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
