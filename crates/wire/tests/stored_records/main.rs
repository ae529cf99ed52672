//! What is kept on disk: loads for ever, and is written as ever.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access_refused;
mod access_samples;
mod golden;
mod kinds;
mod node_samples;
mod row_samples;
mod samples;
