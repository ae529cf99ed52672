//! How far a move has come, for whoever asks while it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// How far a move has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MoveStatus {
    /// Objects that are in the new store.
    pub objects_done: u64,
    /// Objects that have to be.
    pub objects_total: u64,
    /// Bytes that are in the new store.
    pub bytes_done: u64,
    /// Bytes that have to be.
    pub bytes_total: u64,
    /// Open uploads with parts in the old store: the move waits for their end.
    pub uploads_waited_for: u64,
    /// Nodes that have not taken the step that the move is at, and why, if they say so.
    pub nodes_waited_for: Vec<String>,
    /// What keeps the move from going on, until it goes on.
    pub trouble: Option<String>,
    /// Whether the new store is the only one.
    pub switched: bool,
}

/// Shows a move's status. Clones show the same.
#[derive(Debug, Clone, Default)]
pub struct MoveWatch(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// All but what is counted beside it.
    status: Mutex<MoveStatus>,
    objects_done: AtomicU64,
    bytes_done: AtomicU64,
}

impl MoveWatch {
    /// The status now.
    #[must_use]
    pub fn status(&self) -> MoveStatus {
        let status = self.0.status.lock().clone();
        MoveStatus {
            // What was deleted meanwhile was counted, too.
            objects_done: self
                .0
                .objects_done
                .load(Ordering::Relaxed)
                .min(status.objects_total),
            bytes_done: self
                .0
                .bytes_done
                .load(Ordering::Relaxed)
                .min(status.bytes_total),
            ..status
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut MoveStatus)) {
        change(&mut self.0.status.lock());
    }

    /// Counts anew from here.
    pub(super) fn surveyed(&self, total: Sum, done: Sum) {
        self.change(|status| {
            status.objects_total = total.objects;
            status.bytes_total = total.bytes;
        });
        self.0.objects_done.store(done.objects, Ordering::Relaxed);
        self.0.bytes_done.store(done.bytes, Ordering::Relaxed);
    }

    pub(super) fn object_copied(&self) {
        self.0.objects_done.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn bytes_copied(&self, bytes: u64) {
        self.0.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Objects and their bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl Sum {
    pub(super) fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}
