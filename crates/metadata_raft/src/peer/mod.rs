//! Members and their peers: gRPC over connections that somebody else makes.
//!
//! A [`PeerTransport`] opens a connection to a node by its id and address and has proven, before it gives the connection
//! away, that the other side is that node. Nothing here knows certificates, and nothing here trusts more than that: a
//! message is decoded strictly before it is looked at.

pub(crate) mod codec;
mod connections;
mod network;
mod service;

#[allow(missing_docs, unused_qualifications, clippy::all, clippy::pedantic)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/holdfast.v1.Peers.rs"));
}

pub(crate) use connections::{Connections, PeerClient};
pub use connections::{NoTransport, PeerConnection, PeerIo, PeerTransport};
pub(crate) use network::PeerNetworks;
pub(crate) use service::serve;

/// No message between members is larger: a batch of entries is at most a few payloads of 16 KiB past a mebibyte.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
