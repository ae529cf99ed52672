//! Checks that `docs/reference/errors.md` explains every error that a client may see.

use std::time::Duration;

use metadata::access::Denial;
use oci::{Algorithm, Digest, DigestError, ManifestError, NameError, RepositoryName};
use registry::Error;

use crate::problem::Problem;
use crate::query::QueryError;
use crate::route::RouteKind;

const REFERENCE: &str = include_str!("../../../docs/reference/errors.md");

/// One of each.
fn every_error() -> Vec<Error> {
    let digest = Digest::of(Algorithm::Sha256, b"");
    let reason = || "secret-host:9000/key".to_owned();
    let errors = vec![
        Error::NameUnknown,
        Error::ManifestUnknown,
        Error::BlobUnknown,
        Error::TagUnknown,
        Error::UploadUnknown,
        Error::OffsetMismatch { acknowledged: 1 },
        Error::UploadBusyElsewhere { acknowledged: 1 },
        Error::UploadSealed,
        Error::DigestMismatch {
            expected: digest,
            actual: digest,
        },
        Error::SizeMismatch {
            declared: 1,
            received: 2,
        },
        Error::BlobTooLarge { max: 1 },
        Error::ManifestInvalid(ManifestError::SchemaVersion),
        Error::ManifestTooLarge { max: 1 },
        Error::BlobsUnknown(vec![digest]),
        Error::PreconditionFailed {
            tag: None,
            current: Some(digest),
        },
        Error::IdempotencyKeyReused {
            repository: RepositoryName::parse("a").unwrap(),
        },
        Error::BlobInUse { manifests: 1 },
        Error::Denied(Denial::SignIn),
        Error::Denied(Denial::ProofEnded),
        Error::Denied(Denial::NotAllowed),
        Error::Invalid {
            reason: "too many".into(),
        },
        Error::BodyDisconnected { reason: reason() },
        Error::BodyStalled,
        Error::Unavailable {
            retry_after: Duration::from_secs(5),
            reason: reason(),
        },
        Error::OutcomeUnknown { reason: reason() },
        Error::StorageFull { reason: reason() },
        Error::StorageDenied { reason: reason() },
        Error::Stopped { reason: reason() },
        Error::Internal { reason: reason() },
    ];
    assert!(errors.iter().all(is_thought_of));
    errors
}

/// Has no other use than to fail to compile when a variant is added: then it belongs into the list above, too.
fn is_thought_of(error: &Error) -> bool {
    match error {
        Error::NameUnknown
        | Error::ManifestUnknown
        | Error::BlobUnknown
        | Error::TagUnknown
        | Error::UploadUnknown
        | Error::OffsetMismatch { .. }
        | Error::UploadBusyElsewhere { .. }
        | Error::UploadSealed
        | Error::DigestMismatch { .. }
        | Error::SizeMismatch { .. }
        | Error::BlobTooLarge { .. }
        | Error::ManifestInvalid(_)
        | Error::ManifestTooLarge { .. }
        | Error::BlobsUnknown(_)
        | Error::PreconditionFailed { .. }
        | Error::IdempotencyKeyReused { .. }
        | Error::BlobInUse { .. }
        | Error::Denied(_)
        | Error::Invalid { .. }
        | Error::BodyDisconnected { .. }
        | Error::BodyStalled
        | Error::Unavailable { .. }
        | Error::OutcomeUnknown { .. }
        | Error::StorageFull { .. }
        | Error::StorageDenied { .. }
        | Error::Stopped { .. }
        | Error::Internal { .. } => true,
    }
}

fn every_problem() -> Vec<Problem> {
    let mut problems = vec![
        Problem::name(NameError::Malformed),
        Problem::name_not_text(),
        Problem::reference_not_text(),
        Problem::tag("x"),
        Problem::digest(DigestError::Malformed),
        Problem::digest_missing(),
        Problem::algorithm(),
        Problem::upload_unknown(),
        Problem::no_endpoint(),
        Problem::method(RouteKind::Blob),
        Problem::query("n", QueryError::Ambiguous),
        Problem::parameter("x"),
        Problem::header("x"),
        Problem::chunk_range("x"),
        Problem::chunk_size(1, 2),
        Problem::content_type(),
        Problem::too_many_tags(100),
        Problem::headers_too_large(),
        Problem::body_too_large(1),
        Problem::range_unsatisfiable(1),
        Problem::not_matched(),
        Problem::foreign_origin(),
        Problem::authorization_malformed(),
        Problem::not_who_they_say(),
        Problem::token_does_not_count(&auth::TokenError::Expired),
        Problem::token_for_less(),
        Problem::too_many_proofs(),
        Problem::too_many_logins().retry_after(Duration::from_secs(1)),
        Problem::too_many_pulls().retry_after(Duration::from_secs(1)),
        Problem::overloaded(),
        Problem::overconnected(),
        Problem::too_slow("x"),
        Problem::panicked(),
    ];
    problems.extend(every_error().into_iter().map(Problem::from));
    problems
}

#[test]
fn every_error_is_explained() {
    for problem in every_problem() {
        let row = format!(
            "| {} | `{}` | {} |",
            problem.status().as_u16(),
            problem.code(),
            problem.summary()
        );
        assert!(
            REFERENCE.contains(&row),
            "docs/reference/errors.md has no row that begins with {row}"
        );
    }
}

#[test]
fn every_explanation_is_of_an_error() {
    let problems = every_problem();
    let explained = REFERENCE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let status: u16 = cells.next()?.parse().ok()?;
        Some((status, cells.next()?, cells.next()?))
    });
    for (status, code, summary) in explained {
        let exists = problems.iter().any(|problem| {
            (problem.status().as_u16(), problem.summary()) == (status, summary)
                && code.trim_matches('`') == problem.code()
        });
        assert!(
            exists,
            "docs/reference/errors.md explains {status} {code} {summary}, which does not occur"
        );
    }
}

#[test]
fn bodies_tell_no_causes() {
    for problem in every_problem() {
        let body = String::from_utf8(problem.body()).unwrap();
        assert!(!body.contains("secret-host"), "{body}");
        let read: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(!read["errors"].as_array().unwrap().is_empty());
    }
}

#[test]
fn codes_of_4xx_are_the_specifications() {
    for problem in every_problem() {
        let listed = oci::ErrorCode::ALL
            .iter()
            .any(|code| code.as_str() == problem.code());
        assert_eq!(problem.status().is_client_error(), listed, "{problem:?}");
    }
}

#[test]
fn come_back_later_says_when() {
    for problem in every_problem() {
        let says = problem
            .headers()
            .iter()
            .any(|(name, _)| name == http::header::RETRY_AFTER);
        assert_eq!(
            matches!(problem.status().as_u16(), 429 | 503),
            says,
            "{problem:?}"
        );
    }
}
