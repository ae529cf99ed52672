//! The redb file: opening, applying batches, durable commits, and building it anew from a snapshot.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use metadata::{ApplyFailure, ClusterId, LogIndex, Reply};
use openraft::EntryPayload;
use parking_lot::Mutex;
use redb::{Database, Durability, ReadableDatabase};
use tokio::sync::watch;

use super::adapter::{APPLIED, Changes, META, ROWS, View, full_key};
use crate::files::{free_bytes, sync_folder};
use crate::metric;
use crate::snapshot::{SnapshotFailure, SnapshotFile};
use crate::steps;
use crate::types::{
    LogId, RaftEntry, StoredMembership, StoredRecordError, applied_from_wire, applied_to_wire,
};

const FILE_NAME: &str = "tables.redb";
/// Files up to this size are checked whole when they are opened; larger ones would delay the start too long.
const CHECKED_WHOLE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// A batch whose commit is durable is due after so much time or so many entries.
const DURABLE_EVERY: Duration = Duration::from_secs(5);
const DURABLE_EVERY_ENTRIES: usize = 50_000;

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

struct Open {
    database: Database,
    /// The database before the last install: readers that began on it may finish.
    retired: Option<Database>,
    applied: Applied,
    /// What was applied since the last durable commit.
    volatile_entries: usize,
    durable_at: Instant,
}

