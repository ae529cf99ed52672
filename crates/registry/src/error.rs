//! Why a request was not done: refusals and failures, each with what the client may be told.
//!
//! Knows nothing of HTTP; `api` maps every variant to a status and an OCI code in one exhaustive match. Reasons are for
//! the node's log, never for clients: they may name hosts and keys.

use std::time::Duration;

use metadata::access::Denial;
use metadata::{Answer, Refusal, Reply};
use oci::{Digest, ManifestError, RepositoryName, Tag};
use ports::{BlobFailure, MetadataFailure};

use crate::body::BodyFailure;

/// When a store did not say how long to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No repository of this name.
    #[error("no such repository")]
    NameUnknown,
    /// No such manifest in this repository.
    #[error("no such manifest")]
    ManifestUnknown,
    /// No such blob in this repository.
    #[error("no such blob")]
    BlobUnknown,
    /// No such tag in this repository.
    #[error("no such tag")]
    TagUnknown,
    /// No such upload in this repository, or it has ended.
    #[error("no such upload")]
    UploadUnknown,
    /// The upload cannot go on at the wanted offset.
    #[error("the upload stands at {acknowledged}")]
    OffsetMismatch {
        /// Where it can go on.
        acknowledged: u64,
    },
    /// Another request has begun to write to the upload since this one did.
    #[error("another request writes to the upload, which stands at {acknowledged}")]
    UploadBusyElsewhere {
        /// Where it can go on.
        acknowledged: u64,
    },
    /// The upload takes no more bytes: it is being closed.
    #[error("the upload is being closed")]
    UploadSealed,
    /// The bytes are not those of the digest.
    #[error("the content has digest {actual}, not {expected}")]
    DigestMismatch {
        /// What the client said.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// The body is not as long as it was declared.
    #[error("{received} bytes came where {declared} were declared")]
    SizeMismatch {
        /// What the client said.
        declared: u64,
        /// What came, at least.
        received: u64,
    },
    /// The blob would be larger than this registry takes.
    #[error("a blob may have at most {max} bytes")]
    BlobTooLarge {
        /// The most bytes.
        max: u64,
    },
    /// The manifest is not one.
    #[error(transparent)]
    ManifestInvalid(ManifestError),
    /// The manifest is larger than this registry takes.
    #[error("a manifest may have at most {max} bytes")]
    ManifestTooLarge {
        /// The most bytes.
        max: usize,
    },
    /// Blobs that the manifest names are not visible in the repository; at most the first hundred.
    #[error("the manifest names {} blobs that the repository does not have", .0.len())]
    BlobsUnknown(Vec<Digest>),
    /// The precondition does not hold.
    #[error("the precondition does not hold")]
    PreconditionFailed {
        /// The tag that failed it; `None` for the manifest's own link.
        tag: Option<Tag>,
        /// Where it points now.
        current: Option<Digest>,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request, in {repository}")]
    IdempotencyKeyReused {
        /// Where it was.
        repository: RepositoryName,
    },
    /// A manifest of the repository names the blob, so it cannot be deleted there.
    #[error("{manifests} manifests of the repository name the blob")]
    BlobInUse {
        /// How many do.
        manifests: u64,
    },
    /// The caller may not.
    #[error("the caller may not: {0:?}")]
    Denied(Denial),
    /// The request breaks a bound of the registry.
    #[error("{reason}")]
    Invalid {
        /// What is wrong; may be shown to the client.
        reason: String,
    },
    /// The connection ended within the body. Nobody is there to be told.
    #[error("the connection ended within the body: {reason}")]
    BodyDisconnected {
        /// For the log.
        reason: String,
    },
    /// The client sent nothing for too long.
    #[error("the body stalled")]
    BodyStalled,
    /// Something that is needed does not answer. Nothing was done, or what was done is harmless: may be repeated.
    #[error("not available: {reason}")]
    Unavailable {
        /// How long to wait.
        retry_after: Duration,
        /// For the log.
        reason: String,
    },
    /// The request may have been done or not. The same request may be sent again.
    #[error("the outcome is unknown: {reason}")]
    OutcomeUnknown {
        /// For the log.
        reason: String,
    },
    /// The blob store has no space left.
    #[error("the blob store is full: {reason}")]
    StorageFull {
        /// For the log.
        reason: String,
    },
    /// The blob store may not be used as this node uses it: a read-only folder, credentials that lack a permission.
    #[error("the blob store refuses: {reason}")]
    StorageDenied {
        /// For the log.
        reason: String,
    },
    /// This node is going down; another will answer.
    #[error("this node is stopping: {reason}")]
    Stopped {
        /// For the log.
        reason: String,
    },
    /// What cannot be helped by the client: a misconfigured store, damaged data, a bug.
    #[error("internal: {reason}")]
    Internal {
        /// For the log.
        reason: String,
    },
}

impl Error {
    /// Whether the same request may succeed if it is simply sent again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Error::Unavailable { .. }
                | Error::OutcomeUnknown { .. }
                | Error::StorageFull { .. }
                | Error::Stopped { .. }
                | Error::BodyDisconnected { .. }
                | Error::BodyStalled
        )
    }

    pub(crate) fn internal(reason: impl Into<String>) -> Error {
        Error::Internal {
            reason: reason.into(),
        }
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Error {
        Error::Unavailable {
            retry_after: RETRY_AFTER,
            reason: reason.into(),
        }
    }

    /// A query was answered with what it cannot be answered with; a denial becomes what it means.
    pub(crate) fn unexpected_answer(answer: &Answer) -> Error {
        if let Answer::Denied(denial) = answer {
            return Error::Denied(*denial);
        }
        Error::internal(format!("unexpected answer of the metadata log: {answer:?}"))
    }

    /// A command was answered with what it cannot be answered with; refusals become what they mean.
    pub(crate) fn unexpected_reply(reply: Reply) -> Error {
        match reply {
            Reply::Refused(refusal) => Error::from(refusal),
            other => Error::internal(format!("unexpected reply of the metadata log: {other:?}")),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::OutcomeUnknown => Error::OutcomeUnknown {
                reason: "older than the remembered replies".into(),
            },
            Refusal::AlreadyInitialized { .. } => Error::internal("the cluster has its id already"),
            Refusal::NotInitialized => Error::unavailable("the cluster has no id yet"),
            Refusal::RepositoryUnknown => Error::NameUnknown,
            Refusal::UploadUnknown => Error::UploadUnknown,
            Refusal::OffsetMismatch { acknowledged } => Error::OffsetMismatch { acknowledged },
            Refusal::Fenced { acknowledged } => Error::UploadBusyElsewhere { acknowledged },
            Refusal::Sealed { .. } => Error::UploadSealed,
            Refusal::WrongEnd => Error::unavailable("the upload changed while it was being closed"),
            Refusal::TooManyParts => Error::Invalid {
                reason: "the blob would have too many parts".into(),
            },
            Refusal::BlobUnknown => Error::BlobUnknown,
            Refusal::BlobInUse { manifests } => Error::BlobInUse { manifests },
            Refusal::ManifestUnknown => Error::ManifestUnknown,
            Refusal::BlobsUnknown { digests } => Error::BlobsUnknown(digests),
            Refusal::TagUnknown => Error::TagUnknown,
            Refusal::PreconditionFailed { tag, current } => {
                Error::PreconditionFailed { tag, current }
            }
            Refusal::DeletionInProgress => {
                Error::unavailable("an earlier deletion of the manifest goes on")
            }
            Refusal::Invalid { reason } => Error::Invalid { reason },
            Refusal::IdempotencyKeyReused { repository } => {
                Error::IdempotencyKeyReused { repository }
            }
            refusal @ (Refusal::FormatTooLow { .. } | Refusal::FormatTooOld { .. }) => {
                Error::internal(format!("the log's format has no such command: {refusal:?}"))
            }
            Refusal::Denied(denial) => Error::Denied(denial),
            refusal @ (Refusal::Unknown(_)
            | Refusal::Exists(_)
            | Refusal::OtherSource
            | Refusal::LastAdministrator
            | Refusal::ProjectInUse { .. }) => Error::internal(format!(
                "about accounts, and not about a repository: {refusal:?}"
            )),
            refusal @ (Refusal::NotFounded
            | Refusal::AlreadyFounded
            | Refusal::TokenUnknown
            | Refusal::TokenUsed { .. }
            | Refusal::TokenExpired
            | Refusal::TokenRole { .. }
            | Refusal::NodeUnknown
            | Refusal::NodeRemoved
            | Refusal::LastMember
            | Refusal::TooEarly { .. }
            | Refusal::NodesBehind { .. }
            | Refusal::FormatUnsupported { .. }) => Error::internal(format!(
                "about nodes, and not about a repository: {refusal:?}"
            )),
        }
    }
}

