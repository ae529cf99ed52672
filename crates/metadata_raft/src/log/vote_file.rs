//! The vote's file: two slots that are written in turn, so that a torn write leaves the older vote readable.
//!
//! The file has its full size from the start: recording a vote needs no free space. It must never be created anew
//! while the folder holds a log, because a member that forgot its vote could vote twice in a term.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::steps;
use crate::types::{Vote, vote_from_wire, vote_to_wire};
use durable_files::sync_folder;

const SLOT_BYTES: usize = 4096;
const MAGIC: &[u8; 8] = b"HFVOTE\0\x01";

/// The open file.
#[derive(Debug)]
pub(crate) struct VoteFile {
    file: File,
    generation: u64,
}

impl VoteFile {
    /// Opens the file of `folder`, or creates it, and reads the vote.
    pub(crate) fn open(folder: &Path) -> io::Result<(VoteFile, Option<Vote>)> {
        let path = folder.join("vote");
        if !path.exists() {
            let fresh = folder.join("vote.new");
            let file = File::create(&fresh)?;
            file.write_all_at(&[0; 2 * SLOT_BYTES], 0)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)?;
            sync_folder(folder)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut slots = [0_u8; 2 * SLOT_BYTES];
        file.read_exact_at(&mut slots, 0)?;
        let (generation, vote) = read_slots(&path, &slots)?;
        Ok((VoteFile { file, generation }, vote.map(vote_from_wire)))
    }

    /// Writes the vote and makes it durable.
    pub(crate) fn save(&mut self, vote: &Vote) -> io::Result<()> {
        let payload = wire::encode_vote(&vote_to_wire(vote));
        let generation = self.generation + 1;
        let slot = encode_slot(generation, &payload);
        let offset = (generation % 2) * SLOT_BYTES as u64;
        self.file.write_all_at(&slot, offset)?;
        steps::reached(steps::VOTE_BEFORE_SYNC);
        if !mutants::active!("forget_the_votes_fsync") {
            self.file.sync_data()?;
        }
        steps::reached(steps::VOTE_AFTER_SYNC);
        self.generation = generation;
        Ok(())
    }
}

/// The newest vote of the file's slots, and its generation; none when the file was never written.
pub(crate) fn read_slots(path: &Path, slots: &[u8]) -> io::Result<(u64, Option<wire::Vote>)> {
    let newest = slots
        .chunks(SLOT_BYTES)
        .filter_map(decode_slot)
        .max_by_key(|(generation, _)| *generation);
    if newest.is_none() && slots.iter().any(|byte| *byte != 0) {
        let message = format!(
            "the vote in {} is damaged: this member cannot know whom it voted for; restore the folder from a \
             backup, or empty it and let the member join again",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let generation = newest.as_ref().map_or(0, |(generation, _)| *generation);
    let vote = newest
        .map(|(_, payload)| wire::decode_vote(&payload))
        .transpose();
    let vote = vote.map_err(|e| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: {e}", path.display()),
        )
    })?;
    Ok((generation, vote))
}

pub(crate) fn encode_slot(generation: u64, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a vote is a few bytes");
    let mut slot = Vec::with_capacity(24 + payload.len());
    slot.extend_from_slice(MAGIC);
    slot.extend_from_slice(&generation.to_le_bytes());
    slot.extend_from_slice(&len.to_le_bytes());
    slot.extend_from_slice(payload);
    let crc = crc32fast::hash(&slot);
    slot.extend_from_slice(&crc.to_le_bytes());
    slot
}

fn decode_slot(slot: &[u8]) -> Option<(u64, Vec<u8>)> {
    let number = |at: usize| Some(u32::from_le_bytes(slot.get(at..at + 4)?.try_into().ok()?));
    let generation = u64::from_le_bytes(slot.get(8..16)?.try_into().ok()?);
    let end = 20_usize.checked_add(usize::try_from(number(16)?).ok()?)?;
    let sound = slot.get(..8)? == MAGIC && number(end)? == crc32fast::hash(slot.get(..end)?);
    sound.then(|| (generation, slot[20..end].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft::impls::leader_id_adv::LeaderId;

    fn vote(term: u64) -> Vote {
        Vote {
            leader_id: LeaderId { term, node_id: 1 },
            committed: false,
        }
    }

    #[test]
    fn a_torn_vote_leaves_the_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, none) = VoteFile::open(folder.path()).unwrap();
        assert_eq!(none, None);
        file.save(&vote(1)).unwrap();
        file.save(&vote(2)).unwrap();
        let path = folder.path().join("vote");
        let sound = std::fs::read(&path).unwrap();
        assert_eq!(VoteFile::open(folder.path()).unwrap().1, Some(vote(2)));
        for at in 0..30 {
            let mut torn = sound.clone();
            torn[at] ^= 0x40;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(
                VoteFile::open(folder.path()).unwrap().1,
                Some(vote(1)),
                "byte {at}"
            );
            torn[SLOT_BYTES + at] ^= 0x40;
            std::fs::write(&path, &torn).unwrap();
            assert!(
                VoteFile::open(folder.path()).is_err(),
                "both slots are damaged at byte {at}"
            );
        }
    }
}
