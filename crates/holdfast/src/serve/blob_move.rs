//! The move of the blobs to another store, as this node has it: ordered, given up, told.
//!
//! Every node follows the log ([`super::blob_follow`]); the one that leads also does the work. It must never serve from a store
//! that is not the one where the log says that the blobs are. What is done in which order is in `registry::moving`.

use std::sync::Arc;
use std::time::Duration;

use blobs::{StorageKind, StorageSettings};
use cluster::{Cluster, MoveProgress};
use metadata::{Answer, ClusterView, Command, NodeView, Query, Refusal, Reply, StorageRow};
use parking_lot::Mutex;
use ports::{BlobStore, Deadline, MetadataStore};
use registry::{MovableStore, MoveBegin, MoveWatch, Registry};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::s3_place::S3Place;

use super::blob_follow::Followed;

/// How long the log may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// How far the blobs are moved, as the control socket tells it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MoveState {
    /// Where they were, if this node has seen them there.
    pub from: String,
    /// Where they go.
    pub to: String,
    /// The settings that the next start needs once it has switched: names and values.
    pub settings: Vec<(String, String)>,
    /// Whether the new store is the only one.
    pub switched: bool,
    /// How many nodes have to change their settings.
    pub nodes: usize,
    /// Objects in the new store.
    pub objects_done: u64,
    /// Objects that have to be.
    pub objects_total: u64,
    /// Their bytes in the new store.
    pub bytes_done: u64,
    /// Their bytes.
    pub bytes_total: u64,
    /// Open uploads that are waited for.
    pub uploads_waited_for: u64,
    /// Nodes that have not taken the step that the move is at, and why, if they say so.
    pub nodes_waited_for: Vec<String>,
    /// What holds it up.
    pub trouble: Option<String>,
}

/// The blobs of this node, which may go to another store. Clones are the same.
#[derive(Clone)]
pub struct BlobMove {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) registry: Registry,
    pub(super) store: MovableStore,
    /// What the node was started with.
    pub(super) storage: StorageSettings,
    pub(super) stop: CancellationToken,
    /// Told when there is something to follow at once.
    pub(super) hurry: Notify,
    pub(super) followed: tokio::sync::Mutex<Followed>,
    /// Where the blobs were before they began to move.
    pub(super) from: Mutex<Option<String>>,
    /// Why this node cannot follow the log.
    pub(super) problem: Mutex<Option<String>>,
    /// The move that this node works at, because it leads.
    pub(super) work: Mutex<Option<Work>>,
    pub(super) follower: Mutex<Option<JoinHandle<()>>>,
}

pub(super) struct Work {
    /// What the log calls the store that they go to.
    pub(super) to: String,
    pub(super) watch: MoveWatch,
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

impl BlobMove {
    /// No move yet, over a store that was opened with `storage`; it stops with `stop`.
    pub fn new(
        registry: Registry,
        store: MovableStore,
        storage: StorageSettings,
        stop: CancellationToken,
    ) -> BlobMove {
        BlobMove {
            shared: Arc::new(Shared {
                registry,
                store,
                storage,
                stop,
                hurry: Notify::new(),
                followed: tokio::sync::Mutex::default(),
                from: Mutex::default(),
                problem: Mutex::default(),
                work: Mutex::default(),
                follower: Mutex::default(),
            }),
        }
    }

