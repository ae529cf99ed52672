//! The real consensus in a deterministic simulation: openraft, the log, the tables and the calls between members as they
//! ship, on simulated time, network and disks, all decided by one seed.
//!
//! One run is one process: some libraries count in statics, which a second run would find changed.

pub mod commands;
pub mod dice;
pub mod machine;
pub mod network;
pub mod node;
pub mod trace;
pub mod world;
