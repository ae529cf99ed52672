//! The blob store on a folder and on S3-compatible object storage.
//!
//! This is the only crate that knows S3. It must never acknowledge bytes that a loss of power could take, never give
//! fewer bytes than were asked for without failing, and never hold a whole blob in memory. Source: DESIGN 5,
//! PROTOCOLS 1.

pub mod check;
pub mod folder;
mod measured;
mod metric;
pub mod s3;
pub mod settings;
mod steps;

use std::sync::Arc;

use ports::{BlobFailure, BlobStore};

pub use folder::{FolderStore, FreeSpace};
pub use measured::Measured;
pub use metric::describe as describe_metrics;
pub use s3::S3Store;
pub use settings::{FolderSettings, S3Settings, Secret, StorageKind, StorageSettings};
pub use steps::STEPS;

/// Opens the store that the settings name, with its calls counted and timed.
///
/// The settings are expected to have passed [`StorageSettings::problems`]. Fails with [`BlobFailure::Denied`] when
/// the folder may not be written or credentials cannot be had, and with [`BlobFailure::Other`] when the folder was
/// made by a newer version or a file that the settings name cannot be read.
pub async fn open(settings: &StorageSettings) -> Result<Arc<dyn BlobStore>, BlobFailure> {
    match settings.kind {
        StorageKind::Folder => Ok(Arc::new(Measured::new(
            FolderStore::open(&settings.folder).await?,
        ))),
        StorageKind::S3 => Ok(Arc::new(Measured::new(S3Store::open(&settings.s3).await?))),
    }
}
