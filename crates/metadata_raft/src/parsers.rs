//! What a member reads from its disk, without a disk: for tests that give it any bytes, and bytes that are right.
//!
//! Only with the feature `parsers`, which only builds of tests have. Everything here is what a start does with a file's bytes.

use std::path::Path;

use bytes::Bytes;
use wire::{AppliedState, LogId, MemberIdentity, SnapshotRow, Vote};

use crate::folder;
use crate::log::{self, FrameBuilder, SegmentHeader};
use crate::snapshot;
use crate::types::{applied_from_wire, log_id_from_wire};

/// Replays a segment of the log as if it were all of it, and decodes its entries. Gives how many there are.
///
/// # Errors
/// Why a member would not start with it.
pub fn segment(bytes: &[u8]) -> Result<usize, String> {
    log::replay_alone(bytes).map_err(|error| error.to_string())
}

/// A segment with one frame for each of the lists, after which the log is purged up to `purged` if that is given, and closed.
#[must_use]
pub fn segment_of(lists: &[Vec<(LogId, Bytes)>], purged: Option<LogId>) -> Vec<u8> {
    let salt = 7;
    let header = SegmentHeader {
        first_frame: 1,
        salt,
        next_index: 0,
        purged: None,
    };
    let mut bytes = header.encode().to_vec();
    let mut frames: Vec<FrameBuilder> = lists
        .iter()
        .map(|list| {
            let mut frame = FrameBuilder::entries(None);
            for (id, payload) in list {
                frame.push(&log_id_from_wire(*id), payload);
            }
            frame
        })
        .collect();
    frames.extend(purged.map(|id| FrameBuilder::purged(&log_id_from_wire(id))));
    frames.push(FrameBuilder::closed());
    for (sequence, frame) in (1..).zip(frames) {
        bytes.extend_from_slice(&frame.finish(sequence, salt));
    }
    bytes
}

/// Makes the checksums of a segment right.
pub fn mend_segment(bytes: &mut [u8]) {
    log::mend_checksums(bytes);
}

/// The newest vote of a vote's file.
///
/// # Errors
/// Why a member would not start with it.
pub fn vote_file(bytes: &[u8]) -> Result<Option<Vote>, String> {
    let read = log::read_slots(Path::new("vote"), bytes);
    read.map(|(_, vote)| vote)
        .map_err(|error| error.to_string())
}

/// One slot of a vote's file, with this payload.
#[must_use]
pub fn vote_slot(generation: u64, payload: &[u8]) -> Vec<u8> {
    log::encode_slot(generation, payload)
}

/// Which node a folder is of, and the start after the one that it tells.
///
/// # Errors
/// Why a member would not start with it.
pub fn member_file(bytes: &[u8]) -> Result<(MemberIdentity, MemberIdentity), String> {
    let read = folder::read_identity(Path::new("member"), bytes);
    let identity = read.map_err(|error| error.to_string())?;
    let next = folder::after(identity.clone(), 1);
    Ok((identity, next))
}

/// The file of such a member.
#[must_use]
pub fn member_file_of(identity: &MemberIdentity) -> Vec<u8> {
    folder::identity_file(identity)
}

/// Reads a snapshot: the state that it holds, and its rows.
///
/// # Errors
/// Why a member would not take it.
pub fn snapshot(bytes: &[u8]) -> Result<(AppliedState, Vec<SnapshotRow>), String> {
    let mut rows = Vec::new();
    let read = snapshot::read_from(bytes, Path::new("snapshot"), |row| {
        rows.push(row);
        Ok(())
    });
    let state = read.map_err(|error| error.to_string())?;
    applied_from_wire(state.clone()).map_err(|error| error.to_string())?;
    Ok((state, rows))
}

/// A snapshot of these rows, one chunk for each list.
#[must_use]
pub fn snapshot_of(state: &AppliedState, lists: &[Vec<SnapshotRow>]) -> Vec<u8> {
    let header = wire::SnapshotHeader {
        state: state.clone(),
    };
    let rows = lists.iter().map(|list| list.len() as u64).sum();
    let mut chunks = vec![(snapshot::KIND_HEADER, wire::encode_snapshot_header(&header))];
    for list in lists {
        chunks.push((snapshot::KIND_ROWS, wire::encode_snapshot_rows(list)));
    }
    let end = wire::encode_snapshot_end(&wire::SnapshotEnd { rows });
    chunks.push((snapshot::KIND_END, end));
    let mut bytes = Vec::new();
    for (kind, chunk) in chunks {
        snapshot::write_chunk(&mut bytes, kind, &chunk).expect("memory takes all that is written");
    }
    bytes
}

/// Makes the checksums of a snapshot right.
pub fn mend_snapshot(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some((len, end)) = snapshot::chunk_at(bytes, at) {
        let (kind, chunk) = (bytes[at], &bytes[end - len..end]);
        let mut right = Vec::new();
        snapshot::write_chunk(&mut right, kind, chunk).expect("memory takes all that is written");
        bytes[at + 8..at + 12].copy_from_slice(&right[8..12]);
        at = end;
    }
}
