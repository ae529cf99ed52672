//! Why a request is not answered as it was meant: a status, a code of the specification, and words for people.
//!
//! Every refusal and failure of this server becomes a [`Problem`], and every [`Problem`] an OCI error body. What the
//! client sees names what it sent (names, tags, digests) and never hosts, keys or causes; the cause is kept for the
//! log. The words at the head of each message are fixed, so that `docs/reference/errors.md` can explain them.
//!
//! Spec: distribution-spec 1.1, "Error Codes".

use http::header::{ALLOW, HeaderName, RETRY_AFTER, WARNING};
use http::{HeaderValue, StatusCode};
use oci::{DigestError, ErrorCode, NameError, ReferenceError};
use serde::Serialize;
use serde_json::Value;

use crate::header;
use crate::query::QueryError;
use crate::route::RouteKind;

/// What the `code` of an error body says. The specification lists fourteen for 4xx; those for 5xx are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// One of the specification's.
    Oci(ErrorCode),
    /// For 5xx: come back later.
    Unavailable,
    /// For 5xx: our fault.
    Unknown,
}

impl Code {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Code::Oci(code) => code.as_str(),
            Code::Unavailable => "UNAVAILABLE",
            Code::Unknown => "UNKNOWN",
        }
    }
}

/// Why a request is not answered as it was meant.
#[derive(Debug)]
pub(crate) struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: Code,
    summary: &'static str,
    specifics: Option<String>,
    /// One error of the body for each; an empty list is one error without detail.
    details: Vec<Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    acknowledged: Option<u64>,
    cause: Option<String>,
    challenge_error: Option<&'static str>,
    closes: bool,
    /// Whether a human has to look at it.
    is_for_operator: bool,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    errors: Vec<ErrorEntry<'a>>,
}

#[derive(Serialize)]
struct ErrorEntry<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a Value>,
}

impl Problem {
    /// A problem whose message begins with `summary`.
    pub(crate) fn new(status: StatusCode, code: Code, summary: &'static str) -> Problem {
        Problem(Box::new(Inner {
            status,
            code,
            summary,
            specifics: None,
            details: Vec::new(),
            headers: Vec::new(),
            acknowledged: None,
            cause: None,
            challenge_error: None,
            closes: false,
            is_for_operator: status == StatusCode::INTERNAL_SERVER_ERROR,
        }))
    }

    fn oci(status: StatusCode, code: ErrorCode, summary: &'static str) -> Problem {
        Problem::new(status, Code::Oci(code), summary)
    }

    /// Adds what is particular to this request, behind a colon.
    pub(crate) fn with(mut self, specifics: impl Into<String>) -> Problem {
        self.0.specifics = Some(specifics.into());
        self
    }

    /// Adds data for programs. Each call is one more error in the body.
    pub(crate) fn with_detail(mut self, detail: Value) -> Problem {
        self.0.details.push(detail);
        self
    }

    /// Adds a header to the reply.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.0.headers.push((name, value));
        self
    }

    /// Warns that the answer rests on a state that may be out of date, if it does.
    pub(crate) fn stale(self, is_stale: bool) -> Problem {
        if is_stale {
            self.with_header(WARNING, header::STALE)
        } else {
            self
        }
    }

    /// Says when to come back.
    pub(crate) fn retry_after(self, wait: std::time::Duration) -> Problem {
        let begun = u64::from(wait.subsec_nanos() > 0);
        let seconds = wait.as_secs().saturating_add(begun).max(1);
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Keeps the true offset of the upload, which the reply's `Range` and `Location` tell.
    pub(crate) fn with_acknowledged(mut self, offset: u64) -> Problem {
        self.0.acknowledged = Some(offset);
        self
    }

    /// Keeps a cause for the log. Clients never see it.
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Problem {
        self.0.cause = Some(cause.into());
        self
    }

    /// The connection cannot be used after this.
    pub(crate) fn closing(mut self) -> Problem {
        self.0.closes = true;
        self
    }

    /// A human has to look at it: no repetition helps until then.
    pub(crate) fn for_operator(mut self) -> Problem {
        self.0.is_for_operator = true;
        self
    }

    pub(crate) fn is_for_operator(&self) -> bool {
        self.0.is_for_operator
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// As the body says it.
    pub(crate) fn code(&self) -> &'static str {
        self.0.code.as_str()
    }

    /// The fixed words at the head of the message.
    pub(crate) fn summary(&self) -> &'static str {
        self.0.summary
    }

    pub(crate) fn acknowledged(&self) -> Option<u64> {
        self.0.acknowledged
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    pub(crate) fn closes(&self) -> bool {
        self.0.closes
    }

    /// The reply's own headers.
    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// The OCI error body.
    pub(crate) fn body(&self) -> Vec<u8> {
        let inner = &self.0;
        let joined;
        let message = match &inner.specifics {
            Some(specifics) => {
                joined = format!("{}: {specifics}", inner.summary);
                &joined
            }
            None => inner.summary,
        };
        let code = self.code();
        let errors = if inner.details.is_empty() {
            vec![ErrorEntry {
                code,
                message,
                detail: None,
            }]
        } else {
            inner
                .details
                .iter()
                .map(|detail| ErrorEntry {
                    code,
                    message,
                    detail: Some(detail),
                })
                .collect()
        };
        serde_json::to_vec(&ErrorBody { errors }).expect("strings and JSON values are JSON")
    }
}

