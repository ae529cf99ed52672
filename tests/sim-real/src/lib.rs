//! The real consensus in a deterministic simulation: openraft, the log, the tables and the calls between members as they
//! ship, on simulated time, network and disks, all decided by one seed.
//!
//! One run is one process: some libraries count in statics, which a second run would find changed.

pub mod clients;
pub mod commands;
pub mod dice;
mod disk_copy;
pub mod faults;
pub mod invariants;
pub mod ledger;
pub mod machine;
mod membership;
pub mod network;
pub mod node;
pub mod run;
pub mod trace;
pub mod witness;
pub mod world;
