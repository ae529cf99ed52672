//! An upload ends: sealed and finished, finished at once, or cancelled. Rule 1.6.

use oci::{Digest, RepositoryName, UploadId};

use super::progress::{self, Written};
use super::state::{State, Stop, inconsistent, invalid};
use super::{blob, deletion, upload};
use crate::command::{FinishUpload, Part, Progress, SealUpload, UploadEnd};
use crate::keys;
use crate::object_key::ObjectKey;
use crate::reply::{Refusal, Reply, SealedObject};
use crate::rows::{BlobRow, BlobState, UploadRow, UploadState};

/// How long a finished upload is remembered, in milliseconds of log time: a closing request may be sent again.
const FINISHED_KEPT_MS: u64 = 60 * 60 * 1000;

/// How many finished uploads one entry forgets; more than one, so that forgetting outruns finishing.
const FORGOTTEN_PER_ENTRY_MAX: usize = 4;

/// [`crate::Command::SealUpload`]. Sealing again as the same digest gives the same parts, whoever asks; when the upload
/// has been finished since, that is the answer.
pub(super) fn seal(state: &mut State<'_>, seal: &SealUpload) -> Result<Reply, Stop> {
    let before = upload::find(state, &seal.repository, seal.upload)?;
    match &before.state {
        UploadState::Open => {}
        UploadState::Sealed(sealed) if sealed.digest == seal.digest => {
            return Ok(Reply::Sealed(sealed.clone()));
        }
        UploadState::Sealed(sealed) => {
            let digest = sealed.digest;
            return Err(Refusal::Sealed { digest }.into());
        }
        UploadState::Finished { digest, size } => return finished(*digest, *size, seal.digest),
    }
    let end = progress_of(&before, &seal.end)?;
    if end.last_part == 0 {
        return Err(Refusal::WrongEnd.into());
    }
    let mut row = before.clone();
    write_end(state, seal.upload, &mut row, &seal.end)?;
    let (Some(key), Some(multipart)) = (row.key.clone(), row.multipart.clone()) else {
        return Err(inconsistent("parts without a multipart upload"));
    };
    let sealed = Box::new(SealedObject {
        digest: seal.digest,
        size: end.offset,
        key,
        multipart,
        parts: parts_of(state, seal.upload, &row, end)?,
        unverified: seal.unverified,
    });
    upload::remove_parts(state, seal.upload, 0)?;
    row.acknowledged = end.clone();
    row.started = None;
    row.checkpoint = None;
    row.state = UploadState::Sealed(sealed.clone());
    upload::save(state, seal.upload, &before, row)?;
    Ok(Reply::Sealed(sealed))
}

/// The answer to a closing request for an upload that has ended.
fn finished(digest: Digest, size: u64, wanted: Digest) -> Result<Reply, Stop> {
    if digest == wanted {
        Ok(Reply::BlobFinished { digest, size })
    } else {
        Err(Refusal::UploadUnknown.into())
    }
}

/// The state at which an upload is to end.
fn progress_of<'a>(row: &'a UploadRow, end: &'a UploadEnd) -> Result<&'a Progress, Refusal> {
    let acknowledged = row.acknowledged.offset;
    match end {
        UploadEnd::Acknowledged { offset } if offset.is_none_or(|at| at == acknowledged) => {
            Ok(&row.acknowledged)
        }
        UploadEnd::Acknowledged { .. } => Err(Refusal::OffsetMismatch { acknowledged }),
        UploadEnd::Writer { progress, .. } => Ok(progress),
    }
}

/// Records what the closing request has stored.
fn write_end(
    state: &mut State<'_>,
    upload: UploadId,
    row: &mut UploadRow,
    end: &UploadEnd,
) -> Result<(), Stop> {
    match end {
        UploadEnd::Acknowledged { .. } => Ok(()),
        UploadEnd::Writer {
            epoch,
            progress,
            parts,
            multipart,
        } => {
            let written = Written {
                epoch: *epoch,
                progress,
                parts,
                multipart: multipart.as_ref(),
            };
            progress::advance(state, upload, row, &written)
        }
    }
}

/// Every part of the object, the tail's included.
fn parts_of(
    state: &State<'_>,
    upload: UploadId,
    row: &UploadRow,
    end: &Progress,
) -> Result<Vec<Part>, Stop> {
    let mut parts = upload::parts(state, upload, 0, end.last_part)?;
    let whole = parts.len() as u64 * u64::from(row.part_size);
    if whole != progress::whole_bytes(end) {
        return Err(inconsistent(
            "an upload's parts do not add up to its offset",
        ));
    }
    parts.extend(end.tail.as_ref().and_then(|tail| tail.part.clone()));
    Ok(parts)
}

/// An object that is to be a blob.
struct Object {
    key: ObjectKey,
    size: u64,
}