/// What the edge refuses by itself, before any use-case is asked.
impl Problem {
    pub(crate) fn name(error: NameError) -> Problem {
        Problem::oci(
            StatusCode::BAD_REQUEST,
            ErrorCode::NameInvalid,
            "invalid repository name",
        )
        .with(error.to_string())
    }

    pub(crate) fn name_not_text() -> Problem {
        Problem::oci(
            StatusCode::BAD_REQUEST,
            ErrorCode::NameInvalid,
            "invalid repository name",
        )
        .with("it is not UTF-8")
    }

    pub(crate) fn reference(error: ReferenceError) -> Problem {
        match error {
            ReferenceError::Digest(error) => Problem::digest(error),
            ReferenceError::Tag(error) => Problem::tag(&error.to_string()),
        }
    }

    pub(crate) fn reference_not_text() -> Problem {
        Problem::tag("it is not UTF-8")
    }

    pub(crate) fn tag(reason: &str) -> Problem {
        Problem::oci(
            StatusCode::BAD_REQUEST,
            ErrorCode::ManifestInvalid,
            "invalid tag",
        )
        .with(reason)
    }

    pub(crate) fn digest(error: DigestError) -> Problem {
        Problem::oci(
            StatusCode::BAD_REQUEST,
            ErrorCode::DigestInvalid,
            "invalid digest",
        )
        .with(error.to_string())
    }

    pub(crate) fn digest_missing() -> Problem {
        Problem::oci(
            StatusCode::BAD_REQUEST,
            ErrorCode::DigestInvalid,
            "the digest parameter is missing",
        )
    }

    pub(crate) fn algorithm() -> Problem {
        Problem::oci(
            StatusCode::BAD_REQUEST,
            ErrorCode::DigestInvalid,
            "unknown digest algorithm",
        )
        .with("known are sha256 and sha512")
    }

    pub(crate) fn upload_unknown() -> Problem {
        Problem::oci(
            StatusCode::NOT_FOUND,
            ErrorCode::BlobUploadUnknown,
            "no such upload",
        )
    }

    pub(crate) fn no_endpoint() -> Problem {
        Problem::oci(
            StatusCode::NOT_FOUND,
            ErrorCode::Unsupported,
            "no such endpoint",
        )
    }

    pub(crate) fn method(kind: RouteKind) -> Problem {
        Problem::oci(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::Unsupported,
            "this endpoint does not take the method",
        )
        .with_header(ALLOW, HeaderValue::from_static(kind.allow()))
    }

    pub(crate) fn query(name: &str, error: QueryError) -> Problem {
        let reason = match error {
            QueryError::NotText => "is not UTF-8",
            QueryError::Ambiguous => "is given twice with different values",
        };
        Problem::parameter(&format!("{name} {reason}"))
    }

    pub(crate) fn parameter(reason: &str) -> Problem {
        Problem::oci(
            StatusCode::BAD_REQUEST,
            ErrorCode::Unsupported,
            "invalid query parameter",
        )
        .with(reason)
    }

    pub(crate) fn header(reason: &str) -> Problem {
        Problem::oci(
            StatusCode::BAD_REQUEST,
            ErrorCode::Unsupported,
            "invalid request header",
        )
        .with(reason)
    }

    pub(crate) fn chunk_range(reason: &str) -> Problem {
        Problem::oci(
            StatusCode::BAD_REQUEST,
            ErrorCode::BlobUploadInvalid,
            "invalid Content-Range",
        )
        .with(reason)
    }

    pub(crate) fn chunk_size(declared: u64, range: u64) -> Problem {
        Problem::oci(
            StatusCode::BAD_REQUEST,
            ErrorCode::SizeInvalid,
            "Content-Length and Content-Range differ",
        )
        .with(format!("{declared} and {range} bytes"))
    }

    pub(crate) fn content_type() -> Problem {
        Problem::oci(
            StatusCode::BAD_REQUEST,
            ErrorCode::ManifestInvalid,
            "invalid Content-Type",
        )
    }

