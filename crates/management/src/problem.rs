//! Why a request is not answered as it was meant: a status, a code, and words for people, in the form of the registry's errors.
//!
//! The head of each message is fixed, so that `docs/management.md` can explain it. What the client sees names what it sent and
//! never hosts, keys or causes, which are logged here, once.
//!
//! Spec: distribution-spec 1.1, "Error Codes".

use std::time::Duration;

use axum::http::StatusCode as S;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use metadata::access::Denial;
use metadata::{Named, Refusal};
use oci::ErrorCode as C;
use ports::Degraded;
use registry::Error;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What every refusal looks like.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Errors {
    /// One or more.
    pub errors: Vec<ErrorEntry>,
}

/// One error.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorEntry {
    /// One of the specification's codes, or `UNAVAILABLE` or `UNKNOWN` with 5xx.
    pub code: String,
    /// Fixed words, and behind a colon what is particular to the request.
    pub message: String,
}

/// What any operation may be refused with: a status, the name in the document, and what it means.
pub(crate) const REFUSALS: [(&str, &str, &str); 7] = [
    (
        "400",
        "Invalid",
        "What was sent cannot be right; the message says why.",
    ),
    ("401", "Unauthorized", "Sign in, or sign in again."),
    (
        "403",
        "Denied",
        "Who asks may not do this, or it does not exist: both are told with the same words.",
    ),
    ("404", "Unknown", "There is none of this name."),
    (
        "409",
        "Conflict",
        "What is there does not let it be done, or access is not switched on.",
    ),
    (
        "429",
        "Busy",
        "Too much at once; `Retry-After` says when to come back.",
    ),
    (
        "503",
        "Unavailable",
        "The log does not answer now; the same may be sent again.",
    ),
];

/// Why a request is not answered as it was meant.
#[derive(Debug)]
pub(crate) struct Problem {
    status: S,
    code: &'static str,
    summary: &'static str,
    specifics: Option<String>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    const fn new(status: S, code: &'static str, summary: &'static str) -> Problem {
        Problem {
            status,
            code,
            summary,
            specifics: None,
            header: None,
        }
    }

    const fn oci(status: S, code: C, summary: &'static str) -> Problem {
        Problem::new(status, code.as_str(), summary)
    }

    fn with(mut self, specifics: impl Into<String>) -> Problem {
        self.specifics = Some(specifics.into());
        self
    }

    fn later(mut self, wait: Duration) -> Problem {
        let seconds = HeaderValue::from(wait.as_secs().max(1));
        self.header = Some((RETRY_AFTER, seconds));
        self
    }

    fn challenging(mut self) -> Problem {
        let value = HeaderValue::from_static("Basic realm=\"holdfast\", charset=\"UTF-8\"");
        self.header = Some((WWW_AUTHENTICATE, value));
        self
    }

    /// What was sent cannot be right.
    pub(crate) fn invalid(why: impl Into<String>) -> Problem {
        Problem::oci(S::BAD_REQUEST, C::Unsupported, "invalid request").with(why)
    }

    /// A name outside the grammar.
    pub(crate) fn name(error: impl std::fmt::Display) -> Problem {
        Problem::oci(S::BAD_REQUEST, C::NameInvalid, "invalid name").with(error.to_string())
    }

    pub(crate) fn body(why: impl Into<String>) -> Problem {
        Problem::oci(S::BAD_REQUEST, C::Unsupported, "invalid body").with(why)
    }

    pub(crate) fn body_cut() -> Problem {
        let summary = "the body is too large or ended early";
        Problem::oci(S::PAYLOAD_TOO_LARGE, C::SizeInvalid, summary)
    }

    pub(crate) fn content_type() -> Problem {
        let summary = "a body is sent as application/json";
        Problem::oci(S::UNSUPPORTED_MEDIA_TYPE, C::Unsupported, summary)
    }

    pub(crate) fn no_endpoint() -> Problem {
        Problem::oci(S::NOT_FOUND, C::Unsupported, "no such endpoint")
    }

