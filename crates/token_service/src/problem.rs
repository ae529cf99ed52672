//! Why no token is given: a status, and one body that both specifications' clients can read.
//!
//! `errors` is what docker and its like show to people, `error` and `error_description` are OAuth2's. The head of each message
//! is fixed, so that `docs/tokens.md` can explain it. A client is never told causes, which are logged here, once.
//!
//! Spec: distribution-spec 1.1, "Error Codes"; RFC 6749 section 5.2; RFC 8707 section 2 (`invalid_target`).

use std::time::Duration;

use auth::{NotAdmitted, ProofFailure};
use axum::http::StatusCode as S;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use metadata::access::Denial;
use oci::ErrorCode as C;
use registry::Error;
use serde_json::json;

/// When nobody could check a proof.
const PROVABLE_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What a 401 asks for.
const CHALLENGE: &str = "Basic realm=\"holdfast\", charset=\"UTF-8\"";

/// Why no token is given.
#[derive(Debug)]
pub(crate) struct Problem {
    status: S,
    code: &'static str,
    /// As OAuth2 has it.
    error: &'static str,
    summary: &'static str,
    specifics: Option<String>,
    wait: Option<Duration>,
    has_ended: bool,
}

impl Problem {
    fn new(status: S, code: C, error: &'static str, summary: &'static str) -> Problem {
        Problem {
            status,
            code: code.as_str(),
            error,
            summary,
            specifics: None,
            wait: None,
            has_ended: false,
        }
    }

    fn with(mut self, specifics: &str) -> Problem {
        self.specifics = Some(specifics.to_owned());
        self
    }

    fn later(mut self, wait: Duration) -> Problem {
        self.wait = Some(wait);
        self
    }

    fn bad(error: &'static str, summary: &'static str) -> Problem {
        Problem::new(S::BAD_REQUEST, C::Unsupported, error, summary)
    }

    /// What was sent cannot be right.
    pub(crate) fn invalid(why: &str) -> Problem {
        Problem::bad("invalid_request", "invalid request for a token").with(why)
    }

    pub(crate) fn too_large() -> Problem {
        Problem::bad("invalid_request", "the request for a token is too large")
    }

    pub(crate) fn scope(why: &str) -> Problem {
        Problem::bad("invalid_scope", "too much is asked for").with(why)
    }

    pub(crate) fn other_service() -> Problem {
        let summary = "tokens for another service are not given here";
        Problem::bad("invalid_target", summary)
    }

    pub(crate) fn unknown_grant() -> Problem {
        let summary = "grant_type is neither password nor refresh_token";
        Problem::bad("unsupported_grant_type", summary)
    }

    fn unauthorized(summary: &'static str) -> Problem {
        Problem::new(S::UNAUTHORIZED, C::Unauthorized, "invalid_grant", summary)
    }

    pub(crate) fn not_basic() -> Problem {
        Problem::unauthorized("a token is given for a name and a secret, by Basic")
    }

    fn wrong() -> Problem {
        Problem::unauthorized("the name or the secret is wrong")
    }

    fn ended() -> Problem {
        let mut problem = Problem::unauthorized("what you signed in with counts no more");
        problem.has_ended = true;
        problem
    }

    fn throttled(wait: Duration) -> Problem {
        Problem::busy("too many logins have failed", wait)
    }

    fn busy(summary: &'static str, wait: Duration) -> Problem {
        let (status, code) = (S::TOO_MANY_REQUESTS, C::TooManyRequests);
        Problem::new(status, code, "temporarily_unavailable", summary).later(wait)
    }

    fn unavailable(wait: Duration, cause: &str) -> Problem {
        tracing::warn!(cause, "a token could not be given");
        Problem {
            status: S::SERVICE_UNAVAILABLE,
            code: "UNAVAILABLE",
            error: "temporarily_unavailable",
            summary: "a part of the registry is not available",
            specifics: None,
            wait: Some(wait),
            has_ended: false,
        }
    }

    pub(crate) fn no_endpoint() -> Problem {
        let summary = "no such endpoint";
        Problem::new(S::NOT_FOUND, C::Unsupported, "invalid_request", summary)
    }

    pub(crate) fn method() -> Problem {
        let (status, code) = (S::METHOD_NOT_ALLOWED, C::Unsupported);
        let summary = "this endpoint does not take the method";
        Problem::new(status, code, "invalid_request", summary)
    }

