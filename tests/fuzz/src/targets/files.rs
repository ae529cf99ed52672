//! What a member finds in its folder: segments of the log, the vote, who it is, snapshots. Checksums are made right after most
//! changes, so that what lies behind them is reached.

use bytes::Bytes;
use metadata::TableId;
use metadata_raft::parsers;
use wire::{AppliedState, LogId, MemberIdentity, SnapshotRow, Vote};

use super::{nothing_to_forget, records};
use crate::target::{Shape, Target, Verdict};

fn verdict<T>(read: Result<T, String>) -> Verdict {
    match read {
        Ok(_) => Verdict::accepted(),
        Err(problem) => Verdict::refused(&problem),
    }
}

/// A segment of the log, replayed.
pub static SEGMENT: Target = Target {
    name: "log-segment",
    seeds: || {
        let payloads = records::golden(&["log."]);
        let id = |index| LogId {
            term: 3,
            node: 1,
            index,
        };
        let entries: Vec<(LogId, Bytes)> = payloads
            .into_iter()
            .zip(0..)
            .map(|(payload, index)| (id(index), payload.into()))
            .collect();
        let one_by_one: Vec<_> = entries.iter().map(|entry| vec![entry.clone()]).collect();
        vec![
            parsers::segment_of(&[], None),
            parsers::segment_of(std::slice::from_ref(&entries), None),
            parsers::segment_of(&one_by_one, Some(id(1))),
        ]
    },
    generate: None,
    shape: Shape::Bytes,
    repair: Some(|input| parsers::mend_segment(input)),
    fresh: nothing_to_forget,
    check: |input| verdict(parsers::segment(input)),
};

/// The file of the vote: two slots of 4,096 bytes each.
pub static VOTE_FILE: Target = Target {
    name: "vote-file",
    seeds: || {
        let vote = |term| {
            let vote = Vote {
                term,
                node: 2,
                committed: term % 2 == 0,
            };
            let mut slot = parsers::vote_slot(term, &wire::encode_vote(&vote));
            slot.resize(SLOT_BYTES, 0);
            slot
        };
        vec![vec![0; 2 * SLOT_BYTES], [vote(4), vote(5)].concat()]
    },
    generate: None,
    shape: Shape::Bytes,
    repair: Some(|input| {
        input.resize(2 * SLOT_BYTES, 0);
        input.chunks_mut(SLOT_BYTES).for_each(mend_slot);
    }),
    fresh: nothing_to_forget,
    check: |input| verdict(parsers::vote_file(input)),
};

const SLOT_BYTES: usize = 4096;

fn mend_slot(slot: &mut [u8]) {
    let len = u32::from_le_bytes([slot[16], slot[17], slot[18], slot[19]]) as usize;
    let Some(end) = len.checked_add(20).filter(|end| end + 4 <= slot.len()) else {
        return;
    };
    let generation = u64::from_le_bytes(slot[8..16].try_into().expect("eight bytes"));
    let right = parsers::vote_slot(generation, &slot[20..end]);
    slot[end..end + 4].copy_from_slice(&right[end..]);
}

/// Which node a folder is of.
pub static MEMBER_FILE: Target = Target {
    name: "member-file",
    seeds: || {
        let identity = MemberIdentity {
            node: 3,
            starts: 9,
            nonce: 1 << 100,
            previous_nonce: 7,
            unconfirmed_nonces: vec![5, 6],
            confirmed: false,
        };
        vec![parsers::member_file_of(&identity)]
    },
    generate: None,
    shape: Shape::Bytes,
    repair: Some(|input| {
        if let Some((record, _)) = input.split_last_chunk::<4>()
            && let Ok(identity) = wire::decode_member_identity(record)
        {
            *input = parsers::member_file_of(&identity);
        }
    }),
    fresh: nothing_to_forget,
    check: |input| {
        let read = parsers::member_file(input);
        if let Ok((identity, next)) = &read {
            assert_eq!(parsers::member_file_of(identity), input);
            assert_eq!(next.node, identity.node);
        }
        verdict(read)
    },
};

/// A snapshot: chunks of rows with a checksum each.
pub static SNAPSHOT: Target = Target {
    name: "snapshot",
    seeds: || {
        let state = |bytes: &Vec<u8>| wire::decode_applied_state(bytes).expect("a golden file");
        let states = records::golden(&["applied"])
            .iter()
            .map(state)
            .collect::<Vec<_>>();
        let row = |(row, number): (Vec<u8>, u8)| SnapshotRow {
            table: TableId::Tag,
            key: vec![number; 3].into(),
            row: row.into(),
        };
        let rows: Vec<_> = records::golden(&["row.Tag"])
            .into_iter()
            .zip(0..)
            .map(row)
            .collect();
        let empty = AppliedState::default();
        let full = states.first().unwrap_or(&empty);
        vec![
            parsers::snapshot_of(&empty, &[]),
            parsers::snapshot_of(full, &[rows.clone(), rows]),
        ]
    },
    generate: None,
    shape: Shape::Bytes,
    repair: Some(|input| parsers::mend_snapshot(input)),
    fresh: nothing_to_forget,
    check: |input| {
        let read = parsers::snapshot(input);
        if let Ok((state, rows)) = &read {
            let again = parsers::snapshot_of(state, std::slice::from_ref(rows));
            let again = parsers::snapshot(&again).expect("what was written is read");
            assert_eq!((&again.0, &again.1), (state, rows));
        }
        verdict(read)
    },
};
