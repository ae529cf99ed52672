//! `…/blobs/<digest>`: pull (whole, in one range or in several) and delete.
//!
//! Bytes go from the store to the connection as they come, never re-encoded and never collected.
//!
//! Spec: distribution-spec 1.1, "Pulling blobs"; RFC 9110 section 14.

use std::future::ready;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE, WARNING,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use oci::{Digest, RangeSet, RepositoryName, Resolved};
use ports::{BlobFailure, ByteSpan};
use registry::{BlobFound, Registry};

use crate::conditional::{self, ReadOutcome};
use crate::exchange::Exchange;
use crate::header;
use crate::problem::Problem;
use crate::reply::{self, Content, Reply};

/// `GET` and `HEAD`.
pub(crate) async fn pull(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Reply, Problem> {
    let served = exchange
        .registry
        .blob(&exchange.caller(), repository, digest)
        .await?;
    let found = served.value;
    let mut headers = HeaderMap::with_capacity(16);
    let (digest_value, etag) = header::digest_and_etag(&found.digest);
    headers.insert(header::CONTENT_DIGEST, digest_value);
    headers.insert(ETAG, etag);
    headers.insert(CACHE_CONTROL, header::CACHE_FOREVER);
    headers.insert(ACCEPT_RANGES, header::BYTES);
    if served.stale {
        headers.insert(WARNING, header::STALE);
    }
    match conditional::of_read(exchange.headers(), &found.digest)? {
        ReadOutcome::Proceed => {}
        ReadOutcome::Failed => {
            return Err(Problem::not_matched()
                .with(format!("the blob is {}", found.digest))
                .stale(served.stale));
        }
        ReadOutcome::NotModified => {
            return Ok(finish(StatusCode::NOT_MODIFIED, headers, Content::Empty));
        }
    }
    headers.insert(CONTENT_TYPE, header::OCTET_STREAM);
    if exchange.is_head() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(found.size));
        return Ok(finish(StatusCode::OK, headers, Content::Empty));
    }
    match wanted(exchange.headers(), &found) {
        Resolved::Whole => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(found.size));
            let content = content(
                exchange.registry,
                &found,
                ByteSpan {
                    start: 0,
                    len: found.size,
                },
            )
            .await?;
            Ok(finish(StatusCode::OK, headers, content))
        }
        Resolved::Ranges(spans) => match spans.as_slice() {
            [span] => {
                let span = ByteSpan {
                    start: span.start,
                    len: span.len,
                };
                headers.insert(CONTENT_LENGTH, HeaderValue::from(span.len));
                headers.insert(
                    CONTENT_RANGE,
                    header::text(format!("bytes {}", content_range(span, found.size))),
                );
                let content = content(exchange.registry, &found, span).await?;
                Ok(finish(StatusCode::PARTIAL_CONTENT, headers, content))
            }
            spans => {
                let spans = spans
                    .iter()
                    .map(|span| ByteSpan {
                        start: span.start,
                        len: span.len,
                    })
                    .collect();
                let parts = Multipart::new(spans, found.size);
                headers.insert(CONTENT_TYPE, parts.content_type());
                headers.insert(CONTENT_LENGTH, HeaderValue::from(parts.length));
                let content = parts.content(exchange.registry.clone(), found);
                Ok(finish(StatusCode::PARTIAL_CONTENT, headers, content))
            }
        },
        Resolved::Unsatisfiable => {
            Err(Problem::range_unsatisfiable(found.size).stale(served.stale))
        }
    }
}

/// `DELETE`.
pub(crate) async fn delete(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
    digest: Digest,
) -> Result<Reply, Problem> {
    exchange
        .registry
        .delete_blob(&exchange.caller(), repository, digest)
        .await?;
    Ok(reply::empty(StatusCode::ACCEPTED))
}

fn finish(status: StatusCode, headers: HeaderMap, content: Content) -> Reply {
    let mut reply = Response::new(content);
    *reply.status_mut() = status;
    *reply.headers_mut() = headers;
    reply
}

/// What the request's `Range` means for this blob.
fn wanted(headers: &HeaderMap, found: &BlobFound) -> Resolved {
    let mut ranges = headers.get_all(RANGE).iter();
    match (ranges.next(), ranges.next()) {
        (Some(range), None) if conditional::range_counts(headers, &found.digest) => {
            match range.to_str().ok().and_then(RangeSet::parse) {
                Some(set) => set.resolve(found.size),
                None => Resolved::Whole,
            }
        }
        _ => Resolved::Whole,
    }
}

async fn content(
    registry: &Registry,
    found: &BlobFound,
    span: ByteSpan,
) -> Result<Content, Problem> {
    if span.len == 0 {
        return Ok(Content::Empty);
    }
    let stream = registry.read_blob(found, span).await?;
    Ok(Content::Stream {
        stream,
        remaining: span.len,
    })
}

/// `FIRST-LAST/TOTAL` of a span that is not empty.
fn content_range(span: ByteSpan, total: u64) -> String {
    format!("{}-{}/{total}", span.start, span.start + span.len - 1)
}

/// A `multipart/byteranges` body: for each span a head and its bytes, and an end.
struct Multipart {
    boundary: String,
    parts: Vec<(Bytes, ByteSpan)>,
    end: Bytes,
    length: u64,
}

impl Multipart {
    fn new(spans: Vec<ByteSpan>, total: u64) -> Multipart {
        // Random, so that no content can hold it but by chance of 2^-122.
        let boundary = format!("holdfast-{}", uuid::Uuid::new_v4().simple());
        let parts: Vec<(Bytes, ByteSpan)> = spans
            .into_iter()
            .map(|span| {
                let range = content_range(span, total);
                let head = format!(
                    "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {range}\r\n\r\n"
                );
                (Bytes::from(head), span)
            })
            .collect();
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let length = parts
            .iter()
            .map(|(head, span)| head.len() as u64 + span.len)
            .sum::<u64>()
            + end.len() as u64;
        Multipart {
            boundary,
            parts,
            end,
            length,
        }
    }

    fn content_type(&self) -> HeaderValue {
        header::text(format!("multipart/byteranges; boundary={}", self.boundary))
    }

    /// Opens one span after the other, when its turn has come.
    fn content(self, registry: Registry, found: BlobFound) -> Content {
        let found = std::sync::Arc::new(found);
        let parts = stream::iter(self.parts)
            .then(move |(head, span)| {
                let (registry, found) = (registry.clone(), std::sync::Arc::clone(&found));
                async move { part(&registry, &found, head, span).await }
            })
            .flatten();
        let stream = parts.chain(stream::once(ready(Ok(self.end)))).boxed();
        Content::Stream {
            stream,
            remaining: self.length,
        }
    }
}

async fn part(
    registry: &Registry,
    found: &BlobFound,
    head: Bytes,
    span: ByteSpan,
) -> BoxStream<'static, Result<Bytes, BlobFailure>> {
    match registry.read_blob(found, span).await {
        Ok(bytes) => stream::once(ready(Ok(head))).chain(bytes).boxed(),
        Err(error) => stream::once(ready(Err(BlobFailure::Other {
            reason: error.to_string(),
        })))
        .boxed(),
    }
}
