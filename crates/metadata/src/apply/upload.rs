//! An upload is opened, written and acknowledged. Rules 1.1 to 1.5.

use oci::{RepositoryName, UploadId};

use super::progress::{self, Written};
use super::state::{State, Stop, invalid};
use super::{deletion, upload_end};
use crate::command::{
    Acknowledge, BeginWrite, Checkpoint, CreateUpload, Part, Progress, WriteFrom,
};
use crate::ids::Epoch;
use crate::keys;
use crate::object_key::ObjectKey;
use crate::reply::{Refusal, Reply, WriteGrant};
use crate::rows::{UploadRow, UploadState};
use crate::typed::UploadPartRow;
use crate::{PART_NUMBER_MAX, PARTS_RESERVED_AT_BEGIN, PARTS_RESERVED_PER_CHECKPOINT_MAX};

/// [`crate::Command::CreateUpload`].
pub(super) fn create(state: &mut State<'_>, create: &CreateUpload) -> Result<Reply, Stop> {
    let key = keys::upload(create.upload);
    if state.get(&key)?.is_some() {
        return Err(invalid("an upload of this id exists").into());
    }
    if create.part_size == 0 {
        return Err(invalid("parts of no bytes").into());
    }
    upload_end::forget_old(state)?;
    let mut row = UploadRow {
        repository: create.repository.clone(),
        algorithm: create.algorithm,
        part_size: create.part_size,
        epoch: Epoch(0),
        key: None,
        multipart: None,
        acknowledged: Progress::default(),
        started: None,
        checkpoint: None,
        granted_from: 1,
        reserved_until: 0,
        state: UploadState::Open,
        last_activity: state.now(),
        by: create.principal.clone(),
    };
    let grant = match create.write {
        true => Some(Box::new(grant(
            state,
            create.upload,
            &mut row,
            Progress::default(),
        )?)),
        false => None,
    };
    state.put(&key, row)?;
    Ok(Reply::UploadCreated { grant })
}

/// The upload, if it is of the repository and has not been forgotten.
pub(super) fn find(
    state: &State<'_>,
    repository: &RepositoryName,
    upload: UploadId,
) -> Result<UploadRow, Stop> {
    Ok(state
        .get(&keys::upload(upload))?
        .filter(|row| &row.repository == repository)
        .ok_or(Refusal::UploadUnknown)?)
}

/// The upload, if it still takes bytes.
fn find_open(
    state: &State<'_>,
    repository: &RepositoryName,
    upload: UploadId,
) -> Result<UploadRow, Stop> {
    let row = find(state, repository, upload)?;
    match &row.state {
        UploadState::Open => Ok(row),
        UploadState::Sealed(sealed) => Err(Refusal::Sealed {
            digest: sealed.digest,
        }
        .into()),
        UploadState::Finished { .. } => Err(Refusal::UploadUnknown.into()),
    }
}

/// Writes a changed upload, and queues the tails that no kept state names any more.
pub(super) fn save(
    state: &mut State<'_>,
    upload: UploadId,
    before: &UploadRow,
    mut after: UploadRow,
) -> Result<(), Stop> {
    after.last_activity = state.now();
    put(state, upload, before, after)
}

/// The same for what is no activity of a writer.
fn put(
    state: &mut State<'_>,
    upload: UploadId,
    before: &UploadRow,
    after: UploadRow,
) -> Result<(), Stop> {
    queue_tails(state, before, |key| {
        progress::tails(&after).any(|tail| &tail.key == key)
    })?;
    state.put(&keys::upload(upload), after)
}

/// Queues the tails of an upload but those that are kept.
pub(super) fn queue_tails(
    state: &mut State<'_>,
    row: &UploadRow,
    is_kept: impl Fn(&ObjectKey) -> bool,
) -> Result<(), Stop> {
    for tail in progress::tails(row) {
        if !is_kept(&tail.key) {
            deletion::queue_unread(state, tail.key.clone(), None)?;
        }
    }
    Ok(())
}

