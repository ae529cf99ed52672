//! What the commands of uploads say.

use bytes::Bytes;
use oci::{Algorithm, Digest, RepositoryName, UploadId};

use crate::ids::{Epoch, MultipartId, PrincipalName};
use crate::object_key::ObjectKey;

/// See [`super::Command::CreateUpload`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateUpload {
    /// A fresh id.
    pub upload: UploadId,
    /// Where the blob will be visible.
    pub repository: RepositoryName,
    /// What the bytes are hashed with as they arrive.
    pub algorithm: Algorithm,
    /// The size of every part but the last, in bytes; fixed for the upload's life.
    pub part_size: u32,
    /// Whether the same request goes on to write: it then gets the first epoch at once.
    pub write: bool,
    /// Who asked.
    pub principal: PrincipalName,
}

/// See [`super::Command::BeginWrite`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginWrite {
    /// The repository in whose path the upload was asked for.
    pub repository: RepositoryName,
    /// The upload.
    pub upload: UploadId,
    /// Where the request starts.
    pub from: WriteFrom,
    /// The latest writer that the request knows of: what was acknowledged is dropped only if no later one has come, lest a
    /// request that was long on its way takes back what its client was told meanwhile. `None` in entries of before this rule.
    pub after: Option<Epoch>,
}

/// Where a request that writes starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFrom {
    /// The client sent `Content-Range`: the acknowledged or the checkpointed offset, and no other.
    Exactly(u64),
    /// The client followed a `Location` with `?at=N`: it takes up at N, and what lies beyond is dropped. N is the
    /// acknowledged offset, the one that the last write started from, or 0.
    Location(u64),
    /// The client said neither: the acknowledged offset.
    Acknowledged,
}

/// A point at which an upload may go on: the first `offset` bytes are durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes from the start.
    pub offset: u64,
    /// The hash of these bytes in its canonical form; empty at offset 0.
    pub midstate: Bytes,
    /// The number of the last part that counts; 0 when there is none. Every recorded part of the upload up to this
    /// number counts, in the order of numbers.
    pub last_part: u32,
    /// What lies beyond the whole parts.
    pub tail: Option<TailObject>,
}

/// The bytes after the whole parts, kept as an object of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailObject {
    /// Where they are.
    pub key: ObjectKey,
    /// How many they are: at least one and less than a part, except that an upload without parts may end with exactly
    /// a part's size, and that an empty blob is a tail of none.
    pub size: u32,
    /// The same bytes stored as the next part too, so that finishing needs no more of them. `None` while the upload
    /// has no parts: the object then is the blob, if the upload ends there.
    pub part: Option<Part>,
}

/// One part of a multipart upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// From 1 up; with gaps, where a writer was ended.
    pub number: u32,
    /// The object store's receipt.
    pub etag: String,
    /// Bytes.
    pub size: u32,
}

/// See [`super::Command::Checkpoint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The repository in whose path the upload was asked for.
    pub repository: RepositoryName,
    /// The upload.
    pub upload: UploadId,
    /// The writer; refused as [`crate::Refusal::Fenced`] unless it is the latest.
    pub epoch: Epoch,
    /// The state now. Checkpoints lie at part boundaries and have no tail.
    pub progress: Progress,
    /// The parts that were stored since this writer's last entry.
    pub parts: Vec<Part>,
    /// The multipart upload, the first time that it is told.
    pub multipart: Option<MultipartId>,
    /// How many more part numbers the writer wants, at most 1,000.
    pub reserve: u32,
}

/// See [`super::Command::Acknowledge`].
///
/// Gives back the part numbers above the highest that is named here (in `parts` or by the tail): a writer that tried to
/// store a part which it does not name must not acknowledge, lest a later writer's part of that number be overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledge {
    /// The repository in whose path the upload was asked for.
    pub repository: RepositoryName,
    /// The upload.
    pub upload: UploadId,
    /// The writer; refused as [`crate::Refusal::Fenced`] unless it is the latest.
    pub epoch: Epoch,
    /// The state now, tail included.
    pub progress: Progress,
    /// The parts that were stored since this writer's last entry.
    pub parts: Vec<Part>,
    /// The multipart upload, the first time that it is told.
    pub multipart: Option<MultipartId>,
}

/// At which state an upload ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadEnd {
    /// The closing request carried no bytes: the state that the client was told, which must be at `offset` when given.
    Acknowledged {
        /// What the client believes (`?at=N`), if it said so.
        offset: Option<u64>,
    },
    /// The closing request carried the last bytes.
    Writer {
        /// The writer; refused unless it is the latest.
        epoch: Epoch,
        /// The state at its end.
        progress: Progress,
        /// The parts that were stored since this writer's last entry.
        parts: Vec<Part>,
        /// The multipart upload, the first time that it is told.
        multipart: Option<MultipartId>,
    },
}

/// See [`super::Command::SealUpload`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealUpload {
    /// The repository in whose path the upload was asked for.
    pub repository: RepositoryName,
    /// The upload.
    pub upload: UploadId,
    /// What the client says that the bytes are.
    pub digest: Digest,
    /// The state that is sealed.
    pub end: UploadEnd,
    /// Whether the bytes have yet to be read back and hashed (the closing `PUT` named another algorithm): whoever
    /// completes the object then verifies it before it finishes.
    pub unverified: bool,
}

/// See [`super::Command::FinishUpload`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishUpload {
    /// The repository in whose path the upload was asked for.
    pub repository: RepositoryName,
    /// The upload.
    pub upload: UploadId,
    /// The digest, which the proposer has verified.
    pub digest: Digest,
    /// For a plain object, the state at which it ends. `None` for a sealed upload, whose object is complete.
    pub end: Option<UploadEnd>,
    /// Who asked.
    pub principal: PrincipalName,
}
