//! Names and values of headers, made once; and those that are made for each reply, as cheaply as can be.

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;
use http::header::HeaderName;
use oci::{Digest, MediaType};

/// `Docker-Distribution-Api-Version`, which docker looks for on every reply below `/v2/`.
pub(crate) const API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");
/// Its value.
pub(crate) const API_VERSION_VALUE: HeaderValue = HeaderValue::from_static("registry/2.0");
/// `Docker-Content-Digest`.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// `Docker-Upload-UUID`.
pub(crate) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// `OCI-Subject`.
pub(crate) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// `OCI-Tag`.
pub(crate) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// `OCI-Namespace`.
pub(crate) const OCI_NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");
/// `OCI-Filters-Applied`.
pub(crate) const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// `OCI-Chunk-Min-Length`.
pub(crate) const OCI_CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
/// `X-Request-Id`.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `Idempotency-Key`.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// `Holdfast-Arrived`: when a balancer got a request that it can send again, in milliseconds since 1970.
pub(crate) const ARRIVED: HeaderName = HeaderName::from_static("holdfast-arrived");

/// JSON.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What is wanted of somebody who signs in with a name and a secret.
pub(crate) const BASIC: HeaderValue =
    HeaderValue::from_static("Basic realm=\"holdfast\", charset=\"UTF-8\"");
/// Blobs are served as bytes of which nothing is known.
pub(crate) const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// What is named by a digest never changes, but the right to see it does: only the client's own cache may keep it.
pub(crate) const CACHE_FOREVER: HeaderValue =
    HeaderValue::from_static("private, max-age=31536000, immutable");
/// What may have moved by the next request.
pub(crate) const CACHE_NEVER: HeaderValue = HeaderValue::from_static("no-cache");
/// No guessing of content types.
pub(crate) const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// `bytes`.
pub(crate) const BYTES: HeaderValue = HeaderValue::from_static("bytes");
/// `Warning: 299` on an answer that was not confirmed to be the newest.
pub(crate) const STALE: HeaderValue = HeaderValue::from_static(
    "299 - \"This answer may be stale: no quorum of the cluster confirms it.\"",
);

/// `Warning: 299` on an image that does not have all its layers here.
pub(crate) fn sparse(layers_absent: u32) -> HeaderValue {
    text(match layers_absent {
        1 => "299 - \"1 layer of this image is not in this repository\"".to_owned(),
        many => format!("299 - \"{many} layers of this image are not in this repository\""),
    })
}

/// A digest as the values of `Docker-Content-Digest` and `ETag`, in one allocation.
pub(crate) fn digest_and_etag(digest: &Digest) -> (HeaderValue, HeaderValue) {
    const LONGEST: usize = 2 + "sha512:".len() + 128;
    let mut quoted = BytesMut::with_capacity(LONGEST);
    quoted.put_u8(b'"');
    // Writing into a buffer that grows cannot fail.
    let _ = write!(quoted, "{digest}");
    quoted.put_u8(b'"');
    let quoted: Bytes = quoted.freeze();
    let bare = quoted.slice(1..quoted.len() - 1);
    (value(bare), value(quoted))
}

/// A digest as the value of a header.
pub(crate) fn digest(digest: &Digest) -> HeaderValue {
    value(Bytes::from(digest.to_string()))
}

/// A media type as the value of a header.
pub(crate) fn media_type(media_type: &MediaType) -> HeaderValue {
    match media_type.as_str() {
        "application/vnd.oci.image.manifest.v1+json" => {
            HeaderValue::from_static("application/vnd.oci.image.manifest.v1+json")
        }
        "application/vnd.oci.image.index.v1+json" => {
            HeaderValue::from_static("application/vnd.oci.image.index.v1+json")
        }
        "application/vnd.docker.distribution.manifest.v2+json" => {
            HeaderValue::from_static("application/vnd.docker.distribution.manifest.v2+json")
        }
        "application/vnd.docker.distribution.manifest.list.v2+json" => {
            HeaderValue::from_static("application/vnd.docker.distribution.manifest.list.v2+json")
        }
        other => text(other),
    }
}

/// Text of ours as the value of a header. Characters that a header cannot have (there should be none) become `?`.
pub(crate) fn text(text: impl Into<String>) -> HeaderValue {
    let mut text: String = text.into();
    if !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        text = text
            .chars()
            .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
            .collect();
    }
    value(Bytes::from(text))
}

fn value(ascii: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(ascii).expect("visible ASCII is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_bare_and_etag_is_quoted() {
        let of = Digest::of(oci::Algorithm::Sha512, b"x");
        let (bare, etag) = digest_and_etag(&of);
        assert_eq!(bare.to_str().unwrap(), of.to_string());
        assert_eq!(etag.to_str().unwrap(), format!("\"{of}\""));
    }

    #[test]
    fn text_outside_ascii_is_replaced() {
        assert_eq!(text("a\nb\u{e4}"), "a?b?");
    }
}
