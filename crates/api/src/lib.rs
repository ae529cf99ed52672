//! HTTP served: routes, ranges, conditions, headers, OCI error bodies. The only crate that serves HTTP.
//!
//! What is right is decided by `registry` and the log below it; this crate parses at the edge, asks, and writes the
//! answer. It never trusts what a client sends before it is a type of `oci`, never collects a blob, never re-encodes
//! bytes, and never tells a client hosts, keys or causes.
//!
//! Spec: distribution-spec 1.1 and its main branch; RFC 9110.

mod access;
mod access_log;
mod blobs;
mod conditional;
mod cors;
mod error_map;
#[cfg(test)]
mod error_reference;
mod exchange;
mod header;
#[cfg(feature = "in-process")]
mod in_process;
mod limits;
mod lingering;
mod lists;
mod manifests;
mod meter;
mod mounted;
mod pages;
mod passing_on;
mod problem;
mod query;
mod reply;
mod request_body;
mod request_id;
mod route;
mod server;
mod service;
mod settings;
mod stalled_writes;
mod uploads;

pub use access::Access;
#[cfg(feature = "in-process")]
pub use in_process::InProcess;
pub use limits::Limits;
pub use meter::describe as describe_metrics;
pub use mounted::Mounted;
pub use pages::{Info, Report};
pub use server::{ServeParts, serve};
pub use settings::Settings;
