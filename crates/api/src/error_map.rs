//! What a use-case answered instead of what was asked, as a status, a code and words. The one place where that is
//! decided.
//!
//! Never here: what a refusal is for (that is `registry`'s), and how it is written (that is `problem`'s).

use std::time::Duration;

use http::StatusCode as S;
use metadata::access::Denial;
use oci::ErrorCode as C;
use registry::Error;
use serde_json::json;

use crate::problem::Code::{Oci, Unavailable, Unknown};
use crate::problem::{Code, Problem};

/// When to come back to a node that is busy with itself.
const SOON: Duration = Duration::from_secs(1);
/// When to come back to a node that a human has to help.
const LATER: Duration = Duration::from_secs(5);

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let (status, code, summary) = verdict(&error);
        let problem = Problem::new(status, code, summary).because(error.to_string());
        match error {
            Error::BodyDisconnected { .. } | Error::BodyStalled => problem.closing(),
            Error::Unavailable { retry_after, .. } => problem.retry_after(retry_after),
            Error::OutcomeUnknown { .. } => problem
                .with("the same request may be sent again")
                .retry_after(SOON),
            Error::Stopped { .. } => problem.retry_after(SOON).closing(),
            Error::StorageDenied { .. } => problem.retry_after(LATER).for_operator(),
            refusal => particulars(problem, refusal),
        }
    }
}

/// Status, code, and the words that the message begins with.
fn verdict(error: &Error) -> (S, Code, &'static str) {
    let bad = |code, summary| (S::BAD_REQUEST, Oci(code), summary);
    let absent = |code, summary| (S::NOT_FOUND, Oci(code), summary);
    let out_of_order = |summary| (S::RANGE_NOT_SATISFIABLE, Oci(C::BlobUploadInvalid), summary);
    let too_large = |code, summary| (S::PAYLOAD_TOO_LARGE, Oci(code), summary);
    let denied = |status, summary| (status, Oci(C::Denied), summary);
    let later = |status, summary| (status, Unavailable, summary);
    match error {
        Error::NameUnknown => absent(C::NameUnknown, "no such repository"),
        Error::ManifestUnknown => absent(C::ManifestUnknown, "no such manifest"),
        Error::TagUnknown => absent(C::ManifestUnknown, "no such tag"),
        Error::BlobUnknown => absent(C::BlobUnknown, "no such blob"),
        Error::UploadUnknown => absent(C::BlobUploadUnknown, "no such upload"),
        Error::BlobsUnknown(_) => {
            let summary = "the manifest names blobs that the repository does not have";
            absent(C::ManifestBlobUnknown, summary)
        }
        Error::OffsetMismatch { .. } => {
            out_of_order("the chunk does not begin where the upload stands")
        }
        Error::UploadBusyElsewhere { .. } => out_of_order("another request writes to the upload"),
        Error::UploadSealed => bad(C::BlobUploadInvalid, "the upload is being closed"),
        Error::DigestMismatch { .. } => {
            bad(C::DigestInvalid, "the digest is not that of the content")
        }
        Error::SizeMismatch { .. } => {
            let summary = "the body is not as long as it was declared";
            bad(C::SizeInvalid, summary)
        }
        Error::ManifestInvalid(_) => bad(C::ManifestInvalid, "invalid manifest"),
        Error::Invalid { .. } => bad(C::Unsupported, "the request passes a limit of the registry"),
        Error::BodyDisconnected { .. } => bad(C::SizeInvalid, "the body ended early"),
        Error::BodyStalled => (
            S::REQUEST_TIMEOUT,
            Oci(C::BlobUploadInvalid),
            "the body stalled",
        ),
        Error::BlobTooLarge { .. } => too_large(C::SizeInvalid, "the blob is too large"),
        Error::ManifestTooLarge { .. } => {
            too_large(C::ManifestInvalid, "the manifest is too large")
        }
        Error::PreconditionFailed { .. } => {
            denied(S::PRECONDITION_FAILED, "the precondition does not hold")
        }
        Error::IdempotencyKeyReused { .. } => {
            let summary = "the idempotency key was used for another request";
            denied(S::UNPROCESSABLE_ENTITY, summary)
        }
        Error::BlobInUse { .. } => {
            denied(S::CONFLICT, "a manifest of the repository names the blob")
        }
        Error::Denied(Denial::SignIn) => {
            let summary = "sign in first";
            (S::UNAUTHORIZED, Oci(C::Unauthorized), summary)
        }
        Error::Denied(Denial::ProofEnded) => {
            let summary = "what you signed in with counts no more";
            (S::UNAUTHORIZED, Oci(C::Unauthorized), summary)
        }
        Error::Denied(Denial::NotAllowed) => {
            let summary = "you may not do this, or it does not exist";
            denied(S::FORBIDDEN, summary)
        }
        Error::Unavailable { .. } => later(
            S::SERVICE_UNAVAILABLE,
            "a part of the registry is not available",
        ),
        Error::OutcomeUnknown { .. } => later(
            S::SERVICE_UNAVAILABLE,
            "it is not known whether this was done",
        ),
        Error::Stopped { .. } => later(S::SERVICE_UNAVAILABLE, "this node is stopping"),
        Error::StorageFull { .. } => {
            later(S::INSUFFICIENT_STORAGE, "the registry's storage is full")
        }
        Error::StorageDenied { .. } => {
            let summary = "the registry may not use its storage";
            later(S::SERVICE_UNAVAILABLE, summary)
        }
        Error::Internal { .. } => (S::INTERNAL_SERVER_ERROR, Unknown, "internal error"),
    }
}

/// What is particular to a refusal: numbers, digests and names, most of them the client's own.
fn particulars(problem: Problem, refusal: Error) -> Problem {
    match refusal {
        Error::OffsetMismatch { acknowledged } | Error::UploadBusyElsewhere { acknowledged } => {
            problem
                .with(format!("{acknowledged} bytes are acknowledged"))
                .with_acknowledged(acknowledged)
        }
        Error::DigestMismatch { expected, actual } => problem
            .with(format!("expected {expected}, received {actual}"))
            .with_detail(json!({"expected": expected, "received": actual})),
        Error::SizeMismatch { declared, received } => {
            problem.with(format!("{declared} bytes declared, {received} received"))
        }
        Error::BlobTooLarge { max } => problem.with(format!("at most {max} bytes are taken")),
        Error::ManifestTooLarge { max } => problem.with(format!("at most {max} bytes are taken")),
        Error::ManifestInvalid(reason) => problem.with(reason.to_string()),
        Error::BlobsUnknown(digests) => digests.iter().fold(problem, |problem, digest| {
            problem.with_detail(json!({"digest": digest}))
        }),
        Error::PreconditionFailed { tag, current } => {
            let tag = tag.map(|tag| tag.to_string());
            let current = current.map(|digest| digest.to_string());
            let subject = tag
                .as_deref()
                .map_or_else(|| "the manifest".to_owned(), |tag| format!("tag {tag}"));
            let state = current
                .as_deref()
                .map_or_else(|| "does not exist".to_owned(), |at| format!("is {at}"));
            problem
                .with(format!("{subject} {state}"))
                .with_detail(json!({"tag": tag, "current": current}))
        }
        Error::IdempotencyKeyReused { repository } => problem.with(format!("in {repository}")),
        Error::BlobInUse { manifests } => {
            problem.with(format!("{manifests} do; delete them first"))
        }
        Error::Invalid { reason } => problem.with(reason),
        _ => problem,
    }
}
