//! The state machine as openraft drives it: batches of entries into the tables, snapshots out of and into them.
//!
//! Must never send a reply before the state that contains it is published.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::{FutureExt, Stream, StreamExt};
use metadata::{Command, Reply};
use openraft::alias::SnapshotMetaOf;
use openraft::storage::{EntryResponder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, SnapshotMeta};

use crate::log::DiskSpace;
use crate::metric;
use crate::snapshot::{SnapshotFailure, SnapshotFile, SnapshotFolder};
use crate::tables::{ApplyError, Backlog, TableStore};
use crate::types::{
    LogId, RaftEntry, StoredMembership, TypeConfig, applied_from_wire, applied_to_wire,
};

/// Entries that are applied and published together at most.
const BATCH_ENTRIES_MAX: usize = 1024;
/// So few entries, each with so few references, are applied on the thread that brings them.
const QUICK_ENTRIES_MAX: usize = 16;
const QUICK_ROWS_MAX: usize = 64;

/// See the module. Clones share the tables.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) tables: Arc<TableStore>,
    pub(crate) snapshots: SnapshotFolder,
    pub(crate) space: Arc<DiskSpace>,
}

type MachineSnapshot = openraft::alias::SnapshotOf<TypeConfig, SnapshotFile>;

fn stop(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    tracing::error!(%error, "the metadata tables cannot go on: this member stops");
    io::Error::other(error)
}

async fn blocking<T: Send + 'static, E: std::error::Error + Send + Sync + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> io::Result<T> {
    crate::blocking::blocking(work)
        .await
        .map_err(io::Error::other)?
        .map_err(stop)
}

impl Machine {
    /// Applies a batch, and sees to it that what it changes is written to the file in time.
    async fn apply_batch(&self, batch: Vec<RaftEntry>) -> io::Result<Vec<Option<Reply>>> {
        self.space.room_to_apply(self.tables.folder()).await?;
        let tables = Arc::clone(&self.tables);
        let replies = if is_quick(&batch) {
            let applied = catch_unwind(AssertUnwindSafe(|| tables.apply(&batch)));
            let applied = applied.map_err(|_| io::Error::other("an entry could not be applied"))?;
            applied.map_err(stop)?
        } else {
            blocking(move || tables.apply(&batch)).await?
        };
        let tables = Arc::clone(&self.tables);
        match self.tables.backlog() {
            Backlog::Small => {}
            Backlog::Due => {
                tokio::spawn(crate::blocking::blocking(move || tables.write_beside()));
            }
            Backlog::Full => blocking(move || tables.make_durable()).await?,
        }
        Ok(replies)
    }
}

/// Whether a batch changes so few rows that it costs less than a change of threads would.
fn is_quick(batch: &[RaftEntry]) -> bool {
    let is_quick = |entry: &RaftEntry| match &entry.payload {
        EntryPayload::Normal(proposal) => match proposal.0.command.unasked() {
            Command::CreateUpload(_)
            | Command::BeginWrite(_)
            | Command::Checkpoint(_)
            | Command::Acknowledge(_)
            | Command::FinishUpload(_)
            | Command::Mount(_) => true,
            Command::PutManifest(put) => put.references.len() + put.tags.len() <= QUICK_ROWS_MAX,
            _ => false,
        },
        EntryPayload::Blank | EntryPayload::Membership(_) => true,
    };
    batch.len() <= QUICK_ENTRIES_MAX && batch.iter().all(is_quick)
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let applied = self.tables.applied();
        Ok((applied.last, applied.membership))
    }

    async fn apply<S>(&mut self, entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        // The end of the batch may be the end of the stream, which is then asked once more.
        let mut entries = entries.fuse();
        while let Some(first) = entries.next().await {
            let (entry, responder) = first?;
            let mut batch = vec![entry];
            let mut responders = vec![responder];
            while batch.len() < BATCH_ENTRIES_MAX
                && let Some(Some(next)) = entries.next().now_or_never()
            {
                let (entry, responder) = next?;
                batch.push(entry);
                responders.push(responder);
            }
            let replies = self.apply_batch(batch).await?;
            for (responder, reply) in responders.into_iter().zip(replies) {
                if let Some(responder) = responder {
                    responder.send(reply);
                }
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Self::SnapshotBuilder> {
        // Without room it would fail half-way and stop the member; the log keeps what it would have covered.
        (force || self.tables.has_room()).then(|| self.clone())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<TypeConfig>,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        let expected = applied_to_wire(meta.last_log_id.as_ref(), &meta.last_membership);
        let (tables, snapshots) = (Arc::clone(&self.tables), self.snapshots.clone());
        blocking(move || {
            // Read whole before anything is touched: a damaged snapshot must not replace good tables.
            let state = snapshot.read(|_| Ok(()))?;
            if state != expected {
                return Err(ApplyError::Snapshot(SnapshotFailure::Store(
                    "the snapshot holds another state than was announced".to_owned(),
                )));
            }
            tables.install(&snapshot)?;
            snapshots.adopt(&state, &snapshot)?;
            metric::snapshot("received");
            Ok(())
        })
        .await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<MachineSnapshot>, io::Error> {
        let snapshots = self.snapshots.clone();
        let newest = blocking(move || snapshots.newest()).await?;
        let Some((state, snapshot)) = newest else {
            return Ok(None);
        };
        let (last_log_id, last_membership) = applied_from_wire(state).map_err(stop)?;
        Ok(Some(Snapshot {
            meta: SnapshotMeta {
                last_log_id,
                last_membership,
            },
            snapshot,
        }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> Result<MachineSnapshot, io::Error> {
        let (tables, snapshots) = (Arc::clone(&self.tables), self.snapshots.clone());
        let started = std::time::Instant::now();
        let (applied, snapshot) = blocking(move || {
            let (applied, view) = tables.snapshot_view();
            // The log is purged up to the snapshot: the tables must be durable at least as far.
            tables.make_durable()?;
            let state = applied_to_wire(applied.last.as_ref(), &applied.membership);
            Ok::<_, ApplyError>((applied, snapshots.write(state, &view)?))
        })
        .await?;
        metric::snapshot("taken");
        metrics::histogram!(metric::SNAPSHOT_SECONDS).record(started.elapsed().as_secs_f64());
        tracing::info!(
            index = applied.last.map(|id| id.index),
            "took a snapshot of the metadata"
        );
        let meta = SnapshotMeta {
            last_log_id: applied.last,
            last_membership: applied.membership,
        };
        Ok(Snapshot { meta, snapshot })
    }
}
