//! The pure log: what the members of a run have in the place of `metadata_raft`, with the same contract and without a library,
//! a disk or bytes. It is Raft (Ongaro, "Consensus: Bridging Theory and Practice", 2014), small enough to be read whole:
//! terms, votes, one change of membership at a time, snapshots, reads by ReadIndex; entries count once they are synced by a
//! majority, and what was not synced may be lost by a crash.
//!
//! The state machine over it is the real one.

mod core;
mod disk;
mod follower;
mod leader;
mod machine;
mod member;
mod messages;
mod names;
mod recording;
mod service;
mod time;

pub use self::core::Applied;
pub use self::core::{Core, Role};
pub use disk::{Content, Disk, LogEntry, Members, Snapshot};
pub use machine::Machine;
pub use member::Member;
pub use messages::Message;
pub use names::{COMMANDS, access_command_name, command_name};
pub use recording::{Change, Recording};
pub use service::calls;
