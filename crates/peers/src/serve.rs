//! Serves the calls of peers that connect.

use std::io;
use std::time::Duration;

use futures::Stream;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::generated::nodes_server::{Nodes, NodesServer};
use crate::generated::peers_server::{Peers, PeersServer};
use crate::{MESSAGE_BYTES_MAX, PeerConnection};

/// A silent connection is asked for a sign of life so often, and given up when there is none for so long.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
const KEEPALIVE_WAIT: Duration = Duration::from_secs(3);
/// Calls at once on one connection. A peer has few; a broken one must not take all memory.
const CALLS_MAX: u32 = 4096;

/// The calls that a node answers.
#[derive(Default)]
pub struct Calls(Routes);

impl Calls {
    /// These, and those of the log.
    #[must_use]
    pub fn of_the_log(self, calls: impl Peers) -> Calls {
        let service = PeersServer::new(calls)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Calls(self.0.add_service(service))
    }

    /// These, and those about nodes.
    #[must_use]
    pub fn of_nodes(self, calls: impl Nodes) -> Calls {
        Calls(self.0.add_service(NodesServer::new(calls)))
    }

    pub(crate) fn routes(&self) -> Routes {
        self.0.clone()
    }
}

/// Answers the peers that come in, until the stream of connections ends or the future is dropped.
///
/// # Errors
/// When the connections cannot be served.
pub async fn serve(
    calls: Calls,
    connections: impl Stream<Item = io::Result<PeerConnection>> + Send + 'static,
) -> io::Result<()> {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_WAIT))
        .max_concurrent_streams(Some(CALLS_MAX))
        .add_routes(calls.0)
        .serve_with_incoming(connections)
        .await
        .map_err(io::Error::other)
}
