//! One node of a cluster, or one that may become one: what its parts share, and what the binary asks of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use auth::PasswordChecker;
use identity::{BootstrapSecret, Credentials, NodeId, NodeIdentity, RecoveryKey, Revoked, Role};
use mesh::Mesh;
use metadata::{ClusterId, ClusterView, LogTime, NodeAnnouncement};
use metadata_client::{Client, MemberAddress};
use metadata_raft::Member;
use parking_lot::{Mutex, MutexGuard};
use peers::{Calls as AnsweredCalls, Connections};
use ports::{BlobFailure, BlobStore, Clock, MetadataStore, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wire::nodes::MoveProgress;

use crate::calls::Calls;
use crate::copying::Progress;
use crate::fabric::Fabric;
use crate::folder::NodeFolder;
use crate::signer::Signer;
use crate::start_book::StartBook;
use crate::start_record::{self, StartFailure};
use crate::token_keys::TokenKeyring;
use crate::{copying, follow, full_disk, reception, renewal, steward, trust};

/// Tells how far this node has moved the blobs, while it does.
type ShownMove = Box<dyn Fn() -> Option<MoveProgress> + Send + Sync>;

/// How this node has the log.
#[derive(Clone)]
pub(crate) enum Log {
    /// It holds it.
    Member(Arc<Member>),
    /// It asks the members.
    Gateway(Arc<Client>),
}

/// What a node is put together from.
pub struct Parts {
    /// Its data folder, whose disk is shown.
    pub data: PathBuf,
    /// What it keeps about the cluster.
    pub folder: NodeFolder,
    /// Who it is, if it belongs to a cluster.
    pub identity: Option<NodeIdentity>,
    /// The key of the cluster's secrets, for members.
    pub cluster_key: Option<RecoveryKey>,
    /// How it reaches the others; what its log was opened with.
    pub fabric: Arc<Fabric>,
    /// The log that it holds; a gateway holds none.
    pub member: Option<Arc<Member>>,
    /// The members that a gateway asks; a member needs none.
    pub client: Option<Arc<Client>>,
    /// Where the cluster's blobs are.
    pub blobs: Arc<dyn BlobStore>,
    /// The cluster, as the log or the identity knows it.
    pub cluster: ClusterId,
    /// This node while it is alone: what its log calls it.
    pub alone: NodeId,
    /// By which nodes join that start unattended, if they may.
    pub bootstrap_secret: Option<BootstrapSecret>,
    /// What it says of itself.
    pub announcement: NodeAnnouncement,
}

/// One node. Its background work ends when the last clone is dropped.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

/// What the parts of a node share.
pub(crate) struct Shared {
    data: PathBuf,
    folder: NodeFolder,
    cluster: ClusterId,
    node: NodeId,
    log: Log,
    blobs: Arc<dyn BlobStore>,
    fabric: Arc<Fabric>,
    connections: Connections,
    credentials: OnceLock<Credentials>,
    signer: Signer,
    announcement: ArcSwap<NodeAnnouncement>,
    bootstrap_secret: Option<BootstrapSecret>,
    start_book: Mutex<StartBook>,
    started: Instant,
    draining: AtomicBool,
    /// Why this node must not go on.
    ended: watch::Sender<Option<String>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    copy: Progress,
    /// How often the blobs went to another store since this node started.
    blob_moves: AtomicU64,
    shown_move: OnceLock<ShownMove>,
    /// Why this cluster is one no more: another one has taken its place.
    succeeded: OnceLock<String>,
    /// What a member checks passwords with, once it may.
    pub(crate) passwords: OnceLock<PasswordChecker>,
    /// The keys that sign tokens, as this member has opened them.
    pub(crate) token_keys: TokenKeyring,
    /// Held while the cluster is founded.
    pub(crate) founding: tokio::sync::Mutex<()>,
    /// Held while this node's identity is changed.
    pub(crate) identity_changes: tokio::sync::Mutex<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in self.tasks.get_mut().drain(..) {
            task.abort();
        }
    }
}

impl Shared {
    pub(crate) fn folder(&self) -> &NodeFolder {
        &self.folder
    }

    pub(crate) fn data(&self) -> &PathBuf {
        &self.data
    }

