//! The store of a node whose objects may move: one store, or, while they move, the old one and the new one.
//!
//! While they move, reads look into both; parts go to the multipart upload that they belong to, in either store; deletions go to
//! both. The new store is *opened* first: what is new goes to the old one still, because other nodes may not know the new one.
//! Then it is *filled*: what is new goes there, and the old one gets nothing more but parts of what was begun in it, and the
//! log's copy, which stays whole in one place until the switch. Must never say of an object that it is absent unless both say so.
//!
//! A node that has just started may not know where blobs are: writes wait until it has heard.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use metadata::{MultipartId, ObjectKey};
use parking_lot::Mutex;
use ports::{
    BlobFailure, BlobStore, ByteSpan, ByteStream, CompletedPart, ListedObject, ListedUpload,
    StagedBytes,
};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::busy_keys::BusyKeys;
use super::staged::{HeldBytes, MovingBytes};

/// How long a page of a list is at most.
const PAGE_MAX: usize = 1_000;

/// How long a write waits until it is known where blobs are; as long as one is held through an election.
const WORD_TIME_MAX: Duration = Duration::from_secs(10);

/// A store that can be replaced by another, without those noticing who use it. Clones are the same.
#[derive(Clone)]
pub struct MovableStore {
    shared: Arc<Shared>,
    /// Whether writes wait until it is known where blobs are.
    is_guarded: bool,
}

struct Shared {
    state: Mutex<State>,
    busy: BusyKeys,
    /// Whether it is known where blobs are.
    is_known: watch::Sender<bool>,
}

struct State {
    stores: Stores,
    /// Who writes to `stores` as they are.
    writers: TaskTracker,
    /// Who may still write to them as they were before.
    earlier_writers: Vec<TaskTracker>,
}

/// How far a node has followed a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All objects are in one store.
    Settled,
    /// Both stores are open, and what is new goes to the old one.
    Opened,
    /// What is new goes to the new one.
    Filling,
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
    /// Whether what is new goes to the new one.
    pub(super) is_filling: bool,
}

impl State {
    fn change(&mut self, stores: Stores) {
        self.stores = stores;
        self.earlier_writers.retain(|writers| !writers.is_empty());
        self.earlier_writers.push(std::mem::take(&mut self.writers));
    }
}

