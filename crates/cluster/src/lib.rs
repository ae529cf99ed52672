//! Who the nodes of a cluster are: how they come, prove themselves, stay, and go.
//!
//! A registry begins as one node that is alone. [`Cluster::found`] gives it an authority and a name among nodes; from then
//! on others join by tokens. The log's table of nodes says who belongs to the cluster, and everything else follows it: the
//! group of the metadata log by the leader's steward, and what each node knows of the others by
//! following the table. The leader also keeps the copy of the log beside the blobs. Must never let a member vote whose start is not recorded (rule 5.3).
//!
//! ```text
//! <data>/node/node.pem       the identity: key, certificate, authorities
//! <data>/node/cluster.key    the key of the cluster's secrets; members only; made by one that is alone when it needs one
//! <data>/node/members        who the members were and where; read at a start
//! <data>/node/address        where this node is reached by the others
//! <data>/node/starts         the last starts of the other members
//! ```
//!
//! Design: `docs/protocols.md`, "Members and their peers".

mod admin;
mod adopt;
mod bootstrap;
mod calls;
mod copying;
mod fabric;
mod folder;
mod follow;
mod found;
mod full_disk;
mod join;
mod node;
mod proofs;
mod reception;
mod remote;
mod renewal;
mod signer;
mod start_book;
mod start_record;
mod status;
mod steward;
mod token_keys;
mod trust;
mod upkeep;

pub use admin::{AdminFailure, Founded, IssuedToken};
pub use bootstrap::{BootstrapWish, Bootstrapped, bootstrap, forget_claim};
pub use fabric::Fabric;
pub use folder::NodeFolder;
pub use join::{JoinFailure, JoinWish, join};
pub use node::{Cluster, Parts};
pub use start_book::{RecordedStart, StartBook, may_follow};
pub use start_record::{StartFailure, note_of};
pub use status::{ClusterStatus, LogCopyLine, MoveLine, NodeLine};
pub use wire::nodes::MoveProgress;
