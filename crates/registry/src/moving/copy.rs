//! Copies one object from the old store to the new one.
//!
//! Effects: a small object is put as one; a large one becomes a multipart upload of its key, after what an earlier try left of
//! one was aborted. Nothing is visible in the new store before all bytes were read in the expected size and, where it is
//! known, with the expected digest. If the node dies here, the next try does it again. At most one piece is in memory.

use bytes::Bytes;
use futures::TryStreamExt;
use metadata::ObjectKey;
use oci::Digest;
use ports::{BlobFailure, BlobStore, ByteSpan, ByteStream, CompletedPart, Target};

use super::busy_keys::Copying;
use super::status::MoveWatch;
use super::store::{MovableStore, Two};
use crate::hash_pipeline::HashPipeline;
use crate::steps;

/// The size of parts, and of the largest object that is put whole; every store takes parts of this size.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;

/// No object has more parts.
const PIECES_MAX: u64 = 9_000;

/// What is to be copied.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) key: ObjectKey,
    pub(super) size: u64,
    /// Of its bytes, where that is known.
    pub(super) digest: Option<Digest>,
}

/// An object was not copied.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyFailure {
    /// A store did not do as asked.
    #[error("{key} cannot be copied: {failure}")]
    Store {
        /// Which object.
        key: ObjectKey,
        /// Why.
        #[source]
        failure: BlobFailure,
    },
    /// The old store gave other bytes than it was given.
    #[error("{key} is damaged in the old store: {reason}")]
    Damaged {
        /// Which object.
        key: ObjectKey,
        /// In what way.
        reason: String,
    },
}

impl CopyFailure {
    /// Whether other objects are likely to fare the same now.
    pub(super) fn is_of_the_store(&self) -> bool {
        matches!(self, CopyFailure::Store { .. })
    }
}

/// Copies an object, unless it is being deleted.
pub(super) async fn copy(
    store: &MovableStore,
    stores: &Two,
    wanted: &Wanted,
    watch: &MoveWatch,
) -> Result<(), CopyFailure> {
    let Some(copying) = store.busy().copying(&wanted.key) else {
        return Ok(());
    };
    steps::reach(steps::MOVE_BEFORE_COPY);
    let copied = Copy {
        stores,
        wanted,
        watch,
        copying: &copying,
        bytes: None,
        hash: wanted
            .digest
            .map(|digest| HashPipeline::new(digest.algorithm())),
        read: 0,
        rest: Bytes::new(),
    }
    .run()
    .await;
    match copied {
        Ok(()) => {
            watch.object_copied();
            steps::reach(steps::MOVE_AFTER_COPY);
            Ok(())
        }
        Err(End::Unwanted) => Ok(()),
        Err(End::Failed(failure)) => Err(CopyFailure::Store {
            key: wanted.key.clone(),
            failure,
        }),
        Err(End::Damaged(reason)) => Err(CopyFailure::Damaged {
            key: wanted.key.clone(),
            reason,
        }),
    }
}

/// Why a copy ends early.
enum End {
    /// The object is being deleted, or is gone.
    Unwanted,
    Failed(BlobFailure),
    Damaged(String),
}

impl From<BlobFailure> for End {
    fn from(failure: BlobFailure) -> End {
        End::Failed(failure)
    }
}

struct Copy<'a> {
    stores: &'a Two,
    wanted: &'a Wanted,
    watch: &'a MoveWatch,
    copying: &'a Copying<'a>,
    bytes: Option<ByteStream>,
    hash: Option<HashPipeline>,
    /// Bytes that were taken.
    read: u64,
    /// Read, and not taken yet.
    rest: Bytes,
}

