//! What a writer says that it has stored: checked against what is recorded before it counts. Rules 1.1 to 1.4.
//!
//! The first `offset` bytes of an upload are its recorded parts up to `last_part`, each of the upload's part size, and
//! then the tail. A writer only ever adds to the state that it stands at.

use oci::UploadId;

use super::state::{State, Stop, invalid};
use crate::command::{Part, Progress, TailObject};
use crate::ids::{Epoch, MultipartId};
use crate::keys;
use crate::object_key::{ClusterId, ObjectKey};
use crate::reply::Refusal;
use crate::rows::UploadRow;
use crate::typed::UploadPartRow;

/// The most bytes of a midstate.
const MIDSTATE_BYTES_MAX: usize = 512;

/// The most bytes of an object store's receipt: a sealed upload lists thousands.
const ETAG_BYTES_MAX: usize = 128;

/// The most bytes of an object store's name for a multipart upload.
const MULTIPART_BYTES_MAX: usize = 2048;

/// What an entry of a writer says.
pub(super) struct Written<'a> {
    /// The writer.
    pub(super) epoch: Epoch,
    /// The state now.
    pub(super) progress: &'a Progress,
    /// The parts since the writer's last entry.
    pub(super) parts: &'a [Part],
    /// The multipart upload, if it is told.
    pub(super) multipart: Option<&'a MultipartId>,
}

/// The state that the latest writer stands at: every recorded part belongs to it.
pub(super) fn current(row: &UploadRow) -> &Progress {
    match (&row.checkpoint, &row.started) {
        (Some(checkpoint), _) => checkpoint,
        (None, Some(started)) if started.offset > row.acknowledged.offset => started,
        (None, _) => &row.acknowledged,
    }
}

/// How many bytes lie in whole parts.
pub(super) fn whole_bytes(progress: &Progress) -> u64 {
    let tail = progress
        .tail
        .as_ref()
        .map_or(0, |tail| u64::from(tail.size));
    progress.offset - tail
}

/// Checks what a writer says, and records the parts and the multipart upload. The caller decides what the new state
/// is: a checkpoint, the acknowledged one, or the end.
pub(super) fn advance(
    state: &mut State<'_>,
    upload: UploadId,
    row: &mut UploadRow,
    written: &Written<'_>,
) -> Result<(), Stop> {
    let skips = mutants::active!("skip_the_writer_epoch");
    if !skips && (written.epoch != row.epoch || row.epoch == Epoch(0)) {
        return Err(Refusal::Fenced {
            acknowledged: row.acknowledged.offset,
        }
        .into());
    }
    let cluster = state.cluster_id()?;
    adopt_multipart(cluster, upload, row, written)?;
    check_parts(row, written)?;
    check_tail(cluster, upload, row, written)?;
    for part in written.parts {
        let part_row = UploadPartRow {
            etag: part.etag.clone(),
            size: part.size,
        };
        state.put(&keys::upload_part(upload, part.number), part_row)?;
    }
    Ok(())
}

/// The first writer that began a multipart upload gives it its key, for all later ones.
fn adopt_multipart(
    cluster: ClusterId,
    upload: UploadId,
    row: &mut UploadRow,
    written: &Written<'_>,
) -> Result<(), Refusal> {
    let Some(multipart) = written.multipart else {
        return Ok(());
    };
    match &row.multipart {
        Some(known) if known == multipart => Ok(()),
        Some(_) => Err(invalid("another multipart upload than the recorded one")),
        None if multipart.0.is_empty() || multipart.0.len() > MULTIPART_BYTES_MAX => {
            Err(invalid("a multipart upload of no valid name"))
        }
        None => {
            row.multipart = Some(multipart.clone());
            row.key = Some(ObjectKey::data(cluster, upload, written.epoch));
            Ok(())
        }
    }
}