    pub(crate) fn cluster(&self) -> ClusterId {
        self.cluster
    }

    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    pub(crate) fn role(&self) -> Role {
        match self.log {
            Log::Member(_) => Role::Member,
            Log::Gateway(_) => Role::Gateway,
        }
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn store(&self) -> Arc<dyn MetadataStore> {
        match &self.log {
            Log::Member(member) => Arc::clone(member) as Arc<dyn MetadataStore>,
            Log::Gateway(client) => Arc::clone(client) as Arc<dyn MetadataStore>,
        }
    }

    pub(crate) fn member(&self) -> Option<&Arc<Member>> {
        match &self.log {
            Log::Member(member) => Some(member),
            Log::Gateway(_) => None,
        }
    }

    pub(crate) fn blobs(&self) -> &dyn BlobStore {
        &*self.blobs
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// `None` while this node is alone.
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.get()
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }

    pub(crate) fn announcement(&self) -> Arc<NodeAnnouncement> {
        self.announcement.load_full()
    }

    pub(crate) fn announce_at(&self, peer_address: &str) {
        let announcement = NodeAnnouncement {
            peer_address: peer_address.to_owned(),
            ..(*self.announcement()).clone()
        };
        self.announcement.store(Arc::new(announcement));
    }

    pub(crate) fn bootstrap_secret(&self) -> Option<&BootstrapSecret> {
        self.bootstrap_secret.as_ref()
    }

    pub(crate) fn start_book(&self) -> MutexGuard<'_, StartBook> {
        self.start_book.lock()
    }

