//! The network between the nodes of a cluster, in the hands of a test: every connection to a node's port for other nodes
//! passes through here, and the way from one node to another can be cut and healed, each direction by itself.
//!
//! What is sent into a cut waits, as packets do that TCP sends again; nothing is refused, closed or reordered, so that
//! neither end learns anything but silence. Where only the way back is cut, acknowledgements are lost: what is sent gets
//! through as long as TCP's first window lasts, and then waits, too. Connections of others (a test's own, a stranger's) are
//! never held up.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Which process is the node at a place.
pub(crate) type Processes = Arc<Mutex<BTreeMap<usize, u32>>>;

/// All ways between the nodes. They end when this is dropped.
pub struct Links {
    cut: watch::Sender<HashSet<Way>>,
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
        let listener = std::net::TcpListener::bind(front)?;
        listener.set_nonblocking(true)?;
        let (cut, processes) = (self.cut.subscribe(), self.processes());
        let runtime = self.runtime.as_ref().context("the links have ended")?;
        runtime.spawn(async move {
            // The listener is good: it was bound above.
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, from) = listener.accept().await?;
                let caller = caller(&processes, from, front);
                let cut = cut.clone();
                tokio::spawn(connect(stream, caller, (place, back), cut));
            }
            #[expect(unreachable_code, reason = "it tells what the loop's errors are")]
            io::Result::Ok(())
        });
        Ok(())
    }

    /// From now on nothing gets from one place to another. The way back is another.
    pub fn cut(&self, from: usize, to: usize) {
        self.cut.send_modify(|cut| {
            cut.insert((from, to));
        });
    }

    /// Everything gets through again, first what has waited.
    pub fn heal(&self) {
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
    mut cut: Cut,
) -> io::Result<()> {
    let there = caller.map(|caller| (caller, place));
    // Making a connection takes packets in both directions.
    open(&mut cut, there).await?;
    acknowledged(&mut cut, there).await?;
    let onward = TcpStream::connect(back).await?;
    stream.set_nodelay(true)?;
    onward.set_nodelay(true)?;
    let (stream_in, stream_out) = stream.into_split();
    let (onward_in, onward_out) = onward.into_split();
    let back = there.map(|(caller, place)| (place, caller));
    let (gone, come) = tokio::join!(
        pump(stream_in, onward_out, there, cut.clone()),
        pump(onward_in, stream_out, back, cut)
    );
    gone.and(come)
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    way: Option<Way>,
    mut cut: Cut,
) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut unacknowledged = 0;
    loop {
        // An end that vanished is told as an end.
        let count = from.read(&mut block).await.unwrap_or(0);
        open(&mut cut, way).await?;
        let is_acknowledged = way.is_none_or(|(from, to)| !cut.borrow().contains(&(to, from)));
        unacknowledged = if is_acknowledged {
            0
        } else {
            unacknowledged + 1
        };
        if unacknowledged > UNACKNOWLEDGED_MAX {
            acknowledged(&mut cut, way).await?;
        }
        match count {
            0 => return to.shutdown().await,
            count => to.write_all(&block[..count]).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    use super::*;

    const SILENCE: Duration = Duration::from_millis(200);

    fn accepted(listener: &std::net::TcpListener) -> std::net::TcpStream {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(SILENCE)).unwrap();
        stream
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
        let mut caller = std::net::TcpStream::connect(front).unwrap();
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
}
