//! Copying: the leader keeps a snapshot beside the blobs, and after it, in segments, every entry that it has applied.
//!
//! Effects, in order:
//! 1. a leader that has applied an entry of its own term lists what is there. It goes on after the last entry of the copy
//!    that its own log has too (same index, same term: then everything before it is the same), else it begins with a snapshot;
//! 2. entries that were applied are stored as one segment, and the next segment begins after it;
//! 3. when many segments have come together, a snapshot is stored, at the copy's end or beyond, and segments go on where they
//!    were, so that the snapshot before it still has all its segments;
//! 4. what lies before the second newest snapshot is deleted: older snapshots first, then what followed them.
//!
//! A crash after any of them leaves a copy that joins. An object is visible only when it is whole. A name holds a number that
//! is drawn for each attempt, so that no key is ever written twice: a segment whose answer was lost, or that two leaders
//! store at once, is there twice with the same entries, and either will do. After 3 the older snapshot still serves. A half of
//! 4 leaves segments without their snapshot, which nobody begins with; the next time deletes them. Parts of a snapshot that
//! was not finished are freed before the next one. Must never store what is not applied, and so committed, nor delete what
//! one of the two newest snapshots needs.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use identity::RecoveryKey;
use metadata::{ClusterId, LogCopyContent, ObjectKey};
use metadata_raft::{Member, StateFile};
use ports::{BlobFailure, BlobStore, IdSource, MetadataStore, RandomIds};
use tokio::time::Instant;

use crate::catalog::{Catalog, Place};
use crate::metric;
use crate::object::{self, PutFailure};

/// How long the member may take to take a snapshot.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So many objects are deleted by one call.
const DELETED_AT_ONCE: usize = 500;

/// Sizes of the copy.
#[derive(Debug, Clone)]
pub struct CopySettings {
    /// A segment takes no more entries once it has so many bytes.
    pub segment_bytes: usize,
    /// A segment has no more entries.
    pub segment_entries: usize,
    /// A snapshot is due after so many segments.
    pub snapshot_segments: u64,
    /// A snapshot is due after segments of so many bytes.
    pub snapshot_bytes: u64,
}

impl Default for CopySettings {
    fn default() -> CopySettings {
        CopySettings {
            segment_bytes: 4 * 1024 * 1024,
            segment_entries: 10_000,
            snapshot_segments: 1_000,
            snapshot_bytes: 64 * 1024 * 1024,
        }
    }
}

/// A step of the copying did not get done. It is made again.
#[derive(Debug, thiserror::Error)]
pub enum CopyFailure {
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] BlobFailure),
    /// This member's log or snapshot cannot be read.
    #[error("this member's log or snapshot cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// This member took no snapshot.
    #[error("this member did not take a snapshot in time")]
    NoSnapshot,
}

impl From<PutFailure> for CopyFailure {
    fn from(failure: PutFailure) -> CopyFailure {
        match failure {
            PutFailure::Store(failure) => CopyFailure::Store(failure),
            PutFailure::Disk(error) => CopyFailure::Disk(error),
        }
    }
}

/// How the copy stands.
#[derive(Debug, Clone, Copy)]
enum Standing {
    /// Nobody has looked.
    Unknown,
    /// It needs a snapshot of this entry or a later one before segments are of use.
    Lacks {
        snapshot_of: u64,
    },
    Follows(Followed),
}

#[derive(Debug, Clone, Copy)]
struct Followed {
    /// The last entry of the copy.
    end: Place,
    /// Segments since the newest snapshot.
    segments: u64,
    /// Their bytes.
    bytes: u64,
}

/// Copies the log of a member that leads. One of a term: what it knows is of use to no other.
pub struct Copier {
    cluster: ClusterId,
    key: RecoveryKey,
    settings: CopySettings,
    standing: Standing,
    /// Whether a snapshot has come since the outdated was deleted.
    outdated: bool,
}

impl Copier {
    /// One that has not looked yet what there is.
    #[must_use]
    pub fn new(cluster: ClusterId, key: RecoveryKey, settings: CopySettings) -> Copier {
        Copier {
            cluster,
            key,
            settings,
            standing: Standing::Unknown,
            outdated: false,
        }
    }

    /// The last entry of the copy, once that is known.
    #[must_use]
    pub fn reached(&self) -> Option<u64> {
        match self.standing {
            Standing::Follows(followed) => Some(followed.end.index),
            Standing::Unknown | Standing::Lacks { .. } => None,
        }
    }

    /// Makes one step, and tells whether there was something to do. May be dropped at any time.
    ///
    /// # Errors
    /// See [`CopyFailure`]; the step may be made again.
    pub async fn step(
        &mut self,
        member: &Member,
        store: &dyn BlobStore,
    ) -> Result<bool, CopyFailure> {
        let stepped = self.try_step(member, store).await;
        if stepped.is_err() {
            metric::failed();
        }
        stepped
    }

