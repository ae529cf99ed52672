//! The store of a node whose objects may move: one store, or, while they move, the old one and the new one.
//!
//! While they move: what is new goes to the new store; parts go to the multipart upload that they belong to, in either store;
//! reads look into the old store first, from which nothing is missing but what is new; deletions go to both. A piece that was
//! staged before the move can go to the old store only: until the last of those is gone, multipart uploads still begin there,
//! since such a piece may be one's first part. It must never write to the old store once that has ended, but to finish those
//! multipart uploads, and never say of an object that it is absent unless both say so.

use std::sync::Arc;

use async_trait::async_trait;
use metadata::{MultipartId, ObjectKey};
use parking_lot::Mutex;
use ports::{
    BlobFailure, BlobStore, ByteSpan, ByteStream, CompletedPart, ListedObject, ListedUpload,
    StagedBytes,
};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::busy_keys::BusyKeys;
use super::staged::{HeldBytes, MovingBytes};

/// How long a page of a list is at most.
const PAGE_MAX: usize = 1_000;

/// A store that can be replaced by another, without those noticing who use it. Clones are the same.
#[derive(Clone)]
pub struct MovableStore {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    busy: BusyKeys,
}

struct State {
    stores: Stores,
    /// Who writes to `stores` as they are.
    writers: TaskTracker,
    /// Who may still write to the old store alone, from before the move.
    earlier_writers: TaskTracker,
    /// Multipart uploads that are being begun in the old store.
    begun_in_old: TaskTracker,
}

/// What is written to and read from.
#[derive(Clone)]
pub(super) enum Stores {
    /// All is here.
    One(Arc<dyn BlobStore>),
    /// Objects are moving.
    Two(Two),
}

/// Where objects come from and go to.
#[derive(Clone)]
pub(super) struct Two {
    pub(super) old: Arc<dyn BlobStore>,
    pub(super) new: Arc<dyn BlobStore>,
}

impl MovableStore {
    /// All objects are in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn BlobStore>) -> MovableStore {
        MovableStore {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    stores: Stores::One(store),
                    writers: TaskTracker::new(),
                    earlier_writers: TaskTracker::new(),
                    begun_in_old: TaskTracker::new(),
                }),
                busy: BusyKeys::default(),
            }),
        }
    }

    /// From now on objects are in either store, and what is new goes to `new`. No effect while they move already.
    pub fn open_new(&self, new: Arc<dyn BlobStore>) {
        let mut state = self.shared.state.lock();
        if let Stores::One(old) = &state.stores {
            let old = Arc::clone(old);
            state.stores = Stores::Two(Two { old, new });
            state.earlier_writers = std::mem::take(&mut state.writers);
        }
    }

    /// From now on all objects are in the new store. No effect when they do not move.
    pub fn close_old(&self) {
        let mut state = self.shared.state.lock();
        if let Stores::Two(Two { new, .. }) = &state.stores {
            state.stores = Stores::One(Arc::clone(new));
        }
    }

    /// Whether nobody is left who may write to the old store alone, nor begin a multipart upload there. Once it is so it stays
    /// so.
    pub(super) fn earlier_writers_ended(&self) -> bool {
        let state = self.shared.state.lock();
        state.earlier_writers.is_empty() && state.begun_in_old.is_empty()
    }

    /// Both stores, while objects move.
    pub(super) fn two(&self) -> Option<Two> {
        match self.stores() {
            Stores::One(_) => None,
            Stores::Two(two) => Some(two),
        }
    }

    pub(super) fn busy(&self) -> &BusyKeys {
        &self.shared.busy
    }

    fn stores(&self) -> Stores {
        self.shared.state.lock().stores.clone()
    }

    /// Where a multipart upload is to begin.
    fn enter_to_begin(&self) -> (Arc<dyn BlobStore>, TaskTrackerToken) {
        let state = self.shared.state.lock();
        match &state.stores {
            Stores::One(store) => (Arc::clone(store), state.writers.token()),
            Stores::Two(two) if state.earlier_writers.is_empty() => {
                (Arc::clone(&two.new), state.writers.token())
            }
            Stores::Two(two) => (Arc::clone(&two.old), state.begun_in_old.token()),
        }
    }

    /// For who writes: the move knows of it until the token is dropped.
    fn enter(&self) -> (Stores, TaskTrackerToken) {
        let state = self.shared.state.lock();
        (state.stores.clone(), state.writers.token())
    }
}

