//! Goes through the objects that are to be copied, and copies those that are missing in the new store.
//!
//! Objects are compared by the two stores' own lists, which have one order: what the new one lacks, or has in another size, is
//! copied. A store that does not answer ends a pass; an object that cannot be copied does not, but the pass fails at its end.

use std::cmp::Ordering;
use std::collections::VecDeque;

use futures::{StreamExt, stream};
use metadata::{Answer, BlobObject, ClusterId, ObjectKey, Page, Query};
use parking_lot::Mutex;
use ports::{BlobFailure, BlobStore, ListedObject};

use super::copy::{CopyFailure, Wanted, copy};
use super::status::{MoveWatch, Sum};
use super::store::{MovableStore, Two};
use crate::{Error, Registry};

/// So many objects are copied at once, each with one piece of at most 8 MiB in memory (more only where an object is larger than
/// 70 GiB).
const COPIES_AT_ONCE: usize = 4;

/// So many blobs are asked for at once.
const BLOBS_PER_PAGE: usize = 500;

/// Why a pass is not whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassFailure {
    #[error(transparent)]
    Copy(#[from] CopyFailure),
    #[error(transparent)]
    Store(#[from] BlobFailure),
    #[error(transparent)]
    Log(#[from] Error),
}

/// What passes go through.
pub(super) struct Passes<'a> {
    pub(super) registry: &'a Registry,
    pub(super) store: &'a MovableStore,
    pub(super) stores: &'a Two,
    /// Below whose prefixes the objects are: of the cluster itself, which is the first, and of those that it was restored from.
    pub(super) clusters: &'a [ClusterId],
    pub(super) watch: &'a MoveWatch,
}

impl Passes<'_> {
    fn prefixes(&self) -> impl Iterator<Item = String> {
        let clusters = self.clusters.iter();
        let own = self.clusters.iter().take(1);
        clusters
            .flat_map(|cluster| ObjectKey::content_prefixes(*cluster))
            .chain(own.flat_map(|cluster| ObjectKey::record_prefixes(*cluster)))
    }

    /// Counts what there is, and how much of it is copied.
    pub(super) async fn survey(&self) -> Result<(), PassFailure> {
        let (mut total, mut done) = (Sum::default(), Sum::default());
        for prefix in self.prefixes() {
            let mut lists = Lists::new(self.stores, prefix);
            while let Some((object, is_there)) = lists.next().await? {
                total.add(object.size);
                if is_there {
                    done.add(object.size);
                }
            }
        }
        self.watch.surveyed(total, done);
        Ok(())
    }

    /// Copies every blob of the log whose object is in the old store and not in the new one, and verifies its digest.
    pub(super) async fn blobs(&self) -> Result<(), PassFailure> {
        let mut after = None;
        let mut first = Ok(());
        loop {
            let page = Page {
                after,
                limit: BLOBS_PER_PAGE,
            };
            let caller = self.registry.itself();
            let (blobs, more) = match self
                .registry
                .read(&caller, Query::BlobObjects(page))
                .await?
            {
                Answer::BlobObjects { blobs, more } => (blobs, more),
                other => return Err(Error::unexpected_answer(&other).into()),
            };
            after = blobs.last().map(|blob| blob.digest);
            let wanted = blobs
                .into_iter()
                .map(|BlobObject { digest, key, size }| Wanted {
                    key,
                    size,
                    digest: Some(digest),
                });
            first = first.and(self.copy_page(wanted.collect(), true).await?);
            if !more {
                return first.map_err(PassFailure::from);
            }
        }
    }

    /// Copies every object that the old store lists and the new one does not.
    pub(super) async fn listed(&self) -> Result<(), PassFailure> {
        let mut first = Ok(());
        for prefix in self.prefixes() {
            let mut lists = Lists::new(self.stores, prefix);
            let mut page = Vec::new();
            loop {
                let next = lists.next().await?;
                let is_end = next.is_none();
                if let Some((object, false)) = next
                    && let Some(key) = ObjectKey::parse(&object.key)
                {
                    page.push(Wanted {
                        key,
                        size: object.size,
                        digest: None,
                    });
                }
                if page.len() >= BLOBS_PER_PAGE || (is_end && !page.is_empty()) {
                    let page = std::mem::take(&mut page);
                    first = first.and(self.copy_page(page, false).await?);
                }
                if is_end {
                    break;
                }
            }
        }
        first.map_err(PassFailure::from)
    }

    /// The outer failure is that of a store, which would be the same for the next page; the inner one is of an object.
    async fn copy_page(
        &self,
        page: Vec<Wanted>,
        ask_first: bool,
    ) -> Result<Result<(), CopyFailure>, CopyFailure> {
        let first: Mutex<Option<CopyFailure>> = Mutex::new(None);
        // None is dropped half-way: a put that goes on in the store while nobody waits for it could end after a deletion.
        stream::iter(&page)
            .for_each_concurrent(COPIES_AT_ONCE, |wanted| {
                let first = &first;
                async move {
                    let is_over = first
                        .lock()
                        .as_ref()
                        .is_some_and(CopyFailure::is_of_the_store);
                    if is_over {
                        return;
                    }
                    if let Err(failure) = self.copy_one(wanted, ask_first).await {
                        let mut first = first.lock();
                        if first.is_none() || failure.is_of_the_store() {
                            *first = Some(failure);
                        }
                    }
                }
            })
            .await;
        match first.into_inner() {
            None => Ok(Ok(())),
            Some(failure) if failure.is_of_the_store() => Err(failure),
            Some(failure) => Ok(Err(failure)),
        }
    }

    async fn copy_one(&self, wanted: &Wanted, ask_first: bool) -> Result<(), CopyFailure> {
        // Whether an empty object exists cannot be told by a ranged get.
        if ask_first && wanted.size > 0 {
            match self.stores.new.object_size(&wanted.key).await {
                Ok(size) if size == wanted.size => return Ok(()),
                Ok(_) | Err(BlobFailure::NoSuchObject { .. }) => {}
                Err(failure) => {
                    let key = wanted.key.clone();
                    return Err(CopyFailure::Store { key, failure });
                }
            }
        }
        copy(self.store, self.stores, wanted, self.watch).await
    }
}

