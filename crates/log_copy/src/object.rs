//! One object of the copy: sealed on its way into the store, opened on its way out. Neither way holds more than a part.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use identity::{OpenError, RecoveryKey, StreamOpener, StreamSealer};
use metadata::{MultipartId, ObjectKey};
use metadata_raft::StateFile;
use ports::{BlobFailure, BlobStore, ByteSpan, CompletedPart, Target};

/// What is sealed at once goes as one object, and a longer content in parts of this size.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// So much of a state is read at once.
const READ_BYTES: usize = 1024 * 1024;
/// How long one part may take, the wait for memory included.
const PART_TIME_MAX: Duration = Duration::from_secs(120);

/// A content did not get into the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutFailure {
    #[error(transparent)]
    Store(#[from] BlobFailure),
    #[error("the snapshot cannot be read: {0}")]
    Disk(#[from] io::Error),
}

/// An object did not come out of the store as it went in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetFailure {
    #[error(transparent)]
    Store(#[from] BlobFailure),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Disk(#[from] io::Error),
}

async fn within<T>(work: impl Future<Output = Result<T, BlobFailure>>) -> Result<T, BlobFailure> {
    match tokio::time::timeout(PART_TIME_MAX, work).await {
        Ok(done) => done,
        Err(_) => Err(BlobFailure::Unavailable {
            reason: format!("no answer within {} s", PART_TIME_MAX.as_secs()),
            retry_after: None,
        }),
    }
}

/// Seals `content` and stores it under `key`. Durable when it returns.
pub(crate) async fn put_small(
    store: &dyn BlobStore,
    cluster_key: &RecoveryKey,
    key: ObjectKey,
    content: &[u8],
) -> Result<u64, BlobFailure> {
    let mut sealer = StreamSealer::new(cluster_key, key.as_str());
    let mut sealed = Vec::with_capacity(content.len() + content.len() / 1024 + 64);
    sealer.add(content, &mut sealed);
    sealer.finish(&mut sealed);
    let size = sealed.len() as u64;
    put(store, sealed.into(), &Target::Object(key)).await?;
    Ok(size)
}

async fn put(store: &dyn BlobStore, bytes: Bytes, target: &Target) -> Result<String, BlobFailure> {
    within(async {
        let mut staged = store.stage(bytes.len() as u64).await?;
        staged.append(bytes).await?;
        staged.store(target).await
    })
    .await
}

/// A state on its way: what is read, sealed and not yet in a part.
struct Sealing {
    state: StateFile,
    at: u64,
    sealer: Option<StreamSealer>,
    sealed: Vec<u8>,
}

impl Sealing {
    /// The next part; a full one, or the last. Blocks.
    fn next_part(mut self) -> io::Result<(Sealing, Option<Bytes>)> {
        while let Some(mut sealer) = self.sealer.take() {
            let left = self.state.size() - self.at;
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(READ_BYTES);
            let bytes = self.state.read(self.at, len)?;
            self.at += len as u64;
            sealer.add(&bytes, &mut self.sealed);
            if self.at < self.state.size() {
                self.sealer = Some(sealer);
            } else {
                sealer.finish(&mut self.sealed);
            }
            if self.sealed.len() >= PART_BYTES {
                break;
            }
        }
        if self.sealed.is_empty() {
            return Ok((self, None));
        }
        let rest = self.sealed.split_off(self.sealed.len().min(PART_BYTES));
        let part = std::mem::replace(&mut self.sealed, rest);
        Ok((self, Some(part.into())))
    }

    fn is_at_its_end(&self) -> bool {
        self.sealer.is_none() && self.sealed.is_empty()
    }
}

async fn next_part(sealing: Sealing) -> io::Result<(Sealing, Option<Bytes>)> {
    let sealed = tokio::task::spawn_blocking(move || sealing.next_part());
    sealed.await.map_err(io::Error::other)?
}

/// Seals a state and stores it under `key`. Durable, and visible, when it returns and not before.
pub(crate) async fn put_state(
    store: &dyn BlobStore,
    cluster_key: &RecoveryKey,
    key: &ObjectKey,
    state: StateFile,
) -> Result<(), PutFailure> {
    let sealing = Sealing {
        state,
        at: 0,
        sealer: Some(StreamSealer::new(cluster_key, key.as_str())),
        sealed: Vec::new(),
    };
    let (sealing, first) = next_part(sealing).await?;
    let first = first.unwrap_or_default();
    if sealing.is_at_its_end() {
        put(store, first, &Target::Object(key.clone())).await?;
        return Ok(());
    }
    let multipart = within(store.begin_multipart(key)).await?;
    let stored = put_parts(store, key, &multipart, first, sealing).await;
    if stored.is_err() {
        // What cannot be freed now is freed before the next snapshot.
        drop(within(store.abort_multipart(key, &multipart)).await);
    }
    stored
}

async fn put_parts(
    store: &dyn BlobStore,
    key: &ObjectKey,
    multipart: &MultipartId,
    first: Bytes,
    mut sealing: Sealing,
) -> Result<(), PutFailure> {
    let mut parts = Vec::new();
    let mut part = Some(first);
    while let Some(bytes) = part {
        let (number, size) = (parts.len() as u32 + 1, bytes.len() as u64);
        let target = Target::Part {
            key: key.clone(),
            multipart: multipart.clone(),
            number,
        };
        let etag = put(store, bytes, &target).await?;
        parts.push(CompletedPart { number, etag, size });
        (sealing, part) = next_part(sealing).await?;
    }
    within(store.complete_multipart(key, multipart, &parts)).await?;
    Ok(())
}

/// Frees what snapshots that were not finished have left.
pub(crate) async fn abort_unfinished(
    store: &dyn BlobStore,
    prefix: &str,
) -> Result<(), BlobFailure> {
    for upload in store.list_multipart(prefix).await? {
        if let Some(key) = ObjectKey::parse(&upload.key) {
            store.abort_multipart(&key, &upload.multipart).await?;
        }
    }
    Ok(())
}

/// Reads an object and gives its content, as it comes, to `take`.
pub(crate) async fn get(
    store: &dyn BlobStore,
    cluster_key: &RecoveryKey,
    key: &ObjectKey,
    size: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), GetFailure> {
    let span = ByteSpan {
        start: 0,
        len: size,
    };
    let mut bytes = store.read(key, span).await?;
    let mut opener = StreamOpener::new(cluster_key, key.as_str());
    let mut content = Vec::new();
    while let Some(sealed) = bytes.try_next().await? {
        opener.add(&sealed, &mut content)?;
        take(&content)?;
        content.clear();
    }
    opener.finish(&mut content)?;
    take(&content)?;
    Ok(())
}
