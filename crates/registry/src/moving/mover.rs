//! Begins a move, and carries it to its end. The order of effects, and why it is harmless to die between them, is in
//! [`super`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use metadata::{
    Answer, ClusterId, ClusterView, Command, LogTime, NodeView, ObjectKey, PLACE_BYTES_MAX, Page,
    Query, Refusal, Reply, StorageRow,
};
use ports::{BlobFailure, BlobStore, ByteSpan, ListedObject, Target};
use tokio_util::sync::CancellationToken;

use super::pass::{PassFailure, Passes};
use super::status::MoveWatch;
use super::store::{MovableStore, Two};
use crate::log_clock::LogClock;
use crate::{Error, Registry, steps};

/// Between two looks at what still has to come to the old store.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// After a failure; it is doubled up to the longest.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// Between two looks whether every node has taken a step.
const ASK_NODES_AFTER: Duration = Duration::from_millis(150);
/// How many uploads are looked at in one step.
const UPLOADS_PER_PAGE: usize = 500;

/// What a move is begun with.
pub struct MoveBegin {
    /// The use-cases, over `store`.
    pub registry: Registry,
    /// The store that is used, and that will be the new one.
    pub store: MovableStore,
    /// The new store.
    pub new: Arc<dyn BlobStore>,
    /// What the log calls it.
    pub to: String,
    /// An upload with parts in the old store that nobody has written to for so long is ended.
    pub uploads_idle_max: Duration,
}

/// A move that was begun. It goes on only while it is run, by one node: that which leads.
pub struct Mover {
    registry: Registry,
    store: MovableStore,
    new: Arc<dyn BlobStore>,
    to: String,
    cluster: ClusterId,
    /// Whose objects are moved; the first is the cluster itself.
    clusters: Vec<ClusterId>,
    /// What the log's generation will be.
    generation: u64,
    watch: MoveWatch,
    clock: LogClock,
    blobs_are_copied: bool,
}

/// What came of a piece of work.
enum Worked {
    /// The log has switched.
    Switched,
    /// The move was given up.
    Cancelled,
    /// There is more to do.
    NotYet,
}

/// What a store says of itself to a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// The blobs were here when they had been moved so often.
    pub here: Option<u64>,
    /// They left when they had been moved so often, and where to.
    pub left: Option<(u64, String)>,
}

impl Marks {
    /// Whether this is where the blobs are, as far as who asks knows that they were moved `generation` times.
    #[must_use]
    pub fn is_here(&self, generation: u64) -> bool {
        let left = self.left.as_ref().map(|(left, _)| *left);
        self.here
            .is_some_and(|here| here >= generation && left.is_none_or(|left| left <= here))
    }
}

/// What `store` says of itself to a cluster.
///
/// # Errors
/// Those of the store.
pub async fn marks(store: &dyn BlobStore, cluster: ClusterId) -> Result<Marks, BlobFailure> {
    let generations = |listed: Vec<ListedObject>| {
        let keys = listed.into_iter();
        let keys = keys.filter_map(|object| ObjectKey::parse(&object.key));
        keys.filter_map(|key| Some((key.read_generation()?, key)))
            .max()
    };
    let here = store
        .list(&ObjectKey::markers_prefix(cluster), None)
        .await?;
    let left = store.list(&ObjectKey::left_prefix(cluster), None).await?;
    let left = match generations(left) {
        None => None,
        Some((generation, key)) => {
            let len = store.object_size(&key).await?.min(PLACE_BYTES_MAX as u64);
            let bytes = store.read(&key, ByteSpan { start: 0, len }).await?;
            let bytes: Vec<Bytes> = bytes.try_collect().await?;
            let to = String::from_utf8_lossy(&bytes.concat()).into_owned();
            Some((generation, to))
        }
    };
    Ok(Marks {
        here: generations(here).map(|(generation, _)| generation),
        left,
    })
}

