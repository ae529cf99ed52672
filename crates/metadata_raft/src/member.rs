//! A member: opens the folder, forms, joins or resumes a group, and serves the port until it is shut down.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::Stream;
use metadata::{Command, LogIndex, Query, Reply};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Config, Raft, ServerState, SnapshotPolicy};
use parking_lot::Mutex;
use peers::{Calls, Connections, NoTransport, PeerConnection, PeerTransport};
use ports::metadata_store::freshness::Freshness;
use ports::metadata_store::metric;
use ports::{Answered, Clock, Deadline, Health, IdSource, MetadataFailure, MetadataStore};
use tokio::sync::{OwnedRwLockReadGuard, RwLock, Semaphore, watch};
use tokio::task::JoinHandle;
use wire::MemberIdentity;

use crate::OpenFailure;
use crate::blocking::blocking;
use crate::files::free_bytes;
use crate::known_start::{KnownStart, OnceKnown};
use crate::log::{DiskSpace, LogStore};
use crate::machine::Machine;
use crate::metric::{DISK_FREE, Shown};
use crate::peer_network::PeerNetworks;
use crate::peer_service;
use crate::read;
use crate::read_index::{Here, ReadIndex};
use crate::snapshot::SnapshotFolder;
use crate::storage::Storage;
use crate::tables::TableStore;
use crate::time::{self, TimeKeeper};
use crate::turnstile::Turnstile;
use crate::types::TypeConfig;

pub(crate) type RaftHandle = Raft<TypeConfig, Machine>;

const HEARTBEAT_MS: u64 = 50;
/// openraft has a follower wait for the end of the leader's lease, which is the longest timeout, and then for a timeout of
/// its own: so it stands 225 to 300 ms after the leader's last word.
const ELECTION_TIMEOUT_MIN_MS: u64 = 75;
const ELECTION_TIMEOUT_MAX_MS: u64 = 150;
/// How long a member that stops waits for the calls of its peers that are under way.
const PEER_CALLS_END_MAX: Duration = Duration::from_millis(500);
/// How often housekeeping looks at the disk, the snapshot and the tables.
const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// What a node with a fresh folder does. A folder that has been in a group goes on in that group, whatever is said here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstStart {
    /// Forms a group of its own, with a new cluster id.
    FormGroup,
    /// Waits until the leader of a group takes it in.
    AwaitGroup,
}

/// What a member is opened with.
#[derive(Clone)]
pub struct MemberConfig {
    /// The member's folder; created if it is not there.
    pub data_dir: PathBuf,
    /// This node, for ever.
    pub node_id: u64,
    /// What a fresh folder is for.
    pub start: FirstStart,
    /// Whether the member takes part at once. One with peers waits for [`Member::admit`], because its disk may be an old
    /// copy: until then it neither votes, nor takes entries, nor answers questions; and afterwards the log passes between it
    /// and those peers alone that know of its start, see [`Member::note_known_to`].
    pub admitted: bool,
    /// Where peers reach this node; empty while it is alone.
    pub address: String,
    /// How this node reaches its peers.
    pub transport: Arc<dyn PeerTransport>,
    /// The machine's clock.
    pub clock: Arc<dyn Clock>,
    /// Where fresh ids come from.
    pub ids: Arc<dyn IdSource>,
    /// The size of a log segment in bytes; a fresh folder takes three times as much.
    pub segment_bytes: u64,
    /// Recent log entries that are kept in memory, in bytes.
    pub log_cache_bytes: usize,
    /// The cache of the tables, in bytes.
    pub table_cache_bytes: usize,
    /// A snapshot is taken after so many bytes of log.
    pub snapshot_every_bytes: u64,
    /// Entries that stay in the log below a snapshot.
    pub log_entries_kept: u64,
    /// Writes are refused when the disk has fewer free bytes.
    pub free_bytes_min: u64,
    /// Commands that may be under way at once; more wait until their deadline.
    pub proposals_max: usize,
}