impl MovableStore {
    /// All objects are in `store`, as far as is known.
    #[must_use]
    pub fn new(store: Arc<dyn BlobStore>) -> MovableStore {
        MovableStore {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    stores: Stores::One(store),
                    writers: TaskTracker::new(),
                    earlier_writers: Vec::new(),
                }),
                busy: BusyKeys::default(),
                is_known: watch::Sender::new(true),
            }),
            is_guarded: true,
        }
    }

    /// The same, for those whose writes do not wait until it is known where blobs are: for what a node says of its own start.
    #[must_use]
    pub fn unguarded(&self) -> MovableStore {
        MovableStore {
            shared: Arc::clone(&self.shared),
            is_guarded: false,
        }
    }

    /// Writes wait from now on, or no more, until it is known where blobs are.
    pub fn set_known(&self, is_known: bool) {
        self.shared.is_known.send_replace(is_known);
    }

    /// All objects are in `store`: for a node that stood still while they moved there.
    pub fn replace(&self, store: Arc<dyn BlobStore>) {
        self.shared.state.lock().change(Stores::One(store));
    }

    /// From now on objects may be in either store. No effect while they move already.
    pub fn open_new(&self, new: Arc<dyn BlobStore>) {
        let mut state = self.shared.state.lock();
        if let Stores::One(old) = &state.stores {
            let old = Arc::clone(old);
            let is_filling = false;
            state.change(Stores::Two(Two {
                old,
                new,
                is_filling,
            }));
        }
    }

    /// From now on what is new goes to the new store, if there is one.
    pub fn fill_new(&self) {
        let mut state = self.shared.state.lock();
        if let Stores::Two(two) = &state.stores
            && !two.is_filling
        {
            let two = Two {
                is_filling: true,
                ..two.clone()
            };
            state.change(Stores::Two(two));
        }
    }

    /// From now on all objects are in the new store. No effect when they do not move.
    pub fn close_old(&self) {
        let mut state = self.shared.state.lock();
        if let Stores::Two(Two { new, .. }) = &state.stores {
            let new = Arc::clone(new);
            state.change(Stores::One(new));
        }
    }

    /// The move was given up: all objects are in the old store. No effect when they do not move.
    pub fn drop_new(&self) {
        let mut state = self.shared.state.lock();
        if let Stores::Two(Two { old, .. }) = &state.stores {
            let old = Arc::clone(old);
            state.change(Stores::One(old));
        }
    }

    /// How far it is.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &self.shared.state.lock().stores {
            Stores::One(_) => Standing::Settled,
            Stores::Two(two) if two.is_filling => Standing::Filling,
            Stores::Two(_) => Standing::Opened,
        }
    }

    /// Whether nobody is left who may write as it was before the last change. Once it is so it stays so until the next.
    #[must_use]
    pub fn earlier_writers_ended(&self) -> bool {
        let state = self.shared.state.lock();
        state.earlier_writers.iter().all(TaskTracker::is_empty)
    }

    /// What the store is called that everything is in, or that objects come from.
    #[must_use]
    pub fn describe_present(&self) -> String {
        match self.stores() {
            Stores::One(store) => store.describe(),
            Stores::Two(two) => two.old.describe(),
        }
    }

    /// Both stores, while objects move to this one: a move that was paused may find another one under way.
    pub(super) fn two(&self, new: &Arc<dyn BlobStore>) -> Option<Two> {
        match self.stores() {
            Stores::Two(two) if Arc::ptr_eq(&two.new, new) => Some(two),
            Stores::One(_) | Stores::Two(_) => None,
        }
    }

    pub(super) fn busy(&self) -> &BusyKeys {
        &self.shared.busy
    }

    fn stores(&self) -> Stores {
        self.shared.state.lock().stores.clone()
    }

    /// For who writes: the move knows of it until the token is dropped.
    async fn enter(&self) -> Result<(Stores, TaskTrackerToken), BlobFailure> {
        if self.is_guarded {
            let mut is_known = self.shared.is_known.subscribe();
            let word = is_known.wait_for(|is_known| *is_known);
            if tokio::time::timeout(WORD_TIME_MAX, word).await.is_err() {
                return Err(BlobFailure::Unavailable {
                    reason: "this node has not heard yet where blobs are".to_owned(),
                    retry_after: None,
                });
            }
        }
        let state = self.shared.state.lock();
        Ok((state.stores.clone(), state.writers.token()))
    }
}

impl Two {
    /// Where a new object goes: the log's copy stays together until the switch.
    pub(super) fn is_for_new(&self, key: &ObjectKey) -> bool {
        self.is_filling && key.read_log_copy().is_none()
    }

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

/// What `first` has, or else `second`: also when the first does not answer, which may be gone after the move.
async fn either<T>(
    first: impl Future<Output = Result<T, BlobFailure>>,
    second: impl Future<Output = Result<T, BlobFailure>>,
) -> Result<T, BlobFailure> {
    let failure = match first.await {
        Ok(found) => return Ok(found),
        Err(failure) => failure,
    };
    match (failure, second.await) {
        (_, Ok(found)) => Ok(found),
        (BlobFailure::NoSuchObject { .. }, failed) => failed,
        (failure, Err(_)) => Err(failure),
    }
}

#[async_trait]
impl BlobStore for MovableStore {
    async fn stage(&self, size_max: u64) -> Result<Box<dyn StagedBytes>, BlobFailure> {
        let (stores, writing) = self.enter().await?;
        Ok(match stores {
            Stores::One(store) => Box::new(HeldBytes::new(store.stage(size_max).await?, writing)),
            Stores::Two(two) => {
                let store = if two.is_filling { &two.new } else { &two.old };
                let inner = store.stage(size_max).await?;
                Box::new(MovingBytes::new(two, inner, writing))
            }
        })
    }

    async fn begin_multipart(&self, key: &ObjectKey) -> Result<MultipartId, BlobFailure> {
        let (stores, _beginning) = self.enter().await?;
        let store = match stores {
            Stores::One(store) => store,
            Stores::Two(two) if two.is_for_new(key) => two.new,
            Stores::Two(two) => two.old,
        };
        store.begin_multipart(key).await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
        parts: &[CompletedPart],
    ) -> Result<(), BlobFailure> {
        let (stores, _writing) = self.enter().await?;
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
        let (_, _writing) = self.enter().await?;
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
            Stores::Two(Two { old, new, .. }) => {
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
