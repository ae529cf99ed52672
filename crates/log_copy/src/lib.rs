//! The copy of the metadata log that lies beside the blobs, encrypted: making it, and restoring a cluster from it.
//!
//! It is a crate of its own because its format has two users that share nothing else: the leader of a cluster, which copies
//! all the time, and a restore, which knows no cluster and no node. Must never write a key twice, copy what is not committed,
//! or make a folder from a copy that does not join.
//!
//! ```text
//! <cluster>/log/snapshot-<index>-<term>-<id>         a snapshot of `metadata_raft`, sealed as a stream
//! <cluster>/log/segment-<first>-<last>-<term>-<id>   `wire`'s LogSegment, sealed as a stream
//! <cluster>/successor/<cluster>                      says that a restored cluster has taken this one's place
//! ```
//!
//! Design: `docs/protocols.md`, "The copy in the bucket".

mod catalog;
mod copier;
mod metric;
mod object;
mod restore;
mod succession;

pub use copier::{Copier, CopyFailure, CopySettings};
pub use metric::{describe as describe_metrics, show};
pub use restore::{RestoreFailure, RestoreWish, Restored, restore};
pub use succession::successor;
