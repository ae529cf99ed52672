//! Uploads and their parts. Rules 1.2 and 1.6.

use std::collections::{BTreeMap, BTreeSet};

use oci::UploadId;

use super::{Broken, all, same};
use crate::keys;
use crate::rows::{UploadRow, UploadState};
use crate::tables::{ReadTables, TableId};
use crate::typed::UploadPartRow;

/// Parts are of uploads that are open, each of the upload's part size, and each kept state's whole bytes are the parts
/// up to its last.
///
/// # Errors
/// [`Broken`].
pub fn parts_belong_to_open_uploads(tables: &dyn ReadTables) -> Result<(), Broken> {
    let uploads: BTreeMap<_, UploadRow> = all(tables, TableId::Upload, keys::read_upload)?;
    let rows: BTreeMap<_, UploadPartRow> =
        all(tables, TableId::UploadPart, keys::read_upload_part)?;
    let mut parts: BTreeMap<UploadId, Vec<(u32, u32)>> = BTreeMap::new();
    for ((upload, number), row) in rows {
        parts.entry(upload).or_default().push((number, row.size));
    }
    for (upload, parts) in &parts {
        let is_open = uploads
            .get(upload)
            .is_some_and(|row| row.state == UploadState::Open);
        same(&format!("whether {upload} is open"), &is_open, &true)?;
        let last = parts.last().map_or(0, |(number, _)| *number);
        let reserved = uploads.get(upload).map_or(0, |row| row.reserved_until);
        same(
            &format!("whether {upload} has parts beyond the reserved"),
            &(last > reserved),
            &false,
        )?;
    }
    for (upload, row) in &uploads {
        if row.state == UploadState::Open {
            let parts = parts.get(upload).map_or(&[][..], Vec::as_slice);
            progress_adds_up(*upload, row, parts)?;
        }
    }
    Ok(())
}

fn progress_adds_up(upload: UploadId, row: &UploadRow, parts: &[(u32, u32)]) -> Result<(), Broken> {
    let kept = [
        Some(&row.acknowledged),
        row.started.as_ref(),
        row.checkpoint.as_ref(),
    ];
    for progress in kept.into_iter().flatten() {
        let mut bytes = progress
            .tail
            .as_ref()
            .map_or(0, |tail| u64::from(tail.size));
        for (number, size) in parts {
            same(&format!("a part's size of {upload}"), size, &row.part_size)?;
            if *number <= progress.last_part {
                bytes += u64::from(*size);
            }
        }
        same(&format!("an offset of {upload}"), &progress.offset, &bytes)?;
    }
    let last = parts.last().map_or(0, |(number, _)| *number);
    let kept = [
        Some(&row.acknowledged),
        row.started.as_ref(),
        row.checkpoint.as_ref(),
    ];
    let named = kept
        .into_iter()
        .flatten()
        .map(|progress| progress.last_part);
    same(
        &format!("the last part of {upload}"),
        &last,
        &named.max().unwrap_or(0),
    )
}

/// The order in which finished uploads are forgotten holds exactly the finished ones.
///
/// # Errors
/// [`Broken`].
pub fn finished_uploads_are_ordered(tables: &dyn ReadTables) -> Result<(), Broken> {
    let uploads: BTreeMap<_, UploadRow> = all(tables, TableId::Upload, keys::read_upload)?;
    let order: BTreeMap<_, UploadId> =
        all(tables, TableId::FinishedUpload, keys::read_finished_upload)?;
    let expected: BTreeSet<_> = uploads
        .into_iter()
        .filter(|(_, row)| matches!(row.state, UploadState::Finished { .. }))
        .map(|(upload, row)| (row.last_activity, upload))
        .collect();
    same("finished uploads", &order.into_keys().collect(), &expected)
}
