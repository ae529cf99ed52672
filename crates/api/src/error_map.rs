//! What a use-case answered instead of what was asked, as a status, a code and words. The one place where that is
//! decided.
//!
//! Never here: what a refusal is for (that is `registry`'s), and how it is written (that is `problem`'s).

use http::StatusCode;
use oci::ErrorCode;
use registry::Error;
use serde_json::json;

use crate::problem::{Code, Problem};

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let cause = error.to_string();
        let new = |status: StatusCode, code: ErrorCode, summary| {
            Problem::new(status, Code::Oci(code), summary)
        };
        match error {
            Error::NameUnknown => new(
                StatusCode::NOT_FOUND,
                ErrorCode::NameUnknown,
                "no such repository",
            ),
            Error::ManifestUnknown => new(
                StatusCode::NOT_FOUND,
                ErrorCode::ManifestUnknown,
                "no such manifest",
            ),
            Error::TagUnknown => new(
                StatusCode::NOT_FOUND,
                ErrorCode::ManifestUnknown,
                "no such tag",
            ),
            Error::BlobUnknown => new(
                StatusCode::NOT_FOUND,
                ErrorCode::BlobUnknown,
                "no such blob",
            ),
            Error::UploadUnknown => Problem::upload_unknown(),
            Error::OffsetMismatch { acknowledged } => new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                ErrorCode::BlobUploadInvalid,
                "the chunk does not begin where the upload stands",
            )
            .with(format!("{acknowledged} bytes are acknowledged"))
            .with_acknowledged(acknowledged),
            Error::UploadBusyElsewhere { acknowledged } => new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                ErrorCode::BlobUploadInvalid,
                "another request writes to the upload",
            )
            .with(format!("{acknowledged} bytes are acknowledged"))
            .with_acknowledged(acknowledged),
            Error::UploadSealed => new(
                StatusCode::BAD_REQUEST,
                ErrorCode::BlobUploadInvalid,
                "the upload is being closed",
            ),
            Error::DigestMismatch { expected, actual } => new(
                StatusCode::BAD_REQUEST,
                ErrorCode::DigestInvalid,
                "the digest is not that of the content",
            )
            .with(format!("expected {expected}, received {actual}"))
            .with_detail(json!({"expected": expected, "received": actual})),
            Error::SizeMismatch { declared, received } => new(
                StatusCode::BAD_REQUEST,
                ErrorCode::SizeInvalid,
                "the body is not as long as it was declared",
            )
            .with(format!("{declared} bytes declared, {received} received")),
            Error::BlobTooLarge { max } => new(
                StatusCode::PAYLOAD_TOO_LARGE,
                ErrorCode::SizeInvalid,
                "the blob is too large",
            )
            .with(format!("at most {max} bytes are taken")),
            Error::ManifestInvalid(reason) => new(
                StatusCode::BAD_REQUEST,
                ErrorCode::ManifestInvalid,
                "invalid manifest",
            )
            .with(reason.to_string()),
            Error::ManifestTooLarge { max } => new(
                StatusCode::PAYLOAD_TOO_LARGE,
                ErrorCode::ManifestInvalid,
                "the manifest is too large",
            )
            .with(format!("at most {max} bytes are taken")),
            Error::BlobsUnknown(digests) => {
                let summary = "the manifest names blobs that the repository does not have";
                let problem = new(
                    StatusCode::NOT_FOUND,
                    ErrorCode::ManifestBlobUnknown,
                    summary,
                );
                digests.iter().fold(problem, |problem, digest| {
                    problem.with_detail(json!({"digest": digest}))
                })
            }
            Error::PreconditionFailed { tag, current } => {
                let tag = tag.as_ref().map(ToString::to_string);
                let current = current.as_ref().map(ToString::to_string);
                let subject = tag
                    .as_deref()
                    .map_or_else(|| "the manifest".to_owned(), |tag| format!("tag {tag}"));
                let state = current
                    .as_deref()
                    .map_or_else(|| "does not exist".to_owned(), |at| format!("is {at}"));
                Problem::not_matched()
                    .with(format!("{subject} {state}"))
                    .with_detail(json!({"tag": tag, "current": current}))
            }
            Error::IdempotencyKeyReused { repository } => new(
                StatusCode::UNPROCESSABLE_ENTITY,
                ErrorCode::Denied,
                "the idempotency key was used for another request",
            )
            .with(format!("in {repository}")),
            Error::BlobInUse { manifests } => new(
                StatusCode::CONFLICT,
                ErrorCode::Denied,
                "a manifest of the repository names the blob",
            )
            .with(format!("{manifests} do; delete them first")),
            Error::Invalid { reason } => new(
                StatusCode::BAD_REQUEST,
                ErrorCode::Unsupported,
                "the request passes a limit of the registry",
            )
            .with(reason),
            Error::BodyDisconnected { .. } => new(
                StatusCode::BAD_REQUEST,
                ErrorCode::SizeInvalid,
                "the body ended early",
            )
            .closing(),
            Error::BodyStalled => new(
                StatusCode::REQUEST_TIMEOUT,
                ErrorCode::BlobUploadInvalid,
                "the body stalled",
            )
            .closing(),
            Error::Unavailable { retry_after, .. } => {
                let summary = "a part of the registry is not available";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, summary)
                    .retry_after(retry_after)
            }
            Error::OutcomeUnknown { .. } => {
                let summary = "it is not known whether this was done";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, summary)
                    .with("the same request may be sent again")
                    .retry_after(SECOND)
            }
            Error::StorageFull { .. } => {
                let summary = "the registry's storage is full";
                Problem::new(StatusCode::INSUFFICIENT_STORAGE, Code::Unavailable, summary)
            }
            Error::Stopped { .. } => {
                let summary = "this node is stopping";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, summary)
                    .retry_after(SECOND)
                    .closing()
            }
            Error::Internal { .. } => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Unknown,
                "internal error",
            ),
        }
        .because(cause)
    }
}