impl MemberConfig {
    /// The defaults, with the machine's clock and randomness.
    #[must_use]
    pub fn new(data_dir: PathBuf, node_id: u64) -> MemberConfig {
        MemberConfig {
            data_dir,
            node_id,
            start: FirstStart::FormGroup,
            admitted: true,
            address: String::new(),
            transport: Arc::new(NoTransport),
            clock: Arc::new(ports::SystemClock),
            ids: Arc::new(ports::RandomIds),
            segment_bytes: 8 * 1024 * 1024,
            log_cache_bytes: 8 * 1024 * 1024,
            table_cache_bytes: 48 * 1024 * 1024,
            snapshot_every_bytes: 64 * 1024 * 1024,
            log_entries_kept: 1_000,
            free_bytes_min: 64 * 1024 * 1024,
            proposals_max: 1_024,
        }
    }
}

/// A call of a peer that is under way.
pub(crate) type PeerCall = OwnedRwLockReadGuard<()>;

/// One member of the metadata log. Dropping it without [`Member::shutdown`] is harmless, like a crash.
pub struct Member {
    pub(crate) raft: RaftHandle,
    pub(crate) config: MemberConfig,
    pub(crate) tables: Arc<TableStore>,
    pub(crate) space: Arc<DiskSpace>,
    pub(crate) proposals: Semaphore,
    /// This start; its nonce names the commands.
    pub(crate) start: MemberIdentity,
    pub(crate) admitted: AtomicBool,
    pub(crate) known_start: KnownStart,
    pub(crate) sequence: AtomicU64,
    pub(crate) stopping: AtomicBool,
    /// Read by each call of a peer; written when the member stops.
    peer_calls: Arc<RwLock<()>>,
    /// Why no command is taken any more.
    pub(crate) refuses: OnceLock<String>,
    pub(crate) connections: Connections,
    pub(crate) snapshots: SnapshotFolder,
    pub(crate) time: TimeKeeper,
    pub(crate) log: LogStore,
    pub(crate) here: Here,
    pub(crate) reads: ReadIndex,
    pub(crate) turnstile: Turnstile,
    pub(crate) freshness: Freshness,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
    /// Held until the member is shut down.
    lock: Mutex<Option<File>>,
}

impl Member {
    /// Opens the member of a folder. One that is alone in its group, or forms one, is returned once it can be read and
    /// written; one with peers at once, since they may still be starting: [`MetadataStore::health`] tells how it stands,
    /// and it waits for them. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the folder is in use, of another node, not usable or damaged, or the log does not start in time.
    pub async fn open(config: MemberConfig) -> Result<Arc<Member>, OpenFailure> {
        let nonce = config.ids.fresh();
        let opening = config.clone();
        let space = Arc::new(DiskSpace::default());
        let opening_space = Arc::clone(&space);
        let opened = blocking(move || Storage::open(&opening, nonce, opening_space));
        let storage = opened.await.map_err(|e| OpenFailure::NotStarted {
            reason: e.to_string(),
        })??;
        let Storage {
            lock,
            start,
            log,
            tables,
            snapshots,
        } = storage;
        let machine = Machine {
            tables: Arc::clone(&tables),
            snapshots: snapshots.clone(),
            space: Arc::clone(&space),
        };
        let known_start = KnownStart::new();
        let connections = if config.admitted {
            Connections::new(Arc::clone(&config.transport))
        } else {
            Connections::new(Arc::new(OnceKnown {
                transport: Arc::clone(&config.transport),
                start: known_start.clone(),
            }))
        };
        let networks = PeerNetworks {
            node: config.node_id,
            connections: connections.clone(),
        };
        let raft = Raft::new(
            config.node_id,
            Arc::new(raft_config(&config)?),
            networks,
            log.clone(),
            machine,
        )
        .await
        .map_err(|e| OpenFailure::Damaged {
            reason: format!("the metadata log cannot be resumed: {e}"),
        })?;
        let (here, here_task) = Here::start(raft.clone());
        let (reads, reads_task) = ReadIndex::start(
            raft.clone(),
            here.clone(),
            config.node_id,
            connections.clone(),
        );
        let (turnstile, turnstile_task) = Turnstile::start(raft.clone());
        let (stop, stopped) = watch::channel(false);
        let member = Arc::new(Member {
            raft,
            tables,
            space,
            proposals: Semaphore::new(config.proposals_max),
            config,
            start,
            admitted: AtomicBool::new(false),
            known_start,
            sequence: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            peer_calls: Arc::default(),
            refuses: OnceLock::new(),
            connections,
            snapshots,
            time: TimeKeeper::new(),
            log,
            here,
            reads,
            turnstile,
            freshness: Freshness::new(),
            tasks: Mutex::new(vec![here_task, reads_task, turnstile_task]),
            stop,
            lock: Mutex::new(Some(lock)),
        });
        if member.config.admitted
            && let Err(failure) = member.admit().await
        {
            // Gives the folder back: whoever mends the cause may open it again.
            member.shutdown().await;
            return Err(failure);
        }
        let trying = tokio::spawn(read::keep_trying(Arc::downgrade(&member), stopped.clone()));
        let time = tokio::spawn(time::keep(Arc::downgrade(&member), stopped.clone()));
        let housekeeping = tokio::spawn(keep_house(Arc::downgrade(&member), stopped));
        member.tasks.lock().extend([trying, time, housekeeping]);
        Ok(member)
    }