impl From<MetadataFailure> for Error {
    fn from(failure: MetadataFailure) -> Error {
        match failure {
            MetadataFailure::Unavailable { reason } => Error::unavailable(reason),
            MetadataFailure::OutcomeUnknown { reason } => Error::OutcomeUnknown { reason },
            MetadataFailure::Stopped { reason } => Error::Stopped { reason },
        }
    }
}

impl From<BlobFailure> for Error {
    fn from(failure: BlobFailure) -> Error {
        let reason = failure.to_string();
        match failure {
            BlobFailure::Unavailable { retry_after, .. } => Error::Unavailable {
                retry_after: retry_after.unwrap_or(RETRY_AFTER),
                reason,
            },
            BlobFailure::Full { .. } => Error::StorageFull { reason },
            BlobFailure::Denied { .. } => Error::StorageDenied { reason },
            BlobFailure::NoSuchObject { .. }
            | BlobFailure::NoSuchUpload { .. }
            | BlobFailure::Other { .. } => Error::Internal { reason },
        }
    }
}

impl From<BodyFailure> for Error {
    fn from(failure: BodyFailure) -> Error {
        match failure {
            BodyFailure::Disconnected { reason } => Error::BodyDisconnected { reason },
            BodyFailure::TimedOut => Error::BodyStalled,
            BodyFailure::Stopping => Error::Stopped {
                reason: failure.to_string(),
            },
        }
    }
}
