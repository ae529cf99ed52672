//! Calls another node, and makes sure that it is the one that is meant.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use identity::{Credentials, ExpectedPeer, JoinToken, NodeId, server_name};
use peers::{PeerConnection, PeerTransport, async_trait};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
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
    // The authority is known by its fingerprint; which of its members answers does not matter.
    let name = server_name(token.cluster(), NodeId(0));
    connect_with(
        address,
        identity::joining_client_config(token.authority()),
        name,
    )
    .await
}

/// Connects to whoever is at this address. Nobody has proven anything: both sides have to show that they have the bootstrap
/// secret.
///
/// # Errors
/// When nobody is there.
pub async fn connect_unproven(address: &str) -> io::Result<TlsStream<TcpStream>> {
    let unnamed = SocketAddr::from(([0, 0, 0, 0], 0)).ip();
    let name = ServerName::IpAddress(unnamed.into());
    connect_with(address, identity::unproven_client_config(), name).await
}

async fn connect_with(
    address: &str,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<TlsStream<TcpStream>> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(config).connect(name, stream).await
    };
    match tokio::time::timeout(HANDSHAKE_TIME_MAX, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
