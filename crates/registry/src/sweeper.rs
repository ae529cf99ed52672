//! Removes the objects that nothing names any more, and ends the uploads that nobody writes to.
//!
//! Effects of a step of the deletion, in order: multipart uploads are aborted and objects deleted; the entry `ObjectsDeleted` takes them
//! out of the queue. If the node dies between the two, the next step deletes them again, which is no error: keys are
//! never used again. Two nodes may do it at once. Nothing is deleted that the log does not hand out.
//!
//! Idle uploads are looked for once an hour, a page at a time: see [`crate::expire_uploads`].
//!
//! What is due is asked by the log's own time, carried on by this node's monotonic clock while the log is idle: a wall
//! clock that jumps deletes nothing early.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use metadata::{Answer, Command, DELETIONS_PER_ENTRY_MAX, DeletionRow, ObjectKey, Query, Reply};
use oci::UploadId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::log_clock::LogClock;
use crate::{Error, Registry, metric, steps};

/// So many multipart uploads are aborted at once.
const ABORTS_AT_ONCE: usize = 8;

/// How long idle uploads are left alone after all were looked through.
const UPLOADS_LOOKED_THROUGH_EVERY: Duration = Duration::from_secs(60 * 60);

/// Says before each step whether anything may be deleted now.
pub type SweepPermit = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// A worker that empties the delete queue and ends idle uploads, in bounded steps.
pub struct Sweeper {
    registry: Registry,
    permit: Option<SweepPermit>,
    clock: LogClock,
    /// When idle uploads are looked for next; at once after a start.
    uploads_due: Option<Instant>,
    /// How far the uploads were looked through.
    uploads_after: Option<UploadId>,
}

impl Sweeper {
    /// A worker over these use-cases.
    #[must_use]
    pub fn new(registry: Registry) -> Sweeper {
        Sweeper {
            registry,
            permit: None,
            clock: LogClock::default(),
            uploads_due: None,
            uploads_after: None,
        }
    }

    /// Deletes nothing unless `permit` is given before each step.
    #[must_use]
    pub fn permitted_by(self, permit: SweepPermit) -> Sweeper {
        Sweeper {
            permit: Some(permit),
            ..self
        }
    }

    /// Works until `shutdown`; only while this node leads, so that one node does. A step that fails is repeated later.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let work = async {
                if !self.sweep().await {
                    tokio::time::sleep(self.registry.settings().sweep_interval).await;
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = work => {}
            }
        }
    }

    /// Whether there may be more to do at once.
    async fn sweep(&mut self) -> bool {
        if !self.registry.health().leader {
            return false;
        }
        if let Some(permit) = &self.permit
            && !permit().await
        {
            return false;
        }
        let expired = match self.uploads_due {
            Some(due) if due > Instant::now() => Ok(false),
            _ => self.expire_uploads().await,
        };
        let swept = self.step().await.map(|swept| swept > 0);
        let mut more = false;
        for worked in [expired, swept] {
            match worked {
                Ok(may_be_more) => more |= may_be_more,
                Err(error) => {
                    metric::sweep_failed();
                    tracing::warn!(%error, "a step of the sweep failed; it is tried again");
                    return false;
                }
            }
        }
        more
    }

    /// Ends the idle ones of a page of uploads, and tells whether there are more pages. May be repeated, and dropped at
    /// any time.
    ///
    /// # Errors
    /// Those of the log and the store; the page is looked through again then.
    pub async fn expire_uploads(&mut self) -> Result<bool, Error> {
        let now = self
            .clock
            .now(&self.registry, self.registry.deadline_from_now())
            .await?;
        self.uploads_after = self.registry.expire_page(self.uploads_after, &now).await?;
        let more = self.uploads_after.is_some();
        if !more {
            self.uploads_due = Some(Instant::now() + UPLOADS_LOOKED_THROUGH_EVERY);
        }
        Ok(more)
    }

    /// Removes what is due, at most one batch, and tells how much that was. May be repeated, and dropped at any time.
    ///
    /// # Errors
    /// Those of the log and the store; what was due is due still.
    pub async fn step(&mut self) -> Result<usize, Error> {
        let registry = self.registry.clone();
        let caller = registry.itself();
        let now = self.clock.now(&registry, caller.deadline).await?.time;
        let limit = registry
            .settings()
            .sweep_batch
            .clamp(1, DELETIONS_PER_ENTRY_MAX);
        let query = Query::DueDeletions { limit, now };
        // Confirmed: what was due in an older state may have been restored since.
        let objects = match registry.read(&caller, query).await? {
            Answer::Deletions { objects } => objects,
            other => return Err(Error::unexpected_answer(&other)),
        };
        marks::note("objects of a sweep", objects.len(), limit);
        if objects.is_empty() {
            return Ok(0);
        }
        registry.remove(objects).await
    }
}

impl Registry {
    async fn remove(&self, objects: Vec<DeletionRow>) -> Result<usize, Error> {
        steps::reach(steps::SWEEP_BEFORE_DELETE);
        let aborts = objects.iter().filter_map(|row| {
            let multipart = row.multipart.clone()?;
            Some((row.key.clone(), multipart))
        });
        stream::iter(aborts.collect::<Vec<_>>())
            .map(Ok::<_, Error>)
            .try_for_each_concurrent(ABORTS_AT_ONCE, |(key, multipart)| async move {
                Ok(self.blobs().abort_multipart(&key, &multipart).await?)
            })
            .await?;
        let keys: Vec<ObjectKey> = objects.into_iter().map(|row| row.key).collect();
        self.blobs().delete(&keys).await?;
        steps::reach(steps::SWEEP_AFTER_DELETE);
        let count = keys.len();
        let command = Command::ObjectsDeleted { keys };
        let reply = self.propose(&self.itself(), command).await?;
        steps::reach(steps::SWEEP_AFTER_ENTRY);
        match reply {
            Reply::Done => {
                metric::objects_swept(count);
                Ok(count)
            }
            other => Err(Error::unexpected_reply(other)),
        }
    }
}
