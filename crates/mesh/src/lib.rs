//! Connections between the nodes of a cluster: TCP with mutual TLS, where both sides have proven who they are before the
//! first byte of a call.
//!
//! Callers without a certificate of this cluster, garbage and slow handshakes end here, with one line in the log, and take
//! a bounded part of this node meanwhile. Must never give a connection away whose other end is not proven.
//!
//! Design: `docs/protocols.md`, "Members and their peers"; `docs/decisions/0012`.

mod answer;
mod call;
mod removal;

pub use answer::{Door, Joiner, describe_metrics, listen};
pub use call::{Mesh, connect_to_join, connect_unproven};

use std::time::Duration;

/// A handshake that takes longer is given up.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
