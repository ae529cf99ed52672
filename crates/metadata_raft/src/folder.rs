//! The member's folder: its lock, and the record of who this node is and how often it has started.
//!
//! The lock is held as long as the member lives. Two processes must never write one log.
//!
//! Each start has a nonce, which is written here and then recorded outside of this disk. An old copy of the disk does not
//! know the nonces of later starts, and so is told from the disk itself: `docs/protocols.md`, "Members and their peers".

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use wire::MemberIdentity;

use crate::OpenFailure;
use durable_files::{create_folder, replace_file};

const IDENTITY: &str = "member";

/// Starts in a row that were not confirmed and are remembered, the latest.
const UNCONFIRMED_MAX: usize = 256;

/// Takes the folder for this process, creating it if it is not there.
pub(crate) fn lock(folder: &Path) -> Result<File, OpenFailure> {
    create_folder(folder).map_err(|e| OpenFailure::folder(folder, &e))?;
    let path = folder.join("lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| OpenFailure::folder(folder, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenFailure::InUse {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(e)) => Err(OpenFailure::folder(folder, &e)),
    }
}

/// Reads who this node is and records that it starts once more, under a fresh nonce. Durable when it returns.
pub(crate) fn start(folder: &Path, node: u64, nonce: u128) -> Result<MemberIdentity, OpenFailure> {
    let path = folder.join(IDENTITY);
    let before = match std::fs::read(&path) {
        Ok(bytes) => Some(read_identity(&path, &bytes)?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(OpenFailure::folder(folder, &e)),
    };
    let identity = match before {
        Some(before) if before.node != node => {
            return Err(OpenFailure::OtherNode {
                folder: folder.to_owned(),
                found: before.node,
                wanted: node,
            });
        }
        Some(before) => after(before, nonce),
        None => MemberIdentity {
            node,
            starts: 1,
            nonce,
            previous_nonce: 0,
            unconfirmed_nonces: Vec::new(),
            confirmed: false,
        },
    };
    write(folder, &identity)?;
    Ok(identity)
}

/// Records that the start is known outside of this disk. Durable when it returns.
pub(crate) fn confirm(folder: &Path, start: &MemberIdentity) -> Result<(), OpenFailure> {
    let confirmed = MemberIdentity {
        confirmed: true,
        ..start.clone()
    };
    write(folder, &confirmed)
}

/// The start after `before`.
pub(crate) fn after(before: MemberIdentity, nonce: u128) -> MemberIdentity {
    let starts = before.starts.saturating_add(1);
    if before.confirmed {
        return MemberIdentity {
            starts,
            nonce,
            previous_nonce: before.nonce,
            unconfirmed_nonces: Vec::new(),
            confirmed: false,
            ..before
        };
    }
    let mut unconfirmed = before.unconfirmed_nonces;
    unconfirmed.push(before.nonce);
    let forgotten = unconfirmed.len().saturating_sub(UNCONFIRMED_MAX);
    unconfirmed.drain(..forgotten);
    MemberIdentity {
        starts,
        nonce,
        unconfirmed_nonces: unconfirmed,
        ..before
    }
}

fn write(folder: &Path, identity: &MemberIdentity) -> Result<(), OpenFailure> {
    let record = identity_file(identity);
    replace_file(folder, IDENTITY, &record).map_err(|e| OpenFailure::folder(folder, &e))
}

pub(crate) fn identity_file(identity: &MemberIdentity) -> Vec<u8> {
    let mut record = wire::encode_member_identity(identity);
    let crc = crc32fast::hash(&record);
    record.extend_from_slice(&crc.to_le_bytes());
    record
}

pub(crate) fn read_identity(path: &Path, bytes: &[u8]) -> Result<MemberIdentity, OpenFailure> {
    let damaged = |problem: String| OpenFailure::Damaged {
        reason: format!(
            "{} cannot be read: {problem}; restore the data folder from a backup",
            path.display()
        ),
    };
    let Some((record, crc)) = bytes.split_last_chunk::<4>() else {
        return Err(damaged("it is too short".to_owned()));
    };
    if crc32fast::hash(record) != u32::from_le_bytes(*crc) {
        return Err(damaged("its checksum is wrong".to_owned()));
    }
    wire::decode_member_identity(record).map_err(|e| damaged(e.to_string()))
}