    /// Answers peers that connect, until the connections end or the future is dropped. Whoever gives the connections has
    /// made sure that they come from members of this cluster.
    ///
    /// # Errors
    /// When the connections cannot be served.
    pub async fn serve_peers(
        self: &Arc<Self>,
        connections: impl Stream<Item = io::Result<PeerConnection>> + Send + 'static,
    ) -> io::Result<()> {
        peers::serve(self.answering(Calls::default()), connections).await
    }

    /// `calls`, and those of the log that this member answers.
    #[must_use]
    pub fn answering(self: &Arc<Self>, calls: Calls) -> Calls {
        calls.of_the_log(peer_service::calls(self))
    }

    /// Whether the disk has room for more of the log. Without it this member takes no commands, so another one should lead.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.space.is_full()
    }

    /// Waits until the log has ended without being shut down, because its disk failed or its state contradicts itself,
    /// and tells why. Such a member never comes back by itself: the process has to end.
    pub async fn ended(&self) -> String {
        match self.until_fatal().await {
            Some(fatal) => fatal,
            None => "it ended".to_owned(),
        }
    }

    /// Waits until the log has ended, and tells why if it says so. What it says of each entry wakes nobody here.
    async fn until_fatal(&self) -> Option<String> {
        let mut changes = self.raft.server_metrics();
        loop {
            // The last that it says is that it ends.
            let ended = changes.changed().await.is_err();
            if let Err(fatal) = &self.raft.metrics().borrow_watched().running_state {
                return Some(fatal.to_string());
            }
            if ended {
                return None;
            }
        }
    }

    /// Stops in good order: no more proposals, everything that was applied durable, the log marked as closed.
    ///
    /// Safe to call twice. Commands that are under way may end as of unknown outcome.
    pub async fn shutdown(&self) {
        if self.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        self.stop.send_replace(true);
        self.space.close();
        // The log is stopped when no peer is in the middle of a call, unless one does not end.
        let calls = tokio::time::timeout(PEER_CALLS_END_MAX, self.peer_calls.write()).await;
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "the metadata log ended badly");
        }
        let tables = Arc::clone(&self.tables);
        let durable = blocking(move || tables.close()).await;
        if let Ok(Err(error)) = durable {
            tracing::error!(%error, "the metadata tables are not durable; the next start applies the log again");
        }
        if let Err(error) = self.log.close().await {
            tracing::error!(%error, "the metadata log was not closed in good order");
        }
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.abort();
            // An aborted task is what was asked for.
            drop(task.await);
        }
        *self.lock.lock() = None;
        drop(calls);
    }

    /// A call of a peer begins, and ends when this is dropped; none begins any more once the member stops.
    pub(crate) fn begin_peer_call(&self) -> Option<PeerCall> {
        if self.stopping.load(Ordering::Acquire) {
            return None;
        }
        Arc::clone(&self.peer_calls).try_read_owned().ok()
    }

    /// Completes when the member stops.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            // A member that is gone has stopped, too.
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    /// Takes a snapshot now, whatever the log's size. Returns when it has been asked for.
    ///
    /// # Errors
    /// When the member has stopped.
    pub async fn snapshot(&self) -> Result<(), MetadataFailure> {
        self.raft
            .trigger()
            .snapshot()
            .await
            .map_err(|e| MetadataFailure::Stopped {
                reason: e.to_string(),
            })
    }

    /// Waits until the log stops by itself, because its disk or its state cannot be trusted, and gives the reason. Such
    /// a member answers nothing any more: the process should end, so that it is started again or looked at. Never
    /// returns for a member that is shut down.
    pub async fn failed(&self) -> String {
        match self.until_fatal().await {
            Some(fatal) if !self.stopping.load(Ordering::Acquire) => fatal,
            _ => std::future::pending().await,
        }
    }

    async fn house_pass(&self, snapshot_at: &mut u64, shown: &mut Shown) {
        shown.show(self);
        shown.count_uploads(self);
        let folder = self.config.data_dir.clone();
        if let Ok(Ok(free)) = blocking(move || free_bytes(&folder)).await {
            metrics::gauge!(DISK_FREE).set(free as f64);
            self.space.set_free(free, self.config.free_bytes_min);
        }
        if self.tables.is_durable_commit_due() {
            let tables = Arc::clone(&self.tables);
            // What went wrong is in the log.
            drop(blocking(move || tables.write_beside()).await);
        }
        let appended = self.log.appended_bytes();
        let grown = appended.saturating_sub(*snapshot_at) >= self.config.snapshot_every_bytes;
        if grown && !self.space.is_full() {
            *snapshot_at = appended;
            if let Err(error) = self.raft.trigger().snapshot().await {
                tracing::error!(%error, "no snapshot of the metadata could be asked for");
            }
        }
    }
}

