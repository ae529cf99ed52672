//! The simulated network: connections of bytes between members, with delays, walls that let through one way or none, and
//! breaks. What a wall holds back comes late, as TCP sends again, or never, when the connection breaks.
//!
//! Members are polled one after the other within a millisecond, and what one sends arrives in a later millisecond: so
//! the order in which they are polled is a choice of the run like any other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use peers::{Caller, PeerConnection, PeerTransport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::UnboundedSender;

use crate::dice::Dice;
use crate::machine::now_ms;
use crate::trace::Trace;

/// A member's number.
pub type NodeId = u64;
/// Bytes on the way in one direction of a connection; a sender waits when there are more.
const WINDOW_BYTES: usize = 256 * 1024;
/// How often a connection that cannot be made is tried.
const CONNECT_AGAIN: Duration = Duration::from_millis(40);

/// One direction of a connection.
#[derive(Default)]
struct Wire {
    from: NodeId,
    to: NodeId,
    sent: VecDeque<(u64, Parcel)>,
    window: usize,
    arrived: VecDeque<Parcel>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    is_broken: bool,
}

enum Parcel {
    Data(Bytes),
    End,
}

impl Wire {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

/// How long bytes take, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    /// At least.
    pub min: u64,
    /// Less than.
    pub max: u64,
}

/// On one network of a rack.
pub const NEAR: Delay = Delay { min: 1, max: 4 };

struct Inner {
    wires: BTreeMap<u64, Wire>,
    next_wire: u64,
    listeners: BTreeMap<NodeId, UnboundedSender<io::Result<PeerConnection>>>,
    walls: BTreeSet<(NodeId, NodeId)>,
    delays: BTreeMap<(NodeId, NodeId), Delay>,
    /// Whose power is off: nothing comes from there, not even an end.
    dark: BTreeSet<NodeId>,
    /// Whose disk failed is as good as dead, and says nothing more.
    disks: BTreeMap<NodeId, PathBuf>,
    dice: Dice,
    trace: Arc<Trace>,
}

/// See the module. Clones share it.
#[derive(Clone)]
pub struct Network(Arc<Mutex<Inner>>);

impl Network {
    /// A network without a fault.
    #[must_use]
    pub fn new(seed: u64, trace: Arc<Trace>) -> Network {
        Network(Arc::new(Mutex::new(Inner {
            wires: BTreeMap::new(),
            next_wire: 0,
            listeners: BTreeMap::new(),
            walls: BTreeSet::new(),
            delays: BTreeMap::new(),
            dark: BTreeSet::new(),
            disks: BTreeMap::new(),
            dice: Dice::of(seed, "network"),
            trace,
        })))
    }

    /// The way from a member to others.
    #[must_use]
    pub fn transport(&self, from: NodeId) -> Arc<dyn PeerTransport> {
        let network = self.clone();
        Arc::new(Transport { from, network })
    }

    /// Where a member's disk is.
    pub fn disk_of(&self, node: NodeId, disk: PathBuf) {
        self.0.lock().disks.insert(node, disk);
    }

    /// A member accepts connections from now on.
    pub fn listen(&self, node: NodeId, accepted: UnboundedSender<io::Result<PeerConnection>>) {
        self.0.lock().listeners.insert(node, accepted);
    }

    /// A member's process ends: its system says so to whoever is connected, unless its power goes, too.
    pub fn end(&self, node: NodeId, power_too: bool) {
        let mut inner = self.0.lock();
        inner.listeners.remove(&node);
        if power_too {
            inner.dark.insert(node);
        }
    }

    /// A member's process begins again: connections that were there before are unknown to its system.
    pub fn begin(&self, node: NodeId) {
        let mut inner = self.0.lock();
        inner.dark.remove(&node);
        inner.break_where(|wire| wire.from == node || wire.to == node);
    }

    /// Holds back what one sends to another, or lets it through again.
    pub fn wall(&self, from: NodeId, to: NodeId, is_there: bool) {
        let mut inner = self.0.lock();
        if is_there {
            inner.walls.insert((from, to));
        } else {
            inner.walls.remove(&(from, to));
        }
    }

    /// Lets everything through, as quickly as at the start.
    pub fn heal(&self) {
        let mut inner = self.0.lock();
        inner.walls.clear();
        inner.delays.clear();
    }

    /// Breaks the connections of a pair; they may be made again.
    pub fn cut(&self, one: NodeId, other: NodeId) {
        let pair = [(one, other), (other, one)];
        let mut inner = self.0.lock();
        inner.break_where(|wire| pair.contains(&(wire.from, wire.to)));
    }

    /// From now on bytes from one to the other take so long.
    pub fn slow(&self, from: NodeId, to: NodeId, delay: Delay) {
        self.0.lock().delays.insert((from, to), delay);
    }

    /// Hands over what has come to its time.
    pub fn deliver(&self) {
        let now = now_ms();
        let inner = &mut *self.0.lock();
        for wire in inner.wires.values_mut() {
            if inner.walls.contains(&(wire.from, wire.to)) {
                continue;
            }
            let mut came = false;
            while let Some((due, _)) = wire.sent.front()
                && *due <= now
                && let Some((_, parcel)) = wire.sent.pop_front()
            {
                wire.arrived.push_back(parcel);
                came = true;
            }
            if came {
                wire.wake();
            }
        }
        inner
            .wires
            .retain(|_, wire| !(wire.is_broken && wire.reader.is_none() && wire.sent.is_empty()));
    }