impl Two {
    /// Whether the multipart upload is one of the old store's, open or completed. One that ended otherwise is nobody's.
    async fn is_old(&self, key: &ObjectKey, multipart: &MultipartId) -> Result<bool, BlobFailure> {
        if self.is_open_in_old(key, multipart).await? {
            return Ok(true);
        }
        match self.old.object_size(key).await {
            Ok(_) => Ok(true),
            Err(BlobFailure::NoSuchObject { .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Whether parts can be added to the multipart upload in the old store.
    pub(super) async fn is_open_in_old(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
    ) -> Result<bool, BlobFailure> {
        let open = self.old.list_multipart(key.as_str()).await?;
        let is_it =
            |upload: &ListedUpload| upload.key == key.as_str() && upload.multipart == *multipart;
        Ok(open.iter().any(is_it))
    }
}

/// What `first` has, or else `second`.
async fn either<T>(
    first: impl Future<Output = Result<T, BlobFailure>>,
    second: impl Future<Output = Result<T, BlobFailure>>,
) -> Result<T, BlobFailure> {
    match first.await {
        Err(BlobFailure::NoSuchObject { .. }) => second.await,
        found => found,
    }
}

#[async_trait]
impl BlobStore for MovableStore {
    async fn stage(&self, size_max: u64) -> Result<Box<dyn StagedBytes>, BlobFailure> {
        let (stores, writing) = self.enter();
        Ok(match stores {
            Stores::One(store) => Box::new(HeldBytes::new(store.stage(size_max).await?, writing)),
            Stores::Two(two) => {
                let inner = two.new.stage(size_max).await?;
                Box::new(MovingBytes::new(two, inner, writing))
            }
        })
    }

    async fn begin_multipart(&self, key: &ObjectKey) -> Result<MultipartId, BlobFailure> {
        let (store, _beginning) = self.enter_to_begin();
        store.begin_multipart(key).await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
        parts: &[CompletedPart],
    ) -> Result<(), BlobFailure> {
        let (stores, _writing) = self.enter();
        let store = match stores {
            Stores::One(store) => store,
            Stores::Two(two) if two.is_old(key, multipart).await? => two.old,
            Stores::Two(two) => two.new,
        };
        store.complete_multipart(key, multipart, parts).await
    }

    async fn abort_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
    ) -> Result<(), BlobFailure> {
        let store = match self.stores() {
            Stores::One(store) => store,
            Stores::Two(two) if two.is_old(key, multipart).await? => two.old,
            Stores::Two(two) => two.new,
        };
        store.abort_multipart(key, multipart).await
    }

    async fn read(&self, key: &ObjectKey, span: ByteSpan) -> Result<ByteStream, BlobFailure> {
        match self.stores() {
            Stores::One(store) => store.read(key, span).await,
            Stores::Two(two) => either(two.old.read(key, span), two.new.read(key, span)).await,
        }
    }

    async fn object_size(&self, key: &ObjectKey) -> Result<u64, BlobFailure> {
        match self.stores() {
            Stores::One(store) => store.object_size(key).await,
            Stores::Two(two) => either(two.old.object_size(key), two.new.object_size(key)).await,
        }
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Result<(), BlobFailure> {
        let _deleting = self.shared.busy.deleting(keys).await;
        // Looked at under the claim: what is not deleted in the new store here is not copied there either.
        match self.stores() {
            Stores::One(store) => store.delete(keys).await,
            Stores::Two(two) => {
                two.old.delete(keys).await?;
                two.new.delete(keys).await
            }
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<ListedObject>, BlobFailure> {
        match self.stores() {
            Stores::One(store) => store.list(prefix, after).await,
            Stores::Two(two) => {
                let old = two.old.list(prefix, after).await?;
                Ok(merged(old, two.new.list(prefix, after).await?))
            }
        }
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<ListedUpload>, BlobFailure> {
        match self.stores() {
            Stores::One(store) => store.list_multipart(prefix).await,
            Stores::Two(two) => {
                let mut uploads = two.old.list_multipart(prefix).await?;
                uploads.extend(two.new.list_multipart(prefix).await?);
                uploads.truncate(PAGE_MAX);
                Ok(uploads)
            }
        }
    }

    fn describe(&self) -> String {
        match self.stores() {
            Stores::One(store) => store.describe(),
            Stores::Two(Two { old, new }) => {
                format!("{}, moving to {}", old.describe(), new.describe())
            }
        }
    }
}

/// One page of two: no further than both reach.
fn merged(old: Vec<ListedObject>, new: Vec<ListedObject>) -> Vec<ListedObject> {
    let reach = [&old, &new]
        .into_iter()
        .filter(|page| page.len() >= PAGE_MAX)
        .filter_map(|page| Some(page.last()?.key.clone()))
        .min();
    let mut page: Vec<ListedObject> = old.into_iter().chain(new).collect();
    page.sort_by(|a, b| a.key.cmp(&b.key));
    page.dedup_by(|a, b| a.key == b.key);
    if let Some(reach) = reach {
        page.retain(|object| object.key <= reach);
    }
    page.truncate(PAGE_MAX);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_pages_reach_no_further_than_the_shorter_one() {
        let page = |keys: std::ops::Range<usize>, step: usize| -> Vec<ListedObject> {
            let keys = keys.map(|n| format!("{:05}", n * step));
            keys.map(|key| ListedObject { key, size: 1 }).collect()
        };
        let names =
            |page: Vec<ListedObject>| page.into_iter().map(|o| o.key).collect::<Vec<String>>();
        assert_eq!(
            names(merged(page(0..2, 2), page(0..3, 1))),
            ["00000", "00001", "00002"]
        );
        // The old store may have more after 999, and the new one has only even ones.
        let both = names(merged(page(0..PAGE_MAX, 1), page(0..PAGE_MAX, 2)));
        assert_eq!(both.len(), PAGE_MAX);
        assert_eq!(both.last().map(String::as_str), Some("00999"));
        let sparse = names(merged(page(0..PAGE_MAX, 7), page(0..3, 1)));
        assert_eq!(sparse[..4], ["00000", "00001", "00002", "00007"]);
        assert_eq!(sparse.len(), PAGE_MAX);
    }
}
