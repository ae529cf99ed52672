//! The use-cases of the registry: push, pull, mount, tag, delete, list, referrers and the sweep of what was deleted.
//!
//! Each verb has a file, whose header lists its effects in order and says why a crash between any two of them is
//! harmless, and why the request may come twice. What is *right* is decided by the metadata log; this crate orders the
//! calls: bytes are durable before metadata names them, and metadata forgets them before they are deleted (promise
//! P3). It knows neither HTTP nor any store by name, keeps nothing that a client needs back, and never holds a blob
//! in memory.
//!
//! Design: `docs/architecture.md`, "Uploads" and "What holds a manifest".

mod administer;
mod body;
mod body_reader;
mod caller;
mod cancel_upload;
mod close_upload;
mod complete_sealed;
mod delete_blob;
mod delete_manifest;
mod delete_tag;
mod error;
mod expire_uploads;
mod hash_pipeline;
mod list_referrers;
mod list_repositories;
mod list_tags;
mod log_clock;
mod metric;
mod mount;
mod moving;
mod open_upload;
mod owned_task;
mod part_stream;
mod pull_blob;
mod pull_manifest;
mod push_blob;
mod put_manifest;
mod read_back;
mod read_for_pull;
mod settings;
pub mod steps;
mod sweeper;
mod upload_status;
mod upload_writer;
mod write_upload;

use std::sync::Arc;

use metadata::{Answer, ClusterId, ClusterView, Command, Query, Reply};
use ports::{BlobStore, Deadline, Health, IdSource, MetadataFailure, MetadataStore};
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

pub use body::{Body, BodyFailure};
pub use caller::{Caller, Served};
pub use close_upload::BlobStored;
pub use error::Error;
pub use list_referrers::ReferrerList;
pub use list_repositories::Listed;
pub use metadata::{Page, Precondition, WriteFrom};
pub use metric::describe as describe_metrics;
pub use mount::MountOutcome;
pub use moving::{Marks, MovableStore, MoveBegin, MoveStatus, MoveWatch, Mover, Standing, marks};
pub use open_upload::UploadStatus;
pub use pull_blob::BlobFound;
pub use pull_manifest::ManifestFound;
pub use put_manifest::{ManifestPush, ManifestStored};
pub use settings::{Settings, SparseImages, StaleReads};
pub use sweeper::{SweepPermit, Sweeper};

/// The use-cases. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

/// What the use-cases work with.
pub struct Parts {
    /// The log.
    pub metadata: Arc<dyn MetadataStore>,
    /// The bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// Fresh ids of uploads and large manifests.
    pub ids: Arc<dyn IdSource>,
    /// Sizes and times.
    pub settings: Settings,
}

struct Inner {
    parts: Parts,
    cluster: OnceCell<ClusterId>,
    /// The durable steps of requests.
    tasks: TaskTracker,
}

impl Registry {
    /// The use-cases over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Registry {
        Registry {
            inner: Arc::new(Inner {
                parts,
                cluster: OnceCell::new(),
                tasks: TaskTracker::new(),
            }),
        }
    }

    /// The sizes and times that it works with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.parts.settings
    }

    /// How this node stands to the log, without asking anyone.
    #[must_use]
    pub fn health(&self) -> Health {
        self.metadata().health()
    }

    /// The cluster as the log knows it. May be repeated, and dropped at any time.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the log does not answer before the caller's deadline.
    pub async fn cluster(&self, caller: &Caller) -> Result<ClusterView, Error> {
        match self.read(caller, Query::Cluster).await? {
            Answer::Cluster(view) => Ok(view),
            other => Err(Error::unexpected_answer(&other)),
        }
    }

    fn metadata(&self) -> &dyn MetadataStore {
        self.inner.parts.metadata.as_ref()
    }

    fn blobs(&self) -> &dyn BlobStore {
        self.inner.parts.blobs.as_ref()
    }

    fn fresh_id(&self) -> u128 {
        self.inner.parts.ids.fresh()
    }

    /// The deadline of a metadata call that comes after a body: the body may have outlasted the caller's.
    fn deadline_from_now(&self) -> Deadline {
        tokio::time::Instant::now() + self.settings().hold
    }

    /// This node, for its own work, with a deadline from now on.
    fn itself(&self) -> Caller {
        Caller::itself(self.deadline_from_now())
    }

    /// The caller with a deadline from now on, for what comes after a body.
    fn afresh(&self, caller: &Caller) -> Caller {
        caller.until(self.deadline_from_now())
    }

    fn unanswered(&self, failure: MetadataFailure) -> Error {
        match Error::from(failure) {
            Error::Unavailable { reason, .. } => Error::Unavailable {
                retry_after: self.settings().retry_after,
                reason,
            },
            other => other,
        }
    }

    /// Has the log decide a command, as the caller asks for it.
    async fn propose(&self, caller: &Caller, command: Command) -> Result<Reply, Error> {
        let command = caller.asks_for(command);
        let reply = self.metadata().propose(command, caller.deadline).await;
        reply.map_err(|failure| self.unanswered(failure))
    }

    /// A confirmed answer. What serves a pull has [`Registry::read_for_pull`].
    async fn read(&self, caller: &Caller, query: Query) -> Result<Answer, Error> {
        let query = caller.asks(query);
        let answered = self.metadata().read(query, caller.deadline).await;
        let answered = answered.map_err(|failure| self.unanswered(failure))?;
        // Invariant: only `read_even_stale` gives stale answers.
        debug_assert!(!answered.stale);
        Ok(answered.answer)
    }

    /// The cluster's id, which every object key begins with; it never changes, so it is asked once.
    async fn cluster_id(&self, deadline: Deadline) -> Result<ClusterId, Error> {
        let ask = || async {
            match self.read(&Caller::itself(deadline), Query::Cluster).await? {
                Answer::Cluster(ClusterView {
                    cluster: Some(cluster),
                    ..
                }) => Ok(cluster),
                Answer::Cluster(_) => Err(Error::unavailable("the cluster has no id yet")),
                other => Err(Error::unexpected_answer(&other)),
            }
        };
        self.inner.cluster.get_or_try_init(ask).await.copied()
    }
}
