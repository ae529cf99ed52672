//! What is counted of calls between nodes and of the connections that they go over. Labels are the names of calls, a few
//! words, and the ids of the nodes that are called.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use metrics::{
    Counter, Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{BoxError, Service};

use crate::whole_calls::{self, CallNetwork};

const CALLS: &str = "holdfast_peer_calls_total";
const CALL_SECONDS: &str = "holdfast_peer_call_seconds";
const CONNECTS: &str = "holdfast_peer_connects_total";
const CONNECTIONS: &str = "holdfast_peer_connections";
const BYTES: &str = "holdfast_peer_bytes_total";

/// Tells the recorder what the metrics mean. Called once, after the recorder was installed.
pub fn describe() {
    describe_counter!(
        CALLS,
        "Calls of this node to a `peer`, by `outcome`: `answered`, `refused` (it answered with a failure), `unreachable`, or `dropped` (nobody waited any longer)"
    );
    describe_histogram!(
        CALL_SECONDS,
        Unit::Seconds,
        "From a call to the beginning of its answer, by `call`"
    );
    describe_counter!(
        CONNECTS,
        "Attempts to connect to a `peer`, by `outcome`: `connected` or `failed`"
    );
    describe_gauge!(
        CONNECTIONS,
        "Connections between this node and others, by who `opened` them: `us` or `them`"
    );
    describe_counter!(
        BYTES,
        Unit::Bytes,
        "Bytes between this node and others, by `direction`: `in` or `out`; without what encryption adds"
    );
}

/// An attempt to connect has ended.
pub(crate) fn connected(peer: u64, is_connected: bool) {
    let outcome = if is_connected { "connected" } else { "failed" };
    counter!(CONNECTS, "peer" => peer.to_string(), "outcome" => outcome).increment(1);
}

/// Counts a connection for as long as it lives, and its bytes.
pub(crate) struct ConnectionMeter {
    connections: Gauge,
    pub(crate) received: Counter,
    sent: Counter,
}

impl ConnectionMeter {
    /// A connection that this node has opened, or another one.
    pub(crate) fn begin(opened_by_us: bool) -> ConnectionMeter {
        let opened = if opened_by_us { "us" } else { "them" };
        let connections = gauge!(CONNECTIONS, "opened" => opened);
        connections.increment(1);
        ConnectionMeter {
            connections,
            received: counter!(BYTES, "direction" => "in"),
            sent: counter!(BYTES, "direction" => "out"),
        }
    }

    pub(crate) fn count_sent(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.sent.increment(*bytes as u64);
        }
    }
}

impl Drop for ConnectionMeter {
    fn drop(&mut self) {
        self.connections.decrement(1);
    }
}

/// A peer's channel, whose calls are counted and timed. Clones share the channel.
#[derive(Clone)]
pub struct MeteredChannel {
    way: Way,
    peer: u64,
}

/// How calls get there.
#[derive(Clone)]
enum Way {
    Connection(Channel),
    Whole(Arc<dyn CallNetwork>, Arc<str>),
}

impl MeteredChannel {
    pub(crate) fn new(channel: Channel, peer: u64) -> MeteredChannel {
        MeteredChannel {
            way: Way::Connection(channel),
            peer,
        }
    }

    pub(crate) fn whole(network: Arc<dyn CallNetwork>, peer: u64, address: &str) -> MeteredChannel {
        MeteredChannel {
            way: Way::Whole(network, address.into()),
            peer,
        }
    }
}

impl Service<http::Request<Body>> for MeteredChannel {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.way {
            Way::Connection(channel) => channel.poll_ready(cx).map_err(BoxError::from),
            Way::Whole(..) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let running = RunningCall {
            name: request
                .uri()
                .path()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            peer: self.peer,
            began: Instant::now(),
            outcome: "dropped",
        };
        let answered: Self::Future = match &mut self.way {
            Way::Connection(channel) => {
                let answered = channel.call(request);
                Box::pin(async move { Ok(answered.await?) })
            }
            Way::Whole(network, address) => {
                let (network, address) = (Arc::clone(network), Arc::clone(address));
                let peer = self.peer;
                Box::pin(async move {
                    whole_calls::make(network.as_ref(), peer, &address, request).await
                })
            }
        };
        Box::pin(async move {
            // The whole of it: only then is it dropped with the future.
            let mut running = running;
            let answer = answered.await;
            running.outcome = match &answer {
                // What has no body but a failure tells it in the head.
                Ok(answer)
                    if answer
                        .headers()
                        .get("grpc-status")
                        .is_some_and(|it| it != "0") =>
                {
                    "refused"
                }
                Ok(_) => "answered",
                Err(_) => "unreachable",
            };
            answer
        })
    }
}

/// A call on its way; counted when it ends, however that is.
struct RunningCall {
    /// One of those in `proto/`: no request comes from outside.
    name: String,
    peer: u64,
    began: Instant,
    outcome: &'static str,
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        counter!(CALLS, "peer" => self.peer.to_string(), "outcome" => self.outcome).increment(1);
        if self.outcome == "answered" {
            let name = std::mem::take(&mut self.name);
            histogram!(CALL_SECONDS, "call" => name).record(self.began.elapsed());
        }
    }
}