    pub(crate) fn method() -> Problem {
        let summary = "this endpoint does not take the method";
        Problem::oci(S::METHOD_NOT_ALLOWED, C::Unsupported, summary)
    }

    pub(crate) fn access_off() -> Problem {
        let summary = "access is not switched on in this registry";
        Problem::oci(S::CONFLICT, C::Unsupported, summary)
            .with("start a member with the setting access.mode = \"on\"")
    }

    pub(crate) fn no_sessions() -> Problem {
        Problem::oci(S::NOT_FOUND, C::Unsupported, "no sessions are kept here")
    }

    /// What keeps sessions is away; the cause is logged here.
    pub(crate) fn sessions_away(why: &Degraded) -> Problem {
        tracing::warn!(%why, "a web session could not be looked up");
        let summary = "sessions cannot be looked up now";
        Problem::new(S::SERVICE_UNAVAILABLE, "UNAVAILABLE", summary)
            .with("who signs in with each request is served")
            .later(Duration::from_secs(5))
    }

    pub(crate) fn wrong_login() -> Problem {
        let summary = "the name or the password is wrong";
        let mut problem = Problem::oci(S::UNAUTHORIZED, C::Unauthorized, summary);
        // A browser that is asked for Basic would ask its user by itself.
        let value = HeaderValue::from_static("Session realm=\"holdfast\"");
        problem.header = Some((WWW_AUTHENTICATE, value));
        problem
    }

    pub(crate) fn too_many_logins(wait: Duration) -> Problem {
        let summary = "too many log-ins have failed";
        let wait = wait + Duration::from_millis(999);
        Problem::oci(S::TOO_MANY_REQUESTS, C::TooManyRequests, summary).later(wait)
    }

    /// There is none of this name.
    pub(crate) fn unknown(named: Named) -> Problem {
        let summary = match named {
            Named::User => "no such user",
            Named::Robot => "no such robot",
            Named::Group => "no such group",
            Named::Project => "no such project",
            Named::Token => "no such token",
            Named::TokenKey => "no such key",
        };
        Problem::oci(S::NOT_FOUND, C::NameUnknown, summary)
    }

    fn exists(named: Named) -> Problem {
        let summary = match named {
            Named::User => "there is a user of this name",
            Named::Robot => "there is a robot of this name",
            Named::Group => "there is a group of this name",
            Named::Project => "there is a project of this name",
            Named::Token => "there is a token of this id",
            Named::TokenKey => "there is a key of this number",
        };
        Problem::oci(S::CONFLICT, C::Denied, summary)
    }

    fn conflict(summary: &'static str) -> Problem {
        Problem::oci(S::CONFLICT, C::Denied, summary)
    }

    /// The log answered something else than was asked: a bug.
    pub(crate) fn unexpected(answer: &impl std::fmt::Debug) -> Problem {
        tracing::error!(?answer, "an unexpected answer about access");
        Problem::new(S::INTERNAL_SERVER_ERROR, "UNKNOWN", "internal error")
    }
}

