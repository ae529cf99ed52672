//! What the use-cases count, by names that begin with `holdfast_registry_`. Never labelled with what clients choose.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const BLOB_BYTES_PUSHED: &str = "holdfast_registry_blob_bytes_pushed_total";
const BLOB_BYTES_PULLED: &str = "holdfast_registry_blob_bytes_pulled_total";
const BLOBS_PUSHED: &str = "holdfast_registry_blobs_pushed_total";
const BLOBS_MOUNTED: &str = "holdfast_registry_blobs_mounted_total";
const MANIFESTS_PUSHED: &str = "holdfast_registry_manifests_pushed_total";
const MANIFESTS_PULLED: &str = "holdfast_registry_manifests_pulled_total";
const MANIFEST_BYTES_PULLED: &str = "holdfast_registry_manifest_bytes_pulled_total";
const UPLOADS_IN_FLIGHT: &str = "holdfast_registry_upload_requests_in_flight";
const OBJECTS_SWEPT: &str = "holdfast_registry_objects_swept_total";
const UPLOADS_EXPIRED: &str = "holdfast_registry_uploads_expired_total";
const SWEEP_FAILURES: &str = "holdfast_registry_sweep_failures_total";

/// Tells the recorder what the metrics mean. Called once, after the recorder was installed.
pub fn describe() {
    describe_counter!(
        BLOB_BYTES_PUSHED,
        Unit::Bytes,
        "Bytes of blobs that clients sent"
    );
    describe_counter!(
        BLOB_BYTES_PULLED,
        Unit::Bytes,
        "Bytes of blobs that were read for clients"
    );
    describe_counter!(BLOBS_PUSHED, "Blobs that were finished");
    describe_counter!(
        BLOBS_MOUNTED,
        "Blobs that were mounted from another repository"
    );
    describe_counter!(MANIFESTS_PUSHED, "Manifests that were stored");
    describe_counter!(
        MANIFESTS_PULLED,
        "Manifests that were served, or described to a HEAD"
    );
    describe_counter!(
        MANIFEST_BYTES_PULLED,
        Unit::Bytes,
        "Bytes of manifests that were served, or described to a HEAD"
    );
    describe_gauge!(
        UPLOADS_IN_FLIGHT,
        "Requests that are writing to an upload now"
    );
    describe_counter!(
        OBJECTS_SWEPT,
        "Objects and multipart uploads that were removed from the blob store"
    );
    describe_counter!(
        UPLOADS_EXPIRED,
        "Uploads that were ended because nobody wrote to them"
    );
    describe_counter!(
        SWEEP_FAILURES,
        "Steps of the sweep that failed and will be repeated"
    );
}

pub(crate) fn blob_bytes_pushed(bytes: usize) {
    counter!(BLOB_BYTES_PUSHED).increment(bytes as u64);
}

pub(crate) fn blob_bytes_pulled(bytes: usize) {
    counter!(BLOB_BYTES_PULLED).increment(bytes as u64);
}

pub(crate) fn blob_pushed() {
    counter!(BLOBS_PUSHED).increment(1);
}

pub(crate) fn blob_mounted() {
    counter!(BLOBS_MOUNTED).increment(1);
}

pub(crate) fn manifest_pushed() {
    counter!(MANIFESTS_PUSHED).increment(1);
}

pub(crate) fn manifest_pulled(bytes: usize) {
    counter!(MANIFESTS_PULLED).increment(1);
    counter!(MANIFEST_BYTES_PULLED).increment(bytes as u64);
}

pub(crate) fn objects_swept(count: usize) {
    counter!(OBJECTS_SWEPT).increment(count as u64);
}

pub(crate) fn upload_expired() {
    counter!(UPLOADS_EXPIRED).increment(1);
}

pub(crate) fn sweep_failed() {
    counter!(SWEEP_FAILURES).increment(1);
}

/// Counts a request that writes to an upload for as long as it lives.
pub(crate) struct UploadInFlight;

impl UploadInFlight {
    pub(crate) fn begin() -> UploadInFlight {
        gauge!(UPLOADS_IN_FLIGHT).increment(1);
        UploadInFlight
    }
}

impl Drop for UploadInFlight {
    fn drop(&mut self) {
        gauge!(UPLOADS_IN_FLIGHT).decrement(1);
    }
}
