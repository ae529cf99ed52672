//! How nodes of a cluster talk: gRPC calls of `proto/holdfast/v1/peer.proto` over connections that somebody else makes.
//!
//! A [`PeerTransport`] opens a connection to a node by its id and address and has proven, before it gives the connection
//! away, that the other side is that node. Nothing here knows certificates, and nothing here trusts more than that: a
//! message is decoded strictly, by `wire`, before anybody looks at it.
//!
//! Design: `docs/protocols.md`, "Members and their peers".

mod codec;
mod connections;
mod metric;
mod serve;
mod whole_calls;

#[allow(
    missing_docs,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::pedantic
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/holdfast.v1.Peers.rs"));
    include!(concat!(env!("OUT_DIR"), "/holdfast.v1.Nodes.rs"));
}

pub use connections::{
    Caller, Connections, NoTransport, NodeClient, PeerClient, PeerConnection, PeerIo, PeerTransport,
};
pub use generated::nodes_server::Nodes as NodeCalls;
pub use generated::peers_server::Peers as PeerCalls;
pub use serve::{Calls, serve};
/// What those who implement or make calls need of the library beneath.
pub use tonic::{Code, Request, Response, Status, Streaming, async_trait};

pub use metric::describe as describe_metrics;
pub use whole_calls::{CallNetwork, WholeAnswer, WholeCall};

/// Who makes a call.
///
/// # Errors
/// When the connection does not say: such a call is not answered.
pub fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let known = request.extensions().get::<Option<Caller>>().copied();
    let unknown = || Status::unauthenticated("who calls is not known");
    known.flatten().ok_or_else(unknown)
}

/// No message between nodes is larger: a batch of entries is at most a few payloads of 16 KiB past a mebibyte, and a page
/// of a list at most 10,000 rows.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
