//! The deterministic simulation of Holdfast: the real state machine, use-cases, upload writer and client of the log, on a
//! simulated network, clock, disk and object store, all driven by one seed. What a seed does it does again, to the last line of
//! its trace.
//!
//! `docs/testing.md` says what is tried and how to repeat it; `docs/decisions` has how determinism is had.

pub mod batch;
pub mod census;
pub mod clients;
pub mod dice;
pub mod faults;
pub mod invariants;
pub mod life;
pub mod log;
pub mod machine;
pub mod membership;
pub mod network;
pub mod node;
pub mod plan;
pub mod run;
pub mod scenarios;
pub mod store;
pub mod trace;
pub mod world;
