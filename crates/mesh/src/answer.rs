//! Answers nodes that call: one port for nodes of the cluster and for those that want to join.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use identity::{ALPN_JOIN, Credentials, Role};
use parking_lot::Mutex;
use peers::{Caller, PeerConnection};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use crate::HANDSHAKE_TIME_MAX;

/// Handshakes at once. One more ends the oldest of whoever has the most: callers that say nothing must keep nobody out.
const HANDSHAKES_MAX: usize = 256;
/// Connections that wait to be taken.
const WAITING_MAX: usize = 64;
/// The same complaint about the same machine is logged once in so long.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
/// So many complaints are remembered.
const COMPLAINTS_MAX: usize = 256;
/// How long to wait when the system has no more sockets for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A caller that has no certificate yet. It has seen who we are; nothing is known of it.
pub struct Joiner {
    /// The connection.
    pub stream: TlsStream<TcpStream>,
    /// Where it comes from.
    pub from: SocketAddr,
}

/// What comes in. The task that accepts ends when this is dropped; connections that were taken live on.
pub struct Door {
    /// Connections of nodes of this cluster; takes the form that serving wants.
    pub peers: ReceiverStream<io::Result<PeerConnection>>,
    /// Callers that want to join.
    pub joiners: mpsc::Receiver<Joiner>,
    accepting: Accepting,
}

struct Accepting(JoinHandle<()>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Door {
    /// The two kinds of callers, and what keeps the door open as long as it is kept.
    #[must_use]
    pub fn split(
        self,
    ) -> (
        ReceiverStream<io::Result<PeerConnection>>,
        mpsc::Receiver<Joiner>,
        impl Send + Sync + 'static,
    ) {
        (self.peers, self.joiners, self.accepting)
    }
}

const REFUSED: &str = "holdfast_peers_refused_total";

/// Tells the recorder what the metrics of this crate mean. Called once, after the recorder was installed.
pub fn describe_metrics() {
    metrics::describe_counter!(
        REFUSED,
        "Callers on the port between nodes that did not prove to be nodes of this cluster, or said nothing in time"
    );
}

/// Accepts nodes on `listener`. Must be called within a tokio runtime.
#[must_use]
pub fn listen(listener: TcpListener, credentials: Credentials) -> Door {
    let (peers, incoming) = mpsc::channel(WAITING_MAX);
    let (joiners, joining) = mpsc::channel(WAITING_MAX);
    let reception = Arc::new(Reception {
        credentials,
        peers,
        joiners,
        complaints: Complaints::default(),
    });
    Door {
        peers: ReceiverStream::new(incoming),
        joiners: joining,
        accepting: Accepting(tokio::spawn(accept(listener, reception))),
    }
}

/// Where callers go once they are known.
struct Reception {
    credentials: Credentials,
    peers: mpsc::Sender<io::Result<PeerConnection>>,
    joiners: mpsc::Sender<Joiner>,
    complaints: Complaints,
}

/// What was logged of whom lately: who calls again and again is told of now and then.
#[derive(Default)]
struct Complaints(Mutex<HashMap<(IpAddr, String), Instant>>);

impl Complaints {
    /// Whether this is to be logged now.
    fn is_due(&self, from: IpAddr, why: &str) -> bool {
        let mut told = self.0.lock();
        told.retain(|_, at| at.elapsed() < COMPLAIN_EVERY);
        let of = (from, why.to_owned());
        // A table that is full of others is no reason to fill the log instead.
        if told.contains_key(&of) || told.len() >= COMPLAINTS_MAX {
            return false;
        }
        told.insert(of, Instant::now());
        true
    }
}

/// Callers that have not proven who they are, the oldest first.
#[derive(Default)]
struct Handshakes(VecDeque<(IpAddr, AbortHandle)>);

impl Handshakes {
    fn add(&mut self, from: IpAddr, handshake: AbortHandle) {
        self.0.push_back((from, handshake));
    }

    /// Makes room for one more. Gives who had to go.
    fn make_room(&mut self) -> Option<IpAddr> {
        self.0.retain(|(_, handshake)| !handshake.is_finished());
        if self.0.len() < HANDSHAKES_MAX {
            return None;
        }
        let mut counts = HashMap::<IpAddr, usize>::new();
        for (from, _) in &self.0 {
            *counts.entry(*from).or_default() += 1;
        }
        let (greedy, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        let oldest = self.0.iter().position(|(from, _)| *from == greedy)?;
        let (from, handshake) = self.0.remove(oldest)?;
        handshake.abort();
        Some(from)
    }
}

async fn accept(listener: TcpListener, reception: Arc<Reception>) {
    let mut handshakes = Handshakes::default();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection of another node could be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Some(greedy) = handshakes.make_room() {
            reception.refuse(
                greedy,
                "too many callers do not say who they are".to_owned(),
            );
        }
        let reception = Arc::clone(&reception);
        let handshake = tokio::spawn(async move {
            let received = reception.receive(stream, from);
            let refused = match tokio::time::timeout(HANDSHAKE_TIME_MAX, received).await {
                Ok(Ok(())) => return,
                Ok(Err(why)) => why,
                Err(_) => "it did not say who it is in time".to_owned(),
            };
            reception.refuse(from.ip(), refused);
        });
        handshakes.add(from.ip(), handshake.abort_handle());
    }
}

impl Reception {
    fn refuse(&self, from: IpAddr, why: String) {
        metrics::counter!(REFUSED).increment(1);
        if self.complaints.is_due(from, &why) {
            tracing::warn!(%from, why, "a caller on the port between nodes was refused");
        }
    }

    async fn receive(&self, stream: TcpStream, from: SocketAddr) -> Result<(), String> {
        let said = |error: io::Error| match identity::tls_error(&error) {
            Some(why) => identity::explain(why),
            None => error.to_string(),
        };
        stream.set_nodelay(true).map_err(said)?;
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
        let hello = hello.await.map_err(said)?;
        let config = self.credentials.server_config_for(&hello.client_hello());
        let stream = hello.into_stream(config).await.map_err(said)?;
        let (_, connection) = stream.get_ref();
        if connection.alpn_protocol() == Some(ALPN_JOIN) {
            // Who has no more room for joiners has them try again.
            let sent = self.joiners.try_send(Joiner { stream, from });
            return sent.map_err(|_| "too many nodes want to join at once".to_owned());
        }
        let peer = self.credentials.peer(connection);
        let peer = peer.map_err(|refusal| refusal.to_string())?;
        let caller = Caller {
            node: peer.node.0,
            is_member: peer.role == Role::Member,
        };
        let connection = PeerConnection::from_peer(Box::new(stream), caller);
        // Nobody takes connections any more: this node is stopping.
        drop(self.peers.send(Ok(connection)).await);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_of_the_greediest_makes_room() {
        let waiting = || tokio::spawn(std::future::pending::<()>());
        let [node, flood] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let mut handshakes = Handshakes::default();
        let first = waiting();
        handshakes.add(node, first.abort_handle());
        let mut floods = Vec::new();
        for _ in 1..HANDSHAKES_MAX {
            assert_eq!(handshakes.make_room(), None);
            floods.push(waiting());
            handshakes.add(flood, floods[floods.len() - 1].abort_handle());
        }
        assert_eq!(handshakes.make_room(), Some(flood));
        assert!(floods.remove(0).await.unwrap_err().is_cancelled());
        assert!(!first.is_finished());
        // Who is done is in nobody's way.
        floods[0].abort();
        assert!((&mut floods[0]).await.is_err());
        handshakes.add(flood, waiting().abort_handle());
        assert_eq!(handshakes.make_room(), None);
    }
}
