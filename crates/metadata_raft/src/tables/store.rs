//! The tables as the log drives them: applying batches, writing what they changed to the file, and building it anew from a
//! snapshot.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use metadata::{ApplyFailure, ClusterId, LogIndex, Reply};
use openraft::EntryPayload;
use parking_lot::Mutex;
use redb::Database;
use tokio::sync::watch;

use super::adapter::{Layers, ROWS, View, full_key};
use super::file::{
    begin_durable, builder, create, open_existing, read_applied, rows_of, write_applied,
    write_changes,
};
use crate::files::free_bytes;
use crate::metric;
use crate::snapshot::{SnapshotFailure, SnapshotFile};
use crate::steps;
use crate::types::{LogId, RaftEntry, StoredMembership, StoredRecordError, applied_from_wire};
use durable_files::sync_folder;

const FILE_NAME: &str = "tables.redb";
/// What was changed is written after so much time,
const WRITTEN_EVERY: Duration = Duration::from_secs(5);
/// or when it takes so much memory.
const WRITTEN_EVERY_BYTES: usize = 4 * 1024 * 1024;
/// Those who apply wait for the writing when what came meanwhile takes so much.
const UNWRITTEN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Sizes of the tables.
#[derive(Debug, Clone)]
pub(crate) struct TableSettings {
    /// The folder of the file.
    pub(crate) folder: PathBuf,
    /// Of redb's cache.
    pub(crate) cache_bytes: usize,
    /// Nothing is made durable while the disk has less room: a commit that fails half-way would stop the member, while
    /// the log keeps everything that the tables lack.
    pub(crate) free_bytes_min: u64,
}

/// The tables could not be changed; the member stops.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("the tables cannot be written: {0}")]
    Store(#[from] redb::Error),
    #[error("entry {index}: {failure}")]
    Apply { index: u64, failure: ApplyFailure },
    #[error(transparent)]
    State(ApplyFailure),
    #[error("the stored applied state: {0}")]
    Record(#[from] StoredRecordError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotFailure),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the tables are closed")]
    Closed,
}

macro_rules! store_errors {
    ($($error:ty),*) => {
        $(impl From<$error> for ApplyError {
            fn from(error: $error) -> Self {
                ApplyError::Store(error.into())
            }
        })*
    };
}
store_errors!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError
);

/// How far the tables have come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Applied {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

/// Whether changes should be written to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backlog {
    /// They are few, or are being written.
    Small,
    /// They should be, while others go on.
    Due,
    /// Nothing more should be applied before they are.
    Full,
}

struct Open {
    database: Arc<Database>,
    /// The database before the last install: readers that began on it may finish.
    retired: Option<Arc<Database>>,
    applied: Applied,
    layers: Layers,
    /// What was applied and is not being written.
    fresh_entries: usize,
    /// How far the tables had come when what is being written was frozen; `None` when all of that is in the file.
    frozen: Option<Applied>,
    written_at: Instant,
}

impl Open {
    fn new(database: Database) -> Result<Open, ApplyError> {
        let applied = read_applied(&database)?;
        let layers = Layers::of_file(rows_of(&database)?);
        // What is applied here is looked at as it is applied; what was not may be of a later build.
        metadata::check_format(&layers).map_err(ApplyError::State)?;
        Ok(Open {
            database: Arc::new(database),
            retired: None,
            applied,
            layers,
            fresh_entries: 0,
            frozen: None,
            written_at: Instant::now(),
        })
    }

    fn view(&self) -> View {
        View {
            rows: self.layers.clone(),
            applied: self.applied.last,
        }
    }

    fn is_written(&self) -> bool {
        self.fresh_entries == 0 && self.frozen.is_none()
    }
}

/// See the module.
pub(crate) struct TableStore {
    settings: TableSettings,
    /// Held by who writes to the file, and taken before `open`.
    writing: Mutex<()>,
    /// `None` once it is closed. Held for moments, so that those who apply do not wait for the disk.
    open: Mutex<Option<Open>>,
    view: ArcSwap<View>,
    applied: watch::Sender<Option<u64>>,
}

impl TableStore {
    /// Opens the file, or creates it. A file that is damaged is put aside and replaced by an empty one, which the
    /// snapshot and the log fill again.
    pub(crate) fn open(settings: TableSettings) -> Result<TableStore, ApplyError> {
        let path = settings.folder.join(FILE_NAME);
        let opened = if path.exists() {
            open_existing(&path, settings.cache_bytes)
        } else {
            None
        };
        let database = match opened {
            Some(database) => database,
            None => create(&path, settings.cache_bytes)?,
        };
        let open = Open::new(database)?;
        let (sender, _) = watch::channel(open.applied.last.map(|id| id.index));
        Ok(TableStore {
            settings,
            writing: Mutex::new(()),
            view: ArcSwap::from_pointee(open.view()),
            open: Mutex::new(Some(open)),
            applied: sender,
        })
    }

