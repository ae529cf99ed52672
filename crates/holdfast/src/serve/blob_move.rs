//! The move of this node's blobs to another store: begun by an order, gone on with after a start, and remembered until the
//! process ends.
//!
//! It must never serve from a store that is not the one where the log says that the blobs are. What is done in which order
//! is in `registry::moving`.

use std::sync::Arc;
use std::time::Duration;

use blobs::{StorageKind, StorageSettings};
use metadata::{Answer, ClusterView, Query, StorageRow};
use parking_lot::Mutex;
use ports::{BlobStore, Deadline, MetadataStore};
use registry::{MovableStore, MoveBegin, MoveWatch, Mover, Registry, belongs_to};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::s3_place::S3Place;

/// How long the log may take to say where the blobs are.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// After a start, as at the command line when nothing else is said.
const UPLOADS_IDLE_MAX: Duration = Duration::from_secs(60 * 60);

/// How far the blobs are moved, as the control socket tells it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MoveState {
    /// Where they were.
    pub from: String,
    /// Where they go.
    pub to: String,
    /// The settings that the node's next start needs once it has switched: names and values.
    pub settings: Vec<(String, String)>,
    /// Whether the node uses the new store only.
    pub switched: bool,
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
    /// What holds it up.
    pub trouble: Option<String>,
}

/// The move of this node, if there is one. Clones are the same.
#[derive(Clone)]
pub struct BlobMove {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    store: MovableStore,
    /// What the node was started with.
    storage: StorageSettings,
    stop: CancellationToken,
    /// Held while one begins.
    beginning: tokio::sync::Mutex<()>,
    running: Mutex<Option<Running>>,
}

struct Running {
    from: String,
    to: S3Place,
    watch: MoveWatch,
    task: Option<JoinHandle<()>>,
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
                beginning: tokio::sync::Mutex::default(),
                running: Mutex::default(),
            }),
        }
    }

    /// Goes on with the move that `log` has. Comes before anybody uses a blob; [`check_store`] came before.
    ///
    /// # Errors
    /// One line that names the fix.
    pub async fn go_on(&self, log: &dyn MetadataStore) -> Result<(), Failure> {
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        let answered = log.read(Query::Cluster, deadline).await;
        let view = match answered
            .map_err(|error| Failure::new(error.to_string()))?
            .answer
        {
            Answer::Cluster(view) => view,
            _ => return Err(Failure::new("the log does not say where the blobs are")),
        };
        let Some(to) = &view.storage.moving_to else {
            return Ok(());
        };
        let unfinished = |why: String| {
            Failure::new(format!(
                "the blobs are being moved to {to}, and some are there only, but it cannot be used: {why}"
            ))
        };
        let place: S3Place = to.parse().map_err(unfinished)?;
        let new = self.open(&place).await.map_err(unfinished)?;
        let from = self.shared.store.describe();
        let mover = self
            .plan(new, &place, UPLOADS_IDLE_MAX)
            .resume(&view)
            .map_err(|error| unfinished(error.to_string()))?;
        tracing::info!(%to, "the move of the blobs goes on");
        self.run(mover, from, place);
        Ok(())
    }

    /// Begins to move, or goes on showing the move to the same place. May be called again.
    ///
    /// # Errors
    /// A line that says why not.
    pub async fn begin(&self, to: &str, idle_max: Duration) -> Result<MoveState, String> {
        let _only = self.shared.beginning.lock().await;
        let place: S3Place = to.parse().map_err(|error| format!("{to} {error}"))?;
        if let Some(state) = self.state() {
            let is_same = place.to_string() == state.to;
            match (is_same, state.switched) {
                (true, _) => return Ok(state),
                (false, false) => {
                    return Err(format!("the blobs are being moved to {}", state.to));
                }
                (false, true) => {
                    return Err(format!(
                        "the blobs were moved to {}: restart the node with its new settings before they are moved on",
                        state.to
                    ));
                }
            }
        }
        let new = self.open(&place).await?;
        for step in blobs::check::run(&*new, StorageKind::S3).await {
            if let blobs::check::CheckOutcome::Failed(why) = &step.outcome {
                let hint = step.hint.as_deref().unwrap_or_default();
                return Err(format!(
                    "{place} cannot be used: {}: {why} {hint}",
                    step.name
                ));
            }
        }
        let from = self.shared.store.describe();
        let begun = self.plan(new, &place, idle_max).begin().await;
        let mover = begun.map_err(|error| error.to_string())?;
        tracing::info!(%from, to = %place, "the blobs are being moved");
        self.run(mover, from, place);
        self.state().ok_or_else(|| "the move was lost".to_owned())
    }

    /// Refuses to found a cluster while blobs are moved.
    ///
    /// # Errors
    /// That they are.
    pub fn refuse_founding(&self) -> Result<(), String> {
        match self.state() {
            Some(state) if !state.switched => Err(format!(
                "the blobs are being moved to {}: found the cluster when they are there (`holdfast storage move` shows how far it is)",
                state.to
            )),
            _ => Ok(()),
        }
    }

    /// How far it is; `None` when nothing was moved since the start.
    pub fn state(&self) -> Option<MoveState> {
        let running = self.shared.running.lock();
        let running = running.as_ref()?;
        let status = running.watch.status();
        let settings = running.to.settings().into_iter();
        Some(MoveState {
            from: running.from.clone(),
            to: running.to.to_string(),
            settings: settings
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            switched: status.switched,
            objects_done: status.objects_done,
            objects_total: status.objects_total,
            bytes_done: status.bytes_done,
            bytes_total: status.bytes_total,
            uploads_waited_for: status.uploads_waited_for,
            trouble: status.trouble,
        })
    }

    /// Waits until nothing works on it any more, after `stop`, and reminds of the settings.
    pub async fn ended(&self) {
        let task = self
            .shared
            .running
            .lock()
            .as_mut()
            .and_then(|running| running.task.take());
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the move of the blobs broke off");
        }
        if let Some(state) = self.state().filter(|state| state.switched) {
            remind(&state);
        }
    }

    async fn open(&self, place: &S3Place) -> Result<Arc<dyn BlobStore>, String> {
        let storage = place.storage(&self.shared.storage);
        let problems = storage.problems();
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        blobs::open(&storage)
            .await
            .map_err(|failure| failure.to_string())
    }

    fn plan(&self, new: Arc<dyn BlobStore>, place: &S3Place, idle_max: Duration) -> MoveBegin {
        MoveBegin {
            registry: self.shared.registry.clone(),
            store: self.shared.store.clone(),
            new,
            to: place.address(),
            uploads_idle_max: idle_max,
        }
    }

    fn run(&self, mover: Mover, from: String, to: S3Place) {
        let watch = mover.watch();
        let (moves, stop) = (self.clone(), self.shared.stop.clone());
        let task = tokio::spawn(async move {
            if mover.run(stop).await
                && let Some(state) = moves.state()
            {
                remind(&state);
            }
        });
        *self.shared.running.lock() = Some(Running {
            from,
            to,
            watch,
            task: Some(task),
        });
    }
}

