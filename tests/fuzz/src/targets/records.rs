//! Stored records: what `wire` keeps in the log, in the tables, in snapshots and in the copy. Seeds are its golden files.

use std::path::Path;
use std::sync::Arc;

use metadata::{Entry, TableId};
use wire::{DecodeError, LogEntry, LogPayload};

use super::nothing_to_forget;
use crate::target::{Shape, Target, Verdict};

/// The golden files whose names begin so.
pub fn golden(prefixes: &[&str]) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/wire/golden");
    let entries = std::fs::read_dir(folder).expect("the golden files of wire");
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let wanted = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    let read = |path| std::fs::read(path).expect("a golden file is read");
    paths.into_iter().filter(wanted).map(read).collect()
}

/// Checks that what is decoded is encoded as the same bytes: equal values are equal bytes.
fn canonical<T: PartialEq + std::fmt::Debug>(
    input: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Verdict {
    match decode(input) {
        Ok(value) => {
            let bytes = encode(&value);
            assert_eq!(decode(&bytes).as_ref(), Ok(&value));
            assert_eq!(bytes.len(), encode(&value).len());
            Verdict::accepted()
        }
        Err(error) => Verdict::refused(&error.to_string()),
    }
}

macro_rules! record {
    ($(#[$doc:meta])* $target:ident, $name:literal, $prefixes:expr, $decode:path, $encode:path) => {
        $(#[$doc])*
        pub static $target: Target = Target {
            name: $name,
            seeds: || golden(&$prefixes),
            generate: None,
            shape: Shape::Fields(0),
            repair: None,
            fresh: nothing_to_forget,
            check: |input| canonical(input, $decode, |value| $encode(value)),
        };
    };
}

record!(
    /// A command with its id and time.
    ENTRY, "entry", ["entry."], wire::decode_entry, wire::encode_entry
);
record!(
    /// What the log answered to a command.
    REPLY, "reply", ["reply.", "refusal."], wire::decode_reply, wire::encode_reply
);
record!(
    /// Whom a member has voted for.
    VOTE, "vote", ["vote"], wire::decode_vote, wire::encode_vote
);
record!(
    /// How far tables have come.
    APPLIED_STATE, "applied-state", ["applied"], wire::decode_applied_state, wire::encode_applied_state
);
record!(
    /// Which node a folder is of.
    MEMBER_IDENTITY,
    "member-identity",
    ["member"],
    wire::decode_member_identity,
    wire::encode_member_identity
);

/// An entry of the log with its place.
pub static LOG_ENTRY: Target = Target {
    name: "log-entry",
    seeds: || golden(&["log."]),
    generate: None,
    shape: Shape::Fields(0),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| match wire::decode_log_entry(input) {
        Ok(entry) => {
            let again = wire::decode_log_entry(&wire::encode_log_entry(&shared(entry.clone())));
            assert_eq!(again, Ok(entry));
            Verdict::accepted()
        }
        Err(error) => Verdict::refused(&error.to_string()),
    },
};

/// The same entry, as the log holds it.
fn shared(entry: LogEntry<Entry>) -> LogEntry<Arc<Entry>> {
    LogEntry {
        id: entry.id,
        payload: match entry.payload {
            LogPayload::Blank => LogPayload::Blank,
            LogPayload::Command(command) => LogPayload::Command(Arc::new(command)),
            LogPayload::Membership(membership) => LogPayload::Membership(membership),
        },
    }
}

/// A row of a table: the first byte says of which.
pub static ROW: Target = Target {
    name: "row",
    seeds: || {
        let rows = golden(&["row."]);
        let of_table = |table: TableId| {
            let fits = move |row: &&Vec<u8>| wire::decode_row(table, row).is_ok();
            let with_table = move |row: &Vec<u8>| [&[table.number()], &row[..]].concat();
            rows.iter().filter(fits).map(with_table).collect::<Vec<_>>()
        };
        TableId::ALL.into_iter().flat_map(of_table).collect()
    },
    generate: None,
    shape: Shape::Fields(1),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Some((number, row)) = input.split_first() else {
            return Verdict::refused("no table");
        };
        match TableId::from_number(*number) {
            Some(table) => canonical(row, |row| wire::decode_row(table, row), wire::encode_row),
            None => Verdict::refused("unknown table"),
        }
    },
};

/// The parts of a snapshot.
pub static SNAPSHOT_PARTS: Target = Target {
    name: "snapshot-parts",
    seeds: || golden(&["snapshot."]),
    generate: None,
    shape: Shape::Fields(0),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let header = canonical(
            input,
            wire::decode_snapshot_header,
            wire::encode_snapshot_header,
        );
        let end = canonical(input, wire::decode_snapshot_end, wire::encode_snapshot_end);
        let rows = canonical(input, wire::decode_snapshot_rows, |rows: &Vec<_>| {
            wire::encode_snapshot_rows(rows)
        });
        if header.accepted + end.accepted > 0 {
            return Verdict::accepted();
        }
        rows
    },
};

/// A segment of the log's copy beside the blobs.
pub static COPIED_SEGMENT: Target = Target {
    name: "copied-segment",
    seeds: || golden(&["log_segment"]),
    generate: None,
    shape: Shape::Fields(0),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        canonical(input, wire::decode_log_segment, |entries: &Vec<_>| {
            wire::encode_log_segment(entries)
        })
    },
};
