//! The log on disk: segment files of our own, a vote file, one thread that writes.
//!
//! Why not a database: `docs/decisions/0003-own-log-segments.md`. Formats: [`segment`] and [`vote_file`].

mod index;
mod recovery;
mod requests;
mod segment;
mod space;
mod store;
mod vote_file;
mod writer;

#[cfg(test)]
mod crash_tests;

#[cfg(feature = "parsers")]
pub(crate) use recovery::replay_alone;
#[cfg(feature = "parsers")]
pub(crate) use segment::{FrameBuilder, SegmentHeader, mend_checksums};
pub(crate) use space::DiskSpace;
pub(crate) use store::{LogSettings, LogStore};
#[cfg(feature = "parsers")]
pub(crate) use vote_file::{encode_slot, read_slots};
