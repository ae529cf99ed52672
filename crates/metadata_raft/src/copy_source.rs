//! What a member gives to whoever keeps a copy of the log outside of this disk: states, and the entries after them.
//!
//! Only what was applied here is given, and so nothing that is not committed. Must never give entries with a gap.

use std::io;

use bytes::Bytes;
use metadata::ReadTables;

use crate::member::Member;
use crate::snapshot::SnapshotFile;
use crate::types::{encode_entry, log_id_to_wire};

/// A whole state, as a file that stays readable however long it takes. What it holds is the bytes of a snapshot, which only
/// [`crate::Restoration`] takes apart.
#[derive(Debug, Clone)]
pub struct StateFile {
    file: SnapshotFile,
    id: wire::LogId,
    size: u64,
}

impl StateFile {
    /// The last entry that the state has seen.
    #[must_use]
    pub fn id(&self) -> wire::LogId {
        self.id
    }

    /// Its bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// `len` bytes from `at` on. Blocks.
    ///
    /// # Errors
    /// When the disk cannot be read, or there are fewer.
    pub fn read(&self, at: u64, len: usize) -> io::Result<Bytes> {
        self.file.piece(at, len)
    }
}

impl Member {
    /// The last entry that this member has applied.
    #[must_use]
    pub fn applied(&self) -> Option<wire::LogId> {
        self.tables.view().applied.as_ref().map(log_id_to_wire)
    }

    /// The state that this member has applied, for those who check or compare whole states. Rows are read from the disk.
    #[must_use]
    pub fn state(&self) -> std::sync::Arc<dyn ReadTables + Send + Sync> {
        std::sync::Arc::new(self.tables.view().rows.clone())
    }

    /// The entry that stands at `index` in this member's log; `None` where the log does not reach, or does not any more.
    #[must_use]
    pub fn entry_at(&self, index: u64) -> Option<wire::LogId> {
        self.log.id_at(index).as_ref().map(log_id_to_wire)
    }

    /// Entries from `from` on that were applied, encoded by [`wire::encode_log_entry`]: some of those that are there, or
    /// none when nothing follows. `None` when the log does not have the first of them any more.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn entries_from(&self, from: u64) -> io::Result<Option<Vec<(wire::LogId, Bytes)>>> {
        let end = self.applied().map_or(0, |id| id.index + 1);
        if from >= end {
            return Ok(Some(Vec::new()));
        }
        let entries = self.log.read(from, end).await?;
        if entries
            .first()
            .is_none_or(|entry| entry.log_id.index != from)
        {
            return Ok(None);
        }
        let encoded = entries.iter().map(|entry| {
            let bytes = Bytes::from(encode_entry(entry));
            (log_id_to_wire(&entry.log_id), bytes)
        });
        Ok(Some(encoded.collect()))
    }

    /// The last snapshot of this member, if it has taken one.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub async fn newest_state(&self) -> io::Result<Option<StateFile>> {
        let snapshots = self.snapshots.clone();
        let newest = crate::blocking::blocking(move || {
            let Some((state, file)) = snapshots.newest()? else {
                return Ok(None);
            };
            let (size, _) = file.size_and_crc32()?;
            let state = state.applied.map(|id| StateFile { file, id, size });
            Ok::<_, io::Error>(state)
        });
        newest.await.map_err(io::Error::other)?
    }

    /// Refuses every command from now on, with this reason: nothing more comes into the log through this member.
    pub fn refuse_commands(&self, why: &str) {
        // The first reason stays.
        drop(self.refuses.set(why.to_owned()));
    }
}