    /// Begins to move, or goes on showing the move to the same place. May be called again.
    ///
    /// # Errors
    /// A line that says why not.
    pub async fn begin(
        &self,
        cluster: &Cluster,
        log: &dyn MetadataStore,
        to: &str,
        idle_max: Duration,
    ) -> Result<MoveState, String> {
        let place: S3Place = to.parse().map_err(|error| format!("{to} {error}"))?;
        let row = view(log).await?.storage;
        if row.moving_to.is_none() && row.place.as_deref() == Some(&*place.address()) {
            return self
                .state(cluster, log)
                .await
                .map(Option::unwrap_or_default);
        }
        if row.moving_to.is_none() {
            let new = self.open(&place).await?;
            check(&*new, &place).await?;
            let begin = MoveBegin {
                registry: self.shared.registry.clone(),
                store: self.shared.store.clone(),
                new,
                to: place.address(),
                uploads_idle_max: idle_max,
            };
            let begun = begin.begin_in_log().await;
            begun.map_err(|error| error.to_string())?;
            tracing::info!(to = %place, "the blobs are being moved");
        } else {
            // Refused if it is a third place; else the time for uploads is changed.
            let command = Command::MoveStorage {
                to: place.address(),
                uploads_idle_ms: u64::try_from(idle_max.as_millis()).unwrap_or(u64::MAX),
            };
            propose(log, command).await?;
        }
        self.shared.hurry.notify_one();
        let state = self.state(cluster, log).await?;
        state.ok_or_else(|| "the move was given up".to_owned())
    }

    /// Gives the move up, if nothing is in the new store only.
    ///
    /// # Errors
    /// A line that says why not.
    pub async fn cancel(&self, log: &dyn MetadataStore) -> Result<(), String> {
        let row = view(log).await?.storage;
        if row.moving_to.is_none() {
            return Err("the blobs are not being moved".to_owned());
        }
        propose(log, Command::CancelMove { step: row.step }).await?;
        self.shared.hurry.notify_one();
        Ok(())
    }

    /// Refuses to found a cluster while blobs are moved.
    ///
    /// # Errors
    /// That they are.
    pub async fn refuse_founding(&self, log: &dyn MetadataStore) -> Result<(), String> {
        match view(log).await?.storage.moving_to {
            Some(to) => Err(format!(
                "the blobs are being moved to {to}: found the cluster when they are there (`holdfast storage move` shows how far it is)"
            )),
            None => Ok(()),
        }
    }

    /// How far it is; `None` when nothing was ever moved.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn state(
        &self,
        cluster: &Cluster,
        log: &dyn MetadataStore,
    ) -> Result<Option<MoveState>, String> {
        let row = view(log).await?.storage;
        let (switched, to) = match (&row.moving_to, &row.place) {
            (Some(to), _) => (false, to.clone()),
            (None, Some(place)) => (true, place.clone()),
            (None, None) => return Ok(None),
        };
        let nodes = nodes(log).await?;
        let progress = match (self.progress(), switched || nodes.is_empty()) {
            (Some(progress), _) => progress,
            (None, true) => MoveProgress::default(),
            (None, false) => self.progress_of_leader(cluster).await,
        };
        let place = to.parse::<S3Place>();
        let settings = place.as_ref().map(S3Place::settings).unwrap_or_default();
        let settings = settings.into_iter();
        Ok(Some(MoveState {
            from: self.shared.from.lock().clone().unwrap_or_default(),
            to: place.map_or_else(|_| to.clone(), |place| place.to_string()),
            settings: settings
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            switched,
            nodes: nodes.len().max(1),
            objects_done: progress.objects_done,
            objects_total: progress.objects_total,
            bytes_done: progress.bytes_done,
            bytes_total: progress.bytes_total,
            uploads_waited_for: progress.uploads_waited_for,
            nodes_waited_for: match switched {
                true => Vec::new(),
                false => behind(&nodes, &row),
            },
            trouble: progress
                .trouble
                .or_else(|| self.shared.problem.lock().clone()),
        }))
    }

    /// Whether this node moves the blobs now.
    pub(super) fn is_at_work(&self) -> bool {
        let work = self.shared.work.lock();
        work.as_ref().is_some_and(|work| !work.task.is_finished())
    }

    /// How far this node's own work is.
    pub(super) fn progress(&self) -> Option<MoveProgress> {
        let work = self.shared.work.lock();
        let status = work.as_ref()?.watch.status();
        Some(MoveProgress {
            objects_done: status.objects_done,
            objects_total: status.objects_total,
            bytes_done: status.bytes_done,
            bytes_total: status.bytes_total,
            uploads_waited_for: status.uploads_waited_for,
            nodes_waited_for: status.nodes_waited_for.len() as u64,
            trouble: status.trouble,
        })
    }

