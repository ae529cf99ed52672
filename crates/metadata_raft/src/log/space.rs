//! How much room the disk of the metadata has, and what is refused for the want of it, before anything can tear: first
//! commands, then entries of the leader, last of all what the tables would have to take in. A vote needs no room.
//!
//! What changes is logged once, however often it is found out.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::files::free_bytes;

/// Entries of a leader are refused when less than this part of what is to stay free is left.
const SCARCE_PART: u64 = 2;
/// The tables take nothing in while fewer bytes are free: a transaction that finds no room would end the member.
const APPLY_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// How often it is looked whether there is room again.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Room enough.
const ENOUGH: u8 = 0;
/// Nothing new is begun.
const LOW: u8 = 1;
/// What others have begun is not taken either.
const SCARCE: u8 = 2;

/// Shared by the log's writer, which notes that it found no room, and by the node, which refuses.
#[derive(Debug, Default)]
pub(crate) struct DiskSpace {
    no_spare: AtomicBool,
    level: AtomicU8,
    told: AtomicBool,
    /// Whether entries wait for room to be applied.
    waits: watch::Sender<bool>,
    closed: AtomicBool,
}

impl DiskSpace {
    /// The writer could not (or could again) prepare the next segment.
    pub(crate) fn set_no_spare(&self, none: bool) {
        self.no_spare.store(none, Ordering::Relaxed);
        self.tell();
    }

    /// So many bytes are free, and so many are to stay free for a vote, a snapshot and the tables.
    pub(crate) fn set_free(&self, free: u64, min: u64) {
        let level = match free {
            free if free >= min => ENOUGH,
            free if free >= min / SCARCE_PART => LOW,
            _ => SCARCE,
        };
        self.level.store(level, Ordering::Relaxed);
        self.tell();
    }

    fn tell(&self) {
        let full = self.is_full();
        if self.told.swap(full, Ordering::Relaxed) == full {
            return;
        }
        if full {
            tracing::error!(
                "the disk of the metadata is nearly full: this member takes no writes and does not lead until there is room"
            );
        } else {
            tracing::info!("the disk of the metadata has room again: this member takes writes");
        }
    }

    /// Whether proposals must be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.no_spare.load(Ordering::Relaxed) || self.level.load(Ordering::Relaxed) != ENOUGH
    }

    /// Whether a leader's entries and snapshots must be refused.
    pub(crate) fn is_scarce(&self) -> bool {
        self.no_spare.load(Ordering::Relaxed) || self.level.load(Ordering::Relaxed) == SCARCE
    }

    /// Waits until the tables of this folder have room for some entries more.
    ///
    /// # Errors
    /// When the member is shut down meanwhile.
    pub(crate) async fn room_to_apply(&self, folder: &Path) -> io::Result<()> {
        while free_bytes(folder).is_ok_and(|free| free < APPLY_BYTES_MIN) {
            if self.closed.load(Ordering::Acquire) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.waits
                .send_if_modified(|waits| !std::mem::replace(waits, true));
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.waits
            .send_if_modified(|waits| std::mem::replace(waits, false));
        Ok(())
    }

    /// Returns when entries wait for room to be applied: who waits for one of them may wait for ever.
    pub(crate) async fn is_stuck(&self) {
        let mut waits = self.waits.subscribe();
        // The sender lives as long as this.
        drop(waits.wait_for(|waits| *waits).await);
    }

    /// Nobody waits for room any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// Whether a file of so many bytes can be made in a folder, and half as many be left for others.
pub(crate) fn has_room_for(folder: &Path, bytes: u64) -> io::Result<()> {
    if free_bytes(folder)? >= bytes + bytes / 2 {
        return Ok(());
    }
    Err(io::ErrorKind::StorageFull.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_room_refuses_more() {
        let space = DiskSpace::default();
        let refused = |free| {
            space.set_free(free, 64);
            (space.is_full(), space.is_scarce())
        };
        assert_eq!(refused(64), (false, false));
        assert_eq!(refused(63), (true, false));
        assert_eq!(refused(32), (true, false));
        assert_eq!(refused(31), (true, true));
        assert_eq!(refused(100), (false, false));
        space.set_no_spare(true);
        assert!(space.is_full() && space.is_scarce());
    }
}
