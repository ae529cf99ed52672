//! The balancer itself: accepts connections of clients, follows how its nodes are, and ends in order.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::check;
use crate::forward::{self, Ends};
use crate::node::{Condition, Node, NodeReport};
use crate::nodes::Nodes;
use crate::settings::Settings;
use crate::transport::Transport;

/// How long nothing is accepted after the system could give no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A balancer. Clones are the same one.
#[derive(Clone)]
pub struct Balancer {
    shared: Arc<Shared>,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) nodes: Nodes,
    pub(crate) counts: Counting,
    connections: Arc<Semaphore>,
    tasks: TaskTracker,
    /// From now on each answer is the last on its connection.
    stop: CancellationToken,
    /// What is in flight is cut.
    cut: CancellationToken,
}

/// What the balancer has done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that came.
    pub requests: u64,
    /// How often one was sent again after a node had it and failed.
    pub repeated: u64,
    /// Requests that got an error of the balancer because no node answered.
    pub failed: u64,
}

#[derive(Default)]
pub(crate) struct Counting {
    requests: AtomicU64,
    repeated: AtomicU64,
    failed: AtomicU64,
}

impl Counting {
    pub(crate) fn requests(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Balancer {
    /// A balancer without nodes.
    #[must_use]
    pub fn new(settings: Settings) -> Balancer {
        Balancer {
            shared: Arc::new(Shared {
                connections: Arc::new(Semaphore::new(settings.connections_max)),
                settings: Arc::new(settings),
                nodes: Nodes::default(),
                counts: Counting::default(),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
                cut: CancellationToken::new(),
            }),
        }
    }

    /// Puts a node in, in the place of the one of the same name, and follows how it is. It gets requests once it is
    /// ready. Called within a runtime of tokio.
    pub fn put(&self, name: &str, address: SocketAddr) -> watch::Receiver<Condition> {
        let node = Arc::new(Node::new(name, address));
        let condition = node.watch();
        self.shared.nodes.put(Arc::clone(&node));
        let checks = check::keep_checking(node, Arc::clone(&self.shared.settings));
        let cut = self.shared.cut.clone();
        self.shared.tasks.spawn(async move {
            cut.run_until_cancelled(checks).await;
        });
        condition
    }

    /// Takes a node out. What is in flight on it goes on.
    pub fn remove(&self, name: &str) {
        self.shared.nodes.remove(name);
    }

    /// The nodes, in the order in which they were put in.
    pub fn nodes(&self) -> Vec<NodeReport> {
        let nodes = self.shared.nodes.list();
        nodes.iter().map(|node| node.report()).collect()
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        let counts = &self.shared.counts;
        Counts {
            requests: counts.requests.load(Ordering::Relaxed),
            repeated: counts.repeated.load(Ordering::Relaxed),
            failed: counts.failed.load(Ordering::Relaxed),
        }
    }

    /// Serves until `stop`, and then until what is in flight has ended or its time is over. May be called once.
    pub async fn serve(&self, listeners: Vec<TcpListener>, stop: CancellationToken) {
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn(accept(Arc::clone(&self.shared), listener));
        }
        stop.cancelled().await;
        // Closes the listening sockets.
        accepting.shutdown().await;
        let shared = &self.shared;
        shared.stop.cancel();
        shared.tasks.close();
        // The checks of nodes go on for those who still wait; they alone do not hold up the end.
        let drained = async {
            let all = u32::try_from(shared.settings.connections_max).unwrap_or(u32::MAX);
            let _ = shared.connections.acquire_many(all).await;
        };
        let _ = tokio::time::timeout(shared.settings.drain_timeout, drained).await;
        shared.cut.cancel();
        shared.tasks.wait().await;
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let place = Arc::clone(&shared.connections).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, client)) => {
                let serving = connection(Arc::clone(&shared), stream, client, place);
                shared.tasks.spawn(serving);
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    client: SocketAddr,
    place: OwnedSemaphorePermit,
) {
    let Ok(here) = stream.local_addr() else {
        return;
    };
    // Without it the last bytes of an answer wait for an acknowledgement of those before.
    let _ = stream.set_nodelay(true);
    let settings = &shared.settings;
    let transport = Transport::to_client(stream, settings.quiet_timeout);
    let ends = Ends { client, here };
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(forward::answer(&shared, ends, request).await) }
    });
    let mut serving = pin!(
        Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.head_timeout)
            .max_buf_size(settings.head_bytes_max)
            .serve_connection(TokioIo::new(transport), service)
    );
    let mut may_go_on = true;
    loop {
        tokio::select! {
            biased;
            // A client that has gone away or speaks no HTTP is no concern of anybody.
            _ = serving.as_mut() => break,
            () = shared.stop.cancelled(), if may_go_on => {
                may_go_on = false;
                serving.as_mut().graceful_shutdown();
            }
            () = shared.cut.cancelled() => break,
        }
    }
    drop(place);
}