/// New parts follow the recorded ones, bear numbers of this writer, and account for every whole byte.
fn check_parts(row: &UploadRow, written: &Written<'_>) -> Result<(), Refusal> {
    let before = current(row);
    let (progress, parts) = (written.progress, written.parts);
    let mut last = before.last_part.max(row.granted_from.saturating_sub(1));
    for part in parts {
        if part.number <= last || part.number > row.reserved_until {
            return Err(invalid("a part of a number that is not the writer's"));
        }
        if part.size != row.part_size {
            return Err(invalid("a part of another size"));
        }
        // A store without receipts gives an empty one.
        if part.etag.len() > ETAG_BYTES_MAX {
            return Err(invalid("a part with too long a receipt"));
        }
        last = part.number;
    }
    let last_part = parts.last().map_or(before.last_part, |part| part.number);
    if progress.last_part != last_part {
        return Err(invalid("a last part that is not the last"));
    }
    if last_part > 0 && row.multipart.is_none() {
        return Err(invalid("parts without a multipart upload"));
    }
    let tail = progress
        .tail
        .as_ref()
        .map_or(0, |tail| u64::from(tail.size));
    let whole = whole_bytes(before) + parts.len() as u64 * u64::from(row.part_size);
    if progress.offset != whole + tail || progress.offset < before.offset {
        return Err(invalid("an offset that the bytes do not add up to"));
    }
    let has_midstate = !progress.midstate.is_empty();
    if has_midstate != (progress.offset > 0) || progress.midstate.len() > MIDSTATE_BYTES_MAX {
        return Err(invalid("no valid midstate"));
    }
    Ok(())
}

/// A tail is an object of this writer, or the one that it began with.
fn check_tail(
    cluster: ClusterId,
    upload: UploadId,
    row: &UploadRow,
    written: &Written<'_>,
) -> Result<(), Refusal> {
    let Some(tail) = &written.progress.tail else {
        return Ok(());
    };
    if written.parts.is_empty() && current(row).tail.as_ref() == Some(tail) {
        return Ok(());
    }
    let has_parts = written.progress.last_part > 0;
    let is_sized = match tail.size {
        0 => written.progress.offset == 0,
        size if has_parts => size < row.part_size,
        size => size <= row.part_size,
    };
    if !is_sized {
        return Err(invalid("a tail of no valid size"));
    }
    if !is_tail_key(cluster, upload, written.epoch, &tail.key) || is_named(row, &tail.key) {
        return Err(invalid("a tail under a key that is not the writer's"));
    }
    match &tail.part {
        None if has_parts => Err(invalid("a tail that is not a part")),
        Some(_) if !has_parts => Err(invalid("a part without a multipart upload")),
        Some(part) if !is_tail_part(row, written.progress, tail, part) => {
            Err(invalid("a tail's part that is not the writer's"))
        }
        _ => Ok(()),
    }
}

fn is_tail_part(row: &UploadRow, progress: &Progress, tail: &TailObject, part: &Part) -> bool {
    part.number > progress.last_part
        && part.number >= row.granted_from
        && part.number <= row.reserved_until
        && part.size == tail.size
        && part.etag.len() <= ETAG_BYTES_MAX
}

fn is_tail_key(cluster: ClusterId, upload: UploadId, epoch: Epoch, key: &ObjectKey) -> bool {
    let first = ObjectKey::tail(cluster, upload, epoch, 0);
    let prefix = first.as_str().strip_suffix('0').unwrap_or(first.as_str());
    key.as_str().starts_with(prefix)
}

/// Whether a kept state names the object already: its bytes are what they are.
fn is_named(row: &UploadRow, key: &ObjectKey) -> bool {
    tails(row).any(|tail| &tail.key == key)
}

/// The tails that the kept states name.
pub(super) fn tails(row: &UploadRow) -> impl Iterator<Item = &TailObject> {
    [
        Some(&row.acknowledged),
        row.started.as_ref(),
        row.checkpoint.as_ref(),
    ]
    .into_iter()
    .flatten()
    .filter_map(|progress| progress.tail.as_ref())
}
