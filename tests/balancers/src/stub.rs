//! Three nodes made of plain sockets. The next request to any of them takes the next fault that was ordered; without one
//! it is answered. What each node got, and how much of it, is kept for the test to read.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::exchange::{self, Head};

/// How many nodes there are, as in the shipped files.
const NODES: usize = 3;

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A reset as soon as the head was read.
    ResetAfterHead,
    /// A reset when the body was read, before the answer.
    ResetAfterBody,
    /// A regular end of the connection when the body was read, before the answer.
    CloseAfterBody,
    /// The node is gone when the body was read: all its connections are reset, new ones are refused.
    Die,
    /// A reset in the middle of the answer.
    CutAnswer,
    /// The answer comes, but late.
    Slow(Duration),
}

/// A request that reached a node.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The node, from 0.
    pub node: usize,
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// Its `Idempotency-Key`, in small letters.
    pub key: Option<String>,
    /// What happened to it.
    pub fault: Option<Fault>,
}

/// The nodes. They end when dropped.
pub struct Nodes {
    nodes: Vec<Arc<Node>>,
    orders: Arc<Orders>,
    /// Held for its drop.
    _tasks: JoinSet<()>,
}

struct Node {
    number: usize,
    address: SocketAddr,
    is_ready: AtomicBool,
    is_healthy: AtomicBool,
    /// Whether the node is to be there, and whether it is.
    wanted: watch::Sender<bool>,
    listens: watch::Sender<bool>,
}

#[derive(Default)]
struct Orders {
    faults: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<Seen>>,
    body_bytes: AtomicU64,
}

impl Nodes {
    /// Starts them on free ports, ready and healthy.
    pub async fn start() -> anyhow::Result<Self> {
        let orders = Arc::new(Orders::default());
        let (mut nodes, mut tasks) = (Vec::new(), JoinSet::new());
        for number in 0..NODES {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let node = Arc::new(Node {
                number,
                address: listener.local_addr()?,
                is_ready: AtomicBool::new(true),
                is_healthy: AtomicBool::new(true),
                wanted: watch::Sender::new(true),
                listens: watch::Sender::new(true),
            });
            tasks.spawn(live(Arc::clone(&node), Arc::clone(&orders), listener));
            nodes.push(node);
        }
        Ok(Self {
            nodes,
            orders,
            _tasks: tasks,
        })
    }

    /// `HOST:PORT` of each.
    pub fn addresses(&self) -> Vec<String> {
        let address = |node: &Arc<Node>| node.address.to_string();
        self.nodes.iter().map(address).collect()
    }

    /// The next request to any node goes wrong so; may be ordered several times.
    pub fn order(&self, fault: Fault) {
        lock(&self.orders.faults).push_back(fault);
    }

    /// How many orders no request has taken.
    pub fn orders_left(&self) -> usize {
        lock(&self.orders.faults).len()
    }

    /// What the node answers to `/readyz` from now on.
    pub fn set_ready(&self, node: usize, is_ready: bool) {
        self.nodes[node].is_ready.store(is_ready, Ordering::SeqCst);
    }

    /// What the node answers to `/healthz` from now on.
    pub fn set_healthy(&self, node: usize, is_healthy: bool) {
        self.nodes[node]
            .is_healthy
            .store(is_healthy, Ordering::SeqCst);
    }

    /// Ends the node: its connections are reset, new ones refused. Returns when they are.
    pub async fn kill(&self, node: usize) -> anyhow::Result<()> {
        self.nodes[node].become_there(false).await
    }

    /// Starts all nodes that are gone, on the ports that they had.
    pub async fn revive(&self) -> anyhow::Result<()> {
        for node in &self.nodes {
            node.become_there(true).await?;
        }
        Ok(())
    }

