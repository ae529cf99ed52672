//! Whatever bytes lie on a disk, decoding them is an answer or an error: no panic, and nothing means two things.

use metadata::TableId;

use crate::row_samples;
use crate::samples;

fn check(bytes: &[u8]) {
    if let Ok(entry) = wire::decode_entry(bytes) {
        assert_eq!(wire::decode_entry(&wire::encode_entry(&entry)), Ok(entry));
    }
    if let Ok(reply) = wire::decode_reply(bytes) {
        assert_eq!(wire::decode_reply(&wire::encode_reply(&reply)), Ok(reply));
    }
    for table in TableId::ALL {
        if let Ok(row) = wire::decode_row(table, bytes) {
            assert_eq!(wire::decode_row(table, &wire::encode_row(&row)), Ok(row));
        }
    }
    if let Ok(vote) = wire::decode_vote(bytes) {
        assert_eq!(wire::decode_vote(&wire::encode_vote(&vote)), Ok(vote));
    }
    if let Ok(state) = wire::decode_applied_state(bytes) {
        assert_eq!(
            wire::decode_applied_state(&wire::encode_applied_state(&state)),
            Ok(state)
        );
    }
    if let Ok(identity) = wire::decode_member_identity(bytes) {
        assert_eq!(
            wire::decode_member_identity(&wire::encode_member_identity(&identity)),
            Ok(identity)
        );
    }
    // Their parts are compared above; here it is that no bytes make them panic.
    drop(wire::decode_log_entry(bytes));
    drop(wire::decode_snapshot_header(bytes));
    drop(wire::decode_snapshot_rows(bytes));
    drop(wire::decode_snapshot_end(bytes));
}

#[test]
fn fuzz_stored_records() {
    bolero::check!()
        .with_type::<Vec<u8>>()
        .for_each(|bytes| check(bytes));
}

/// Random bytes rarely come near a record: here they change a good one.
#[test]
fn fuzz_changed_records() {
    let records: Vec<Vec<u8>> = samples::commands()
        .into_iter()
        .map(|(_, command)| wire::encode_entry(&samples::entry(command)))
        .chain(samples::replies().iter().map(wire::encode_reply))
        .chain(
            row_samples::rows()
                .iter()
                .map(|(_, _, row)| wire::encode_row(row)),
        )
        .collect();
    bolero::check!()
        .with_type::<(u16, Vec<(u16, u8)>)>()
        .for_each(|(which, changes)| {
            let mut bytes = records[usize::from(*which) % records.len()].clone();
            for (at, byte) in changes {
                let len = bytes.len();
                if len > 0 {
                    bytes[usize::from(*at) % len] = *byte;
                }
            }
            check(&bytes);
        });
}
