//! `…/blobs/uploads/`: every way to push a blob.
//!
//! `Location` is relative, so that it survives every proxy, and carries the acknowledged offset (`?at=N`), from which
//! a request without `Content-Range` starts.
//!
//! Spec: distribution-spec 1.1 and its main branch, "Pushing blobs"; PROTOCOLS, "Uploads".

use http::HeaderValue;
use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderMap, LOCATION, RANGE};
use metadata::access::Right;
use oci::{Algorithm, ChunkRange, Digest, RepositoryName, UploadId};
use registry::{Body, MountOutcome, UploadStatus, WriteFrom};

use crate::exchange::Exchange;
use crate::header;
use crate::problem::Problem;
use crate::reply::{self, Reply};

/// `POST`: mount, push in one request, or open an upload.
pub(crate) async fn begin(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
) -> Result<Reply, Problem> {
    let query = exchange.query();
    let digest = |text: &str| Digest::parse(text).map_err(Problem::digest);
    if let Some(mount) = query.parsed("mount", digest)? {
        let from = query.parsed("from", |text| {
            RepositoryName::parse(text).map_err(Problem::name)
        })?;
        let is_open = match &from {
            Some(from) => exchange.asking.covers(from, Right::Pull),
            None => exchange.asking.is_unlimited(),
        };
        let caller = exchange.caller();
        if is_open {
            let mounting = exchange.registry.mount(&caller, repository, mount, from);
            return match mounting.await? {
                MountOutcome::Mounted { .. } => Ok(stored(repository, &mount)),
                MountOutcome::Opened(status) => Ok(opened(exchange, repository, &status)),
            };
        }
        // As where there is nothing to mount.
        let algorithm = Some(mount.algorithm());
        let opening = exchange
            .registry
            .open_upload(&caller, repository, algorithm);
        return Ok(opened(exchange, repository, &opening.await?));
    }
    if let Some(digest) = query.parsed("digest", digest)? {
        let body = exchange.stream();
        let blob = exchange
            .registry
            .push_blob(&exchange.caller(), repository, digest, body)
            .await?;
        return Ok(stored(repository, &blob.digest));
    }
    let algorithm = query.parsed("digest-algorithm", |text| {
        text.parse::<Algorithm>().map_err(|_| Problem::algorithm())
    })?;
    let status = exchange
        .registry
        .open_upload(&exchange.caller(), repository, algorithm)
        .await?;
    Ok(opened(exchange, repository, &status))
}

/// `PATCH`: a chunk, or a stream of unknown length.
pub(crate) async fn write(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
    upload: UploadId,
) -> Result<Reply, Problem> {
    let (from, body) = chunk(exchange)?;
    let written = exchange
        .registry
        .write_upload(&exchange.caller(), repository, upload, from, body)
        .await;
    let status = written.map_err(|error| stands(error.into(), repository, upload))?;
    Ok(at(StatusCode::ACCEPTED, repository, &status))
}

/// `PUT`: the last chunk, if any, and the digest.
pub(crate) async fn close(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
    upload: UploadId,
) -> Result<Reply, Problem> {
    let digest = exchange
        .query()
        .parsed("digest", |text| {
            Digest::parse(text).map_err(Problem::digest)
        })?
        .ok_or_else(Problem::digest_missing)?;
    let (from, body) = chunk(exchange)?;
    let closed = exchange
        .registry
        .close_upload(&exchange.caller(), repository, upload, from, body, digest)
        .await;
    let blob = closed.map_err(|error| stands(error.into(), repository, upload))?;
    Ok(stored(repository, &blob.digest))
}

/// `GET` and `HEAD`: how far it is.
pub(crate) async fn status(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
    upload: UploadId,
) -> Result<Reply, Problem> {
    let status = exchange
        .registry
        .upload_status(&exchange.caller(), repository, upload)
        .await?;
    Ok(at(StatusCode::NO_CONTENT, repository, &status))
}