    async fn progress_of_leader(&self, cluster: &Cluster) -> MoveProgress {
        let status = cluster.status().await.ok();
        let line = status.and_then(|status| status.storage_move);
        line.map_or_else(MoveProgress::default, |line| MoveProgress {
            objects_done: line.objects_done,
            objects_total: line.objects_total,
            bytes_done: line.bytes_done,
            bytes_total: line.bytes_total,
            uploads_waited_for: line.uploads_waited_for,
            nodes_waited_for: line.nodes_waited_for,
            trouble: line.trouble,
        })
    }

    /// Waits until nothing works on it any more, after `stop`.
    pub async fn ended(&self) {
        let follower = self.shared.follower.lock().take();
        if let Some(follower) = follower
            && let Err(error) = follower.await
        {
            tracing::error!(%error, "the move of the blobs broke off");
        }
        let work = self.shared.work.lock().take();
        if let Some(work) = work {
            work.stop.cancel();
            if let Err(error) = work.task.await {
                tracing::error!(%error, "the move of the blobs broke off");
            }
        }
    }

    /// Opens a place with this node's own credentials.
    pub(super) async fn open(&self, place: &S3Place) -> Result<Arc<dyn BlobStore>, String> {
        let storage = place.storage(&self.shared.storage);
        let problems = storage.problems();
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        blobs::open(&storage)
            .await
            .map_err(|failure| failure.to_string())
    }
}

/// Tries every call that is needed.
pub(super) async fn check(store: &dyn BlobStore, place: &S3Place) -> Result<(), String> {
    for step in blobs::check::run(store, StorageKind::S3).await {
        if let blobs::check::CheckOutcome::Failed(why) = &step.outcome {
            let hint = step.hint.as_deref().unwrap_or_default();
            return Err(format!(
                "{place} cannot be used: {}: {why} {hint}",
                step.name
            ));
        }
    }
    Ok(())
}

/// The cluster as the log has it now.
pub(super) async fn view(log: &dyn MetadataStore) -> Result<ClusterView, String> {
    let deadline = Deadline::now() + ANSWER_TIME_MAX;
    match log.read(Query::Cluster, deadline).await {
        Ok(answered) => match answered.answer {
            Answer::Cluster(view) => Ok(view),
            _ => Err("the log does not say where the blobs are".to_owned()),
        },
        Err(failure) => Err(failure.to_string()),
    }
}

async fn nodes(log: &dyn MetadataStore) -> Result<Vec<NodeView>, String> {
    let deadline = Deadline::now() + ANSWER_TIME_MAX;
    match log.read(Query::Nodes, deadline).await {
        Ok(answered) => match answered.answer {
            Answer::Nodes { mut nodes } => {
                nodes.retain(|node| node.removed.is_none());
                Ok(nodes)
            }
            _ => Err("the log does not say who there is".to_owned()),
        },
        Err(failure) => Err(failure.to_string()),
    }
}

/// The nodes that have not taken the step that the move is at.
fn behind(nodes: &[NodeView], row: &StorageRow) -> Vec<String> {
    let behind = nodes.iter().filter(|node| node.storage.step != row.step);
    let behind = behind.map(|node| {
        let problem = node.storage.problem.as_deref();
        let problem = problem.unwrap_or("has not answered yet");
        format!("node {} ({}): {problem}", node.node, node.announcement.name)
    });
    behind.collect()
}

pub(super) async fn propose(log: &dyn MetadataStore, command: Command) -> Result<(), String> {
    let deadline = Deadline::now() + ANSWER_TIME_MAX;
    match log.propose(command, deadline).await {
        Ok(Reply::Done) => Ok(()),
        Ok(Reply::Refused(Refusal::Invalid { reason })) => Err(reason),
        Ok(other) => Err(format!("the log answered {other:?}")),
        Err(failure) => Err(failure.to_string()),
    }
}
