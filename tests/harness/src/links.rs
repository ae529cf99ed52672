//! The network between the nodes of a cluster, in the hands of a test: every connection to a node's port for other nodes
//! passes through here, and the way from one node to another can be cut, made slow and lossy, and healed, each direction by
//! itself.
//!
//! What is sent into a cut waits, as packets do that TCP sends again; nothing is refused, closed or reordered, so that
//! neither end learns anything but silence. Where only the way back is cut, acknowledgements are lost: what is sent gets
//! through as long as TCP's first window lasts, and then waits, too. Connections of others (a test's own, a stranger's) are
//! never held up.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What is read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// So many blocks go one way while nothing comes back: TCP's initial window (RFC 6928).
const UNACKNOWLEDGED_MAX: u32 = 10;

/// A way: from this place to that one.
type Way = (usize, usize);

/// Ways that are bad.
type Bad = Arc<Mutex<BTreeMap<Way, Badness>>>;

/// Which process is the node at a place.
pub(crate) type Processes = Arc<Mutex<BTreeMap<usize, u32>>>;

/// How bad a way is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Badness {
    /// Everything is late by so much.
    pub late_by: Duration,
    /// Of a hundred blocks, so many are lost, and come when TCP has sent them again.
    pub lost_percent: u32,
}

/// After so long TCP sends again what was lost (Linux, `TCP_RTO_MIN`).
const SENT_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// All ways between the nodes. They end when this is dropped.
pub struct Links {
    cut: watch::Sender<HashSet<Way>>,
    bad: Bad,
    processes: Processes,
    runtime: Option<Runtime>,
}

impl Links {
    /// Nothing is cut.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        Ok(Self {
            cut: watch::Sender::default(),
            bad: Bad::default(),
            processes: Processes::default(),
            runtime: Some(runtime),
        })
    }

    /// Where each node is to say which process it is.
    pub(crate) fn processes(&self) -> Processes {
        Arc::clone(&self.processes)
    }

    /// Puts itself in front of a node: who connects to `front` is connected with `back`.
    pub(crate) fn lead(
        &self,
        place: usize,
        front: SocketAddr,
        back: SocketAddr,
    ) -> anyhow::Result<()> {
        let (cut, processes) = (self.cut.subscribe(), self.processes());
        let bad = Arc::clone(&self.bad);
        let runtime = self.runtime.as_ref().context("the links have ended")?;
        runtime.spawn(async move {
            loop {
                until_alive(&processes, place, true).await;
                // Nobody else has this address, but somebody may have the port at all addresses for a while.
                let Ok(listener) = TcpListener::bind(front).await else {
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue;
                };
                let accepting = async {
                    loop {
                        let Ok((stream, from)) = listener.accept().await else {
                            tokio::time::sleep(LOOK_EVERY).await;
                            continue;
                        };
                        let caller = caller(&processes, from, front);
                        let net = Net {
                            cut: cut.clone(),
                            bad: Arc::clone(&bad),
                        };
                        tokio::spawn(connect(stream, caller, (place, back), net));
                    }
                };
                // Where nothing runs, connections are refused, as by the host itself.
                tokio::select! {
                    () = accepting => {}
                    () = until_alive(&processes, place, false) => {}
                }
            }
        });
        Ok(())
    }

    /// From now on nothing gets from one place to another. The way back is another.
    pub fn cut(&self, from: usize, to: usize) {
        self.cut.send_modify(|cut| {
            cut.insert((from, to));
        });
    }

    /// From now on the way from one place to another is bad.
    pub fn spoil(&self, from: usize, to: usize, badness: Badness) {
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        bad.insert((from, to), badness);
    }

    /// Everything gets through again, and in time; first what has waited.
    pub fn heal(&self) {
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        bad.clear();
        drop(bad);
        self.cut.send_modify(HashSet::clear);
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock(processes: &Processes) -> MutexGuard<'_, BTreeMap<usize, u32>> {
    processes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes which process a node is.
pub(crate) fn note(processes: &Processes, place: usize, process: u32) {
    lock(processes).insert(place, process);
}

/// How often it is looked whether a process has come or gone.
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// Waits until the process of the node at a place is alive, or is not.
async fn until_alive(processes: &Processes, place: usize, wanted: bool) {
    let is_alive = || {
        let process = lock(processes).get(&place).copied();
        let stat = process.map(|process| std::fs::read_to_string(format!("/proc/{process}/stat")));
        // A zombie (proc(5), field 3) has closed its sockets.
        stat.and_then(Result::ok)
            .is_some_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
    };
    while is_alive() != wanted {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The place of the node that opened a connection, found by the socket's owner. `None`: it is no node of ours.
fn caller(processes: &Processes, from: SocketAddr, to: SocketAddr) -> Option<usize> {
    let inode = inode(from, to).ok()?;
    let socket = format!("socket:[{inode}]");
    let known = lock(processes).clone();
    let holds = |process: &u32| {
        let Ok(files) = std::fs::read_dir(format!("/proc/{process}/fd")) else {
            return false;
        };
        let mut targets = files
            .filter_map(Result::ok)
            .filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.any(|target| target.to_string_lossy() == socket)
    };
    let owner = known.iter().find(|(_, process)| holds(process));
    owner.map(|(place, _)| *place)
}

/// The number of the socket from one address to another (proc(5), `/proc/net/tcp`).
fn inode(from: SocketAddr, to: SocketAddr) -> anyhow::Result<String> {
    let shown = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => format!("{:08X}:{:04X}", v4.ip().to_bits().swap_bytes(), v4.port()),
        SocketAddr::V6(_) => String::new(),
    };
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let (from, to) = (shown(from), shown(to));
    let row = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1) == Some(&from.as_str()) && fields.get(2) == Some(&to.as_str());
        is_it.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    });
    row.context("no such socket")
}