/// `DELETE`: nothing of it remains.
pub(crate) async fn cancel(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
    upload: UploadId,
) -> Result<Reply, Problem> {
    exchange
        .registry
        .cancel_upload(&exchange.caller(), repository, upload)
        .await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Where the request's bytes start, and the bytes.
fn chunk(exchange: &Exchange<'_>) -> Result<(WriteFrom, Body), Problem> {
    let mut ranges = exchange.headers().get_all(CONTENT_RANGE).iter();
    let range = match (ranges.next(), ranges.next()) {
        (None, _) => None,
        (Some(_), Some(_)) => return Err(Problem::chunk_range("it is there twice")),
        (Some(value), None) => {
            let text = value
                .to_str()
                .map_err(|_| Problem::chunk_range("it is not ASCII"))?;
            Some(
                ChunkRange::parse(text)
                    .map_err(|error| Problem::chunk_range(&error.to_string()))?,
            )
        }
    };
    let Some(range) = range else {
        let number = |text: &str| {
            text.parse::<u64>()
                .map_err(|_| Problem::parameter("at is no offset"))
        };
        let from = exchange
            .query()
            .parsed("at", number)?
            .map_or(WriteFrom::Acknowledged, WriteFrom::Location);
        return Ok((from, exchange.stream()));
    };
    let declared = match exchange.body {
        Some(body) => body.length(),
        None => Some(0),
    };
    if let Some(declared) = declared
        && declared != range.len()
    {
        return Err(Problem::chunk_size(declared, range.len()));
    }
    let mut body = exchange.stream();
    body.length = Some(range.len());
    Ok((WriteFrom::Exactly(range.start()), body))
}

/// Adds where the upload stands to a 416.
fn stands(problem: Problem, repository: &RepositoryName, upload: UploadId) -> Problem {
    let Some(offset) = problem.acknowledged() else {
        return problem;
    };
    let status = UploadStatus { upload, offset };
    problem
        .with_header(LOCATION, location(repository, &status))
        .with_header(RANGE, received(offset))
        .with_header(header::UPLOAD_UUID, header::text(upload.to_string()))
}

fn opened(exchange: &Exchange<'_>, repository: &RepositoryName, status: &UploadStatus) -> Reply {
    let mut reply = at(StatusCode::ACCEPTED, repository, status);
    let chunk = exchange.settings.chunk_bytes_min;
    if chunk > 0 {
        reply
            .headers_mut()
            .insert(header::OCI_CHUNK_MIN_LENGTH, HeaderValue::from(chunk));
    }
    reply
}

fn at(code: StatusCode, repository: &RepositoryName, status: &UploadStatus) -> Reply {
    let mut reply = reply::empty(code);
    let headers: &mut HeaderMap = reply.headers_mut();
    headers.insert(LOCATION, location(repository, status));
    headers.insert(RANGE, received(status.offset));
    headers.insert(header::UPLOAD_UUID, header::text(status.upload.to_string()));
    headers.insert(http::header::CACHE_CONTROL, header::CACHE_NEVER);
    reply
}

fn stored(repository: &RepositoryName, digest: &Digest) -> Reply {
    let mut reply = reply::empty(StatusCode::CREATED);
    let headers = reply.headers_mut();
    headers.insert(
        LOCATION,
        header::text(format!("/v2/{repository}/blobs/{digest}")),
    );
    headers.insert(header::CONTENT_DIGEST, header::digest(digest));
    reply
}

fn location(repository: &RepositoryName, status: &UploadStatus) -> HeaderValue {
    header::text(format!(
        "/v2/{repository}/blobs/uploads/{}?at={}",
        status.upload, status.offset
    ))
}

/// `0-N`, both included; `0-0` too when nothing is there yet, which is what docker expects.
fn received(offset: u64) -> HeaderValue {
    header::text(format!("0-{}", offset.saturating_sub(1)))
}
