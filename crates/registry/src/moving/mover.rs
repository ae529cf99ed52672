//! Begins a move, and carries it to its end. The order of effects, and why it is harmless to die between them, is in
//! [`super`].

use std::sync::Arc;
use std::time::Duration;

use metadata::{
    Answer, ClusterId, ClusterView, Command, LogTime, ObjectKey, Page, Query, Reply, StorageRow,
};
use ports::{BlobFailure, BlobStore, Target};
use tokio_util::sync::CancellationToken;

use super::pass::{PassFailure, Passes};
use super::status::MoveWatch;
use super::store::{MovableStore, Two};
use crate::log_clock::LogClock;
use crate::{Caller, Error, Registry, steps};

/// Between two looks at what still has to come to the old store.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// After a failure; it is doubled up to the longest.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
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

/// A move that was begun. It goes on only while it is run.
pub struct Mover {
    registry: Registry,
    store: MovableStore,
    cluster: ClusterId,
    /// Whose objects are moved.
    clusters: Vec<ClusterId>,
    /// What the log's generation will be.
    generation: u64,
    uploads_idle_max: Duration,
    watch: MoveWatch,
    clock: LogClock,
    blobs_are_copied: bool,
}

/// Whether the store is the one where the blobs were, or went to, when they had been moved `generation` times.
///
/// # Errors
/// Those of the store.
pub async fn belongs_to(
    store: &dyn BlobStore,
    cluster: ClusterId,
    generation: u64,
) -> Result<bool, BlobFailure> {
    let marker = ObjectKey::marker_of_generation(cluster, generation);
    let found = store.list(marker.as_str(), None).await?;
    Ok(found.iter().any(|object| object.key == marker.as_str()))
}

impl MoveBegin {
    /// Begins the move, or goes on with the one that the log has. When it fails nothing has moved, and it may be begun again.
    ///
    /// # Errors
    /// [`Error::Internal`] with what is wrong when the new store is the old one; those of the stores and the log.
    pub async fn begin(self) -> Result<Mover, Error> {
        let view = self.view().await?;
        let cluster = cluster_of(&view)?;
        self.refuse_same_store(cluster).await?;
        let marker = ObjectKey::marker_of_generation(cluster, view.storage.generation);
        put_empty(&self.store, marker).await?;
        steps::reach(steps::MOVE_BEFORE_BEGIN);
        let command = Command::MoveStorage {
            to: self.to.clone(),
        };
        let deadline = self.registry.deadline_from_now();
        match self.registry.propose(command, deadline).await? {
            Reply::Done => {}
            other => return Err(Error::unexpected_reply(other)),
        }
        steps::reach(steps::MOVE_AFTER_BEGIN);
        Ok(self.go_on(cluster, &view.storage))
    }

    /// Goes on with a move that the log has, as `view` shows it: the first thing that a node does that starts in the middle of
    /// one. The caller has made sure that the present store [`belongs_to`] the generation.
    ///
    /// # Errors
    /// [`Error::Internal`] when the cluster has no id.
    pub fn resume(self, view: &ClusterView) -> Result<Mover, Error> {
        let cluster = cluster_of(view)?;
        Ok(self.go_on(cluster, &view.storage))
    }

    fn go_on(self, cluster: ClusterId, storage: &StorageRow) -> Mover {
        self.store.open_new(self.new);
        Mover {
            registry: self.registry,
            store: self.store,
            cluster,
            clusters: std::iter::once(cluster)
                .chain(storage.borrowed.iter().copied())
                .collect(),
            generation: storage.generation + 1,
            uploads_idle_max: self.uploads_idle_max,
            watch: MoveWatch::default(),
            clock: LogClock::default(),
            blobs_are_copied: false,
        }
    }

