//! `…/manifests/<tag-or-digest>`: pull, push, delete.
//!
//! Bytes are stored and served as they came. Compare-and-swap, several tags and the idempotency key are only read
//! here; the log decides on them.
//!
//! Spec: distribution-spec 1.1 and its main branch, "Pulling manifests", "Pushing Manifests", "Deleting tags".

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, WARNING};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use oci::{Digest, MANIFEST_BYTES_MAX, MediaType, Reference, RepositoryName, Tag};
use registry::{Error, ManifestPush, ManifestStored};

use crate::conditional::{self, ReadOutcome};
use crate::exchange::Exchange;
use crate::header;
use crate::limits;
use crate::problem::Problem;
use crate::reply::{self, Content, Reply};

/// The most tags that one request may move.
const TAGS_MAX: usize = 100;
/// The most characters of an idempotency key.
const IDEMPOTENCY_KEY_MAX: usize = 255;
/// How many tags one `OCI-Tag` header lists.
const TAGS_PER_HEADER: usize = 16;

/// `GET` and `HEAD`.
pub(crate) async fn pull(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Reply, Problem> {
    let served = exchange
        .registry
        .manifest(&exchange.caller(), repository, reference)
        .await?;
    let found = served.value;
    let outcome = conditional::of_read(exchange.headers(), &found.digest)?;
    if outcome == ReadOutcome::Failed {
        return Err(Problem::not_matched()
            .with(format!("the manifest is {}", found.digest))
            .stale(served.stale));
    }
    // Only now: who may not pull this uses nothing up.
    let mut headers = limits::take_pull(exchange)?;
    headers.reserve(8);
    let (digest, etag) = header::digest_and_etag(&found.digest);
    headers.insert(header::CONTENT_DIGEST, digest);
    headers.insert(ETAG, etag);
    headers.insert(
        CACHE_CONTROL,
        match reference {
            Reference::Digest(_) => header::CACHE_FOREVER,
            Reference::Tag(_) => header::CACHE_NEVER,
        },
    );
    if served.stale {
        headers.insert(WARNING, header::STALE);
    }
    if found.layers_absent > 0 {
        headers.append(WARNING, header::sparse(found.layers_absent));
    }
    let (status, content) = if outcome == ReadOutcome::NotModified {
        (StatusCode::NOT_MODIFIED, Content::Empty)
    } else {
        headers.insert(CONTENT_TYPE, header::media_type(&found.media_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(found.payload.len()));
        (
            StatusCode::OK,
            if exchange.is_head() {
                Content::Empty
            } else {
                Content::Whole(found.payload)
            },
        )
    };
    let mut reply = Response::new(content);
    *reply.status_mut() = status;
    *reply.headers_mut() = headers;
    Ok(reply)
}

/// `PUT`.
pub(crate) async fn push(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
    reference: Reference,
) -> Result<Reply, Problem> {
    let declared_type = match exchange.headers().get(CONTENT_TYPE) {
        None => None,
        Some(value) => {
            let text = value.to_str().map_err(|_| Problem::content_type())?;
            Some(
                MediaType::from_content_type(text)
                    .map_err(|error| Problem::content_type().with(error.to_string()))?,
            )
        }
    };
    let (digest, tags) = destinations(exchange, reference)?;
    let precondition = conditional::of_write(exchange.headers(), &Method::PUT)?;
    let idempotency_key = idempotency_key(exchange.headers())?;
    let (payload, _memory) = receive(exchange).await?;
    let push = ManifestPush {
        declared_type,
        digest,
        tags,
        payload,
        precondition,
        idempotency_key,
    };
    let stored = exchange
        .registry
        .put_manifest(&exchange.caller(), repository, push)
        .await?;
    Ok(created(repository, &stored))
}

fn created(repository: &RepositoryName, stored: &ManifestStored) -> Reply {
    let mut reply = reply::empty(StatusCode::CREATED);
    let headers = reply.headers_mut();
    let (digest, etag) = header::digest_and_etag(&stored.digest);
    headers.insert(
        LOCATION,
        header::text(format!("/v2/{repository}/manifests/{}", stored.digest)),
    );
    headers.insert(header::CONTENT_DIGEST, digest);
    headers.insert(ETAG, etag);
    if let Some(subject) = &stored.subject {
        headers.insert(header::OCI_SUBJECT, header::digest(subject));
    }
    if stored.layers_absent > 0 {
        headers.insert(WARNING, header::sparse(stored.layers_absent));
    }
    for tags in stored.tags.chunks(TAGS_PER_HEADER) {
        let list: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        headers.append(header::OCI_TAG, header::text(list.join(", ")));
    }
    reply
}

/// The digest that is expected, if one is, and every tag that is to be moved, each once.
fn destinations(
    exchange: &Exchange<'_>,
    reference: Reference,
) -> Result<(Option<Digest>, Vec<Tag>), Problem> {
    let query = exchange.query();
    let asked = query.parsed("digest", |text| {
        Digest::parse(text).map_err(Problem::digest)
    })?;
    let mut tags = Vec::new();
    let digest = match reference {
        Reference::Tag(tag) => {
            tags.push(tag);
            asked
        }
        Reference::Digest(digest) => {
            if asked.is_some_and(|asked| asked != digest) {
                return Err(Problem::parameter("digest is not the digest of the path"));
            }
            Some(digest)
        }
    };
    for text in query
        .all("tag")
        .map_err(|error| Problem::query("tag", error))?
    {
        let tag = Tag::parse(&text).map_err(|error| Problem::tag(&error.to_string()))?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        if tags.len() > TAGS_MAX {
            return Err(Problem::too_many_tags(TAGS_MAX));
        }
    }
    Ok((digest, tags))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(header::IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .map_err(|_| Problem::header("Idempotency-Key is not ASCII"))?
        .trim();
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_MAX {
        return Err(Problem::header("Idempotency-Key has 1 to 255 characters"));
    }
    Ok(Some(key.to_owned()))
}

/// The payload, and its share of the memory for manifests, to be kept until the push is over.
async fn receive<'a>(
    exchange: &Exchange<'a>,
) -> Result<(Bytes, Option<tokio::sync::SemaphorePermit<'a>>), Problem> {
    let Some(body) = exchange.body else {
        return Ok((Bytes::new(), None));
    };
    let too_large = || {
        Problem::from(Error::ManifestTooLarge {
            max: MANIFEST_BYTES_MAX,
        })
    };
    let wanted = body.length().unwrap_or(MANIFEST_BYTES_MAX as u64);
    let wanted = u32::try_from(wanted).map_err(|_| too_large())?;
    if wanted as usize > MANIFEST_BYTES_MAX {
        return Err(too_large());
    }
    let share = exchange.manifest_memory.acquire_many(wanted);
    let memory = tokio::time::timeout(exchange.settings.queue_wait, share)
        .await
        .map_err(|_| Problem::overloaded())?
        .expect("the semaphore is never closed");
    let received = exchange
        .received
        .clone()
        .unwrap_or_else(|| Arc::new(AtomicU64::new(0)));
    let collected = body.collect(MANIFEST_BYTES_MAX, received);
    let payload = tokio::time::timeout(exchange.settings.manifest_timeout, collected)
        .await
        .map_err(|_| Problem::from(Error::BodyStalled))??;
    Ok((payload, Some(memory)))
}

/// `DELETE`.
pub(crate) async fn delete(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Reply, Problem> {
    let precondition = conditional::of_write(exchange.headers(), &Method::DELETE)?;
    match reference {
        Reference::Tag(tag) => {
            exchange
                .registry
                .delete_tag(&exchange.caller(), repository, tag, precondition)
                .await?;
        }
        Reference::Digest(digest) => {
            // A digest never points elsewhere, so a list either holds it or can never match.
            if let Some(registry::Precondition::Matches(digests)) = precondition
                && !digests.contains(digest)
            {
                return Err(Problem::not_matched().with(format!("the manifest is {digest}")));
            }
            exchange
                .registry
                .delete_manifest(&exchange.caller(), repository, *digest)
                .await?;
        }
    }
    Ok(reply::empty(StatusCode::ACCEPTED))
}