impl From<auth::PasswordError> for Problem {
    fn from(error: auth::PasswordError) -> Problem {
        match error {
            auth::PasswordError::Length => Problem::invalid(error.to_string()),
            auth::PasswordError::Busy => {
                let summary = "too many passwords are being checked";
                Problem::oci(S::TOO_MANY_REQUESTS, C::TooManyRequests, summary)
                    .later(Duration::from_secs(1))
            }
            auth::PasswordError::Damaged => Problem::unexpected(&error),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::Unknown(named) => Problem::unknown(named),
            Refusal::Exists(named) => Problem::exists(named),
            Refusal::OtherSource => Problem::conflict("this login is checked elsewhere"),
            Refusal::LastAdministrator => {
                Problem::conflict("the last administrator who may log in has to stay")
            }
            Refusal::ProjectInUse { repositories } => {
                let count = format!("{repositories} of them");
                Problem::conflict("the project has repositories").with(count)
            }
            Refusal::DeletionInProgress => {
                Problem::conflict("an earlier one of this name is still being removed")
            }
            // What is about repositories, nodes and the log itself.
            other => Problem::from(Error::from(other)),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let unavailable = |summary, wait| {
            tracing::warn!(%error, "a request to the management API could not be served");
            Problem::new(S::SERVICE_UNAVAILABLE, "UNAVAILABLE", summary).later(wait)
        };
        match &error {
            Error::Denied(Denial::SignIn) => {
                Problem::oci(S::UNAUTHORIZED, C::Unauthorized, "sign in first").challenging()
            }
            Error::Denied(Denial::ProofEnded) => {
                let summary = "what you signed in with counts no more";
                Problem::oci(S::UNAUTHORIZED, C::Unauthorized, summary).challenging()
            }
            Error::Denied(Denial::NotAllowed) => {
                let summary = "you may not do this, or it does not exist";
                Problem::oci(S::FORBIDDEN, C::Denied, summary)
            }
            Error::Invalid { reason } => Problem::invalid(reason.clone()),
            Error::Unavailable { retry_after, .. } => {
                unavailable("a part of the registry is not available", *retry_after)
            }
            Error::OutcomeUnknown { .. } => {
                let summary = "it is not known whether this was done: send it again";
                unavailable(summary, Duration::from_secs(1))
            }
            Error::Stopped { .. } => unavailable("this node is stopping", Duration::from_secs(1)),
            _ => Problem::unexpected(&error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let message = match self.specifics {
            Some(specifics) => format!("{}: {specifics}", self.summary),
            None => self.summary.to_owned(),
        };
        let errors = Errors {
            errors: vec![ErrorEntry {
                code: self.code.to_owned(),
                message,
            }],
        };
        let text = serde_json::to_vec(&errors).expect("errors are plain data");
        let kind = HeaderValue::from_static("application/json");
        let mut response = (self.status, [(CONTENT_TYPE, kind)], text).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/management.md");

    #[test]
    fn every_refusal_is_explained() {
        let named = [
            Named::User,
            Named::Robot,
            Named::Group,
            Named::Project,
            Named::Token,
            Named::TokenKey,
        ];
        let reason = || "secret-host:9000".to_owned();
        let mut problems = vec![
            Problem::invalid(""),
            Problem::name(""),
            Problem::body(""),
            Problem::body_cut(),
            Problem::content_type(),
            Problem::no_endpoint(),
            Problem::method(),
            Problem::access_off(),
            Problem::no_sessions(),
            Problem::sessions_away(&Degraded::because("secret-host:9000")),
            Problem::wrong_login(),
            Problem::too_many_logins(Duration::from_secs(1)),
            Problem::from(auth::PasswordError::Busy),
            Problem::from(Refusal::OtherSource),
            Problem::from(Refusal::LastAdministrator),
            Problem::from(Refusal::ProjectInUse { repositories: 1 }),
            Problem::from(Refusal::DeletionInProgress),
            Problem::from(Refusal::OutcomeUnknown),
            Problem::from(Error::Denied(Denial::SignIn)),
            Problem::from(Error::Denied(Denial::ProofEnded)),
            Problem::from(Error::Denied(Denial::NotAllowed)),
            Problem::from(Error::Stopped { reason: reason() }),
            Problem::from(Error::Internal { reason: reason() }),
            Problem::from(Error::Unavailable {
                retry_after: Duration::from_secs(5),
                reason: reason(),
            }),
        ];
        problems.extend(named.map(Problem::unknown));
        problems.extend(named.map(Problem::exists));
        for problem in problems {
            let Problem {
                status,
                code,
                summary,
                ..
            } = problem;
            let row = format!("| {} | `{code}` | {summary} |", status.as_u16());
            assert!(PAGE.contains(&row), "docs/management.md has no row {row}");
        }
    }
}