    async fn view(&self) -> Result<ClusterView, Error> {
        let caller = Caller::itself(self.registry.deadline_from_now());
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

    /// Works until everything is moved and the log has switched, and tells whether it has; `false` when `shutdown` came first.
    /// What fails is tried again. May be dropped at any time.
    pub async fn run(mut self, shutdown: CancellationToken) -> bool {
        let mut retry_after = RETRY_AFTER;
        loop {
            let work = async {
                match self.work().await {
                    Ok(()) => true,
                    Err(failure) => {
                        tracing::warn!(%failure, "the move to another store is held up; it is tried again");
                        let trouble = failure.to_string();
                        self.watch.change(|status| status.trouble = Some(trouble));
                        tokio::time::sleep(retry_after).await;
                        false
                    }
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return false,
                is_done = work => if is_done { return true },
            }
            retry_after = (retry_after * 2).min(RETRY_AFTER_MAX);
        }
    }

    /// Goes on to the end, or to the first failure. May be repeated, and dropped at any time.
    async fn work(&mut self) -> Result<(), PassFailure> {
        let caller = Caller::itself(self.registry.deadline_from_now());
        let view = self.registry.cluster(&caller).await?;
        if view.storage.generation < self.generation {
            self.move_all().await?;
            self.switch().await?;
        }
        self.store.close_old();
        self.watch.change(|status| {
            status.trouble = None;
            status.switched = true;
        });
        Ok(())
    }

    async fn move_all(&mut self) -> Result<(), PassFailure> {
        let Some(stores) = self.store.two() else {
            return Err(Error::internal("the stores are not both open").into());
        };
        self.passes(&stores).survey().await?;
        self.watch.change(|status| status.trouble = None);
        if !self.blobs_are_copied {
            self.passes(&stores).blobs().await?;
            self.blobs_are_copied = true;
        }
        loop {
            // Asked in this order, and before the pass: then nothing can come to the old store that the pass does not see.
            let is_still = self.store.earlier_writers_ended();
            let waited_for = self.end_uploads(&stores).await?;
            self.watch
                .change(|status| status.uploads_waited_for = waited_for);
            self.passes(&stores).listed().await?;
            if is_still && waited_for == 0 {
                return Ok(());
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

    async fn switch(&self) -> Result<(), PassFailure> {
        steps::reach(steps::MOVE_BEFORE_MARKER);
        let marker = ObjectKey::marker_of_generation(self.cluster, self.generation);
        if let Some(stores) = self.store.two() {
            // A founding that failed may have left its mark, by which other nodes would take the old store for the right one.
            let founded = ObjectKey::marker(self.cluster);
            stores.old.delete(std::slice::from_ref(&founded)).await?;
            put_empty(&*stores.new, marker).await?;
        }
        steps::reach(steps::MOVE_BEFORE_SWITCH);
        let command = Command::SwitchStorage {
            generation: self.generation,
        };
        let deadline = self.registry.deadline_from_now();
        let reply = self.registry.propose(command, deadline).await?;
        steps::reach(steps::MOVE_AFTER_SWITCH);
        match reply {
            Reply::Done => Ok(()),
            other => Err(Error::unexpected_reply(other).into()),
        }
    }

    /// Ends idle uploads that have parts in the old store, and counts those that remain.
    async fn end_uploads(&mut self, stores: &Two) -> Result<u64, PassFailure> {
        let deadline = self.registry.deadline_from_now();
        let now = self.clock.now(&self.registry, deadline).await?.time;
        let idle_ms = u64::try_from(self.uploads_idle_max.as_millis()).unwrap_or(u64::MAX);
        let (mut after, mut remain) = (None, 0);
        loop {
            let query = Query::Uploads(Page {
                after,
                limit: UPLOADS_PER_PAGE,
            });
            let deadline = self.registry.deadline_from_now();
            let (uploads, more) = match self.registry.read(query, deadline).await? {
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

async fn put_empty(store: &dyn BlobStore, key: ObjectKey) -> Result<(), BlobFailure> {
    let mut staged = store.stage(0).await?;
    staged.store(&Target::Object(key)).await.map(drop)
}
