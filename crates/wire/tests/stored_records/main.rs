//! What is kept on disk: loads for ever, is written as ever, and no bytes make decoding panic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fuzz;
mod golden;
mod kinds;
mod node_samples;
mod row_samples;
mod samples;
