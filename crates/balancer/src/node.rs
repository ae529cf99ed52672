//! A node as the balancer sees it: where it is, how it is, and the idle connections to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::settings::Settings;

/// How long a connection that has just served may take until it can serve again.
const SETTLE_MAX: Duration = Duration::from_millis(20);

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Its `/readyz` says yes: it gets its turn.
    Ready,
    /// Only its `/healthz` says yes: it serves when no node is ready.
    Healthy,
    /// It refuses connections or does not answer. It is tried when there is no other.
    Down,
}

/// What is told about a node.
#[derive(Debug, Clone)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// How it is.
    pub condition: Condition,
    /// How many requests it has answered.
    pub requests: u64,
}

/// One node at one address.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// Cancelled when the node is taken out or comes back elsewhere.
    pub(crate) gone: CancellationToken,
    condition: watch::Sender<Condition>,
    idle: Mutex<Vec<(Connection, Instant)>>,
    requests: AtomicU64,
}

impl Node {
    /// A node that is down until its first check.
    pub(crate) fn new(name: &str, address: SocketAddr) -> Node {
        Node {
            name: name.to_owned(),
            address,
            gone: CancellationToken::new(),
            condition: watch::Sender::new(Condition::Down),
            idle: Mutex::default(),
            requests: AtomicU64::new(0),
        }
    }

    pub(crate) fn condition(&self) -> Condition {
        *self.condition.borrow()
    }

    /// Follows how it is from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Says how it is. One that is down has no connections worth keeping.
    pub(crate) fn found(&self, condition: Condition) {
        let is_new = self.condition.send_if_modified(|known| {
            let is_new = *known != condition;
            *known = condition;
            is_new
        });
        if is_new {
            tracing::debug!(node = self.name, ?condition, "a node has changed");
        }
        if condition == Condition::Down {
            self.forget_connections();
        }
    }

    /// A connection that has served before, if one is left. It may have ended without our knowing.
    pub(crate) async fn idle_connection(&self, settings: &Settings) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.idle.lock().pop()?;
            if since.elapsed() < settings.idle_connection_age_max
                && connection.is_usable_within(SETTLE_MAX).await
            {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(crate) fn keep(&self, connection: Connection, settings: &Settings) {
        let mut idle = self.idle.lock();
        if idle.len() < settings.idle_connections_max && !self.gone.is_cancelled() {
            idle.push((connection, Instant::now()));
        }
    }

    /// Ends all idle connections.
    pub(crate) fn forget_connections(&self) {
        self.idle.lock().clear();
    }

    /// Ends connections that have been idle for too long.
    pub(crate) fn forget_old_connections(&self, settings: &Settings) {
        let is_young = |since: &Instant| since.elapsed() < settings.idle_connection_age_max;
        self.idle.lock().retain(|(_, since)| is_young(since));
    }

    pub(crate) fn answered(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn report(&self) -> NodeReport {
        NodeReport {
            name: self.name.clone(),
            address: self.address,
            condition: self.condition(),
            requests: self.requests.load(Ordering::Relaxed),
        }
    }
}
