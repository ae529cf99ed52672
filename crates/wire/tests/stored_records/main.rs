//! What is kept on disk: loads for ever, is written as ever, and no bytes make decoding panic.

mod fuzz;
mod golden;
mod kinds;
mod samples;