async fn keep_house(member: std::sync::Weak<Member>, mut stopped: watch::Receiver<bool>) {
    let mut snapshot_at = 0;
    let mut shown = Shown::default();
    loop {
        match member.upgrade() {
            Some(member) => member.house_pass(&mut snapshot_at, &mut shown).await,
            None => return,
        }
        if tokio::time::timeout(HOUSEKEEPING, stopped.changed())
            .await
            .is_ok()
        {
            return;
        }
    }
}

fn raft_config(config: &MemberConfig) -> Result<Config, OpenFailure> {
    Config {
        cluster_name: "holdfast".to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_TIMEOUT_MIN_MS,
        election_timeout_max: ELECTION_TIMEOUT_MAX_MS,
        enable_pre_vote: Some(true),
        enable_tick: config.admitted,
        // An old copy of a leader's disk must not lead on.
        enable_leader_restore: Some(config.admitted),
        // Snapshots follow the log's bytes, not a count of entries: housekeeping asks for them.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: config.log_entries_kept,
        ..Config::default()
    }
    .validate()
    .map_err(|e| OpenFailure::NotStarted {
        reason: e.to_string(),
    })
}

#[async_trait]
impl MetadataStore for Member {
    async fn propose(
        &self,
        command: Command,
        deadline: Deadline,
    ) -> Result<Reply, MetadataFailure> {
        let began = Instant::now();
        let outcome = self.propose_command(command, deadline).await;
        metric::proposal_ended(began, &outcome);
        outcome
    }

    async fn read(&self, query: Query, deadline: Deadline) -> Result<Answered, MetadataFailure> {
        let began = Instant::now();
        let outcome = self.read_confirmed(&query, deadline).await;
        metric::read_ended(began, &outcome);
        outcome
    }

    async fn read_even_stale(
        &self,
        query: Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        let began = Instant::now();
        let outcome = self.read_or_last_state(&query, deadline).await;
        metric::read_ended(began, &outcome);
        outcome
    }

    fn health(&self) -> Health {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: Option<u64>| LogIndex(id.unwrap_or_default());
        let runs = metrics.running_state.is_ok();
        let leader = metrics.state == ServerState::Leader && runs;
        Health {
            can_confirm: runs
                && self.freshness.is_ready()
                && !self.stopping.load(Ordering::Acquire),
            confirmed_before: self.freshness.last().map(|at| at.elapsed()),
            leader,
            term: metrics.current_term,
            last_log: index(metrics.last_log_index),
            applied: index(metrics.last_applied.map(|id| id.index)),
            snapshot: index(metrics.snapshot.map(|id| id.index)),
            purged: index(metrics.purged.map(|id| id.index)),
        }
    }
}
