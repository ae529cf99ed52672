//! One connection per peer, opened when it is first needed and again when it broke.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::Endpoint;
use tonic::transport::server::Connected;
use tower::Service;

use crate::MESSAGE_BYTES_MAX;
use crate::generated::nodes_client::NodesClient;
use crate::generated::peers_client::PeersClient;
use crate::whole_calls::CallNetwork;

/// How long a connection may take to be made, the proof of who is there included.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// A silent connection is asked for a sign of life so often, and given up when there is none for so long.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
const KEEPALIVE_WAIT: Duration = Duration::from_secs(3);

/// The way to a peer. Its calls are counted.
type Channel = crate::metric::MeteredChannel;

/// Bytes in both directions.
pub trait PeerIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> PeerIo for T {}

/// A connection between two nodes. Both ends must send small writes at once (`TCP_NODELAY`): a heartbeat that waits for a
/// delayed acknowledgement comes too late.
pub struct PeerConnection {
    io: Box<dyn PeerIo>,
    caller: Option<Caller>,
    meter: crate::metric::ConnectionMeter,
}

/// Who called: proven by whoever made the connection. The calls of the connection have it as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The node.
    pub node: u64,
    /// Whether it is a member, which may speak of the log; a gateway only proposes and asks.
    pub is_member: bool,
}

impl PeerConnection {
    /// A connection that this node has opened.
    #[must_use]
    pub fn to_peer(io: Box<dyn PeerIo>) -> PeerConnection {
        PeerConnection {
            io,
            caller: None,
            meter: crate::metric::ConnectionMeter::begin(true),
        }
    }

    /// A connection that `caller` has opened.
    #[must_use]
    pub fn from_peer(io: Box<dyn PeerIo>, caller: Caller) -> PeerConnection {
        PeerConnection {
            io,
            caller: Some(caller),
            meter: crate::metric::ConnectionMeter::begin(false),
        }
    }
}

/// How connections to peers are made.
#[async_trait]
pub trait PeerTransport: Send + Sync + 'static {
    /// Connects to a node and makes sure that the other side is that node of this cluster.
    ///
    /// # Errors
    /// When nobody is there, or somebody else.
    async fn connect(&self, node: u64, address: &str) -> io::Result<PeerConnection>;

    /// A network that delivers calls whole: those that are no streams then need no connection. Only simulations have one.
    fn whole_calls(&self) -> Option<Arc<dyn CallNetwork>> {
        None
    }
}

/// The transport of a node that is alone: nobody can be reached.
#[derive(Debug, Clone, Copy)]
pub struct NoTransport;

#[async_trait]
impl PeerTransport for NoTransport {
    async fn connect(&self, node: u64, _address: &str) -> io::Result<PeerConnection> {
        Err(io::Error::new(
            io::ErrorKind::HostUnreachable,
            format!("this node has no connections, so none to node {node}"),
        ))
    }
}

impl AsyncRead for PeerConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        let received = buffer.filled().len() - before;
        self.meter.received.increment(received as u64);
        read
    }
}

impl AsyncWrite for PeerConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.meter.count_sent(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.meter.count_sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Connected for PeerConnection {
    type ConnectInfo = Option<Caller>;

    fn connect_info(&self) -> Option<Caller> {
        self.caller
    }
}

/// Calls a peer about the log. Clones share its connection.
pub type PeerClient = PeersClient<Channel>;
/// Calls a node about itself. Clones share its connection, also with a [`PeerClient`].
pub type NodeClient = NodesClient<Channel>;

/// The connections of one node. Clones share them.
#[derive(Clone)]
pub struct Connections {
    transport: Arc<dyn PeerTransport>,
    channels: Arc<Mutex<HashMap<(u64, String), Channel>>>,
}

impl Connections {
    /// No connection yet.
    #[must_use]
    pub fn new(transport: Arc<dyn PeerTransport>) -> Connections {
        Connections {
            transport,
            channels: Arc::default(),
        }
    }

    /// A client of a peer. Nothing is connected before its first call.
    #[must_use]
    pub fn client(&self, node: u64, address: &str) -> PeerClient {
        PeersClient::new(self.channel(node, address))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// A client of a node, for calls about itself. Nothing is connected before its first call.
    #[must_use]
    pub fn node_client(&self, node: u64, address: &str) -> NodeClient {
        NodesClient::new(self.channel(node, address))
    }

    fn channel(&self, node: u64, address: &str) -> Channel {
        let mut channels = self.channels.lock();
        // A node that moved is another entry; the old one has no users any more.
        channels.retain(|(id, old), _| *id != node || old == address);
        channels
            .entry((node, address.to_owned()))
            .or_insert_with(|| self.new_channel(node, address))
            .clone()
    }

    fn new_channel(&self, node: u64, address: &str) -> Channel {
        if let Some(network) = self.transport.whole_calls() {
            return Channel::whole(network, node, address);
        }
        let connector = Connector {
            transport: Arc::clone(&self.transport),
            node,
            address: address.into(),
        };
        // The authority is only a name on the wire: the transport knows where to go.
        let channel = Endpoint::from_static("http://peer.holdfast")
            .connect_timeout(CONNECT_TIME_MAX)
            .http2_keep_alive_interval(KEEPALIVE_EVERY)
            .keep_alive_timeout(KEEPALIVE_WAIT)
            .connect_with_connector_lazy(connector);
        Channel::new(channel, node)
    }
}

/// Opens the connection of one peer.
#[derive(Clone)]
struct Connector {
    transport: Arc<dyn PeerTransport>,
    node: u64,
    address: Arc<str>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<PeerConnection>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let connecting = connector
                .transport
                .connect(connector.node, &connector.address);
            let connected = tokio::time::timeout(CONNECT_TIME_MAX, connecting).await;
            let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            crate::metric::connected(connector.node, connected.is_ok());
            connected.map(TokioIo::new)
        })
    }
}
