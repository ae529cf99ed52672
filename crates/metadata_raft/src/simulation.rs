//! What a simulation may say and see: that a thread is one of a run, and what a member holds.
//!
//! Only with the feature `simulation`, which only builds of tests have. A member decides nothing by it.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use metadata::LogIndex;

use crate::member::Member;

thread_local! {
    static PAUSE: Cell<Option<fn() -> Duration>> = const { Cell::new(None) };
}

/// From now on every member of this thread does its work in its tasks, with no thread of its own. Each piece of work waits
/// before it begins, for as long as `disk` says.
pub fn begin(disk: fn() -> Duration) {
    PAUSE.set(Some(disk));
}

/// Whether this thread is one of a simulation.
pub(crate) fn is_on() -> bool {
    PAUSE.get().is_some()
}

/// The time that the disk takes.
pub(crate) async fn disk_pause() {
    let pause = PAUSE.get().map_or(Duration::ZERO, |pause| pause());
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

/// What a member has applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateHash {
    /// The last entry.
    pub index: LogIndex,
    /// The term of that entry.
    pub term: u64,
    /// Of every row.
    pub rows: u64,
}

impl Member {
    /// What this member has applied; `None` when that is nothing.
    #[must_use]
    pub fn state_hash(&self) -> Option<StateHash> {
        let view = self.tables.view();
        let applied = view.applied?;
        let (mut keys, mut rows) = (crc32fast::Hasher::new(), crc32fast::Hasher::new());
        let hashed = view.rows.visit(&[0], &[u8::MAX], |key, row| {
            keys.update(key);
            rows.update(row);
            Ok::<_, redb::StorageError>(ControlFlow::Continue(()))
        });
        hashed.ok()?;
        Some(StateHash {
            index: LogIndex(applied.index),
            term: applied.leader_id.term,
            rows: u64::from(keys.finalize()) << 32 | u64::from(rows.finalize()),
        })
    }

    /// What this member keeps for others, its size now, and its bound.
    #[must_use]
    pub fn marks(&self) -> [(&'static str, usize, usize); 5] {
        let proposals = self.config.proposals_max;
        let free = self.proposals.available_permits();
        let (entering, entering_max) = self.turnstile.waiting();
        let (reading, reading_max) = self.reads.waiting();
        let (cached, cached_max) = self.log.cached_bytes();
        let (unwritten, unwritten_max) = self.tables.unwritten_bytes();
        [
            ("commands under way", proposals - free, proposals),
            ("commands at the entrance", entering, entering_max),
            ("reads at the entrance", reading, reading_max),
            ("bytes of the log in memory", cached, cached_max),
            ("bytes of changes not written", unwritten, unwritten_max),
        ]
    }

    /// Checks everything that must hold of the tables.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check_tables(&self) -> Result<(), String> {
        metadata::invariant::check_all(&self.tables.view().rows)
            .map_err(|broken| format!("{broken:?}"))
    }

    /// The last applied entry, without looking at the rows.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.tables.view().applied.map_or(0, |id| id.index)
    }
}