    async fn try_step(
        &mut self,
        member: &Member,
        store: &dyn BlobStore,
    ) -> Result<bool, CopyFailure> {
        match self.standing {
            Standing::Unknown => self.look(member, store).await,
            Standing::Lacks { snapshot_of } => {
                self.put_snapshot(member, store, snapshot_of).await?;
                Ok(true)
            }
            Standing::Follows(_) if self.outdated => {
                self.delete_outdated(store).await?;
                self.outdated = false;
                Ok(true)
            }
            Standing::Follows(followed)
                if followed.segments >= self.settings.snapshot_segments
                    || followed.bytes >= self.settings.snapshot_bytes =>
            {
                let end = followed.end.index;
                self.put_snapshot(member, store, end).await?;
                Ok(true)
            }
            Standing::Follows(followed) => self.put_segment(member, store, followed).await,
        }
    }

    async fn look(&mut self, member: &Member, store: &dyn BlobStore) -> Result<bool, CopyFailure> {
        let term = member.group().term;
        let Some(applied) = member.applied().filter(|applied| applied.term == term) else {
            // Entries of earlier terms may still be coming.
            return Ok(false);
        };
        let catalog = Catalog::list(store, self.cluster).await?;
        self.standing = match catalog.snapshots.first() {
            None => Standing::Lacks { snapshot_of: 0 },
            Some(snapshot) => {
                let chain = catalog.chain(snapshot.at);
                let ours = member.entry_at(chain.end.index).map(Place::from);
                if ours == Some(chain.end) && chain.end.index <= applied.index {
                    Standing::Follows(Followed {
                        end: chain.end,
                        segments: chain.segments.len() as u64,
                        bytes: chain.segments.iter().map(|segment| segment.size).sum(),
                    })
                } else {
                    // Its term is that of this leader, and so it is newer than all that is there.
                    Standing::Lacks {
                        snapshot_of: applied.index,
                    }
                }
            }
        };
        Ok(true)
    }

    async fn put_segment(
        &mut self,
        member: &Member,
        store: &dyn BlobStore,
        followed: Followed,
    ) -> Result<bool, CopyFailure> {
        let first = followed.end.index + 1;
        let mut entries: Vec<Bytes> = Vec::new();
        let mut bytes = 0;
        let mut end = followed.end;
        while bytes < self.settings.segment_bytes && entries.len() < self.settings.segment_entries {
            let Some(more) = member.entries_from(end.index + 1).await? else {
                // The log was purged meanwhile: only a snapshot has them now.
                let snapshot_of = followed.end.index + 1;
                self.standing = Standing::Lacks { snapshot_of };
                return Ok(true);
            };
            let room = self.settings.segment_entries - entries.len();
            let Some((last, _)) = more.iter().take(room).last() else {
                break;
            };
            end = Place::from(*last);
            for (_, entry) in more.into_iter().take(room) {
                bytes += entry.len();
                entries.push(entry);
            }
        }
        if entries.is_empty() {
            return Ok(false);
        }
        let content = LogCopyContent::Segment {
            first,
            last: end.index,
            term: end.term,
        };
        let key = ObjectKey::log_copy(self.cluster, content, RandomIds.fresh());
        let segment = wire::encode_log_segment(&entries);
        let size = object::put_small(store, &self.key, key, &segment).await?;
        metric::copied("segment", size);
        self.standing = Standing::Follows(Followed {
            end,
            segments: followed.segments + 1,
            bytes: followed.bytes + size,
        });
        Ok(true)
    }

    async fn put_snapshot(
        &mut self,
        member: &Member,
        store: &dyn BlobStore,
        at_least: u64,
    ) -> Result<(), CopyFailure> {
        let state = state_of(member, at_least).await?;
        let at = Place::from(state.id());
        let content = LogCopyContent::Snapshot {
            index: at.index,
            term: at.term,
        };
        let key = ObjectKey::log_copy(self.cluster, content, RandomIds.fresh());
        let size = state.size();
        let prefix = ObjectKey::log_copy_prefix(self.cluster);
        if let Err(failure) = object::abort_unfinished(store, &prefix).await {
            // They cost space and are in nobody's way; not every store lists them.
            tracing::debug!(%failure, "parts of unfinished snapshots are left in the store");
        }
        object::put_state(store, &self.key, &key, state).await?;
        metric::copied("snapshot", size);
        tracing::info!(
            index = at.index,
            bytes = size,
            "copied a snapshot of the metadata beside the blobs"
        );
        let end = match self.standing {
            Standing::Follows(followed) => followed.end,
            Standing::Unknown | Standing::Lacks { .. } => at,
        };
        self.standing = Standing::Follows(Followed {
            end,
            segments: 0,
            bytes: 0,
        });
        self.outdated = true;
        Ok(())
    }

    async fn delete_outdated(&self, store: &dyn BlobStore) -> Result<(), CopyFailure> {
        let outdated = Catalog::list(store, self.cluster).await?.outdated();
        for keys in outdated.chunks(DELETED_AT_ONCE) {
            store.delete(keys).await?;
            metric::deleted(keys.len());
        }
        Ok(())
    }
}

/// A snapshot of this entry or a later one, taken now if there is none.
async fn state_of(member: &Member, at_least: u64) -> Result<StateFile, CopyFailure> {
    let until = Instant::now() + SNAPSHOT_TIME_MAX;
    loop {
        if let Some(state) = member.newest_state().await?
            && state.id().index >= at_least
        {
            return Ok(state);
        }
        let before = member.health().snapshot;
        if member.snapshot().await.is_err() {
            return Err(CopyFailure::NoSnapshot);
        }
        while member.health().snapshot == before {
            if Instant::now() >= until {
                return Err(CopyFailure::NoSnapshot);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
