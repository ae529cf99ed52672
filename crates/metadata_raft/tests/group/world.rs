//! Members in one process whose connections can be cut: each has a folder and a port of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use metadata::{Answer, Command, LogTime, Payload, PrincipalName, PutManifest, Query, Reply};
use metadata_raft::{FirstStart, Member, MemberConfig, Survivor};
use oci::{Algorithm, Digest, MediaType, Reference, RepositoryName, Tag};
use peers::{Caller, PeerConnection, PeerTransport};
use ports::{Clock, Deadline, MetadataFailure, MetadataStore, SystemClock};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// These connections prove nothing.
const SOMEBODY: Caller = Caller {
    node: 0,
    is_member: true,
};

/// Who can reach whom.
#[derive(Default)]
pub struct Net {
    apart: Mutex<HashSet<(u64, u64)>>,
    connections: Mutex<HashMap<(u64, u64), CancellationToken>>,
}

impl Net {
    /// Breaks the connections of a pair in both directions; they may be made again.
    pub fn cut(&self, one: u64, other: u64) {
        let mut connections = self.connections.lock().unwrap();
        for pair in [(one, other), (other, one)] {
            if let Some(connection) = connections.remove(&pair) {
                connection.cancel();
            }
        }
    }

    /// Keeps a pair apart, or lets it come together again.
    pub fn part(&self, one: u64, other: u64, apart: bool) {
        let mut pairs = self.apart.lock().unwrap();
        for pair in [(one, other), (other, one)] {
            if apart {
                pairs.insert(pair);
            } else {
                pairs.remove(&pair);
            }
        }
        drop(pairs);
        if apart {
            self.cut(one, other);
        }
    }
}

struct Transport {
    from: u64,
    net: Arc<Net>,
}

#[async_trait]
impl PeerTransport for Transport {
    async fn connect(&self, node: u64, address: &str) -> io::Result<PeerConnection> {
        let pair = (self.from, node);
        if self.net.apart.lock().unwrap().contains(&pair) {
            return Err(io::ErrorKind::HostUnreachable.into());
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let cut = {
            let mut connections = self.net.connections.lock().unwrap();
            connections.entry(pair).or_default().clone()
        };
        Ok(PeerConnection::to_peer(Box::new(Cuttable {
            stream,
            cut: Box::pin(cut.cancelled_owned()),
        })))
    }
}

struct Cuttable {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The machine's clock, and what it is off.
#[derive(Default)]
pub struct OffClock(AtomicI64);

impl OffClock {
    pub fn set_off_ms(&self, ms: i64) {
        self.0.store(ms, Ordering::Release);
    }
}

impl Clock for OffClock {
    fn now(&self) -> LogTime {
        let now = SystemClock.now().0;
        LogTime(now.saturating_add_signed(self.0.load(Ordering::Acquire)))
    }
}

struct Node {
    member: Arc<Member>,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

/// The members.
pub struct World {
    pub net: Arc<Net>,
    nodes: BTreeMap<u64, Node>,
    clocks: BTreeMap<u64, Arc<OffClock>>,
    folder: tempfile::TempDir,
}

pub fn soon() -> Deadline {
    Deadline::now() + Duration::from_secs(30)
}

pub fn within(millis: u64) -> Deadline {
    Deadline::now() + Duration::from_millis(millis)
}

impl World {
    /// A group of the nodes 1 to `members`, all voting.
    pub async fn of(members: u64) -> World {
        let mut world = World {
            net: Arc::default(),
            nodes: BTreeMap::new(),
            clocks: BTreeMap::new(),
            folder: tempfile::tempdir().unwrap(),
        };
        world.start(1, FirstStart::FormGroup).await;
        for node in 2..=members {
            world.start(node, FirstStart::AwaitGroup).await;
            world.take_in(node).await;
        }
        let voters: BTreeSet<u64> = (1..=members).collect();
        world.member(1).set_voters(voters, soon()).await.unwrap();
        world
    }

    /// Starts a node, or starts it again with the folder and the address that it had.
    pub async fn start(&mut self, node: u64, start: FirstStart) {
        self.open(node, start, true).await;
    }

    /// Starts a node whose start nobody has recorded.
    pub async fn start_unadmitted(&mut self, node: u64) {
        self.open(node, FirstStart::AwaitGroup, false).await;
    }

    /// Everybody knows of the start of a node.
    pub fn is_told_of(&self, node: u64) {
        let others = self.nodes.keys().copied().chain([SOMEBODY.node]);
        others.for_each(|other| self.nodes[&node].member.note_known_to(other));
    }

