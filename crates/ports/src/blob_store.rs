//! The port to blob storage: durable objects under keys that the log chooses.
//!
//! Only what every S3-compatible store has is asked for: put, ranged get, multipart, list and delete. Nothing is
//! copied or renamed within a store, and whether an object exists is asked only to settle a sealed upload and to move
//! objects to another store (`object_size`). No key is ever written twice with other bytes.

pub mod faulty;
pub mod memory;
pub mod suite;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use metadata::{MultipartId, ObjectKey};

/// A store of objects. Calls have deadlines of their own, and retry what may be retried.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Starts a piece of at most `size_max` bytes: a part, a tail or a whole small object. Waits for its share of
    /// the node's budget of memory. Where it goes is said when it is stored.
    async fn stage(&self, size_max: u64) -> Result<Box<dyn StagedBytes>, BlobFailure>;

    /// Begins a multipart upload under `key`.
    async fn begin_multipart(&self, key: &ObjectKey) -> Result<MultipartId, BlobFailure>;

    /// Completes a multipart upload with exactly these parts, in order. Durable when it returns. May be repeated;
    /// when an earlier call has completed it, the answer is [`BlobFailure::NoSuchUpload`], or `Ok` where the store can
    /// tell that it was this very list.
    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
        parts: &[CompletedPart],
    ) -> Result<(), BlobFailure>;

    /// Ends a multipart upload and frees its parts. May be repeated; an unknown one is no error.
    async fn abort_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
    ) -> Result<(), BlobFailure>;

    /// Streams the bytes of `span`, which lies within the object. The stream fails rather than end early.
    async fn read(&self, key: &ObjectKey, span: ByteSpan) -> Result<ByteStream, BlobFailure>;

    /// The size of an object, by a ranged get of one byte. Asked only to settle a sealed upload and to move objects.
    async fn object_size(&self, key: &ObjectKey) -> Result<u64, BlobFailure>;

    /// Deletes objects; those that do not exist are no error. May be repeated.
    async fn delete(&self, keys: &[ObjectKey]) -> Result<(), BlobFailure>;

    /// Objects below `prefix` in the order of keys, after `after`, at most a thousand.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<ListedObject>, BlobFailure>;

    /// Multipart uploads below `prefix` that were begun and neither completed nor aborted, at most a thousand.
    async fn list_multipart(&self, prefix: &str) -> Result<Vec<ListedUpload>, BlobFailure>;

    /// For people: where this is, without secrets.
    fn describe(&self) -> String;
}

/// Bytes on their way into the store. Dropping it abandons them; nothing that is visible remains.
#[async_trait]
pub trait StagedBytes: Send {
    /// Adds bytes. Fails with [`BlobFailure::Other`] beyond `size_max`, which is a bug of the caller.
    async fn append(&mut self, bytes: Bytes) -> Result<(), BlobFailure>;

    /// How many bytes it holds.
    fn len(&self) -> u64;

    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stores the bytes under `target`, durable when it returns, and gives the store's receipt (an ETag; empty where
    /// there is none). May be called for several targets (a tail is also the next part), and again after a failure.
    async fn store(&mut self, target: &Target) -> Result<String, BlobFailure>;
}

/// Where staged bytes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An object of their own.
    Object(ObjectKey),
    /// A part of a multipart upload.
    Part {
        /// The object that it will be.
        key: ObjectKey,
        /// The upload.
        multipart: MultipartId,
        /// From 1 to 10,000.
        number: u32,
    },
}

/// A part as it is listed when an upload is completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    /// From 1 to 10,000; the list has gaps.
    pub number: u32,
    /// The store's receipt.
    pub etag: String,
    /// Bytes.
    pub size: u64,
}

/// A stretch of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSpan {
    /// The first byte.
    pub start: u64,
    /// How many.
    pub len: u64,
}

/// Bytes of an object as they come.
pub type ByteStream = BoxStream<'static, Result<Bytes, BlobFailure>>;

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key, below the store's own prefix.
    pub key: String,
    /// Bytes.
    pub size: u64,
}

/// An unfinished multipart upload in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUpload {
    /// Its key, below the store's own prefix.
    pub key: String,
    /// The upload.
    pub multipart: MultipartId,
}

/// The store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum BlobFailure {
    /// No object of this key.
    #[error("there is no object {key}")]
    NoSuchObject {
        /// The key.
        key: String,
    },
    /// No multipart upload of this id: never begun, aborted, or completed.
    #[error("there is no multipart upload of {key}")]
    NoSuchUpload {
        /// The key.
        key: String,
    },
    /// The store did not answer, or was busy, in spite of retries. May be repeated.
    #[error("the blob store did not answer: {reason}")]
    Unavailable {
        /// For the operator.
        reason: String,
        /// When the store said how long to wait.
        retry_after: Option<Duration>,
    },
    /// No space is left. May be repeated when there is some.
    #[error("the blob store is full: {reason}")]
    Full {
        /// For the operator.
        reason: String,
    },
    /// The store may not be used so: credentials, permissions, a folder that cannot be written.
    #[error("the blob store refuses: {reason}")]
    Denied {
        /// For the operator.
        reason: String,
    },
    /// Anything else; repeating does not help.
    #[error("the blob store failed: {reason}")]
    Other {
        /// For the operator.
        reason: String,
    },
}

impl BlobFailure {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            BlobFailure::Unavailable { .. } | BlobFailure::Full { .. } => true,
            BlobFailure::NoSuchObject { .. }
            | BlobFailure::NoSuchUpload { .. }
            | BlobFailure::Denied { .. }
            | BlobFailure::Other { .. } => false,
        }
    }
}

impl fmt::Display for ByteSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.start, self.len)
    }
}