/// The recorded parts with `above < number <= until`, in order.
pub(super) fn parts(
    state: &State<'_>,
    upload: UploadId,
    above: u32,
    until: u32,
) -> Result<Vec<Part>, Stop> {
    let range = keys::upload_parts(upload, above, until);
    let limit = PART_NUMBER_MAX as usize;
    state.collect(&range, limit, |key, row: UploadPartRow| {
        Some(Part {
            number: keys::read_upload_part(key)?.1,
            etag: row.etag,
            size: row.size,
        })
    })
}

/// Removes the recorded parts above a number.
pub(super) fn remove_parts(
    state: &mut State<'_>,
    upload: UploadId,
    above: u32,
) -> Result<(), Stop> {
    for part in parts(state, upload, above, PART_NUMBER_MAX)? {
        state.remove(&keys::upload_part(upload, part.number))?;
    }
    Ok(())
}

/// [`crate::Command::BeginWrite`]: rule 1.5.
pub(super) fn begin_write(state: &mut State<'_>, begin: &BeginWrite) -> Result<Reply, Stop> {
    let before = find_open(state, &begin.repository, begin.upload)?;
    let start = start(&before, begin.from)?.clone();
    let goes_back = start.offset < before.acknowledged.offset;
    // The client was told since where the upload stands, or another request of it has begun there.
    let is_settled = before
        .started
        .as_ref()
        .is_some_and(|started| started.offset == before.acknowledged.offset);
    let is_late = begin
        .after
        .is_some_and(|after| is_settled || after != before.epoch);
    if goes_back && is_late && !mutants::active!("go_back_for_a_late_writer") {
        return Err(Refusal::OffsetMismatch {
            acknowledged: before.acknowledged.offset,
        }
        .into());
    }
    let mut row = before.clone();
    let has_more_parts = progress::current(&row).last_part > start.last_part;
    let grant = grant(state, begin.upload, &mut row, start)?;
    if has_more_parts {
        remove_parts(state, begin.upload, grant.progress.last_part)?;
    }
    save(state, begin.upload, &before, row)?;
    Ok(Reply::WriteGranted(Box::new(grant)))
}

/// The state that a request starts from.
fn start(row: &UploadRow, from: WriteFrom) -> Result<&Progress, Refusal> {
    let acknowledged = &row.acknowledged;
    let (offset, other) = match from {
        WriteFrom::Acknowledged => return Ok(acknowledged),
        WriteFrom::Exactly(offset) => (offset, &row.checkpoint),
        WriteFrom::Location(offset) => (offset, &row.started),
    };
    if offset == acknowledged.offset {
        return Ok(acknowledged);
    }
    match other {
        Some(other) if other.offset == offset => Ok(other),
        _ if from == WriteFrom::Location(0) => Ok(&NOTHING),
        _ => Err(Refusal::OffsetMismatch {
            acknowledged: acknowledged.offset,
        }),
    }
}

/// The state of an upload that has no bytes.
static NOTHING: Progress = Progress {
    offset: 0,
    midstate: bytes::Bytes::new(),
    last_part: 0,
    tail: None,
};

/// Makes a new writer the only one. What lies beyond its start is dropped, from the kept states too.
fn grant(
    state: &State<'_>,
    upload: UploadId,
    row: &mut UploadRow,
    start: Progress,
) -> Result<WriteGrant, Refusal> {
    if row.reserved_until >= PART_NUMBER_MAX {
        return Err(Refusal::TooManyParts);
    }
    let cluster = state.cluster_id()?;
    row.epoch = Epoch(row.epoch.0 + 1);
    row.granted_from = match mutants::active!("use_part_numbers_again") {
        true => start.last_part + 1,
        false => row.reserved_until + 1,
    };
    row.reserved_until = (row.reserved_until + PARTS_RESERVED_AT_BEGIN).min(PART_NUMBER_MAX);
    if start.offset < row.acknowledged.offset {
        row.acknowledged = start.clone();
    }
    row.checkpoint = row.checkpoint.take().filter(|kept| *kept == start);
    row.started = Some(start.clone());
    let parts_count = progress::whole_bytes(&start) / u64::from(row.part_size);
    Ok(WriteGrant {
        epoch: row.epoch,
        algorithm: row.algorithm,
        part_size: row.part_size,
        parts_count: u32::try_from(parts_count).map_err(|_| Refusal::TooManyParts)?,
        multipart: row.multipart.clone(),
        key: row
            .key
            .clone()
            .unwrap_or_else(|| ObjectKey::data(cluster, upload, row.epoch)),
        next_part: row.granted_from,
        reserved_until: row.reserved_until,
        progress: start,
    })
}