impl MoveBegin {
    /// Begins the move, or goes on with the one that the log has. When it fails nothing has moved, and it may be begun again.
    ///
    /// # Errors
    /// [`Error::Internal`] with what is wrong when the new store is the old one; those of the stores and the log.
    pub async fn begin(self) -> Result<Mover, Error> {
        self.begin_in_log().await?;
        let view = self.view().await?;
        self.resume(&view)
    }

    /// Has the log begin the move; the node that leads goes on with it, and every node follows.
    ///
    /// # Errors
    /// As [`MoveBegin::begin`].
    pub async fn begin_in_log(&self) -> Result<(), Error> {
        let view = self.view().await?;
        let cluster = cluster_of(&view)?;
        self.refuse_same_store(cluster).await?;
        let marker = ObjectKey::marker_of_generation(cluster, view.storage.generation);
        put(&self.store, marker, "").await?;
        steps::reach(steps::MOVE_BEFORE_BEGIN);
        let command = Command::MoveStorage {
            to: self.to.clone(),
            uploads_idle_ms: u64::try_from(self.uploads_idle_max.as_millis()).unwrap_or(u64::MAX),
        };
        match self
            .registry
            .propose(&self.registry.itself(), command)
            .await?
        {
            Reply::Done => {}
            Reply::Refused(Refusal::Invalid { reason }) => return Err(Error::internal(reason)),
            other => return Err(Error::unexpected_reply(other)),
        }
        steps::reach(steps::MOVE_AFTER_BEGIN);
        Ok(())
    }

    /// Goes on with a move that the log has, as `view` shows it: the first thing that a node does that starts in the middle of
    /// one, or that has just become the leader.
    ///
    /// # Errors
    /// [`Error::Internal`] when the cluster has no id.
    pub fn resume(self, view: &ClusterView) -> Result<Mover, Error> {
        let cluster = cluster_of(view)?;
        Ok(self.go_on(cluster, &view.storage))
    }

    fn go_on(self, cluster: ClusterId, storage: &StorageRow) -> Mover {
        self.store.open_new(Arc::clone(&self.new));
        if storage.writes_to_new {
            self.store.fill_new();
        }
        Mover {
            registry: self.registry,
            store: self.store,
            new: self.new,
            to: self.to,
            cluster,
            clusters: std::iter::once(cluster)
                .chain(storage.borrowed.iter().copied())
                .collect(),
            generation: storage.generation + 1,
            watch: MoveWatch::default(),
            clock: LogClock::default(),
            blobs_are_copied: false,
        }
    }

    async fn view(&self) -> Result<ClusterView, Error> {
        let caller = self.registry.itself();
        self.registry.cluster(&caller).await
    }

    /// One bucket may have several names.
    async fn refuse_same_store(&self, cluster: ClusterId) -> Result<(), Error> {
        let probe = ObjectKey::probe(cluster, self.registry.fresh_id());
        let mut staged = self.new.stage(1).await?;
        staged.append(bytes::Bytes::from_static(b"?")).await?;
        staged.store(&Target::Object(probe.clone())).await?;
        let found = self.store.object_size(&probe).await;
        self.new.delete(std::slice::from_ref(&probe)).await?;
        match found {
            Err(BlobFailure::NoSuchObject { .. }) => Ok(()),
            Ok(_) => Err(Error::internal(
                "it is the store that the blobs are in already",
            )),
            Err(failure) => Err(failure.into()),
        }
    }
}

impl Mover {
    /// Shows how far it is.
    #[must_use]
    pub fn watch(&self) -> MoveWatch {
        self.watch.clone()
    }

