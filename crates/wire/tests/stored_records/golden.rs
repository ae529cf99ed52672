//! Every persisted kind has a golden file that must load for ever and re-encode to the same bytes.
//!
//! `HOLDFAST_BLESS=1 cargo test -p wire --test stored_records` writes the files that are missing. It never changes one: a file
//! that no longer fits means that old data no longer loads.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;

use bytes::Bytes;

use crate::kinds::{self, ACCESS_COMMANDS, COMMANDS, DENIALS, NAMED, REFUSALS, REPLIES, ROWS};
use crate::node_samples;
use crate::row_samples;
use crate::samples;
use metadata::{FORMAT_MAX, TableId};
use wire::{DecodeError, LogEntry, LogPayload};

struct Golden {
    used: BTreeSet<PathBuf>,
}

impl Golden {
    fn folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
    }

    fn check<T: PartialEq + Debug>(
        &mut self,
        name: &str,
        sample: &T,
        encode: impl Fn(&T) -> Vec<u8>,
        decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) {
        let path = Golden::folder().join(format!("{name}.bin"));
        if !path.exists() && std::env::var_os("HOLDFAST_BLESS").is_some() {
            std::fs::write(&path, encode(sample)).unwrap();
        }
        let golden =
            std::fs::read(&path).unwrap_or_else(|e| panic!("{name} has no golden file: {e}"));
        let loaded =
            decode(&golden).unwrap_or_else(|e| panic!("{name} does not load any more: {e}"));
        assert_eq!(loaded, *sample, "{name} means something else now");
        assert_eq!(encode(&loaded), golden, "{name} is written differently now");
        assert!(self.used.insert(path), "{name} occurs twice");
    }

    /// A kind of a format that this build does not know: its file is there, and is refused with a clear message.
    fn check_refused<T: Debug>(
        &mut self,
        name: &str,
        bytes: Vec<u8>,
        decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) {
        let path = Golden::folder().join(format!("{name}.bin"));
        if !path.exists() && std::env::var_os("HOLDFAST_BLESS").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        let golden =
            std::fs::read(&path).unwrap_or_else(|e| panic!("{name} has no golden file: {e}"));
        assert_eq!(bytes, golden, "{name} is written differently now");
        let error = decode(&golden).unwrap_err().to_string();
        assert!(error.contains("format 2"), "{error}");
        assert!(error.contains("a newer Holdfast wrote it"), "{error}");
        assert!(self.used.insert(path), "{name} occurs twice");
    }
}

fn name(parts: &[&str]) -> String {
    parts
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(".")
}

fn decode_command_entry(bytes: &[u8]) -> Result<LogEntry<Boxed>, DecodeError> {
    let entry = wire::decode_log_entry(bytes)?;
    let payload = match entry.payload {
        LogPayload::Blank => LogPayload::Blank,
        LogPayload::Command(entry) => LogPayload::Command(Boxed(Box::new(entry))),
        LogPayload::Membership(membership) => LogPayload::Membership(membership),
    };
    Ok(LogEntry {
        id: entry.id,
        payload,
    })
}

/// What holds an entry, as a log would.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Boxed(Box<metadata::Entry>);

impl AsRef<metadata::Entry> for Boxed {
    fn as_ref(&self) -> &metadata::Entry {
        &self.0
    }
}

#[test]
fn every_persisted_kind_loads_and_is_written_as_ever() {
    let mut golden = Golden {
        used: BTreeSet::new(),
    };
    let mut kinds = BTreeSet::new();
    for (variant, command) in samples::commands() {
        let kind = kinds::command_kind(&command);
        let detail = kinds::command_detail(&command);
        kinds.insert(format!("Command::{kind}"));
        kinds.insert(format!("{kind}Command::{detail}"));
        let entry = samples::entry(command);
        golden.check(
            &name(&["entry", kind, detail, variant]),
            &entry,
            wire::encode_entry,
            wire::decode_entry,
        );
    }
    for reply in samples::replies() {
        let kind = kinds::reply_kind(&reply);
        kinds.insert(format!("Reply::{kind}"));
        golden.check(
            &name(&["reply", kind]),
            &reply,
            wire::encode_reply,
            wire::decode_reply,
        );
    }
    for refusal in samples::refusals() {
        let kind = kinds::refusal_kind(&refusal);
        let detail = kinds::refusal_detail(&refusal);
        kinds.insert(format!("Refusal::{kind}"));
        kinds.insert(format!("Refusal::{kind}::{detail}"));
        let reply = metadata::Reply::Refused(refusal);
        golden.check(
            &name(&["refusal", kind, detail]),
            &reply,
            wire::encode_reply,
            wire::decode_reply,
        );
    }
    for (table, variant, row) in row_samples::rows() {
        let kind = kinds::row_kind(&row);
        kinds.insert(format!("Row::{kind}"));
        kinds.insert(format!("{table:?}"));
        let file = name(&["row", &format!("{table:?}"), variant]);
        golden.check(&file, &row, wire::encode_row, |bytes| {
            wire::decode_row(table, bytes)
        });
    }
    check_raft_records(&mut golden);
    if FORMAT_MAX < 2 {
        kinds.extend(check_later_format(&mut golden));
    }

    let wanted = COMMANDS.iter().map(|kind| format!("Command::{kind}"));
    let wanted = wanted.chain(REPLIES.iter().map(|kind| format!("Reply::{kind}")));
    let wanted = wanted.chain(REFUSALS.iter().map(|kind| format!("Refusal::{kind}")));
    let wanted = wanted.chain(ROWS.iter().map(|kind| format!("Row::{kind}")));
    let wanted = wanted.chain(TableId::ALL.iter().map(|table| format!("{table:?}")));
    let access = ACCESS_COMMANDS.iter();
    let wanted = wanted.chain(access.map(|kind| format!("AccessCommand::{kind}")));
    let wanted = wanted.chain(
        DENIALS
            .iter()
            .map(|word| format!("Refusal::Denied::{word}")),
    );
    let wanted = wanted.chain(NAMED.iter().map(|word| format!("Refusal::Unknown::{word}")));
    let wanted = wanted.chain(NAMED.iter().map(|word| format!("Refusal::Exists::{word}")));
    let missing: Vec<_> = wanted.filter(|kind| !kinds.contains(kind)).collect();
    assert!(
        missing.is_empty(),
        "no sample and no golden file: {missing:?}"
    );

    for file in std::fs::read_dir(Golden::folder()).unwrap() {
        let path = file.unwrap().path();
        assert!(
            golden.used.contains(&path),
            "{} is loaded by no test",
            path.display()
        );
    }
}

