//! What scripts of web pages may do.
//!
//! Pages of every origin may read what anonymous clients may read. Only listed origins, and pages that this server
//! itself served, may write: a browser that stands in the registry's network must not become a stranger's hand.
//!
//! Spec: Fetch standard, "CORS protocol".

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HOST, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};

use http::request::Parts;

const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Docker-Content-Digest, Docker-Distribution-Api-Version, Docker-Upload-UUID, Content-Range, ETag, Link, Location, \
     OCI-Chunk-Min-Length, OCI-Filters-Applied, OCI-Namespace, OCI-Subject, OCI-Tag, Range, Retry-After, Warning, \
     WWW-Authenticate, X-Request-Id",
);
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "Accept, Authorization, Content-Range, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, Range, \
     X-Request-Id",
);
const READ_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const ALL_METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// Whether a request may do what its method does, as far as the page that it comes from is concerned.
pub(crate) fn may_proceed(head: &Parts, write_origins: &[String]) -> bool {
    match head.headers.get(ORIGIN) {
        None => true,
        Some(_) if is_read(&head.method) => true,
        Some(origin) => may_write(head, origin, write_origins),
    }
}

/// Adds what a browser wants to see before it shows a reply to a script.
pub(crate) fn expose(head: &Parts, write_origins: &[String], reply: &mut HeaderMap) {
    let Some(origin) = head.headers.get(ORIGIN) else {
        return;
    };
    if may_write(head, origin, write_origins) {
        reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        reply.append(VARY, HeaderValue::from_static("Origin"));
        reply.insert(ACCESS_CONTROL_ALLOW_METHODS, ALL_METHODS);
    } else {
        reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
        reply.insert(ACCESS_CONTROL_ALLOW_METHODS, READ_METHODS);
    }
    reply.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if head.method == Method::OPTIONS {
        reply.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
        reply.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
}

/// [`expose`] to pages that may write, and to no other: what a stranger's page has no business to know.
pub(crate) fn expose_to_writers(head: &Parts, write_origins: &[String], reply: &mut HeaderMap) {
    let origin = head.headers.get(ORIGIN);
    if origin.is_some_and(|origin| may_write(head, origin, write_origins)) {
        expose(head, write_origins, reply);
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn may_write(head: &Parts, origin: &HeaderValue, write_origins: &[String]) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let is_own = || {
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| head.uri.authority().map(http::uri::Authority::as_str));
        origin
            .split_once("://")
            .is_some_and(|(_, at)| Some(at) == host)
    };
    write_origins.iter().any(|listed| listed == origin) || is_own()
}
