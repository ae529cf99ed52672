//! The metadata log of one member: openraft over a log and tables of our own on disk, as a `ports::MetadataStore`.
//!
//! The only crate that names openraft and redb. What it promises: a command is acknowledged only when its entry is
//! durable and committed; a read sees everything that was acknowledged before it began; a restart after any crash has
//! both. It stops, with a message that says what to do, rather than go on over a damaged log.
//!
//! ```text
//! <folder>/lock                     held while the member lives
//! <folder>/member                   which node this is, how often it has started
//! <folder>/log/*.segment, vote      the log and the vote (`log`)
//! <folder>/tables.redb              the tables and how far they have come (`tables`)
//! <folder>/snapshots/*.snapshot     the last snapshot (`snapshot`)
//! ```
//!
//! Design: `docs/architecture.md`, "Metadata".

mod append_stream;
mod blocking;
mod copy_source;
mod failure;
mod files;
mod folder;
mod group;
mod known_start;
mod log;
mod machine;
mod member;
mod metric;

#[cfg(feature = "parsers")]
pub mod parsers;
mod peer_network;
mod peer_service;
mod propose;
mod read;
mod read_index;
mod recover;
mod restoration;
#[cfg(feature = "simulation")]
pub mod simulation;
mod snapshot;
mod stamper;
mod start;
mod steps;
mod storage;
mod tables;
mod time;
mod turnstile;
mod types;
mod voter_clocks;

#[cfg(test)]
mod storage_suite;

pub use copy_source::StateFile;
pub use failure::OpenFailure;
pub use group::{GroupFailure, GroupView, PeerView};
pub use known_start::PeersToTell;
pub use member::{FirstStart, Member, MemberConfig};
pub use metric::describe as describe_metrics;
pub use recover::{Survivor, recover};
pub use restoration::{Restoration, RestorationFailure, RestoredState};
pub use stamper::ClockStamper;
pub use steps::STEPS;
pub use voter_clocks::{
    CLOCK_OFF_MS_MAX, Judgement, VoterClocks, is_off as clock_is_off, median as median_clock,
};
