//! How far the blobs are moved to another store, as the leader that moves them tells it. Never stored.

use crate::pb;

/// How far the blobs are moved to another store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MoveProgress {
    /// Objects in the new store.
    pub objects_done: u64,
    /// Objects that have to be.
    pub objects_total: u64,
    /// Their bytes in the new store.
    pub bytes_done: u64,
    /// Their bytes.
    pub bytes_total: u64,
    /// Open uploads that are waited for.
    pub uploads_waited_for: u64,
    /// How many nodes have not taken the step that the move is at.
    pub nodes_waited_for: u64,
    /// What holds it up.
    pub trouble: Option<String>,
}

impl From<&MoveProgress> for pb::MoveProgress {
    fn from(moving: &MoveProgress) -> Self {
        pb::MoveProgress {
            objects_done: moving.objects_done,
            objects_total: moving.objects_total,
            bytes_done: moving.bytes_done,
            bytes_total: moving.bytes_total,
            uploads_waited_for: moving.uploads_waited_for,
            nodes_waited_for: moving.nodes_waited_for,
            trouble: moving.trouble.clone().unwrap_or_default(),
        }
    }
}

impl From<pb::MoveProgress> for MoveProgress {
    fn from(moving: pb::MoveProgress) -> Self {
        MoveProgress {
            objects_done: moving.objects_done,
            objects_total: moving.objects_total,
            bytes_done: moving.bytes_done,
            bytes_total: moving.bytes_total,
            uploads_waited_for: moving.uploads_waited_for,
            nodes_waited_for: moving.nodes_waited_for,
            trouble: (!moving.trouble.is_empty()).then_some(moving.trouble),
        }
    }
}