/// Makes sure that `store`, opened with `storage`, is the one where the blobs are, as the log shows it to a node that is alone.
/// Comes before anything is done with it, even before a cluster is founded.
///
/// # Errors
/// One line that names the fix.
pub async fn check_store(
    store: &dyn BlobStore,
    storage: &StorageSettings,
    view: &ClusterView,
) -> Result<(), Failure> {
    let row = &view.storage;
    let is_asked = row.generation > 0 || row.moving_to.is_some();
    let Some(cluster) = view.cluster.filter(|_| is_asked) else {
        return Ok(());
    };
    match belongs_to(store, cluster, row.generation).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(wrong_store(row, &store.describe())),
        Err(failure) if is_named_by(storage, row) => {
            tracing::warn!(%failure, "the store of blobs does not answer now");
            Ok(())
        }
        Err(failure) => Err(Failure::new(format!(
            "{failure}: it cannot be told whether {} is where the blobs are",
            store.describe()
        ))),
    }
}

/// Whether the settings name the very place that the log does.
fn is_named_by(storage: &StorageSettings, row: &StorageRow) -> bool {
    let named = row
        .place
        .as_deref()
        .and_then(|place| place.parse::<S3Place>().ok());
    let set = match storage.kind {
        StorageKind::S3 => S3Place::of(&storage.s3),
        StorageKind::Folder => None,
    };
    named.is_some_and(|named| set.is_some_and(|set| set.to_string() == named.to_string()))
}

fn remind(state: &MoveState) {
    let settings = state
        .settings
        .iter()
        .map(|(name, value)| format!("{name} = \"{value}\""));
    tracing::warn!(
        from = state.from,
        to = state.to,
        settings = settings.collect::<Vec<_>>().join(", "),
        "the blobs were moved: the next start of this node needs these settings, and is refused with the old ones"
    );
}

/// The store of the settings is not where the blobs are.
fn wrong_store(row: &StorageRow, configured: &str) -> Failure {
    let wanted = |place: &str| {
        let settings = place
            .parse::<S3Place>()
            .map(|place| place.settings())
            .unwrap_or_default();
        let settings = settings
            .iter()
            .map(|(name, value)| format!("{name} = \"{value}\""));
        settings.collect::<Vec<_>>().join(", ")
    };
    Failure::new(match (&row.place, &row.moving_to) {
        (Some(place), None) => format!(
            "the blobs of this registry were moved to {place}, and the settings name {configured}, which is another store: set {}",
            wanted(place)
        ),
        (Some(place), Some(to)) => format!(
            "the blobs of this registry are being moved to {to}, and the settings name {configured}: leave them as they were until that is done, {}",
            wanted(place)
        ),
        (None, to) => format!(
            "the blobs of this registry are being moved to {}, and the settings name {configured}, which is not the store that they are moved from: leave the settings of the store as they were until that is done",
            to.as_deref().unwrap_or_default()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_store_is_told_with_the_settings_that_mend_it() {
        let row = |place: Option<&str>, moving_to: Option<&str>| StorageRow {
            generation: 1,
            place: place.map(str::to_owned),
            moving_to: moving_to.map(str::to_owned),
            borrowed: Vec::new(),
        };
        let moved = row(Some("http://s3:3900/images/a?region=garage"), None);
        assert_eq!(
            wrong_store(&moved, "folder /data/blobs").lines,
            [
                "the blobs of this registry were moved to http://s3:3900/images/a?region=garage, and the settings name folder /data/blobs, which is another store: set storage.kind = \"s3\", storage.s3.bucket = \"images\", storage.s3.prefix = \"a\", storage.s3.endpoint = \"http://s3:3900\", storage.s3.region = \"garage\""
            ]
        );
        let moving = row(None, Some("s3://images"));
        let line = &wrong_store(&moving, "folder /other").lines[0];
        assert!(
            line.contains("s3://images") && line.contains("as they were"),
            "{line}"
        );
    }
}
