//! Opens what lies in a member's folder, in the order in which a mistake does least harm: the lock, the identity, the log,
//! the tables; and checks that together they hold everything that was acknowledged.

use std::fs::File;
use std::sync::Arc;

use wire::MemberIdentity;

use crate::files::free_bytes;
use crate::folder;
use crate::log::{DiskSpace, LogSettings, LogStore};
use crate::snapshot::SnapshotFolder;
use crate::tables::{TableSettings, TableStore};
use crate::{MemberConfig, OpenFailure};

/// What lies in the folder, opened.
pub(crate) struct Storage {
    pub(crate) lock: File,
    /// This start; its nonce names its commands.
    pub(crate) start: MemberIdentity,
    pub(crate) log: LogStore,
    pub(crate) tables: Arc<TableStore>,
    pub(crate) snapshots: SnapshotFolder,
}

impl Storage {
    /// Takes the folder for this process and opens everything in it. Blocks.
    pub(crate) fn open(
        config: &MemberConfig,
        nonce: u128,
        space: Arc<DiskSpace>,
    ) -> Result<Storage, OpenFailure> {
        let folder = &config.data_dir;
        let io = |e: std::io::Error| OpenFailure::folder(folder, &e);
        let lock = folder::lock(folder)?;
        let free = free_bytes(folder).map_err(io)?;
        space.set_free(free, config.free_bytes_min);
        let identity = folder::start(folder, config.node_id, nonce)?;
        let log_folder = folder.join("log");
        durable_files::create_folder(&log_folder).map_err(io)?;
        let snapshots = SnapshotFolder::open(folder.join("snapshots")).map_err(io)?;
        let settings = LogSettings {
            segment_bytes: config.segment_bytes,
            cached_bytes_max: config.log_cache_bytes,
        };
        let log = LogStore::open(&log_folder, settings, space).map_err(io)?;
        let settings = TableSettings {
            folder: folder.clone(),
            cache_bytes: config.table_cache_bytes,
            free_bytes_min: config.free_bytes_min,
        };
        let tables = TableStore::open(settings).map_err(|e| OpenFailure::Damaged {
            reason: format!("the metadata tables cannot be opened: {e}"),
        })?;
        let tables = Arc::new(tables);
        check_coverage(&log, &tables, &snapshots).map_err(io)?;
        tracing::debug!(
            node = identity.node,
            starts = identity.starts,
            "opened the member's folder"
        );
        Ok(Storage {
            lock,
            start: identity,
            log,
            tables,
            snapshots,
        })
    }
}

/// Checks that tables or snapshot reach at least as far as the log was purged.
fn check_coverage(
    log: &LogStore,
    tables: &TableStore,
    snapshots: &SnapshotFolder,
) -> std::io::Result<()> {
    let purged = log.purged().map(|id| id.index);
    if tables.applied().last.map(|id| id.index) >= purged {
        return Ok(());
    }
    let covered = snapshots
        .newest()?
        .and_then(|(state, _)| state.applied)
        .map(|id| id.index);
    if covered >= purged {
        return Ok(());
    }
    let message = "the metadata tables are lost or damaged, and neither the last snapshot nor the log can rebuild them; \
                   restore the data folder from a backup";
    Err(std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        message,
    ))
}