    async fn open(&mut self, node: u64, start: FirstStart, admitted: bool) {
        let before = self.nodes.remove(&node).map(|node| node.address);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(before.unwrap_or(any)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = self.clocks.entry(node).or_default();
        let config = MemberConfig {
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            segment_bytes: 32 * 1024,
            log_cache_bytes: 4 * 1024,
            log_entries_kept: 10,
            free_bytes_min: 0,
            start,
            admitted,
            address: address.to_string(),
            transport: Arc::new(Transport {
                from: node,
                net: Arc::clone(&self.net),
            }),
            ..MemberConfig::new(self.folder.path().join(node.to_string()), node)
        };
        let member = Member::open(config).await.unwrap();
        let served = Arc::clone(&member);
        let serving = tokio::spawn(async move {
            let connections = TcpListenerStream::new(listener).map(|stream| {
                let stream = stream?;
                stream.set_nodelay(true)?;
                Ok(PeerConnection::from_peer(Box::new(stream), SOMEBODY))
            });
            served.serve_peers(connections).await.unwrap();
        });
        let node_of = Node {
            member,
            address,
            serving,
        };
        self.nodes.insert(node, node_of);
    }

    /// Looks at a node that is down, and makes it a group of its own if it `shall`.
    pub async fn recover(&self, node: u64, shall: bool) -> Survivor {
        let config = MemberConfig {
            segment_bytes: 32 * 1024,
            free_bytes_min: 0,
            ..MemberConfig::new(self.folder.path().join(node.to_string()), node)
        };
        let recovering = move || metadata_raft::recover(&config, shall).unwrap();
        tokio::task::spawn_blocking(recovering).await.unwrap()
    }

    /// Has the leader take a started node in as a learner.
    pub async fn take_in(&self, node: u64) {
        let address = self.nodes[&node].address.to_string();
        let leader = self.member(self.leader().await);
        leader.add_learner(node, &address, soon()).await.unwrap();
    }

    /// The node is gone at once, as far as others can tell.
    pub async fn crash(&mut self, node: u64) {
        for other in self.nodes.keys().filter(|other| **other != node) {
            self.net.part(node, *other, true);
        }
        let gone = &self.nodes[&node];
        gone.serving.abort();
        gone.member.shutdown().await;
        for other in self.nodes.keys().filter(|other| **other != node) {
            self.net.part(node, *other, false);
        }
    }

    pub fn member(&self, node: u64) -> Arc<Member> {
        Arc::clone(&self.nodes[&node].member)
    }

    pub fn clock(&self, node: u64) -> Arc<OffClock> {
        Arc::clone(&self.clocks[&node])
    }

    /// Has every member know the clocks of the others.
    pub fn exchange_clocks(&self) {
        for (reader, one) in &self.nodes {
            for (read, other) in &self.nodes {
                if reader != read {
                    let clock = other.member.clock();
                    one.member.note_clock(*read, clock, Duration::ZERO);
                }
            }
        }
    }

    /// Whom somebody takes for the leader who leads indeed.
    pub async fn leader(&self) -> u64 {
        let deadline = soon();
        loop {
            let leads = |node: &&u64| self.nodes[*node].member.leads();
            if let Some(node) = self.nodes.keys().find(leads) {
                return *node;
            }
            assert!(Deadline::now() < deadline, "nobody leads");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The other nodes.
    pub fn others(&self, node: u64) -> Vec<u64> {
        self.nodes
            .keys()
            .copied()
            .filter(|other| *other != node)
            .collect()
    }
}

pub fn repository() -> RepositoryName {
    RepositoryName::parse("group/app").unwrap()
}

/// Moves a tag to a manifest that `content` makes its own.
pub fn put(tag: &str, content: &str) -> Command {
    let payload = Bytes::from(format!(
        "{{\"content\":\"{content}\",\"pad\":\"{:0300}\"}}",
        0
    ));
    Command::PutManifest(PutManifest {
        repository: repository(),
        digest: Digest::of(Algorithm::Sha256, &payload),
        media_type: MediaType::OCI_INDEX,
        size: payload.len() as u64,
        payload: Payload::Inline(payload),
        references: Vec::new(),
        config: None,
        subject: None,
        referrer: None,
        tags: vec![Tag::parse(tag).unwrap()],
        precondition: None,
        idempotency_key: None,
        sparse: false,
        principal: PrincipalName::anonymous(),
    })
}

pub async fn push(member: &Member, tag: &str, content: &str) {
    let reply = member.propose(put(tag, content), soon()).await.unwrap();
    assert!(matches!(reply, Reply::ManifestPut { .. }), "{reply:?}");
}

/// What a tag points at, as a member reads it; `None` when there is no such tag.
pub async fn pull(
    member: &Member,
    tag: &str,
    deadline: Deadline,
) -> Result<Option<Bytes>, MetadataFailure> {
    let answered = member.read(manifest_of(tag), deadline).await?;
    assert!(!answered.stale);
    Ok(payload(answered.answer))
}

/// The same for who takes an old answer; and whether it is one.
pub async fn pull_even_stale(
    member: &Member,
    tag: &str,
    deadline: Deadline,
) -> Result<(Option<Bytes>, bool), MetadataFailure> {
    let answered = member.read_even_stale(manifest_of(tag), deadline).await?;
    Ok((payload(answered.answer), answered.stale))
}

fn manifest_of(tag: &str) -> Query {
    Query::Manifest {
        repository: repository(),
        reference: Reference::Tag(Tag::parse(tag).unwrap()),
    }
}

fn payload(answer: Answer) -> Option<Bytes> {
    match answer {
        Answer::Manifest(view) => match &view.payload {
            Payload::Inline(bytes) => Some(bytes.clone()),
            other => panic!("{other:?}"),
        },
        Answer::Absent | Answer::RepositoryUnknown => None,
        other => panic!("{other:?}"),
    }
}

/// Whether that is the manifest that `content` made.
pub fn is(found: Option<&Bytes>, content: &str) -> bool {
    let begin = format!("{{\"content\":\"{content}\"");
    found.is_some_and(|bytes| bytes.starts_with(begin.as_bytes()))
}

/// Waits until a member says that it can, or cannot, confirm reads; tells how long that took.
pub async fn until_confirms(member: &Member, confirms: bool) -> Duration {
    let began = Deadline::now();
    while member.health().can_confirm != confirms {
        assert!(began.elapsed() < Duration::from_secs(30), "{confirms}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}
