//! The page that lists every metric, made from what the code itself says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};

use super::describe;

const HEAD: &str = "\
# Metrics

`/metrics` is in the text format of Prometheus. Every node has its own: add them up, or compare them. Labels have few values,
all of them chosen by Holdfast: no name, tag or address that a client sends is among them. A histogram has `_bucket`, `_sum` and
`_count`; those of seconds have buckets from 0.5 ms to 10 min. A metric appears when it was first counted.

## What to watch

| What | Means |
|---|---|
| `holdfast_metadata_can_confirm` is 0 on a node | It cannot reach the leader, or there is no quorum; a balancer leaves it alone. On all nodes: no quorum. |
| `holdfast_metadata_reads_total{answer=\"stale\"}` grows | Pulls are answered without a quorum, each with a warning. |
| `sum(holdfast_metadata_is_leader)` is not 1 | For a moment: an election. For longer: no quorum. |
| `holdfast_metadata_leader_changes_total` grows often | Members are overloaded, their disks are slow, or the network between them is bad. |
| `holdfast_metadata_peer_lag_entries`, `holdfast_metadata_peer_silence_seconds` | A member that does not follow, or does not answer its leader. |
| `holdfast_metadata_fsync_seconds` | The disk under the log: every write waits for it on a majority of members. |
| `holdfast_metadata_disk_free_bytes` | Near `metadata.free_space_min` writes are refused. |
| `holdfast_metadata_clock_offset_seconds` beyond 5 or -5 | The clock of that machine is off and not believed: set it right. |
| `holdfast_http_requests_total{status=~\"5..\"}` | What clients were told; the log has the reasons. |
| `holdfast_blob_store_retries_total`, `holdfast_blob_store_call_seconds` | Object storage that is slow or failing. |
| `holdfast_http_panics_total` is not 0 | A bug. Please report it. |

This page is made from the program: `UPDATE_EXPECT=1 cargo test -p holdfast`.
";

const SECTIONS: [(&str, &str); 9] = [
    ("holdfast_http_", "Requests"),
    ("holdfast_front_", "Connections of clients"),
    ("holdfast_logins_", "Logins"),
    ("holdfast_registry_", "Pushes and pulls"),
    ("holdfast_metadata_", "The metadata log"),
    ("holdfast_log_copy_", "The copy of the log beside the blobs"),
    ("holdfast_peer", "Between nodes"),
    ("holdfast_blob_store_", "The blob store"),
    ("holdfast_build_info", "The build"),
];

/// Takes down what it is told.
#[derive(Default)]
struct Notes(Mutex<BTreeMap<String, Note>>);

struct Note {
    kind: &'static str,
    unit: &'static str,
    meaning: String,
}

impl Notes {
    fn add(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>, meaning: SharedString) {
        let note = Note {
            kind,
            unit: unit.map_or("", |unit| unit.as_str()),
            meaning: meaning.into_owned(),
        };
        let before = self
            .0
            .lock()
            .expect("no panic")
            .insert(name.as_str().to_owned(), note);
        assert!(before.is_none(), "{} is described twice", name.as_str());
    }
}

impl Recorder for Notes {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, meaning: SharedString) {
        self.add("counter", &name, unit, meaning);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, meaning: SharedString) {
        self.add("gauge", &name, unit, meaning);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, meaning: SharedString) {
        self.add("histogram", &name, unit, meaning);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn described() -> BTreeMap<String, Note> {
    let notes = Notes::default();
    with_local_recorder(&notes, describe);
    notes.0.into_inner().expect("no panic")
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut left = described();
    for (prefix, title) in SECTIONS {
        let _ = write!(
            page,
            "\n## {title}\n\n| Name | Kind | Unit | Meaning |\n|---|---|---|---|\n"
        );
        let rest = left.split_off(prefix);
        let (mine, others): (BTreeMap<_, _>, BTreeMap<_, _>) = rest
            .into_iter()
            .partition(|(name, _)| name.starts_with(prefix));
        left.extend(others);
        for (name, note) in mine {
            let meaning = note.meaning.trim_end_matches('.');
            let _ = writeln!(
                page,
                "| `{name}` | {} | {} | {meaning}. |",
                note.kind, note.unit
            );
        }
    }
    assert!(left.is_empty(), "no section has {:?}", left.keys());
    page
}

/// Everything in `text` that could be a metric's name.
fn names(text: &str) -> BTreeSet<&str> {
    let is_of_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !is_of_a_name(c))
        .filter(|word| word.starts_with("holdfast_"))
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.append(&mut sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_reference_is_what_the_code_says() {
    expect_test::expect_file!["../../../../docs/reference/metrics.md"].assert_eq(&page());
}

#[test]
fn every_metric_has_a_meaning_and_every_meaning_a_metric() {
    let described = described();
    let known: BTreeSet<&str> = described.keys().map(String::as_str).collect();
    for name in names(HEAD) {
        assert!(known.contains(name), "there is no metric {name}");
    }
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut named = BTreeSet::new();
    for entry in fs::read_dir(crates).expect("the crates") {
        for path in sources(&entry.expect("an entry").path().join("src")) {
            if path.ends_with(file!().rsplit('/').next().expect("a name")) {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source");
            let literals = text.split('"').filter(|part| names(part).contains(part));
            named.extend(literals.map(str::to_owned));
        }
    }
    let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "without a meaning: {unknown:?}");
    let unused: Vec<_> = known.difference(&named).collect();
    assert!(unused.is_empty(), "without a metric: {unused:?}");
}

#[test]
fn units_are_in_the_names() {
    for (name, note) in described() {
        let base = name.strip_suffix("_total").unwrap_or(&name);
        assert_eq!(note.kind == "counter", base != name, "{name}");
        let unit = match note.unit {
            "seconds" => base.ends_with("_seconds"),
            "bytes" => base.contains("_bytes"),
            _ => !base.contains("_seconds") && !base.contains("_bytes"),
        };
        assert!(unit, "{name} is in {}", note.unit);
    }
}