type Cut = watch::Receiver<HashSet<Way>>;

/// What one connection knows of the ways.
#[derive(Clone)]
struct Net {
    cut: Cut,
    bad: Bad,
}

impl Net {
    /// How late a block is that goes this way now.
    fn lateness(&self, way: Option<Way>) -> Duration {
        let bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(badness) = way.and_then(|way| bad.get(&way).copied()) else {
            return Duration::ZERO;
        };
        let is_lost = rand::random_range(0..100) < badness.lost_percent;
        badness.late_by
            + if is_lost {
                SENT_AGAIN_AFTER
            } else {
                Duration::ZERO
            }
    }
}

/// Waits until a way is open. An error: the test is over.
async fn open(cut: &mut Cut, way: Option<Way>) -> io::Result<()> {
    let is_open = |cut: &HashSet<Way>| way.is_none_or(|way| !cut.contains(&way));
    let waited = cut.wait_for(is_open).await;
    waited.map(drop).map_err(io::Error::other)
}

/// Waits until the way back is open.
async fn acknowledged(cut: &mut Cut, way: Option<Way>) -> io::Result<()> {
    open(cut, way.map(|(from, to)| (to, from))).await
}

async fn connect(
    stream: TcpStream,
    caller: Option<usize>,
    (place, back): (usize, SocketAddr),
    mut net: Net,
) -> io::Result<()> {
    let there = caller.map(|caller| (caller, place));
    // Making a connection takes packets in both directions.
    open(&mut net.cut, there).await?;
    acknowledged(&mut net.cut, there).await?;
    let onward = TcpStream::connect(back).await?;
    stream.set_nodelay(true)?;
    onward.set_nodelay(true)?;
    let (stream_in, stream_out) = stream.into_split();
    let (onward_in, onward_out) = onward.into_split();
    let back = there.map(|(caller, place)| (place, caller));
    let (gone, come) = tokio::join!(
        pump(stream_in, onward_out, there, net.clone()),
        pump(onward_in, stream_out, back, net)
    );
    gone.and(come)
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    way: Option<Way>,
    mut net: Net,
) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut unacknowledged = 0;
    loop {
        // An end that vanished is told as an end.
        let count = from.read(&mut block).await.unwrap_or(0);
        let lateness = net.lateness(way);
        if !lateness.is_zero() {
            tokio::time::sleep(lateness).await;
        }
        open(&mut net.cut, way).await?;
        let is_acknowledged = way.is_none_or(|(from, to)| !net.cut.borrow().contains(&(to, from)));
        unacknowledged = if is_acknowledged {
            0
        } else {
            unacknowledged + 1
        };
        if unacknowledged > UNACKNOWLEDGED_MAX {
            acknowledged(&mut net.cut, way).await?;
        }
        match count {
            0 => return to.shutdown().await,
            count => to.write_all(&block[..count]).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    const SILENCE: Duration = Duration::from_millis(200);

    fn accepted(listener: &std::net::TcpListener) -> std::net::TcpStream {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(SILENCE)).unwrap();
        stream
    }

    /// Connects as soon as somebody listens.
    fn connected(to: SocketAddr) -> std::net::TcpStream {
        loop {
            match std::net::TcpStream::connect(to) {
                Ok(stream) => return stream,
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn port_that_somebody_else_has_for_a_while_is_taken_afterwards() {
        let links = Links::new().unwrap();
        let back = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let somebody = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let front = SocketAddr::from(([127, 0, 0, 1], somebody.local_addr().unwrap().port()));
        note(&links.processes(), 1, std::process::id());
        links.lead(1, front, back.local_addr().unwrap()).unwrap();
        drop(std::net::TcpStream::connect(front).unwrap());
        drop(somebody);
        let mut stream = connected(front);
        stream.write_all(b"x").unwrap();
        let mut byte = [0];
        accepted(&back).read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"x");
    }

    #[test]
    fn connections_to_a_node_that_does_not_run_are_refused() {
        let links = Links::new().unwrap();
        let back = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let [front] = crate::ports::free().unwrap();
        let front = SocketAddr::from(([127, 0, 0, 1], front));
        links.lead(1, front, back.local_addr().unwrap()).unwrap();
        assert!(std::net::TcpStream::connect(front).is_err());
        let mut node = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        note(&links.processes(), 1, node.id());
        drop(connected(front));
        node.kill().unwrap();
        node.wait().unwrap();
        while std::net::TcpStream::connect(front).is_ok() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn one_direction_is_cut_and_what_was_sent_arrives_when_it_heals() {
        let links = Links::new().unwrap();
        let back = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let [front] = crate::ports::free().unwrap();
        let front = SocketAddr::from(([127, 0, 0, 1], front));
        links.lead(2, front, back.local_addr().unwrap()).unwrap();
        // This process is both the node that calls and the one that answers.
        note(&links.processes(), 1, std::process::id());
        note(&links.processes(), 2, std::process::id());
        let mut caller = connected(front);
        caller.set_read_timeout(Some(SILENCE)).unwrap();
        let mut answerer = accepted(&back);
        links.cut(1, 2);
        caller.write_all(b"there").unwrap();
        answerer.write_all(b"back").unwrap();
        let mut heard = [0; 5];
        caller.read_exact(&mut heard[..4]).unwrap();
        assert_eq!(&heard[..4], b"back");
        let silence = answerer.read(&mut heard).unwrap_err();
        assert_eq!(silence.kind(), io::ErrorKind::WouldBlock);
        links.heal();
        answerer.set_read_timeout(None).unwrap();
        answerer.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"there");
        drop(caller);
        assert_eq!(answerer.read(&mut heard).unwrap(), 0);
    }

    #[test]
    fn bad_way_is_late_and_heals() {
        let links = Links::new().unwrap();
        let net = Net {
            cut: links.cut.subscribe(),
            bad: Arc::clone(&links.bad),
        };
        let late_by = Duration::from_millis(30);
        let badness = |lost_percent| Badness {
            late_by,
            lost_percent,
        };
        links.spoil(1, 2, badness(0));
        assert_eq!(net.lateness(Some((1, 2))), late_by);
        assert_eq!(net.lateness(Some((2, 1))), Duration::ZERO);
        assert_eq!(net.lateness(None), Duration::ZERO);
        links.spoil(1, 2, badness(100));
        assert_eq!(net.lateness(Some((1, 2))), late_by + SENT_AGAIN_AFTER);
        links.heal();
        assert_eq!(net.lateness(Some((1, 2))), Duration::ZERO);
    }
}
