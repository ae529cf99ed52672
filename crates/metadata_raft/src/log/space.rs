//! Whether the disk has room for more of the log. A full disk refuses proposals before anything can tear.

use std::sync::atomic::{AtomicBool, Ordering};

/// Shared by the log's writer, which notes that it found no room, and by the node, which refuses proposals.
#[derive(Debug, Default)]
pub(crate) struct DiskSpace {
    no_spare: AtomicBool,
    low: AtomicBool,
}

impl DiskSpace {
    /// The writer could not (or could again) prepare the next segment.
    pub(crate) fn set_no_spare(&self, none: bool) {
        self.no_spare.store(none, Ordering::Relaxed);
    }

    /// The file system has less room than is kept free for a vote, a snapshot and the tables.
    pub(crate) fn set_low(&self, low: bool) {
        if self.low.swap(low, Ordering::Relaxed) != low {
            if low {
                tracing::error!(
                    "the metadata folder's disk is nearly full: writes are refused until there is room"
                );
            } else {
                tracing::info!("the metadata folder's disk has room again: writes are taken");
            }
        }
    }

    /// Whether proposals must be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.no_spare.load(Ordering::Relaxed) || self.low.load(Ordering::Relaxed)
    }
}
