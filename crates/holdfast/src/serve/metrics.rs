//! Where measurements go: a recorder that `/metrics` renders, and the meaning of each.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::failure::Failure;
use crate::version;

/// The upper bounds of the buckets of every histogram of seconds: from memory's speed to the longest upload.
const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
    600.0,
];
/// Those of every histogram of numbers.
const NUMBERS: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];
const BUILD_INFO: &str = "holdfast_build_info";

/// Installs the recorder, once per process.
///
/// # Errors
/// When there is one already.
pub fn install() -> Result<PrometheusHandle, Failure> {
    let cannot = |error| Failure::new(format!("metrics cannot be collected: {error}"));
    let of_seconds = Matcher::Suffix("_seconds".to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets(&NUMBERS)
        .and_then(|builder| builder.set_buckets_for_metric(of_seconds, &SECONDS))
        .map_err(cannot)?
        .install_recorder()
        .map_err(cannot)?;
    describe();
    ::metrics::gauge!(BUILD_INFO, "version" => version::VERSION, "revision" => version::REVISION)
        .set(1.0);
    Ok(handle)
}

/// Tells the recorder what every metric of the program means.
fn describe() {
    api::describe_metrics();
    auth::describe_metrics();
    front::describe_metrics();
    registry::describe_metrics();
    ports::metadata_store::metric::describe();
    metadata_raft::describe_metrics();
    peers::describe_metrics();
    mesh::describe_metrics();
    log_copy::describe_metrics();
    blobs::describe_metrics();
    ::metrics::describe_gauge!(
        BUILD_INFO,
        "Always 1; `version` and `revision` tell which build this is"
    );
}

#[cfg(test)]
#[path = "metrics_reference.rs"]
mod reference;
