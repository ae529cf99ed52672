//! The server over HTTP, in process: what is sent and what comes back, byte for byte where it matters.
//!
//! The use-cases and the state machine are the real ones; below them are the fakes of the ports, which fail when a test
//! says so. Every server has its own port and its own state.

mod access;
mod base;
mod blobs;
mod client;
mod connections;
mod fixture;
mod limits;
mod lists;
mod manifests;
mod mounted;
mod polite_stop;
mod sparse_images;
mod uploads;
mod without_quorum;
