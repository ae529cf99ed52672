//! Bytes on their way while objects may move.
//!
//! A piece is told where it goes only when it is stored, and may go to two places: a tail is an object, in one store, and
//! also a part of a multipart upload, which may be one of the other. So a piece is staged for the store that gets what is new,
//! and what came is kept beside it for the other: at most the same memory again, bounded by the first one's own budget.

use async_trait::async_trait;
use bytes::Bytes;
use ports::{BlobFailure, StagedBytes, Target};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::store::Two;

/// A piece for the one store; the move knows of it until it is dropped.
pub(super) struct HeldBytes {
    inner: Box<dyn StagedBytes>,
    _writing: TaskTrackerToken,
}

impl HeldBytes {
    pub(super) fn new(inner: Box<dyn StagedBytes>, writing: TaskTrackerToken) -> HeldBytes {
        HeldBytes {
            inner,
            _writing: writing,
        }
    }
}

#[async_trait]
impl StagedBytes for HeldBytes {
    async fn append(&mut self, bytes: Bytes) -> Result<(), BlobFailure> {
        self.inner.append(bytes).await
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    async fn store(&mut self, target: &Target) -> Result<String, BlobFailure> {
        self.inner.store(target).await
    }
}

/// A piece while objects move.
pub(super) struct MovingBytes {
    stores: Two,
    inner: Box<dyn StagedBytes>,
    kept: Vec<Bytes>,
    _writing: TaskTrackerToken,
}

impl MovingBytes {
    pub(super) fn new(
        stores: Two,
        inner: Box<dyn StagedBytes>,
        writing: TaskTrackerToken,
    ) -> MovingBytes {
        MovingBytes {
            stores,
            inner,
            kept: Vec::new(),
            _writing: writing,
        }
    }

    async fn store_in_other(&mut self, target: &Target) -> Result<String, BlobFailure> {
        let other = match self.stores.is_filling {
            true => &self.stores.old,
            false => &self.stores.new,
        };
        let mut staged = other.stage(self.inner.len()).await?;
        for bytes in &self.kept {
            staged.append(bytes.clone()).await?;
        }
        staged.store(target).await
    }
}

#[async_trait]
impl StagedBytes for MovingBytes {
    async fn append(&mut self, bytes: Bytes) -> Result<(), BlobFailure> {
        self.inner.append(bytes.clone()).await?;
        self.kept.push(bytes);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    async fn store(&mut self, target: &Target) -> Result<String, BlobFailure> {
        let is_for_new = match target {
            Target::Object(key) => self.stores.is_for_new(key),
            Target::Part { key, multipart, .. } => {
                !self.stores.is_open_in_old(key, multipart).await?
            }
        };
        match is_for_new == self.stores.is_filling {
            true => self.inner.store(target).await,
            false => self.store_in_other(target).await,
        }
    }
}