/// The old store's list, object by object, and whether the new store has each in the same size.
struct Lists<'a> {
    old: List<'a>,
    new: List<'a>,
}

impl Lists<'_> {
    fn new(stores: &Two, prefix: String) -> Lists<'_> {
        Lists {
            old: List::new(&*stores.old, prefix.clone()),
            new: List::new(&*stores.new, prefix),
        }
    }

    async fn next(&mut self) -> Result<Option<(ListedObject, bool)>, BlobFailure> {
        let Some(object) = self.old.take().await? else {
            return Ok(None);
        };
        while let Some(other) = self.new.peek().await? {
            let (order, size) = (other.key.cmp(&object.key), other.size);
            match order {
                Ordering::Less => drop(self.new.take().await?),
                Ordering::Equal => {
                    let is_there = size == object.size;
                    return Ok(Some((object, is_there)));
                }
                Ordering::Greater => break,
            }
        }
        Ok(Some((object, false)))
    }
}

/// One store's list, a page at a time.
struct List<'a> {
    store: &'a dyn BlobStore,
    prefix: String,
    after: Option<String>,
    page: VecDeque<ListedObject>,
    is_at_end: bool,
}

impl List<'_> {
    fn new(store: &dyn BlobStore, prefix: String) -> List<'_> {
        List {
            store,
            prefix,
            after: None,
            page: VecDeque::new(),
            is_at_end: false,
        }
    }

    async fn peek(&mut self) -> Result<Option<&ListedObject>, BlobFailure> {
        if self.page.is_empty() && !self.is_at_end {
            let page = self.store.list(&self.prefix, self.after.as_deref()).await?;
            self.page = page.into();
            match self.page.back() {
                Some(last) => self.after = Some(last.key.clone()),
                None => self.is_at_end = true,
            }
        }
        Ok(self.page.front())
    }

    async fn take(&mut self) -> Result<Option<ListedObject>, BlobFailure> {
        self.peek().await?;
        Ok(self.page.pop_front())
    }
}