    pub(crate) fn too_many_tags(max: usize) -> Problem {
        Problem::oci(
            StatusCode::URI_TOO_LONG,
            ErrorCode::Unsupported,
            "too many tags in one request",
        )
        .with(format!("at most {max}"))
    }

    pub(crate) fn headers_too_large() -> Problem {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Problem::oci(
            status,
            ErrorCode::Unsupported,
            "the request's headers are too large",
        )
        .closing()
    }

    pub(crate) fn body_too_large(max: usize) -> Problem {
        Problem::oci(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::SizeInvalid,
            "the body is too large",
        )
        .with(format!("at most {max} bytes are taken"))
    }

    pub(crate) fn range_unsatisfiable(size: u64) -> Problem {
        let status = StatusCode::RANGE_NOT_SATISFIABLE;
        Problem::oci(
            status,
            ErrorCode::SizeInvalid,
            "nothing of the range is in the blob",
        )
        .with(format!("it has {size} bytes"))
        .with_header(
            http::header::CONTENT_RANGE,
            header::text(format!("bytes */{size}")),
        )
    }

    pub(crate) fn not_matched() -> Problem {
        let status = StatusCode::PRECONDITION_FAILED;
        Problem::oci(status, ErrorCode::Denied, "the precondition does not hold")
    }

    pub(crate) fn foreign_origin() -> Problem {
        Problem::oci(
            StatusCode::FORBIDDEN,
            ErrorCode::Denied,
            "scripts of this web origin may not write",
        )
    }

    fn unauthorized(summary: &'static str) -> Problem {
        Problem::oci(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, summary)
    }

    pub(crate) fn authorization_malformed() -> Problem {
        Problem::unauthorized("the Authorization header is neither Basic nor Bearer")
    }

    pub(crate) fn not_who_they_say() -> Problem {
        Problem::unauthorized("the name or the secret is wrong")
    }

    pub(crate) fn token_does_not_count(why: &impl std::fmt::Display) -> Problem {
        let problem = Problem::unauthorized("the token does not count");
        problem.with(why.to_string()).challenging("invalid_token")
    }

    pub(crate) fn token_for_less() -> Problem {
        let summary = "the token was given for less than this needs";
        Problem::unauthorized(summary).challenging("insufficient_scope")
    }

    pub(crate) fn too_many_proofs() -> Problem {
        Problem::oci(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::TooManyRequests,
            "too many passwords are being checked",
        )
        .retry_after(std::time::Duration::from_secs(1))
    }

    pub(crate) fn too_many_logins() -> Problem {
        Problem::oci(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::TooManyRequests,
            "too many logins have failed",
        )
    }

    pub(crate) fn too_many_pulls() -> Problem {
        Problem::oci(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::TooManyRequests,
            "the limit of pulls is reached",
        )
    }

    /// What a challenge adds about a token that was shown (RFC 6750, section 3.1).
    fn challenging(mut self, error: &'static str) -> Problem {
        self.0.challenge_error = Some(error);
        self
    }

    /// See [`Problem::challenging`].
    pub(crate) fn challenge_error(&self) -> Option<&'static str> {
        self.0.challenge_error
    }

    pub(crate) fn overloaded() -> Problem {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Problem::oci(
            status,
            ErrorCode::TooManyRequests,
            "too many requests at once",
        )
        .retry_after(std::time::Duration::from_secs(1))
    }

    pub(crate) fn overconnected() -> Problem {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Problem::oci(
            status,
            ErrorCode::TooManyRequests,
            "too many connections at once",
        )
        .retry_after(std::time::Duration::from_secs(1))
        .closing()
    }

    pub(crate) fn too_slow(cause: &str) -> Problem {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Unavailable,
            "the request took too long",
        )
        .retry_after(std::time::Duration::from_secs(5))
        .because(cause)
    }

    pub(crate) fn panicked() -> Problem {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unknown,
            "internal error",
        )
        .because("a handler panicked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_oci_json() {
        let problem = Problem::tag("why").because("a host name");
        assert_eq!(
            String::from_utf8(problem.body()).unwrap(),
            r#"{"errors":[{"code":"MANIFEST_INVALID","message":"invalid tag: why"}]}"#
        );
    }

    #[test]
    fn each_detail_is_an_error_of_its_own() {
        let problem = Problem::digest_missing()
            .with_detail("a".into())
            .with_detail("b".into());
        let body: Value = serde_json::from_slice(&problem.body()).unwrap();
        assert_eq!(body["errors"].as_array().unwrap().len(), 2);
        assert_eq!(body["errors"][1]["detail"], "b");
    }
}
