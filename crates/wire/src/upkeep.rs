//! Conversions of what the cluster does by itself, and of the names of the clusters that it was restored from.

use bytes::Bytes;
use metadata::{ClusterId, LogTime, NodeId, Replacement, UpkeepRow};

use crate::error::DecodeError;
use crate::pb;
use crate::words::{bits_to, cluster_from};

/// Nothing when there is nothing in it, so that equal rows are equal bytes.
pub(crate) fn upkeep_to(upkeep: &UpkeepRow) -> Option<pb::UpkeepRow> {
    let row = pb::UpkeepRow {
        corrected: upkeep.corrected.map(|time| time.0),
        next_format_since: upkeep.next_format_since.map(|time| time.0),
        replacement: upkeep.replacement.map(|last| pb::Replacement {
            dead: last.dead.0,
            spare: last.spare.0,
            at: last.at.0,
        }),
    };
    (*upkeep != UpkeepRow::default()).then_some(row)
}

pub(crate) fn upkeep_from(row: Option<pb::UpkeepRow>) -> Result<UpkeepRow, DecodeError> {
    let Some(row) = row else {
        return Ok(UpkeepRow::default());
    };
    let upkeep = UpkeepRow {
        corrected: row.corrected.map(LogTime),
        next_format_since: row.next_format_since.map(LogTime),
        replacement: row.replacement.map(|last| Replacement {
            dead: NodeId(last.dead),
            spare: NodeId(last.spare),
            at: LogTime(last.at),
        }),
    };
    match upkeep == UpkeepRow::default() {
        true => Err(DecodeError::new("the row of upkeep", "it says nothing")),
        false => Ok(upkeep),
    }
}

pub(crate) fn clusters_to(clusters: &[ClusterId]) -> Vec<Bytes> {
    clusters.iter().map(|cluster| bits_to(cluster.0)).collect()
}

pub(crate) fn clusters_from(clusters: &[Bytes]) -> Result<Vec<ClusterId>, DecodeError> {
    clusters.iter().map(|bytes| cluster_from(bytes)).collect()
}