/// [`crate::Command::Checkpoint`]: rules 1.2 and 1.4.
pub(super) fn checkpoint(state: &mut State<'_>, checkpoint: &Checkpoint) -> Result<Reply, Stop> {
    let before = find_open(state, &checkpoint.repository, checkpoint.upload)?;
    if checkpoint.progress.tail.is_some() {
        return Err(invalid("a checkpoint with a tail").into());
    }
    if checkpoint.reserve > PARTS_RESERVED_PER_CHECKPOINT_MAX {
        return Err(invalid("more part numbers than one entry may reserve").into());
    }
    let mut row = before.clone();
    let written = Written {
        epoch: checkpoint.epoch,
        progress: &checkpoint.progress,
        parts: &checkpoint.parts,
        multipart: checkpoint.multipart.as_ref(),
    };
    progress::advance(state, checkpoint.upload, &mut row, &written)?;
    row.checkpoint = Some(checkpoint.progress.clone());
    if mutants::active!("checkpoint_drops_what_was_acknowledged") {
        row.acknowledged = Progress::default();
    }
    row.reserved_until = (row.reserved_until + checkpoint.reserve).min(PART_NUMBER_MAX);
    let reserved_until = row.reserved_until;
    save(state, checkpoint.upload, &before, row)?;
    Ok(Reply::Checkpointed { reserved_until })
}

/// [`crate::Command::Acknowledge`]: rule 1.4.
pub(super) fn acknowledge(state: &mut State<'_>, acknowledge: &Acknowledge) -> Result<Reply, Stop> {
    let before = find_open(state, &acknowledge.repository, acknowledge.upload)?;
    let mut row = before.clone();
    let written = Written {
        epoch: acknowledge.epoch,
        progress: &acknowledge.progress,
        parts: &acknowledge.parts,
        multipart: acknowledge.multipart.as_ref(),
    };
    progress::advance(state, acknowledge.upload, &mut row, &written)?;
    row.acknowledged = acknowledge.progress.clone();
    row.checkpoint = None;
    row.reserved_until = highest_part(&row);
    let offset = row.acknowledged.offset;
    save(state, acknowledge.upload, &before, row)?;
    Ok(Reply::Acknowledged { offset })
}

/// The highest part number that a writer which acknowledges has used; those above are given back.
fn highest_part(row: &UploadRow) -> u32 {
    let tail_part = row
        .acknowledged
        .tail
        .as_ref()
        .and_then(|tail| tail.part.as_ref());
    row.acknowledged
        .last_part
        .max(tail_part.map_or(0, |part| part.number))
        .max(row.granted_from - 1)
}

/// [`crate::Command::AcknowledgeCheckpoint`]: rule 1.5. Without a checkpoint, the acknowledged offset is the answer. What is told so
/// is not taken back by a request that was sent before, and decided later.
pub(super) fn acknowledge_checkpoint(
    state: &mut State<'_>,
    repository: &RepositoryName,
    upload: UploadId,
) -> Result<Reply, Stop> {
    let before = find_open(state, repository, upload)?;
    let mut row = before.clone();
    if let Some(checkpoint) = row.checkpoint.take() {
        row.acknowledged = checkpoint;
    }
    if row.started.is_some() && !mutants::active!("tell_what_may_be_taken_back") {
        row.started = Some(row.acknowledged.clone());
    }
    let offset = row.acknowledged.offset;
    match before.checkpoint.is_some() {
        true => save(state, upload, &before, row)?,
        // Who only asks keeps no upload alive.
        false => put(state, upload, &before, row)?,
    }
    Ok(Reply::Acknowledged { offset })
}
