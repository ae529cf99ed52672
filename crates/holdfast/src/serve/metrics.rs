//! Where measurements go: a recorder that `/metrics` renders.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::failure::Failure;
use crate::version;

/// The upper bounds of the buckets of every histogram of seconds: from memory's speed to the longest upload.
const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
    600.0,
];

/// Installs the recorder, once per process.
///
/// # Errors
/// When there is one already.
pub fn install() -> Result<PrometheusHandle, Failure> {
    let cannot = |error| Failure::new(format!("metrics cannot be collected: {error}"));
    let handle = PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .map_err(cannot)?
        .install_recorder()
        .map_err(cannot)?;
    registry::describe_metrics();
    ::metrics::describe_gauge!("holdfast_build_info", "Always 1; which build this is.");
    ::metrics::gauge!("holdfast_build_info", "version" => version::VERSION, "revision" => version::REVISION).set(1.0);
    Ok(handle)
}
