//! What is measured of the copy.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const INDEX: &str = "holdfast_log_copy_index";
const LAG_ENTRIES: &str = "holdfast_log_copy_lag_entries";
const LAG_SECONDS: &str = "holdfast_log_copy_lag_seconds";
const OBJECTS: &str = "holdfast_log_copy_objects_total";
const BYTES: &str = "holdfast_log_copy_bytes_total";
const FAILURES: &str = "holdfast_log_copy_failures_total";

/// Tells the recorder what the metrics mean. Called once, after the recorder was installed.
pub fn describe() {
    describe_gauge!(
        INDEX,
        "On the leader of a cluster, the last entry in the copy of the log beside the blobs; NaN elsewhere"
    );
    describe_gauge!(
        LAG_ENTRIES,
        "On the leader of a cluster, how many entries the copy lacks; NaN elsewhere"
    );
    describe_gauge!(
        LAG_SECONDS,
        Unit::Seconds,
        "On the leader of a cluster, for how long something has been missing in the copy; NaN elsewhere"
    );
    describe_counter!(
        OBJECTS,
        "Objects of the copy by `kind`: `snapshot`, `segment` or `deleted`"
    );
    describe_counter!(BYTES, Unit::Bytes, "Bytes that were copied, encrypted");
    describe_counter!(
        FAILURES,
        "Steps of the copying that failed and were tried again"
    );
}

/// Shows how far the copy is, or that this node does not make it.
pub fn show(copy: Option<(u64, u64, Duration)>) {
    let (index, entries, seconds) = match copy {
        Some((index, entries, lag)) => (index as f64, entries as f64, lag.as_secs_f64()),
        None => (f64::NAN, f64::NAN, f64::NAN),
    };
    gauge!(INDEX).set(index);
    gauge!(LAG_ENTRIES).set(entries);
    gauge!(LAG_SECONDS).set(seconds);
}

pub(crate) fn copied(kind: &'static str, bytes: u64) {
    counter!(OBJECTS, "kind" => kind).increment(1);
    counter!(BYTES).increment(bytes);
}

pub(crate) fn deleted(objects: usize) {
    counter!(OBJECTS, "kind" => "deleted").increment(objects as u64);
}

pub(crate) fn failed() {
    counter!(FAILURES).increment(1);
}
