//! A registry over the fakes, and clients that push to it as the real ones do.
//!
//! Parts are tiny, so that a few hundred bytes are a large blob. After every entry all invariants of the metadata are
//! checked. Nothing here knows how the registry works inside.

#![allow(dead_code, reason = "each test uses its share")]

pub mod clients;
pub mod images;
pub mod requests;
pub mod site;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use metadata::MemoryTables;
use metadata::access::Asker;
use oci::{Algorithm, Digest, RepositoryName};
use ports::blob_store::faulty::{self as faulty_blobs, FaultyBlobStore};
use ports::blob_store::memory::MemoryBlobStore;
use ports::metadata_store::faulty::{self as faulty_log, FaultyMetadataStore};
use ports::metadata_store::memory::MemoryMetadataStore;
use ports::{ByteSpan, IdSource};
use registry::{Body, BodyFailure, Caller, Error, Parts, Registry, Settings, Sweeper};

/// The size of parts in all tests.
pub const PART: usize = 64;

/// A registry and what it stands on.
pub struct World {
    /// The log itself.
    pub metadata: MemoryMetadataStore,
    /// The log as the registry sees it.
    pub log: FaultyMetadataStore,
    /// The store itself.
    pub blobs: MemoryBlobStore,
    /// The store as the registry sees it.
    pub store: FaultyBlobStore,
    /// The subject.
    pub registry: Registry,
}

struct CountedIds(AtomicU64);

impl IdSource for CountedIds {
    fn fresh(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn check(tables: &MemoryTables) {
    metadata::invariant::check_all(tables).expect("an invariant is broken");
}

impl World {
    pub fn new() -> World {
        World::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> World {
        World::over(MemoryMetadataStore::with_check(check), change)
    }

    /// For tests of very many rows.
    pub fn unchecked() -> World {
        World::over(MemoryMetadataStore::new(), |_| {})
    }

    fn over(metadata: MemoryMetadataStore, change: impl FnOnce(&mut Settings)) -> World {
        let blobs = MemoryBlobStore::new();
        let log =
            FaultyMetadataStore::new(Arc::new(metadata.clone()), faulty_log::FaultPlan::none());
        let store = FaultyBlobStore::new(Arc::new(blobs.clone()), faulty_blobs::FaultPlan::none());
        let mut settings = Settings {
            part_size: PART as u32,
            blob_size_max: 64 * PART as u64,
            checkpoint_every_parts: 2,
            ..Settings::default()
        };
        change(&mut settings);
        let registry = Registry::new(Parts {
            metadata: Arc::new(log.clone()),
            blobs: Arc::new(store.clone()),
            ids: Arc::new(CountedIds(AtomicU64::new(1))),
            settings,
        });
        World {
            metadata,
            log,
            blobs,
            store,
            registry,
        }
    }

    /// No faults from now on.
    pub fn heal(&self) {
        self.log.set_plan(faulty_log::FaultPlan::none());
        self.store.set_plan(faulty_blobs::FaultPlan::none());
    }

    /// The bytes of a blob as a client gets them.
    pub async fn pull(&self, repository: &RepositoryName, digest: Digest) -> Result<Bytes, Error> {
        let found = self
            .registry
            .blob(&caller(), repository, &digest)
            .await?
            .value;
        let span = ByteSpan {
            start: 0,
            len: found.size,
        };
        let stream = self.registry.read_blob(&found, span).await?;
        let blocks: Vec<Bytes> = stream.try_collect().await?;
        Ok(blocks.concat().into())
    }

    /// A blob has exactly its bytes.
    pub async fn assert_blob(&self, repository: &RepositoryName, content: &[u8]) {
        let digest = Digest::of(Algorithm::Sha256, content);
        let pulled = self.pull(repository, digest).await;
        assert_eq!(pulled.expect("the blob can be pulled"), content);
    }

    /// Removes all that is due.
    pub async fn sweep(&self) {
        self.registry.drained().await;
        let mut sweeper = Sweeper::new(self.registry.clone());
        while sweeper.step().await.expect("the sweep works") > 0 {}
    }
}

pub fn caller() -> Caller {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    Caller::asking(Asker::anonymous(), true, deadline)
}

pub fn repository() -> RepositoryName {
    RepositoryName::parse("library/app").unwrap()
}

pub fn sha256(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

/// Bytes that differ everywhere, so that none can be lost or swapped unseen.
pub fn content(seed: u8, len: usize) -> Bytes {
    let mut state = u32::from(seed) + 1;
    let bytes = (0..len).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    bytes.collect()
}

/// A body that says how long it is, in chunks of `chunk` bytes.
pub fn sized(content: &Bytes, chunk: usize) -> Body {
    Body {
        length: Some(content.len() as u64),
        ..streamed(content, chunk)
    }
}

/// A body that does not say how long it is.
pub fn streamed(content: &Bytes, chunk: usize) -> Body {
    let chunks: Vec<Result<Bytes, BodyFailure>> = content
        .chunks(chunk.max(1))
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    Body {
        stream: futures::stream::iter(chunks).boxed(),
        length: None,
    }
}

/// A body whose connection ends after its bytes.
pub fn broken(content: &Bytes, chunk: usize) -> Body {
    let cut = futures::stream::iter([Err(BodyFailure::Disconnected {
        reason: "the test hung up".into(),
    })]);
    Body {
        stream: streamed(content, chunk).stream.chain(cut).boxed(),
        length: None,
    }
}