    /// The log answered something else than was asked: a bug.
    pub(crate) fn unexpected(answer: &impl std::fmt::Debug) -> Problem {
        tracing::error!(?answer, "an unexpected answer about rights");
        Problem {
            status: S::INTERNAL_SERVER_ERROR,
            code: "UNKNOWN",
            error: "server_error",
            summary: "internal error",
            specifics: None,
            wait: None,
            has_ended: false,
        }
    }

    /// Whether the log said that what was shown counts no more.
    pub(crate) fn is_of_an_ended_proof(&self) -> bool {
        self.has_ended
    }

    /// The same in the form of OAuth2, where what does not prove anything is a bad request.
    pub(crate) fn of_a_grant(mut self) -> Problem {
        if self.status == S::UNAUTHORIZED {
            self.status = S::BAD_REQUEST;
        }
        self
    }
}

impl From<NotAdmitted> for Problem {
    fn from(refusal: NotAdmitted) -> Problem {
        match refusal {
            NotAdmitted::Malformed => Problem::not_basic(),
            NotAdmitted::Wrong => Problem::wrong(),
            NotAdmitted::Token(why) => {
                Problem::unauthorized("the refresh token does not count").with(&why.to_string())
            }
            // Refresh tokens are ours alone.
            NotAdmitted::OutsideToken(_) => Problem::not_basic(),
            NotAdmitted::Throttled { retry_after } => Problem::throttled(retry_after),
            NotAdmitted::Unknown(failure) => Problem::from(failure),
        }
    }
}

impl From<ProofFailure> for Problem {
    fn from(failure: ProofFailure) -> Problem {
        match failure {
            ProofFailure::Busy => {
                let summary = "too many passwords are being checked";
                Problem::busy(summary, Duration::from_secs(1))
            }
            ProofFailure::Unavailable { reason } => {
                Problem::unavailable(PROVABLE_AGAIN_AFTER, &reason)
            }
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        match &error {
            Error::Denied(Denial::ProofEnded) => Problem::ended(),
            Error::Unavailable { retry_after, .. } => {
                Problem::unavailable(*retry_after, &error.to_string())
            }
            Error::Stopped { .. } | Error::OutcomeUnknown { .. } => {
                Problem::unavailable(Duration::from_secs(1), &error.to_string())
            }
            _ => Problem::unexpected(&error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let message = match &self.specifics {
            Some(specifics) => format!("{}: {specifics}", self.summary),
            None => self.summary.to_owned(),
        };
        let body = json!({
            "error": self.error,
            "error_description": message,
            "errors": [{"code": self.code, "message": message}],
        });
        let kind = HeaderValue::from_static("application/json");
        let mut response = (self.status, [(CONTENT_TYPE, kind)], body.to_string()).into_response();
        let header: Option<(HeaderName, HeaderValue)> = match self.wait {
            Some(wait) => {
                let begun = u64::from(wait.subsec_nanos() > 0);
                let seconds = wait.as_secs().saturating_add(begun).max(1);
                Some((RETRY_AFTER, HeaderValue::from(seconds)))
            }
            None if self.status == S::UNAUTHORIZED => {
                Some((WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE)))
            }
            None => None,
        };
        response.headers_mut().extend(header);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/tokens.md");

    #[test]
    fn every_refusal_is_explained() {
        let reason = || "secret-host:9000".to_owned();
        let unavailable = ProofFailure::Unavailable { reason: reason() };
        for problem in [
            Problem::invalid(""),
            Problem::too_large(),
            Problem::scope(""),
            Problem::other_service(),
            Problem::unknown_grant(),
            Problem::not_basic(),
            Problem::no_endpoint(),
            Problem::method(),
            Problem::unexpected(&reason()),
            NotAdmitted::Wrong.into(),
            NotAdmitted::Token(auth::TokenError::Expired).into(),
            NotAdmitted::Throttled {
                retry_after: Duration::ZERO,
            }
            .into(),
            ProofFailure::Busy.into(),
            unavailable.into(),
            Error::Denied(Denial::ProofEnded).into(),
            Error::Stopped { reason: reason() }.into(),
        ] {
            let row = format!(
                "| {} | `{}` | `{}` | {} |",
                problem.status.as_u16(),
                problem.code,
                problem.error,
                problem.summary
            );
            assert!(PAGE.contains(&row), "docs/tokens.md has no row {row}");
            assert!(!format!("{problem:?}").contains("secret-host"));
        }
    }
}