/// [`crate::Command::FinishUpload`]. If the blob is there already, its object stays and the new one goes.
pub(super) fn finish(state: &mut State<'_>, finish: &FinishUpload) -> Result<Reply, Stop> {
    let before = upload::find(state, &finish.repository, finish.upload)?;
    let object = match &before.state {
        UploadState::Finished { digest, size } => return finished(*digest, *size, finish.digest),
        UploadState::Sealed(sealed) => sealed_object(sealed, finish)?,
        UploadState::Open => plain_object(&before, finish)?,
    };
    let size = object.size;
    let blob = match state.get(&keys::blob(&finish.digest))? {
        Some(blob) if blob.size != size => {
            return Err(invalid("a blob of this digest has another size").into());
        }
        Some(blob) => blob,
        None => BlobRow {
            key: object.key.clone(),
            size,
            count: 0,
            state: BlobState::Unreferenced { since: state.now() },
        },
    };
    if let Some(end) = &finish.end {
        write_end(state, finish.upload, &mut before.clone(), end)?;
    }

    queue_all_but(state, &before, &object.key, &blob.key)?;
    if before.multipart.is_some() {
        upload::remove_parts(state, finish.upload, 0)?;
    }
    let (repository, digest) = (&finish.repository, &finish.digest);
    blob::link(state, repository, digest, blob, &finish.principal, None)?;
    remember(state, finish, before, size)?;
    Ok(Reply::BlobFinished {
        digest: finish.digest,
        size,
    })
}

fn sealed_object(sealed: &SealedObject, finish: &FinishUpload) -> Result<Object, Refusal> {
    if sealed.digest != finish.digest {
        let digest = sealed.digest;
        return Err(Refusal::Sealed { digest });
    }
    if finish.end.is_some() {
        return Err(Refusal::WrongEnd);
    }
    Ok(Object {
        key: sealed.key.clone(),
        size: sealed.size,
    })
}

fn plain_object(row: &UploadRow, finish: &FinishUpload) -> Result<Object, Refusal> {
    let end = finish.end.as_ref().ok_or(Refusal::WrongEnd)?;
    let progress = progress_of(row, end)?;
    match &progress.tail {
        Some(tail) if progress.last_part == 0 => Ok(Object {
            key: tail.key.clone(),
            size: progress.offset,
        }),
        _ => Err(Refusal::WrongEnd),
    }
}

/// Queues all objects of an upload that ends, `object` included, but the one that is `live`.
fn queue_all_but(
    state: &mut State<'_>,
    row: &UploadRow,
    object: &ObjectKey,
    live: &ObjectKey,
) -> Result<(), Stop> {
    let forgets = mutants::active!("delete_bytes_before_the_record");
    upload::queue_tails(state, row, |key| key == live && !forgets)?;
    if let (Some(key), Some(multipart)) = (&row.key, &row.multipart)
        && key != live
    {
        deletion::queue_unread(state, key.clone(), Some(multipart.clone()))?;
    }
    if object != live && row.key.as_ref() != Some(object) {
        deletion::queue_unread(state, object.clone(), None)?;
    }
    Ok(())
}

/// The upload stays for a while, as what it ended as.
fn remember(
    state: &mut State<'_>,
    finish: &FinishUpload,
    before: UploadRow,
    size: u64,
) -> Result<(), Stop> {
    let row = UploadRow {
        key: None,
        multipart: None,
        acknowledged: Progress {
            offset: size,
            ..Progress::default()
        },
        started: None,
        checkpoint: None,
        state: UploadState::Finished {
            digest: finish.digest,
            size,
        },
        last_activity: state.now(),
        ..before
    };
    state.put(&keys::upload(finish.upload), row)?;
    let order = keys::finished_upload(state.now(), finish.upload);
    state.put(&order, finish.upload)?;
    forget_old(state)
}

/// Forgets some uploads that were finished long ago.
pub(super) fn forget_old(state: &mut State<'_>) -> Result<(), Stop> {
    let range = keys::finished_uploads_before(state.now().minus_ms(FINISHED_KEPT_MS));
    let old = state.collect(&range, FORGOTTEN_PER_ENTRY_MAX, |key, _: UploadId| {
        keys::read_finished_upload(key)
    })?;
    for (time, upload) in old {
        state.remove(&keys::finished_upload(time, upload))?;
        state.remove(&keys::upload(upload))?;
    }
    Ok(())
}

/// [`crate::Command::CancelUpload`]. A sealed upload may be cancelled too: its bytes may turn out to be others than those
/// that were promised.
pub(super) fn cancel(
    state: &mut State<'_>,
    repository: &RepositoryName,
    upload: UploadId,
) -> Result<Reply, Stop> {
    let row = upload::find(state, repository, upload)?;
    if let UploadState::Finished { .. } = row.state {
        return Err(Refusal::UploadUnknown.into());
    }
    upload::queue_tails(state, &row, |_| false)?;
    if let (Some(key), Some(multipart)) = (row.key, row.multipart) {
        deletion::queue_unread(state, key, Some(multipart))?;
        upload::remove_parts(state, upload, 0)?;
    }
    state.remove(&keys::upload(upload))?;
    Ok(Reply::Done)
}