    /// Bytes that are under way or wait to be read, over all connections.
    #[must_use]
    pub fn bytes_under_way(&self) -> usize {
        self.0.lock().wires.values().map(|wire| wire.window).sum()
    }

    fn try_connect(&self, from: NodeId, to: NodeId) -> Option<io::Result<PeerConnection>> {
        let mut inner = self.0.lock();
        let blocked = [(from, to), (to, from)]
            .iter()
            .any(|pair| inner.walls.contains(pair));
        if blocked || inner.dark.contains(&to) || inner.dark.contains(&from) {
            return None;
        }
        let Some(listener) = inner.listeners.get(&to).cloned() else {
            return Some(Err(io::ErrorKind::ConnectionRefused.into()));
        };
        let there = inner.new_wire(from, to);
        let back = inner.new_wire(to, from);
        drop(inner);
        let end = |read, write| Socket {
            network: self.clone(),
            read,
            write,
        };
        let caller = Caller {
            node: from,
            is_member: true,
        };
        let accepted = PeerConnection::from_peer(Box::new(end(there, back)), caller);
        if listener.send(Ok(accepted)).is_err() {
            return Some(Err(io::ErrorKind::ConnectionRefused.into()));
        }
        Some(Ok(PeerConnection::to_peer(Box::new(end(back, there)))))
    }

    fn with_wire<T>(&self, wire: u64, act: impl FnOnce(Option<&mut Wire>) -> T) -> T {
        act(self.0.lock().wires.get_mut(&wire))
    }
}

impl Inner {
    fn new_wire(&mut self, from: NodeId, to: NodeId) -> u64 {
        self.next_wire += 1;
        let wire = Wire {
            from,
            to,
            ..Wire::default()
        };
        self.wires.insert(self.next_wire, wire);
        self.next_wire
    }

    fn break_where(&mut self, which: impl Fn(&Wire) -> bool) {
        for wire in self.wires.values_mut().filter(|wire| which(wire)) {
            wire.is_broken = true;
            wire.sent.clear();
            wire.arrived.clear();
            wire.window = 0;
            wire.wake();
        }
    }

    /// Puts a parcel on its way.
    fn post(&mut self, id: u64, parcel: Parcel) {
        let Some(wire) = self.wires.get(&id) else {
            return;
        };
        if wire.is_broken || self.dark.contains(&wire.from) {
            return;
        }
        let pair = (wire.from, wire.to);
        let disk = self.disks.get(&wire.from);
        if disk.is_some_and(|disk| powerloss::has_crashed(disk)) {
            return;
        }
        let delay = self.delays.get(&pair).copied().unwrap_or(NEAR);
        let mut due = now_ms() + self.dice.within(delay.min, delay.max);
        if let Parcel::Data(bytes) = &parcel {
            self.trace.bytes(id, pair, bytes);
        }
        let Some(wire) = self.wires.get_mut(&id) else {
            return;
        };
        if let Some((before, _)) = wire.sent.back() {
            due = due.max(*before);
        }
        if let Parcel::Data(bytes) = &parcel {
            wire.window += bytes.len();
        }
        wire.sent.push_back((due, parcel));
    }
}

struct Transport {
    from: NodeId,
    network: Network,
}

#[async_trait]
impl PeerTransport for Transport {
    async fn connect(&self, node: NodeId, _address: &str) -> io::Result<PeerConnection> {
        tokio::time::sleep(Duration::from_millis(NEAR.min)).await;
        loop {
            if let Some(tried) = self.network.try_connect(self.from, node) {
                return tried;
            }
            tokio::time::sleep(CONNECT_AGAIN).await;
        }
    }
}

/// One end of a connection.
struct Socket {
    network: Network,
    read: u64,
    write: u64,
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.network.with_wire(self.read, |wire| {
            let Some(wire) = wire.filter(|wire| !wire.is_broken) else {
                return Poll::Ready(Err(broken()));
            };
            match wire.arrived.front_mut() {
                Some(Parcel::Data(bytes)) => {
                    let count = bytes.len().min(buffer.remaining());
                    buffer.put_slice(&bytes[..count]);
                    bytes.advance(count);
                    if bytes.is_empty() {
                        wire.arrived.pop_front();
                    }
                    wire.window -= count;
                    if let Some(writer) = wire.writer.take() {
                        writer.wake();
                    }
                    Poll::Ready(Ok(()))
                }
                Some(Parcel::End) => Poll::Ready(Ok(())),
                None => {
                    wire.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.network.0.lock();
        let Some(wire) = inner.wires.get_mut(&self.write).filter(|w| !w.is_broken) else {
            return Poll::Ready(Err(broken()));
        };
        if wire.window >= WINDOW_BYTES {
            wire.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        inner.post(self.write, Parcel::Data(Bytes::copy_from_slice(bytes)));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.0.lock().post(self.write, Parcel::End);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let inner = &mut *self.network.0.lock();
        inner.post(self.write, Parcel::End);
        // Who still sends here is told that nobody reads.
        if let Some(wire) = inner.wires.get_mut(&self.read)
            && !inner.dark.contains(&wire.to)
            && !inner.walls.contains(&(wire.to, wire.from))
        {
            wire.is_broken = true;
            wire.sent.clear();
            wire.arrived.clear();
            wire.window = 0;
            wire.reader = None;
            if let Some(writer) = wire.writer.take() {
                writer.wake();
            }
        }
    }
}
