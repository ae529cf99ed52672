//! A new cluster that begins with the rows of another one: what a restore makes of the state that it read. Rules 6.1 and 6.3.
//!
//! Why no command does this: the rows change before the new cluster has a log, so there is never an entry of the new
//! cluster over the old one's name, no node that could be taken for one of the old cluster's, and no entry that would mean
//! something else to an old build. All members of the new cluster begin with the same snapshot of the rows as they are
//! after this, so that the state stays a pure function of that snapshot and the log.
//!
//! What does not come along: nodes, join tokens and authorities, since the new cluster trusts nobody of the old one; uploads
//! that have not become blobs, since a node of the old cluster may still be writing under their keys; the delete queue,
//! since everything in it lies below the old cluster's prefix and is borrowed. The log's time, its format, what is
//! remembered of replies and all that people pushed stay as they are. How often the old cluster moved its blobs, and where to, is
//! about its own marks in its stores: the new one begins with the store that it is given. But it keeps whose objects it borrowed,
//! which have to be moved, too.

use std::ops::ControlFlow;

use crate::Row;
use crate::apply::ApplyFailure;
use crate::keys;
use crate::object_key::ClusterId;
use crate::rows::{ClusterRow, StorageRow};
use crate::tables::{StorageFailure, TableId, Tables};
use crate::typed::{self, TypedRow};

/// The tables of which nothing comes along.
const LEFT_BEHIND: [TableId; 7] = [
    TableId::Node,
    TableId::JoinToken,
    TableId::Authority,
    TableId::Upload,
    TableId::UploadPart,
    TableId::FinishedUpload,
    TableId::Deletion,
];
/// So many keys are gathered at once.
const KEYS_AT_ONCE: usize = 1_000;

/// Makes the rows of cluster `from` those of `successor`, which nobody has founded yet.
///
/// # Errors
/// When the tables cannot be read or written, are of another cluster, or of a format that this build does not know.
pub fn succeed(
    tables: &mut dyn Tables,
    from: ClusterId,
    successor: ClusterId,
) -> Result<(), ApplyFailure> {
    let cluster: Option<ClusterRow> = typed::get(tables, &keys::cluster())?;
    let named = cluster.as_ref().and_then(|row| row.cluster);
    let Some(mut cluster) = cluster.filter(|_| named == Some(from)) else {
        let whose = named.map_or_else(|| "none".to_owned(), |named| named.to_string());
        let what = format!("the state is that of cluster {whose}, not of {from}");
        return Err(ApplyFailure::Inconsistent(what));
    };
    crate::check_format(tables)?;
    for table in LEFT_BEHIND {
        clear(tables, table)?;
    }
    cluster.cluster = Some(successor);
    cluster.last_node = 0;
    let mut borrowed = std::mem::take(&mut cluster.storage.borrowed);
    borrowed.push(from);
    cluster.storage = StorageRow {
        borrowed,
        ..StorageRow::default()
    };
    cluster.upkeep.next_format_since = None;
    cluster.upkeep.replacement = None;
    // The old cluster may live, and with it the right to what it had adopted.
    cluster.adopted_from = Vec::new();
    cluster.next_authority_signs = false;
    let key = keys::cluster();
    tables.put(key.table(), key.bytes(), cluster.into_row())?;
    Ok(())
}

fn clear(tables: &mut dyn Tables, table: TableId) -> Result<(), StorageFailure> {
    loop {
        let mut found = Vec::new();
        tables.scan(table, &[], None, &mut |key: &[u8], _: Row| {
            found.push(key.to_vec());
            match found.len() < KEYS_AT_ONCE {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        for key in &found {
            tables.remove(table, key)?;
        }
        if found.is_empty() {
            return Ok(());
        }
    }
}
