//! openraft's own storage suite on our log and tables.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use std::sync::Arc;
use tempfile::TempDir;

use crate::log::{DiskSpace, LogSettings, LogStore};
use crate::machine::Machine;
use crate::snapshot::SnapshotFolder;
use crate::tables::{TableSettings, TableStore};
use crate::types::TypeConfig;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().unwrap();
        let settings = LogSettings {
            segment_bytes: 4096,
            cached_bytes_max: 256,
        };
        let log = LogStore::open(folder.path(), settings, Arc::new(DiskSpace::default())).unwrap();
        let settings = TableSettings {
            folder: folder.path().to_owned(),
            cache_bytes: 1024 * 1024,
            free_bytes_min: 0,
        };
        let tables = Arc::new(TableStore::open(settings).unwrap());
        let snapshots = SnapshotFolder::open(folder.path().join("snapshots")).unwrap();
        Ok((
            folder,
            log,
            Machine {
                tables,
                snapshots,
                space: Arc::default(),
            },
        ))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openrafts_storage_suite_passes() {
    Suite::test_all(Builder).await.unwrap();
}
