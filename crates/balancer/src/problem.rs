//! What the balancer says itself, as registries say it: OCI JSON, with the headers of a registry.
//!
//! The texts are those of `deploy/haproxy/haproxy.cfg`. They never name a node.

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use crate::answer_body::AnswerBody;

/// Why there is no answer of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The request is one that no registry answers.
    Unreadable,
    /// The client took too long to send a body that is received whole.
    SlowClient,
    /// A node had the request and ended the connection before it answered.
    Lost,
    /// No node took the request.
    NoNode,
    /// A node had the request and did not answer in time.
    Late,
}

impl Problem {
    /// Whether a node or the balancer is at fault, and not the client.
    pub(crate) fn is_ours(self) -> bool {
        !matches!(self, Problem::Unreadable | Problem::SlowClient)
    }

    /// The answer.
    pub(crate) fn answer(self) -> Response<AnswerBody> {
        let (status, retry_after, code, message) = match self {
            Problem::Unreadable => (
                StatusCode::BAD_REQUEST,
                None,
                "UNSUPPORTED",
                "the balancer cannot read the request",
            ),
            Problem::SlowClient => (
                StatusCode::REQUEST_TIMEOUT,
                None,
                "BLOB_UPLOAD_INVALID",
                "the balancer waited too long for the request",
            ),
            Problem::Lost => (
                StatusCode::BAD_GATEWAY,
                Some("1"),
                "UNAVAILABLE",
                "the node ended the connection before it answered: send again",
            ),
            Problem::NoNode => (
                StatusCode::SERVICE_UNAVAILABLE,
                Some("2"),
                "UNAVAILABLE",
                "no node of the registry can be reached",
            ),
            Problem::Late => (
                StatusCode::GATEWAY_TIMEOUT,
                Some("1"),
                "UNAVAILABLE",
                "the node did not answer in time: send again",
            ),
        };
        let text = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
        let mut answer = Response::new(AnswerBody::own(text.into()));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            HeaderName::from_static("docker-distribution-api-version"),
            HeaderValue::from_static("registry/2.0"),
        );
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        answer
    }
}