    /// Where the tables are.
    pub(crate) fn folder(&self) -> &Path {
        &self.settings.folder
    }

    /// The last published state. Costs no transaction.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Tells when the published state has moved on.
    pub(crate) fn watch_applied(&self) -> watch::Receiver<Option<u64>> {
        self.applied.subscribe()
    }

    pub(crate) fn applied(&self) -> Applied {
        self.open
            .lock()
            .as_ref()
            .map(|open| open.applied.clone())
            .unwrap_or_default()
    }

    /// Applies `entries`, all or, when one cannot be, none of them, and publishes the state after them. May wait for the disk
    /// where rows are looked up that are in the file only.
    pub(crate) fn apply(&self, entries: &[RaftEntry]) -> Result<Vec<Option<Reply>>, ApplyError> {
        let started = Instant::now();
        let mut guard = self.open.lock();
        let open = guard.as_mut().ok_or(ApplyError::Closed)?;
        let mut applied = open.applied.clone();
        let mut layers = open.layers.clone();
        let mut replies = Vec::with_capacity(entries.len());
        for entry in entries {
            let index = entry.log_id.index;
            replies.push(match &entry.payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(proposal) => Some(
                    metadata::apply(&mut layers, LogIndex(index), &proposal.0)
                        .map_err(|failure| ApplyError::Apply { index, failure })?,
                ),
                EntryPayload::Membership(membership) => {
                    applied.membership =
                        StoredMembership::new(Some(entry.log_id), membership.clone());
                    None
                }
            });
            applied.last = Some(entry.log_id);
        }
        open.applied = applied;
        open.layers = layers;
        open.fresh_entries += entries.len();
        steps::reached(steps::APPLY_BEFORE_PUBLISH);
        self.publish(open);
        steps::reached(steps::APPLY_AFTER_PUBLISH);
        metrics::histogram!(metric::APPLY_BATCH).record(entries.len() as f64);
        metrics::histogram!(metric::APPLY_SECONDS).record(started.elapsed().as_secs_f64());
        Ok(replies)
    }

    /// Whether what was applied should be written before or while more is applied.
    pub(crate) fn backlog(&self) -> Backlog {
        let guard = self.open.lock();
        let Some(open) = guard.as_ref() else {
            return Backlog::Small;
        };
        let backlog = match open.layers.fresh_bytes() {
            UNWRITTEN_BYTES_MAX.. => Backlog::Full,
            WRITTEN_EVERY_BYTES.. if open.frozen.is_none() => Backlog::Due,
            _ => Backlog::Small,
        };
        drop(guard);
        // Without room the log takes nothing more soon.
        if backlog != Backlog::Small && !self.has_room() {
            return Backlog::Small;
        }
        backlog
    }

    /// The changes that no file has and that are not being written, and the most.
    #[cfg(feature = "simulation")]
    pub(crate) fn unwritten_bytes(&self) -> (usize, usize) {
        let open = self.open.lock();
        let bytes = open.as_ref().map_or(0, |open| open.layers.fresh_bytes());
        // One batch goes in above it.
        (bytes, UNWRITTEN_BYTES_MAX + WRITTEN_EVERY_BYTES)
    }

    /// Whether the disk has room for a durable commit.
    pub(crate) fn has_room(&self) -> bool {
        free_bytes(&self.settings.folder).is_ok_and(|free| free >= self.settings.free_bytes_min)
    }

    /// Writes what was applied so far to the file, where it is durable. Others go on applying meanwhile. May be called again
    /// after a failure. Blocks; runs off the runtime.
    pub(crate) fn make_durable(&self) -> Result<(), ApplyError> {
        let _writing = self.writing.lock();
        // What could not be written before goes first.
        self.write_frozen()?;
        self.freeze()?;
        self.write_frozen()
    }

    /// Makes durable what was applied so far, if that can be had: the log keeps what the file lacks, and it is tried again.
    pub(crate) fn write_beside(&self) {
        if let Err(error) = self.make_durable() {
            tracing::error!(%error, "the metadata tables cannot be made durable; the log keeps what they lack");
        }
    }

    fn freeze(&self) -> Result<(), ApplyError> {
        let mut guard = self.open.lock();
        let open = guard.as_mut().ok_or(ApplyError::Closed)?;
        if open.fresh_entries > 0 {
            open.layers.freeze();
            open.frozen = Some(open.applied.clone());
            open.fresh_entries = 0;
            self.publish(open);
        }
        Ok(())
    }

    fn write_frozen(&self) -> Result<(), ApplyError> {
        let (database, changes, applied) = {
            let guard = self.open.lock();
            let open = guard.as_ref().ok_or(ApplyError::Closed)?;
            let Some(applied) = open.frozen.clone() else {
                return Ok(());
            };
            let changes = open.layers.frozen().clone();
            (Arc::clone(&open.database), changes, applied)
        };
        let transaction = begin_durable(&database)?;
        write_changes(&transaction, &changes)?;
        write_applied(&transaction, &applied)?;
        steps::reached(steps::DURABLE_BEFORE_COMMIT);
        transaction.commit()?;
        steps::reached(steps::DURABLE_AFTER_COMMIT);
        let file = rows_of(&database)?;
        let mut guard = self.open.lock();
        let open = guard.as_mut().ok_or(ApplyError::Closed)?;
        open.layers.written(file);
        open.frozen = None;
        open.retired = None;
        open.written_at = Instant::now();
        self.publish(open);
        Ok(())
    }

    /// Makes everything durable and gives the file back, so that it may be opened again. Blocks.
    pub(crate) fn close(&self) -> Result<(), ApplyError> {
        let durable = self.make_durable();
        *self.open.lock() = None;
        durable
    }

    /// Whether a durable commit is due although nothing more is applied.
    pub(crate) fn is_durable_commit_due(&self) -> bool {
        let guard = self.open.lock();
        let due = |open: &Open| !open.is_written() && open.written_at.elapsed() >= WRITTEN_EVERY;
        guard.as_ref().is_some_and(due) && self.has_room()
    }

    /// One state and how far it has come, for a snapshot. Later commits do not change it.
    pub(crate) fn snapshot_view(&self) -> (Applied, Arc<View>) {
        let guard = self.open.lock();
        let applied = guard
            .as_ref()
            .map(|open| open.applied.clone())
            .unwrap_or_default();
        (applied, self.view())
    }

    /// Replaces the tables by those of a snapshot: all or, after a crash, none of them. Blocks; runs off the runtime.
    pub(crate) fn install(&self, snapshot: &SnapshotFile) -> Result<(), ApplyError> {
        let fresh_path = self.settings.folder.join("tables.redb.new");
        if fresh_path.exists() {
            std::fs::remove_file(&fresh_path)?;
        }
        let database = create(&fresh_path, self.settings.cache_bytes)?;
        let transaction = begin_durable(&database)?;
        let applied = {
            let mut rows = transaction.open_table(ROWS)?;
            let state = snapshot.read(|row| {
                rows.insert(full_key(row.table, &row.key).as_slice(), row.row.as_ref())
                    .map(drop)
                    .map_err(|e| SnapshotFailure::Store(e.to_string()))
            })?;
            let (last, membership) = applied_from_wire(state)?;
            Applied { last, membership }
        };
        write_applied(&transaction, &applied)?;
        transaction.commit()?;
        // Closed before it is renamed, so that what is opened under the final name is whole.
        drop(database);
        let _writing = self.writing.lock();
        let mut guard = self.open.lock();
        let open = guard.as_mut().ok_or(ApplyError::Closed)?;
        let path = self.settings.folder.join(FILE_NAME);
        std::fs::rename(&fresh_path, &path)?;
        sync_folder(&self.settings.folder)?;
        let fresh = Open::new(builder(self.settings.cache_bytes, false).open(&path)?)?;
        let before = std::mem::replace(open, fresh);
        open.retired = Some(before.database);
        self.publish(open);
        Ok(())
    }

    /// Makes the state that of another cluster, and the group another one; durable when it returns. Blocks.
    pub(crate) fn succeed(
        &self,
        from: ClusterId,
        successor: ClusterId,
        group: &StoredMembership,
    ) -> Result<(), ApplyError> {
        {
            let mut guard = self.open.lock();
            let open = guard.as_mut().ok_or(ApplyError::Closed)?;
            let mut layers = open.layers.clone();
            metadata::succeed(&mut layers, from, successor).map_err(ApplyError::State)?;
            open.layers = layers;
            open.applied.membership = group.clone();
            open.fresh_entries += 1;
            self.publish(open);
        }
        self.make_durable()
    }

    fn publish(&self, open: &Open) {
        self.view.store(Arc::new(open.view()));
        let index = open.applied.last.map(|id| id.index);
        if let Some(index) = index {
            metrics::gauge!(metric::APPLIED_INDEX).set(index as f64);
        }
        self.applied.send_replace(index);
    }
}
