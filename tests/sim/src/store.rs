//! The object store as the nodes of a run see it: the in-memory one of `ports`, whose calls fail before their effect, after it,
//! and in between, and take effect long after their caller has given them up or has been fenced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use metadata::{MultipartId, ObjectKey};
use parking_lot::Mutex;
use ports::blob_store::memory::MemoryBlobStore;
use ports::{
    BlobFailure, BlobStore, ByteSpan, ByteStream, CompletedPart, ListedObject, ListedUpload,
    StagedBytes, Target,
};

use crate::census::Kind;
use crate::dice::Dice;
use crate::life::Life;
use crate::world::World;

/// What is shared by all nodes.
#[derive(Debug)]
pub struct Store {
    /// The objects.
    pub objects: MemoryBlobStore,
    dice: Dice,
    trouble_per_mille: Mutex<u64>,
    /// Whether nothing answers.
    gone: Mutex<bool>,
    /// Bytes that nodes hold on their way into the store.
    pub staged: AtomicU64,
}

impl Store {
    /// An empty store without trouble.
    #[must_use]
    pub fn new(dice: Dice) -> Store {
        Store {
            objects: MemoryBlobStore::new(),
            dice,
            trouble_per_mille: Mutex::new(0),
            gone: Mutex::new(false),
            staged: AtomicU64::new(0),
        }
    }

    /// Of a thousand calls so many meet each kind of trouble.
    pub fn set_trouble(&self, per_mille: u64) {
        *self.trouble_per_mille.lock() = per_mille;
    }

    /// Nothing answers, or all is well again.
    pub fn set_gone(&self, gone: bool) {
        *self.gone.lock() = gone;
    }

    fn trouble(&self) -> bool {
        self.dice.hits(*self.trouble_per_mille.lock())
    }
}

/// The store as one life of a node reaches it.
#[derive(Clone)]
pub struct NodeStore {
    /// In which world.
    pub world: Arc<World>,
    /// Of whom.
    pub life: Arc<Life>,
}

fn unavailable<T>(when: &str) -> Result<T, BlobFailure> {
    Err(BlobFailure::Unavailable {
        reason: format!("a fault {when} the call"),
        retry_after: None,
    })
}

impl NodeStore {
    fn fault(&self, name: &'static str) {
        self.world.census.count(Kind::Fault, name);
    }

    /// Makes a call that changes something: `effect` is what the store does.
    async fn change<T, F>(&self, effect: F) -> Result<T, BlobFailure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BlobFailure>> + Send + 'static,
    {
        let store = &self.world.store;
        self.life.goes_on().await;
        tokio::time::sleep(store.dice.ms(1..6)).await;
        if *store.gone.lock() {
            self.fault("store is gone");
            return unavailable("instead of");
        }
        if store.trouble() {
            self.fault("store fails before");
            return unavailable("before");
        }
        if store.trouble() {
            self.fault("store takes effect late");
            let late = store.dice.ms(200..15_000);
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                drop(effect.await);
            });
            return unavailable("before the late effect of");
        }
        // The process may stand still, or die, while the request is on its way: it arrives all the same.
        let done = tokio::spawn(effect).await;
        self.life.goes_on().await;
        if store.trouble() {
            self.fault("store fails after");
            return unavailable("after");
        }
        done.unwrap_or_else(|error| {
            Err(BlobFailure::Other {
                reason: error.to_string(),
            })
        })
    }

    async fn look<T>(
        &self,
        work: impl Future<Output = Result<T, BlobFailure>> + Send,
    ) -> Result<T, BlobFailure> {
        let store = &self.world.store;
        self.life.goes_on().await;
        tokio::time::sleep(store.dice.ms(1..4)).await;
        if *store.gone.lock() {
            self.fault("store is gone");
            return unavailable("instead of");
        }
        if store.trouble() {
            self.fault("store does not read");
            return unavailable("before");
        }
        let done = work.await;
        self.life.goes_on().await;
        done
    }
}

#[async_trait]
impl BlobStore for NodeStore {
    async fn stage(&self, size_max: u64) -> Result<Box<dyn StagedBytes>, BlobFailure> {
        Ok(Box::new(NodeStaged {
            store: self.clone(),
            size_max,
            bytes: Vec::new(),
        }))
    }

    async fn begin_multipart(&self, key: &ObjectKey) -> Result<MultipartId, BlobFailure> {
        let (objects, key) = (self.world.store.objects.clone(), key.clone());
        self.change(async move { objects.begin_multipart(&key).await })
            .await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
        parts: &[CompletedPart],
    ) -> Result<(), BlobFailure> {
        let objects = self.world.store.objects.clone();
        let (key, multipart, parts) = (key.clone(), multipart.clone(), parts.to_vec());
        self.change(async move { objects.complete_multipart(&key, &multipart, &parts).await })
            .await
    }

    async fn abort_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
    ) -> Result<(), BlobFailure> {
        let objects = self.world.store.objects.clone();
        let (key, multipart) = (key.clone(), multipart.clone());
        self.change(async move { objects.abort_multipart(&key, &multipart).await })
            .await
    }

    async fn read(&self, key: &ObjectKey, span: ByteSpan) -> Result<ByteStream, BlobFailure> {
        self.world.store_is_read(key, span);
        let stream = self.look(self.world.store.objects.read(key, span)).await?;
        if span.len > 1 && self.world.store.trouble() {
            self.fault("read is cut");
            let half = usize::try_from(span.len / 2).unwrap_or(1);
            let cut =
                stream.map(move |bytes| bytes.map(|bytes| bytes.slice(..half.min(bytes.len()))));
            let end = futures::stream::iter([unavailable("within")]);
            return Ok(cut.chain(end).boxed());
        }
        Ok(stream)
    }

    async fn object_size(&self, key: &ObjectKey) -> Result<u64, BlobFailure> {
        self.look(self.world.store.objects.object_size(key)).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Result<(), BlobFailure> {
        let (world, keys) = (Arc::clone(&self.world), keys.to_vec());
        self.change(async move {
            world.objects_are_deleted(&keys);
            world.store.objects.delete(&keys).await
        })
        .await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<ListedObject>, BlobFailure> {
        self.look(self.world.store.objects.list(prefix, after))
            .await
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<ListedUpload>, BlobFailure> {
        self.look(self.world.store.objects.list_multipart(prefix))
            .await
    }

    fn describe(&self) -> String {
        "the simulated store".to_owned()
    }
}

struct NodeStaged {
    store: NodeStore,
    size_max: u64,
    bytes: Vec<u8>,
}

#[async_trait]
impl StagedBytes for NodeStaged {
    async fn append(&mut self, bytes: Bytes) -> Result<(), BlobFailure> {
        self.bytes.extend_from_slice(&bytes);
        let world = &self.store.world;
        let staged = world.store.staged.fetch_add(bytes.len() as u64, Relaxed);
        world.staged(staged + bytes.len() as u64);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn store(&mut self, target: &Target) -> Result<String, BlobFailure> {
        let objects = self.store.world.store.objects.clone();
        let (target, bytes) = (target.clone(), Bytes::copy_from_slice(&self.bytes));
        let size_max = self.size_max;
        self.store
            .change(async move {
                let mut piece = objects.stage(size_max).await?;
                piece.append(bytes).await?;
                piece.store(&target).await
            })
            .await
    }
}

impl Drop for NodeStaged {
    fn drop(&mut self) {
        self.store.world.store.staged.fetch_sub(self.len(), Relaxed);
    }
}