    /// The requests since the last call, checks of health excepted.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *lock(&self.orders.seen))
    }

    /// How many bytes of bodies all nodes together have read.
    pub fn body_bytes(&self) -> u64 {
        self.orders.body_bytes.load(Ordering::SeqCst)
    }

    /// Waits until the nodes have read so many bytes of bodies.
    pub async fn wait_for_body_bytes(&self, bytes: u64, within: Duration) -> anyhow::Result<()> {
        let reached = async {
            while self.body_bytes() < bytes {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(within, reached)
            .await
            .with_context(|| format!("{} of {bytes} bytes reached a node", self.body_bytes()))
    }
}

impl Node {
    async fn become_there(&self, wanted: bool) -> anyhow::Result<()> {
        self.wanted.send_replace(wanted);
        self.listens
            .subscribe()
            .wait_for(|listens| *listens == wanted)
            .await?;
        Ok(())
    }
}

/// A node's life: it listens while it is wanted; when it is not, everything of it is gone at once.
async fn live(node: Arc<Node>, orders: Arc<Orders>, listener: TcpListener) {
    let mut wanted = node.wanted.subscribe();
    let mut listener = Some(listener);
    loop {
        let bound = match listener.take() {
            Some(listener) => listener,
            None => TcpListener::bind(node.address)
                .await
                .expect("the node's own port is free again"),
        };
        node.listens.send_replace(true);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = bound.accept() => if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(Arc::clone(&node), Arc::clone(&orders), stream));
                },
                _ = wanted.wait_for(|wanted| !*wanted) => break,
            }
        }
        drop(bound);
        connections.shutdown().await;
        node.listens.send_replace(false);
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
    }
}

/// One connection. An error is the other side's end of it, which tests of balancers cause all the time.
async fn serve(node: Arc<Node>, orders: Arc<Orders>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    // Whatever ends this task resets the connection; a regular end asks for it by `shutdown`.
    let _ = stream.set_zero_linger();
    let mut stream = BufStream::new(stream);
    while let Ok(Some(head)) = exchange::read_head(&mut stream).await {
        let is_over = match head.target.as_str() {
            "/readyz" => check(&mut stream, node.is_ready.load(Ordering::SeqCst)).await,
            "/healthz" => check(&mut stream, node.is_healthy.load(Ordering::SeqCst)).await,
            _ => request(&node, &orders, &mut stream, &head).await,
        };
        if is_over.unwrap_or(true) {
            return;
        }
    }
}

async fn check(stream: &mut BufStream<TcpStream>, is_well: bool) -> anyhow::Result<bool> {
    let status = if is_well { "200 OK" } else { "503 No" };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    end(stream).await?;
    Ok(true)
}

/// One request; says whether the connection is over.
async fn request(
    node: &Node,
    orders: &Orders,
    stream: &mut BufStream<TcpStream>,
    head: &Head,
) -> anyhow::Result<bool> {
    let fault = lock(&orders.faults).pop_front();
    lock(&orders.seen).push(Seen {
        node: node.number,
        method: head.method.clone(),
        target: head.target.clone(),
        key: head.key.clone(),
        fault,
    });
    if fault == Some(Fault::ResetAfterHead) {
        return Ok(true);
    }
    exchange::read_body(stream, head, |bytes| {
        orders.body_bytes.fetch_add(bytes, Ordering::SeqCst);
    })
    .await?;
    let (answer, body) = answer(node.number, head);
    match fault {
        Some(Fault::ResetAfterHead | Fault::ResetAfterBody) => return Ok(true),
        Some(Fault::CloseAfterBody) => {
            end(stream).await?;
            return Ok(true);
        }
        Some(Fault::Die) => {
            // The task that owns this one hears it; the connection must not end before that.
            node.wanted.send_replace(false);
            std::future::pending::<()>().await;
        }
        Some(Fault::CutAnswer) => {
            stream.write_all(answer.as_bytes()).await?;
            stream.write_all(&body[..body.len() / 2]).await?;
            stream.flush().await?;
            // A reset at once could overtake what was written.
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Ok(true);
        }
        Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
        None => {}
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.flush().await?;
    Ok(false)
}

/// Ends the connection as a program does that has nothing more to say: FIN, not RST.
async fn end(stream: &mut BufStream<TcpStream>) -> anyhow::Result<()> {
    stream.shutdown().await?;
    while exchange::read_head(stream).await?.is_some() {}
    Ok(())
}

/// What a registry would answer, as far as a balancer can tell, and the body.
fn answer(number: usize, head: &Head) -> (String, Vec<u8>) {
    let (status, body) = match head.method.as_str() {
        "PUT" => ("201 Created", Vec::new()),
        "POST" | "PATCH" | "DELETE" => ("202 Accepted", Vec::new()),
        _ => ("200 OK", vec![b'.'; 1000]),
    };
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\nX-Node: {number}\r\nContent-Length: {length}\r\n\r\n");
    let has_body = head.method != "HEAD";
    (text, if has_body { body } else { Vec::new() })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
