//! Sizes and times of the use-cases. Read from the configuration by the binary; never changed while it runs.

use std::time::Duration;

use metadata::PART_NUMBER_MAX;

/// Sizes and times.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The size of every part but the last, in bytes.
    pub part_size: u32,
    /// The largest blob in bytes; at most `part_size` × [`PART_NUMBER_MAX`].
    pub blob_size_max: u64,
    /// A long request commits a checkpoint each time that it has stored so many parts.
    pub checkpoint_every_parts: u32,
    /// How long a blob that no manifest names is kept, at least.
    pub grace: Duration,
    /// What becomes of an image of which some layers are absent.
    pub sparse_images: SparseImages,
    /// Which pulls are answered from the last state while no quorum confirms it.
    pub stale_reads: StaleReads,
    /// A body that brings nothing for so long has stalled.
    pub body_idle_timeout: Duration,
    /// How long a metadata call that follows a body may be held through an election.
    pub hold: Duration,
    /// An upload at which nobody has written for so long is ended.
    pub upload_expiry: Duration,
    /// What clients are told to wait when the log does not answer.
    pub retry_after: Duration,
    /// How often the sweep looks for objects to delete when it found none.
    pub sweep_interval: Duration,
    /// How many objects the sweep takes at once; at most 1,000.
    pub sweep_batch: usize,
}

/// What becomes of an image whose config and some of whose layers are in the repository, and others are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SparseImages {
    /// It is stored, and everyone who pushes or pulls it is told how many layers are absent.
    Marked,
    /// It is refused like any manifest that names absent blobs.
    Refused,
}

/// Which pulls are answered, with a warning, from the last state that a node knows, while no quorum confirms it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleReads {
    /// All: manifests, blobs, and the lists of tags and referrers.
    All,
    /// Those by digest only.
    Digest,
    /// None.
    Never,
}

impl Default for Settings {
    fn default() -> Settings {
        let part_size = 8 * 1024 * 1024;
        Settings {
            part_size,
            blob_size_max: u64::from(part_size) * u64::from(PART_NUMBER_MAX),
            checkpoint_every_parts: 8,
            grace: Duration::from_secs(24 * 60 * 60),
            sparse_images: SparseImages::Marked,
            stale_reads: StaleReads::All,
            body_idle_timeout: Duration::from_secs(60),
            hold: Duration::from_secs(10),
            upload_expiry: Duration::from_secs(7 * 24 * 60 * 60),
            retry_after: Duration::from_secs(5),
            sweep_interval: Duration::from_secs(30),
            sweep_batch: 500,
        }
    }
}