/// What only builds of the next format know.
fn check_later_format(golden: &mut Golden) -> BTreeSet<String> {
    let mut refused = BTreeSet::new();
    for command in node_samples::later_commands() {
        let kind = kinds::command_kind(&command);
        let bytes = wire::encode_entry(&samples::entry(command));
        golden.check_refused(&name(&["entry", kind]), bytes, wire::decode_entry);
        refused.insert(format!("Command::{kind}"));
    }
    let row = wire::encode_row(&node_samples::cluster_row(2));
    golden.check_refused("row.Cluster.format-2", row, |bytes| {
        wire::decode_row(TableId::Cluster, bytes)
    });
    refused
}

fn check_raft_records(golden: &mut Golden) {
    let at = |payload| LogEntry {
        id: samples::log_id(),
        payload,
    };
    let command = samples::first_entry();
    for (kind, entry) in [
        ("blank", at(LogPayload::Blank)),
        ("command", at(LogPayload::Command(Boxed(Box::new(command))))),
        (
            "membership",
            at(LogPayload::Membership(samples::membership())),
        ),
    ] {
        golden.check(
            &name(&["log", kind]),
            &entry,
            wire::encode_log_entry,
            decode_command_entry,
        );
    }
    let vote = wire::Vote {
        term: 3,
        node: 2,
        committed: true,
    };
    golden.check("vote", &vote, wire::encode_vote, wire::decode_vote);
    golden.check(
        "applied",
        &samples::applied_state(),
        wire::encode_applied_state,
        wire::decode_applied_state,
    );
    let unconfirmed = wire::MemberIdentity {
        unconfirmed_nonces: Vec::new(),
        confirmed: false,
        ..samples::identity()
    };
    for (name, identity) in [
        ("member", unconfirmed),
        ("member.confirmed", samples::identity()),
    ] {
        golden.check(
            name,
            &identity,
            wire::encode_member_identity,
            wire::decode_member_identity,
        );
    }
    check_snapshot_chunks(golden);
}

fn check_snapshot_chunks(golden: &mut Golden) {
    let header = wire::SnapshotHeader {
        state: samples::applied_state(),
    };
    golden.check(
        "snapshot.header",
        &header,
        wire::encode_snapshot_header,
        wire::decode_snapshot_header,
    );
    let rows: Vec<_> = row_samples::rows()
        .into_iter()
        .take(3)
        .map(|(table, _, row)| wire::SnapshotRow {
            table,
            key: vec![1, 2, 3].into(),
            row: wire::encode_row(&row).into(),
        })
        .collect();
    golden.check(
        "snapshot.rows",
        &rows,
        |rows| wire::encode_snapshot_rows(rows),
        wire::decode_snapshot_rows,
    );
    let end = wire::SnapshotEnd { rows: 3 };
    golden.check(
        "snapshot.end",
        &end,
        wire::encode_snapshot_end,
        wire::decode_snapshot_end,
    );
    let entries = vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    golden.check(
        "log_segment",
        &entries,
        |entries| wire::encode_log_segment(entries),
        wire::decode_log_segment,
    );
}

#[test]
fn what_a_newer_build_wrote_is_refused_and_never_skipped() {
    let entry = samples::first_entry();
    let mut bytes = wire::encode_entry(&entry);
    // Field 1000, a varint.
    bytes.extend_from_slice(&[0xc0, 0x3e, 0x01]);
    let error = wire::decode_entry(&bytes).unwrap_err().to_string();
    assert!(error.contains("newer Holdfast"), "{error}");

    // The first field of a log entry is its format.
    let mut bytes = wire::encode_log_entry(&LogEntry::<Boxed> {
        id: samples::log_id(),
        payload: LogPayload::Blank,
    });
    assert_eq!(bytes[..2], [0x08, 0x01]);
    bytes[1] = 2;
    let error = wire::decode_log_entry(&bytes).unwrap_err().to_string();
    assert!(error.contains("format 2"), "{error}");
}

#[test]
fn no_prefix_of_a_record_passes_for_the_whole() {
    for (_, command) in samples::commands() {
        let entry = samples::entry(command);
        let bytes = wire::encode_entry(&entry);
        for len in 0..bytes.len() {
            assert!(
                wire::decode_entry(&bytes[..len]).is_err(),
                "{entry:?} cut at {len}"
            );
        }
    }
}
