//! Calls another node, and makes sure that it is the one that is meant.

use std::io;

use identity::{Credentials, ExpectedPeer, JoinToken, NodeId, server_name};
use peers::{PeerConnection, PeerTransport, async_trait};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::HANDSHAKE_TIME_MAX;
use crate::removal::{Opened, Removal};

/// Opens connections to nodes, each to the node that is meant and no other.
#[derive(Clone)]
pub struct Mesh {
    credentials: Credentials,
    removal: Removal,
}

impl Mesh {
    /// Connections that show these credentials; they follow their rotation.
    #[must_use]
    pub fn new(credentials: Credentials) -> Mesh {
        Mesh {
            credentials,
            removal: Removal::new(),
        }
    }

    /// Waits until a node of the cluster says that this one was removed from it. All clones hear it.
    pub async fn removed(&self) {
        self.removal.said().await;
    }

    async fn connected(&self, node: u64, address: &str) -> io::Result<PeerConnection> {
        let stream = TcpStream::connect(address).await?;
        // Without it a heartbeat waits for a delayed acknowledgement.
        stream.set_nodelay(true)?;
        let node = NodeId(node);
        let config = self.credentials.client_config(ExpectedPeer::Node(node));
        let name = server_name(self.credentials.identity().cluster(), node);
        let stream = TlsConnector::from(config).connect(name, stream).await;
        let stream = stream.map_err(|error| match identity::tls_error(&error) {
            Some(why) => io::Error::new(io::ErrorKind::PermissionDenied, identity::explain(why)),
            None => error,
        })?;
        let removal = self.removal.clone();
        Ok(PeerConnection::to_peer(Box::new(Opened {
            stream,
            removal,
        })))
    }
}

#[async_trait]
impl PeerTransport for Mesh {
    async fn connect(&self, node: u64, address: &str) -> io::Result<PeerConnection> {
        let connecting = self.connected(node, address);
        match tokio::time::timeout(HANDSHAKE_TIME_MAX, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Connects to a member of the token's cluster, to ask it to be let in. The member has proven who it is; this node has
/// proven nothing.
///
/// # Errors
/// When nobody is there, or somebody else.
pub async fn connect_to_join(address: &str, token: &JoinToken) -> io::Result<TlsStream<TcpStream>> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(identity::joining_client_config(token.authority()));
        // The authority is known by its fingerprint; which of its members answers does not matter.
        let name = server_name(token.cluster(), NodeId(0));
        connector.connect(name, stream).await
    };
    match tokio::time::timeout(HANDSHAKE_TIME_MAX, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