/// See the module.
pub(crate) struct TableStore {
    settings: TableSettings,
    /// `None` once it is closed.
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
        let applied = read_applied(&database)?;
        let view = foreign_view(&database, applied.last)?;
        let (sender, _) = watch::channel(applied.last.map(|id| id.index));
        let open = Open {
            database,
            retired: None,
            applied,
            volatile_entries: 0,
            durable_at: Instant::now(),
        };
        Ok(TableStore {
            settings,
            open: Mutex::new(Some(open)),
            view: ArcSwap::from_pointee(view),
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

    /// Applies `entries` in one transaction and publishes the state after them. Blocks; runs off the runtime.
    pub(crate) fn apply(&self, entries: &[RaftEntry]) -> Result<Vec<Option<Reply>>, ApplyError> {
        let started = Instant::now();
        let mut guard = self.open.lock();
        let open = guard.as_mut().ok_or(ApplyError::Closed)?;
        let mut applied = open.applied.clone();
        let mut transaction = open.database.begin_write()?;
        let due = open.volatile_entries + entries.len() >= DURABLE_EVERY_ENTRIES
            || open.durable_at.elapsed() >= DURABLE_EVERY;
        let durable = due && self.has_room();
        set_durability(&mut transaction, durable)?;
        let mut replies = Vec::with_capacity(entries.len());
        {
            let mut changes = Changes(transaction.open_table(ROWS)?);
            for entry in entries {
                let index = entry.log_id.index;
                replies.push(match &entry.payload {
                    EntryPayload::Blank => None,
                    EntryPayload::Normal(proposal) => Some(
                        metadata::apply(&mut changes, LogIndex(index), &proposal.0)
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
            write_applied(&transaction, &applied)?;
        }
        steps::reached(if durable {
            steps::DURABLE_BEFORE_COMMIT
        } else {
            steps::APPLY_BEFORE_COMMIT
        });
        transaction.commit()?;
        steps::reached(if durable {
            steps::DURABLE_AFTER_COMMIT
        } else {
            steps::APPLY_AFTER_COMMIT
        });
        open.volatile_entries = if durable {
            0
        } else {
            open.volatile_entries + entries.len()
        };
        if durable {
            open.durable_at = Instant::now();
        }
        open.applied = applied;
        self.publish(open)?;
        metrics::histogram!(metric::APPLY_BATCH).record(entries.len() as f64);
        metrics::histogram!(metric::APPLY_SECONDS).record(started.elapsed().as_secs_f64());
        Ok(replies)
    }

    /// Whether the disk has room for a durable commit.
    pub(crate) fn has_room(&self) -> bool {
        free_bytes(&self.settings.folder).is_ok_and(|free| free >= self.settings.free_bytes_min)
    }

    /// Makes durable what was applied so far. Blocks; runs off the runtime.
    pub(crate) fn make_durable(&self) -> Result<(), ApplyError> {
        let mut guard = self.open.lock();
        let open = guard.as_mut().ok_or(ApplyError::Closed)?;
        if open.volatile_entries == 0 {
            return Ok(());
        }
        let mut transaction = open.database.begin_write()?;
        set_durability(&mut transaction, true)?;
        write_applied(&transaction, &open.applied)?;
        steps::reached(steps::DURABLE_BEFORE_COMMIT);
        transaction.commit()?;
        steps::reached(steps::DURABLE_AFTER_COMMIT);
        open.volatile_entries = 0;
        open.durable_at = Instant::now();
        open.retired = None;
        self.publish(open)
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
        guard.as_ref().is_some_and(|open| {
            open.volatile_entries > 0 && open.durable_at.elapsed() >= DURABLE_EVERY
        }) && self.has_room()
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
        let mut transaction = database.begin_write()?;
        set_durability(&mut transaction, true)?;
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
        let mut guard = self.open.lock();
        let open = guard.as_mut().ok_or(ApplyError::Closed)?;
        let path = self.settings.folder.join(FILE_NAME);
        std::fs::rename(&fresh_path, &path)?;
        sync_folder(&self.settings.folder)?;
        let database = builder(self.settings.cache_bytes, false).open(&path)?;
        foreign_view(&database, applied.last)?;
        open.retired = Some(std::mem::replace(&mut open.database, database));
        open.applied = applied;
        open.volatile_entries = 0;
        open.durable_at = Instant::now();
        self.publish(open)
    }

    /// Makes the state that of another cluster, and the group another one; durable when it returns. Blocks.
    pub(crate) fn succeed(
        &self,
        from: ClusterId,
        successor: ClusterId,
        group: &StoredMembership,
    ) -> Result<(), ApplyError> {
        let mut guard = self.open.lock();
        let open = guard.as_mut().ok_or(ApplyError::Closed)?;
        let applied = Applied {
            last: open.applied.last,
            membership: group.clone(),
        };
        let mut transaction = open.database.begin_write()?;
        set_durability(&mut transaction, true)?;
        {
            let mut changes = Changes(transaction.open_table(ROWS)?);
            metadata::succeed(&mut changes, from, successor).map_err(ApplyError::State)?;
        }
        write_applied(&transaction, &applied)?;
        transaction.commit()?;
        open.applied = applied;
        open.volatile_entries = 0;
        open.durable_at = Instant::now();
        self.publish(open)
    }

    fn publish(&self, open: &Open) -> Result<(), ApplyError> {
        self.view
            .store(Arc::new(view(&open.database, open.applied.last)?));
        let index = open.applied.last.map(|id| id.index);
        if let Some(index) = index {
            metrics::gauge!(metric::APPLIED_INDEX).set(index as f64);
        }
        self.applied.send_replace(index);
        Ok(())
    }
}

fn builder(cache_bytes: usize, check: bool) -> redb::Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(cache_bytes)
        .set_check_integrity_on_open(check);
    builder
}

/// `None` when the file is damaged; it is then out of the way.
fn open_existing(path: &Path, cache_bytes: usize) -> Option<Database> {
    let small = path
        .metadata()
        .is_ok_and(|meta| meta.len() <= CHECKED_WHOLE_BYTES_MAX);
    // redb says that opening a damaged file may panic. A file that it cannot judge is as good as damaged.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = builder(cache_bytes, small)
            .open(path)
            .map_err(|e| e.to_string())?;
        read_applied(&database).map_err(|e| e.to_string())?;
        Ok::<_, String>(database)
    }));
    let problem = match opened {
        Ok(Ok(database)) => return Some(database),
        Ok(Err(problem)) => problem,
        Err(_) => "its pages contradict each other".to_owned(),
    };
    let aside = path.with_extension("redb.damaged");
    let moved = std::fs::rename(path, &aside);
    tracing::error!(
        %problem,
        aside = %aside.display(),
        moved = moved.is_ok(),
        "the metadata tables are damaged: they are rebuilt from the last snapshot and the log"
    );
    None
}

fn create(path: &Path, cache_bytes: usize) -> Result<Database, ApplyError> {
    let database = builder(cache_bytes, false).create(path)?;
    let mut transaction = database.begin_write()?;
    set_durability(&mut transaction, true)?;
    transaction.open_table(ROWS)?;
    transaction.open_table(META)?;
    transaction.commit()?;
    if let Some(folder) = path.parent() {
        sync_folder(folder)?;
    }
    Ok(database)
}

fn set_durability(
    transaction: &mut redb::WriteTransaction,
    durable: bool,
) -> Result<(), ApplyError> {
    if durable {
        // Restarts stay quick however large the file is: the allocator's state is part of the commit.
        transaction.set_quick_repair(true);
    } else {
        transaction.set_durability(Durability::None)?;
    }
    Ok(())
}

fn read_applied(database: &Database) -> Result<Applied, ApplyError> {
    let meta = database.begin_read()?.open_table(META)?;
    let Some(bytes) = meta.get(APPLIED)? else {
        return Ok(Applied::default());
    };
    let (last, membership) = applied_from_wire(
        wire::decode_applied_state(bytes.value()).map_err(StoredRecordError::from)?,
    )?;
    Ok(Applied { last, membership })
}

fn write_applied(
    transaction: &redb::WriteTransaction,
    applied: &Applied,
) -> Result<(), ApplyError> {
    let record =
        wire::encode_applied_state(&applied_to_wire(applied.last.as_ref(), &applied.membership));
    transaction
        .open_table(META)?
        .insert(APPLIED, record.as_slice())?;
    Ok(())
}

fn view(database: &Database, applied: Option<LogId>) -> Result<View, ApplyError> {
    Ok(View {
        rows: database.begin_read()?.open_table(ROWS)?,
        applied,
    })
}

/// The view of tables that this process did not make entry by entry, if this build understands them: what it applies itself is
/// checked as it is applied.
fn foreign_view(database: &Database, applied: Option<LogId>) -> Result<View, ApplyError> {
    let view = view(database, applied)?;
    metadata::check_format(&view).map_err(ApplyError::State)?;
    Ok(view)
}