    pub(crate) fn uptime(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// This node must not go on.
    pub(crate) fn end(&self, why: String) {
        self.ended.send_if_modified(|ended| {
            let is_first = ended.is_none();
            ended.get_or_insert(why);
            is_first
        });
    }

    /// The other voters as this member's log knows them; before it has any log, the members that it was told of.
    pub(crate) fn other_voters(&self) -> Vec<(NodeId, String)> {
        let mut others: Vec<(NodeId, String)> = match &self.log {
            Log::Member(member) => {
                let nodes = member.group().nodes.into_iter();
                nodes
                    .filter(|(_, peer)| peer.votes)
                    .map(|(node, peer)| (NodeId(node), peer.address))
                    .collect()
            }
            Log::Gateway(_) => Vec::new(),
        };
        if others.is_empty() {
            others = self.folder.members();
        }
        others.retain(|(node, _)| *node != self.node);
        others
    }

    /// This node's own clock.
    pub(crate) fn clock(&self) -> LogTime {
        match &self.log {
            Log::Member(member) => member.clock(),
            Log::Gateway(_) => SystemClock.now(),
        }
    }

    pub(crate) fn copy(&self) -> &Progress {
        &self.copy
    }

    pub(crate) fn blob_moves(&self) -> u64 {
        self.blob_moves.load(Ordering::Acquire)
    }

    pub(crate) fn storage_move(&self) -> Option<MoveProgress> {
        self.shown_move.get().and_then(|shown| shown())
    }

    /// Another cluster has taken this one's place; tells whether that is news.
    pub(crate) fn succeed(&self, why: &str) -> bool {
        self.succeeded.set(why.to_owned()).is_ok()
    }

    pub(crate) fn succeeded(&self) -> Option<&str> {
        self.succeeded.get().map(String::as_str)
    }

    pub(crate) fn keep_task(&self, task: JoinHandle<()>) {
        self.tasks.lock().push(task);
    }
}

impl Cluster {
    /// A node of these parts. Nothing is listened on, and nobody is called.
    ///
    /// # Panics
    /// When it has neither a log nor members to ask.
    #[must_use]
    pub fn new(parts: Parts) -> Cluster {
        let log = match (parts.member, parts.client) {
            (Some(member), _) => Log::Member(member),
            (None, Some(client)) => Log::Gateway(client),
            (None, None) => panic!("a node holds the log or asks the members"),
        };
        let store: Arc<dyn MetadataStore> = match &log {
            Log::Member(member) => Arc::clone(member) as Arc<dyn MetadataStore>,
            Log::Gateway(client) => Arc::clone(client) as Arc<dyn MetadataStore>,
        };
        let node = parts
            .identity
            .as_ref()
            .map_or(parts.alone, NodeIdentity::node);
        let shared = Arc::new(Shared {
            start_book: Mutex::new(StartBook::open(parts.folder.path())),
            data: parts.data,
            folder: parts.folder,
            cluster: parts.cluster,
            node,
            log,
            blobs: parts.blobs,
            connections: Connections::new(Arc::clone(&parts.fabric) as _),
            fabric: parts.fabric,
            credentials: OnceLock::new(),
            signer: Signer::new(store, parts.cluster_key),
            announcement: ArcSwap::from_pointee(parts.announcement),
            bootstrap_secret: parts.bootstrap_secret,
            started: Instant::now(),
            draining: AtomicBool::new(false),
            ended: watch::Sender::new(None),
            tasks: Mutex::default(),
            copy: Progress::default(),
            blob_moves: AtomicU64::new(0),
            shown_move: OnceLock::new(),
            succeeded: OnceLock::new(),
            passwords: OnceLock::new(),
            token_keys: TokenKeyring::default(),
            founding: tokio::sync::Mutex::default(),
            identity_changes: tokio::sync::Mutex::default(),
        });
        Cluster { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Who this node is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Proves itself by `identity` from now on, answers the other nodes on `listener`, and calls them.
    ///
    /// # Errors
    /// When the identity cannot be used.
    pub fn connect(
        &self,
        identity: NodeIdentity,
        listener: TcpListener,
    ) -> Result<(), rustls::Error> {
        let shared = &self.shared;
        let credentials = Credentials::new(identity, Revoked::default())?;
        let mesh = Mesh::new(credentials.clone());
        shared.fabric.weave(mesh.clone());
        let told = Arc::downgrade(shared);
        shared.keep_task(tokio::spawn(async move {
            mesh.removed().await;
            if let Some(shared) = told.upgrade() {
                shared.end(follow::removed(shared.node()));
            }
        }));
        let door = mesh::listen(listener, credentials.clone());
        // Set once: a node is connected when it starts, or when it founds its cluster.
        drop(shared.credentials.set(credentials));
        let (peers, joiners, open) = door.split();
        let calls = AnsweredCalls::default().of_nodes(Calls(Arc::downgrade(shared)));
        let calls = match &shared.log {
            Log::Member(member) => member.answering(calls),
            Log::Gateway(_) => calls,
        };
        shared.keep_task(tokio::spawn(async move {
            let _open = open;
            if let Err(error) = peers::serve(calls, peers).await {
                tracing::error!(%error, "other nodes are not answered any more");
            }
        }));
        let receiving = reception::receive(Arc::downgrade(shared), joiners);
        shared.keep_task(tokio::spawn(receiving));
        Ok(())
    }

    /// Has this member's start recorded, after which it may be admitted.
    ///
    /// # Errors
    /// When it must never be.
    pub async fn record_start(&self) -> Result<(), StartFailure> {
        match &self.shared.log {
            Log::Member(member) => start_record::record(&self.shared, member).await,
            Log::Gateway(_) => Ok(()),
        }
    }

    /// Begins the work that a node of a cluster always does: it follows who belongs to it, renews its certificate, and, when
    /// it leads, has the group follow the log and copies it beside the blobs.
    pub fn work(&self) {
        let shared = &self.shared;
        shared.keep_task(tokio::spawn(follow::follow(Arc::downgrade(shared))));
        shared.keep_task(tokio::spawn(renewal::renew(Arc::downgrade(shared))));
        shared.keep_task(tokio::spawn(trust::follow(Arc::downgrade(shared))));
        if shared.role() == Role::Member {
            shared.keep_task(tokio::spawn(steward::serve(Arc::downgrade(shared))));
            shared.keep_task(tokio::spawn(full_disk::serve(Arc::downgrade(shared))));
            shared.keep_task(tokio::spawn(copying::serve(Arc::downgrade(shared))));
            shared.keep_task(tokio::spawn(start_record::watch(Arc::downgrade(shared))));
        }
    }

    /// The cluster that this node is of.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.shared.cluster
    }

    /// The cluster as this member's own disk has it; `None` for a gateway.
    #[must_use]
    pub fn last_view(&self) -> Option<ClusterView> {
        self.shared.member().and_then(|member| member.last_view())
    }

    /// How far this node moves the blobs is told by `shown` from now on.
    pub fn show_move(&self, shown: impl Fn() -> Option<MoveProgress> + Send + Sync + 'static) {
        // Set once, when the node starts.
        drop(self.shared.shown_move.set(Box::new(shown)));
    }

    /// The store that this node was given is another one from now on: the log's copy goes on there, after what it has, and this
    /// start is recorded there, too. May be repeated.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn blobs_moved(&self) -> Result<(), BlobFailure> {
        self.shared.blob_moves.fetch_add(1, Ordering::AcqRel);
        match (self.shared.member(), self.shared.credentials()) {
            (Some(member), Some(_)) => start_record::repeat(&self.shared, member).await,
            _ => Ok(()),
        }
    }

    /// Others see from now on that this node is about to stop.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }

    /// Waits until this node must not go on, because it was removed or its data is in use elsewhere, and tells why.
    pub async fn ended(&self) -> String {
        let mut ended = self.shared.ended.subscribe();
        let why = ended.wait_for(Option::is_some).await;
        match why.as_deref() {
            Ok(Some(why)) => why.clone(),
            // It cannot be told any more.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

/// Members as a gateway's client takes them.
pub(crate) fn client_members(members: &[(NodeId, String)]) -> Vec<MemberAddress> {
    let members = members.iter();
    members
        .map(|(node, address)| MemberAddress {
            node: node.0,
            address: address.clone(),
        })
        .collect()
}