    /// Works until everything is moved and the log has switched, and tells whether it has; `false` when the move was given up
    /// or `shutdown` came first. What fails is tried again. May be dropped at any time, and another node may do the same.
    pub async fn run(mut self, shutdown: CancellationToken) -> bool {
        let mut retry_after = RETRY_AFTER;
        loop {
            let work = async {
                match self.work().await {
                    Ok(worked) => {
                        retry_after = RETRY_AFTER;
                        worked
                    }
                    Err(failure) => {
                        tracing::warn!(%failure, "the move to another store is held up; it is tried again");
                        let trouble = failure.to_string();
                        self.watch.change(|status| status.trouble = Some(trouble));
                        tokio::time::sleep(retry_after).await;
                        retry_after = (retry_after * 2).min(RETRY_AFTER_MAX);
                        Worked::NotYet
                    }
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return false,
                worked = work => match worked {
                    Worked::Switched => return true,
                    Worked::Cancelled => return false,
                    Worked::NotYet => {}
                },
            }
        }
    }

    /// Goes on to the end, to a step that others have to take first, or to the first failure. May be repeated, and dropped at any
    /// time.
    async fn work(&mut self) -> Result<Worked, PassFailure> {
        let caller = self.registry.itself();
        let view = self.registry.cluster(&caller).await?;
        let storage = view.storage;
        if storage.generation < self.generation {
            if storage.moving_to.as_deref() != Some(self.to.as_str()) {
                if self.store.two(&self.new).is_some() {
                    self.store.drop_new();
                }
                return Ok(Worked::Cancelled);
            }
            self.store.open_new(Arc::clone(&self.new));
            if !storage.writes_to_new && !self.fill(&storage).await? {
                return Ok(Worked::NotYet);
            }
            let Some(stores) = self.store.two(&self.new) else {
                return Err(Error::internal("the stores are not both open").into());
            };
            self.store.fill_new();
            if !self.move_all(&stores, &storage).await? || !self.switch(&stores).await? {
                return Ok(Worked::NotYet);
            }
        }
        if self.store.two(&self.new).is_some() {
            self.store.close_old();
        }
        self.watch.change(|status| {
            status.trouble = None;
            status.nodes_waited_for.clear();
            status.switched = true;
        });
        Ok(Worked::Switched)
    }

    /// Has every node write to the new store, once every node has it open; `false` when that is not so yet.
    async fn fill(&self, storage: &StorageRow) -> Result<bool, PassFailure> {
        let behind = self.nodes_behind(storage.step).await?;
        let is_due = behind.is_empty() && self.store.earlier_writers_ended();
        self.watch.change(|status| {
            status.trouble = None;
            status.nodes_waited_for = behind;
        });
        if is_due {
            steps::reach(steps::MOVE_BEFORE_FILL);
            let step = storage.step;
            if self.proposed(Command::FillStorage { step }).await? {
                steps::reach(steps::MOVE_AFTER_FILL);
                return Ok(true);
            }
        }
        tokio::time::sleep(ASK_NODES_AFTER).await;
        Ok(false)
    }

    /// Proposes a step; `false` when it is refused because something has changed.
    async fn proposed(&self, command: Command) -> Result<bool, PassFailure> {
        match self
            .registry
            .propose(&self.registry.itself(), command)
            .await?
        {
            Reply::Done => Ok(true),
            Reply::Refused(Refusal::Invalid { reason }) => {
                tracing::debug!(reason, "a step of the move is not due");
                Ok(false)
            }
            other => Err(Error::unexpected_reply(other).into()),
        }
    }

    /// The nodes that have not taken this step; none of a node that is alone. The log decides by the same rule.
    async fn nodes_behind(&self, step: u64) -> Result<Vec<String>, PassFailure> {
        let nodes = self.nodes().await?.into_iter();
        let behind = nodes.filter(|node| node.removed.is_none() && node.storage.step != step);
        let behind = behind.map(|node| {
            let problem = node.storage.problem.as_deref();
            let problem = problem.unwrap_or("it has not answered yet");
            format!("node {} ({}): {problem}", node.node, node.announcement.name)
        });
        Ok(behind.collect())
    }

    async fn nodes(&self) -> Result<Vec<NodeView>, PassFailure> {
        let caller = self.registry.itself();
        match self.registry.read(&caller, Query::Nodes).await? {
            Answer::Nodes { nodes } => Ok(nodes),
            other => Err(Error::unexpected_answer(&other).into()),
        }
    }

    /// Copies everything; `false` when the move has changed meanwhile.
    async fn move_all(&mut self, stores: &Two, storage: &StorageRow) -> Result<bool, PassFailure> {
        self.passes(stores).survey().await?;
        self.watch.change(|status| status.trouble = None);
        if !self.blobs_are_copied {
            self.passes(stores).blobs().await?;
            self.blobs_are_copied = true;
        }
        loop {
            let caller = self.registry.itself();
            let view = self.registry.cluster(&caller).await?;
            if view.storage.moving_to != storage.moving_to || !view.storage.writes_to_new {
                return Ok(false);
            }
            // Asked in this order, and before the pass: then nothing can come to the old store that the pass does not see.
            let behind = self.nodes_behind(view.storage.step).await?;
            let is_still = behind.is_empty() && self.store.earlier_writers_ended();
            let waited_for = self
                .end_uploads(stores, view.storage.uploads_idle_ms)
                .await?;
            self.watch.change(|status| {
                status.uploads_waited_for = waited_for;
                status.nodes_waited_for = behind;
            });
            self.passes(stores).listed().await?;
            if is_still && waited_for == 0 {
                return Ok(true);
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    fn passes<'a>(&'a self, stores: &'a Two) -> Passes<'a> {
        Passes {
            registry: &self.registry,
            store: &self.store,
            stores,
            clusters: &self.clusters,
            watch: &self.watch,
        }
    }

    /// Marks both stores and has the log switch; `false` when it is not due any more.
    async fn switch(&self, stores: &Two) -> Result<bool, PassFailure> {
        steps::reach(steps::MOVE_BEFORE_MARKER);
        let marker = ObjectKey::marker_of_generation(self.cluster, self.generation);
        put(&*stores.new, marker, "").await?;
        if !self.nodes().await?.is_empty() {
            put(&*stores.new, ObjectKey::marker(self.cluster), "").await?;
        }
        // Who starts with the old store is told where to look; it is found only where the mark above is.
        let left = ObjectKey::left(self.cluster, self.generation);
        put(&*stores.old, left, &self.to).await?;
        steps::reach(steps::MOVE_BEFORE_SWITCH);
        let generation = self.generation;
        let switched = self.proposed(Command::SwitchStorage { generation }).await?;
        steps::reach(steps::MOVE_AFTER_SWITCH);
        Ok(switched)
    }

    /// Ends idle uploads that have parts in the old store, and counts those that remain.
    async fn end_uploads(&mut self, stores: &Two, idle_ms: u64) -> Result<u64, PassFailure> {
        let deadline = self.registry.deadline_from_now();
        let now = self.clock.now(&self.registry, deadline).await?.time;
        let (mut after, mut remain) = (None, 0);
        loop {
            let query = Query::Uploads(Page {
                after,
                limit: UPLOADS_PER_PAGE,
            });
            let caller = self.registry.itself();
            let (uploads, more) = match self.registry.read(&caller, query).await? {
                Answer::Uploads { uploads, more } => (uploads, more),
                other => return Err(Error::unexpected_answer(&other).into()),
            };
            after = uploads.last().map(|listed| listed.upload);
            for listed in uploads.iter().filter(|listed| !listed.finished) {
                let prefix = ObjectKey::data_prefix(self.cluster, listed.upload);
                if stores.old.list_multipart(&prefix).await?.is_empty() {
                    continue;
                }
                let LogTime(idle_since) = now.minus_ms(idle_ms);
                if listed.last_activity.0 <= idle_since {
                    self.registry.expire(listed).await?;
                }
                // Seen again at the next look, if it is still there.
                remain += 1;
            }
            if !more {
                return Ok(remain);
            }
        }
    }
}

fn cluster_of(view: &ClusterView) -> Result<ClusterId, Error> {
    view.cluster
        .ok_or_else(|| Error::internal("the cluster has no id"))
}

async fn put(store: &dyn BlobStore, key: ObjectKey, text: &str) -> Result<(), BlobFailure> {
    let mut staged = store.stage(text.len() as u64).await?;
    if !text.is_empty() {
        staged
            .append(Bytes::copy_from_slice(text.as_bytes()))
            .await?;
    }
    staged.store(&Target::Object(key)).await.map(drop)
}