impl Copy<'_> {
    async fn run(mut self) -> Result<(), End> {
        let (key, len) = (&self.wanted.key, self.wanted.size);
        if len > 0 {
            let opened = self.stores.old.read(key, ByteSpan { start: 0, len }).await;
            self.bytes = Some(match opened {
                Err(BlobFailure::NoSuchObject { .. }) => return Err(End::Unwanted),
                opened => opened?,
            });
        }
        if len <= PIECE_BYTES {
            return self.put_whole().await;
        }
        abort_leavings(&*self.stores.new, key).await?;
        let multipart = self.stores.new.begin_multipart(key).await?;
        let copied = match self.put_parts(&multipart).await {
            Ok(parts) => {
                let completing = self.stores.new.complete_multipart(key, &multipart, &parts);
                completing.await.map_err(End::from)
            }
            Err(end) => Err(end),
        };
        if copied.is_err()
            && let Err(failure) = self.stores.new.abort_multipart(key, &multipart).await
        {
            tracing::debug!(%key, %failure, "a broken copy is left until the next try");
        }
        copied
    }

    async fn put_whole(&mut self) -> Result<(), End> {
        let mut staged = self.stores.new.stage(self.wanted.size).await?;
        while let Some(bytes) = self.next(u64::MAX).await? {
            staged.append(bytes).await?;
        }
        self.verify().await?;
        staged
            .store(&Target::Object(self.wanted.key.clone()))
            .await?;
        Ok(())
    }

    async fn put_parts(
        &mut self,
        multipart: &metadata::MultipartId,
    ) -> Result<Vec<CompletedPart>, End> {
        let size = self.wanted.size;
        let piece_bytes = PIECE_BYTES.max(size.div_ceil(PIECES_MAX));
        let mut parts = Vec::new();
        while self.read < size {
            let piece = piece_bytes.min(size - self.read);
            let end = self.read + piece;
            let mut staged = self.stores.new.stage(piece).await?;
            while self.read < end {
                match self.next(end - self.read).await? {
                    Some(bytes) => staged.append(bytes).await?,
                    None => break,
                }
            }
            let number = u32::try_from(parts.len() + 1).unwrap_or(u32::MAX);
            if self.read == size {
                // Before the last part, so that a damaged object has none.
                self.verify().await?;
            }
            let target = Target::Part {
                key: self.wanted.key.clone(),
                multipart: multipart.clone(),
                number,
            };
            let etag = staged.store(&target).await?;
            parts.push(CompletedPart {
                number,
                etag,
                size: piece,
            });
        }
        Ok(parts)
    }

    /// The next bytes, at most `most`; `None` at the end.
    async fn next(&mut self, most: u64) -> Result<Option<Bytes>, End> {
        if self.copying.is_unwanted() {
            return Err(End::Unwanted);
        }
        while self.rest.is_empty() {
            let Some(stream) = &mut self.bytes else {
                return Ok(None);
            };
            match stream.try_next().await? {
                Some(bytes) => self.rest = bytes,
                None if self.read == self.wanted.size => return Ok(None),
                None => return Err(self.wrong_size()),
            }
        }
        let most = usize::try_from(most)
            .unwrap_or(usize::MAX)
            .min(self.rest.len());
        let bytes = self.rest.split_to(most);
        self.read += bytes.len() as u64;
        if self.read > self.wanted.size {
            return Err(self.wrong_size());
        }
        if let Some(hash) = &mut self.hash {
            let hashed = hash.update(bytes.clone()).await;
            hashed.map_err(|error| End::Damaged(error.to_string()))?;
        }
        self.watch.bytes_copied(bytes.len() as u64);
        Ok(Some(bytes))
    }

    fn wrong_size(&self) -> End {
        End::Damaged(format!(
            "it has {} bytes where {} were expected",
            self.read, self.wanted.size
        ))
    }

    async fn verify(&mut self) -> Result<(), End> {
        let (Some(hash), Some(expected)) = (&mut self.hash, self.wanted.digest) else {
            return Ok(());
        };
        let actual = hash.digest().await;
        let actual = actual.map_err(|error| End::Damaged(error.to_string()))?;
        if actual != expected {
            return Err(End::Damaged(format!(
                "its digest is {actual} and should be {expected}"
            )));
        }
        Ok(())
    }
}

/// An object that is whole in the old store is written to the new one by copies only, so any multipart upload of its key there
/// is what one of them left.
async fn abort_leavings(new: &dyn BlobStore, key: &ObjectKey) -> Result<(), BlobFailure> {
    for upload in new.list_multipart(key.as_str()).await? {
        if upload.key == key.as_str() {
            new.abort_multipart(key, &upload.multipart).await?;
        }
    }
    Ok(())
}
