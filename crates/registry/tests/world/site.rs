//! A node whose blobs move from one store to another: it may die and start again, with the stores that the log asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use metadata::ClusterView;
use oci::Digest;
use ports::blob_store::memory::MemoryBlobStore;
use ports::metadata_store::memory::MemoryMetadataStore;
use ports::{BlobStore, ByteSpan, IdSource};
use registry::{
    Error, MovableStore, MoveBegin, MoveStatus, Mover, Parts, Registry, Settings, Standing, marks,
};
use tokio_util::sync::CancellationToken;

use super::{PART, caller, check, repository, sha256};

/// Where blobs are moved to.
pub const TO: &str = "s3://new";

/// After this time an upload is ended that stands in the way.
pub const IDLE_MAX: Duration = Duration::from_secs(3600);

/// What outlives the node.
pub struct Site {
    pub metadata: MemoryMetadataStore,
    pub old: MemoryBlobStore,
    pub new: MemoryBlobStore,
    ids: Arc<Ids>,
}

struct Ids(AtomicU64);

impl IdSource for Ids {
    fn fresh(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// One life of the node.
#[derive(Clone)]
pub struct Node {
    pub registry: Registry,
    pub store: MovableStore,
    pub new: Arc<dyn BlobStore>,
}

impl Site {
    pub fn new() -> Site {
        Site {
            metadata: MemoryMetadataStore::with_check(check),
            old: MemoryBlobStore::new(),
            new: MemoryBlobStore::new(),
            ids: Arc::new(Ids(AtomicU64::new(1))),
        }
    }

    /// A node over these stores, whatever the log says.
    pub fn node(&self, old: Arc<dyn BlobStore>, new: Arc<dyn BlobStore>) -> Node {
        let store = MovableStore::new(old);
        let registry = Registry::new(Parts {
            metadata: Arc::new(self.metadata.clone()),
            blobs: Arc::new(store.clone()),
            ids: Arc::clone(&self.ids) as _,
            settings: Settings {
                part_size: PART as u32,
                blob_size_max: 64 * PART as u64,
                checkpoint_every_parts: 2,
                ..Settings::default()
            },
        });
        Node {
            registry,
            store,
            new,
        }
    }

    /// Starts the node as its operator does: with the new store once the log has switched. Gives the move that goes on.
    pub async fn start(&self) -> (Node, Option<Mover>) {
        let new = || Arc::new(self.new.clone()) as Arc<dyn BlobStore>;
        let mut node = self.node(Arc::new(self.old.clone()), new());
        let view = node.view().await;
        if view.storage.generation > 0 {
            node = self.node(new(), new());
        }
        let cluster = view.cluster.expect("the cluster has a name");
        let moving = view.storage.moving_to.is_some();
        if moving || view.storage.generation > 0 {
            let marks = marks(&node.store, cluster).await.expect("it answers");
            // Where only the entry was missing, the old store says already where the blobs go.
            let is_leaving = moving && marks.left.is_some();
            assert!(
                is_leaving || marks.is_here(view.storage.generation),
                "{marks:?}"
            );
        }
        let mover = moving.then(|| node.begin().resume(&view).expect("it goes on"));
        (node, mover)
    }
}

impl Node {
    pub fn begin(&self) -> MoveBegin {
        MoveBegin {
            registry: self.registry.clone(),
            store: self.store.clone(),
            new: Arc::clone(&self.new),
            to: TO.to_owned(),
            uploads_idle_max: IDLE_MAX,
        }
    }

    /// Waits until what is new goes to the new store; the move must be running.
    pub async fn filling(&self) {
        while self.store.standing() != Standing::Filling {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn view(&self) -> ClusterView {
        let view = self.registry.cluster(&caller()).await;
        view.expect("the log answers")
    }

    pub async fn pull(&self, digest: Digest) -> Result<Bytes, Error> {
        let found = self
            .registry
            .blob(&caller(), &repository(), &digest)
            .await?;
        let (found, start) = (found.value, 0);
        let span = ByteSpan {
            start,
            len: found.size,
        };
        let stream = self.registry.read_blob(&found, span).await?;
        let blocks: Vec<Bytes> = stream.try_collect().await?;
        Ok(blocks.concat().into())
    }

    pub async fn assert_blob(&self, content: &[u8]) {
        let pulled = self.pull(sha256(content)).await;
        assert_eq!(pulled.expect("the blob can be pulled"), content);
    }
}

/// Runs a move to its end.
pub async fn finish(mover: Mover) -> MoveStatus {
    let watch = mover.watch();
    assert!(mover.run(CancellationToken::new()).await, "it has ended");
    watch.status()
}
