//! What the blob stores count. Never labelled with keys.

use metrics::{Unit, counter, describe_counter, describe_histogram};

pub(crate) const CALLS: &str = "holdfast_blob_store_calls_total";
pub(crate) const CALL_SECONDS: &str = "holdfast_blob_store_call_seconds";
pub(crate) const BYTES: &str = "holdfast_blob_store_bytes_total";
const RETRIES: &str = "holdfast_blob_store_retries_total";
const READS_RESUMED: &str = "holdfast_blob_store_reads_resumed_total";

/// Tells the recorder what the metrics mean. Called once, after the recorder was installed.
pub fn describe() {
    describe_counter!(
        CALLS,
        "Calls to the blob store, by `call` and `outcome`: `ok`, `no_such_object`, `no_such_upload`, `unavailable`, `full`, `denied` or `other`; `read_on` are reads that broke after their first bytes"
    );
    describe_histogram!(
        CALL_SECONDS,
        Unit::Seconds,
        "How long calls to the blob store took, retries included, by `call`; a read until its first bytes"
    );
    describe_counter!(
        BYTES,
        Unit::Bytes,
        "Bytes by `direction`: `read` or `written`"
    );
    describe_counter!(
        RETRIES,
        "Attempts at S3 that failed and were repeated: many mean that the store is slow or failing"
    );
    describe_counter!(
        READS_RESUMED,
        "Reads from S3 that broke in the middle and were taken up where they were"
    );
}

pub(crate) fn retried() {
    counter!(RETRIES).increment(1);
}

pub(crate) fn read_resumed() {
    counter!(READS_RESUMED).increment(1);
}
