//! Bytes on their way while objects may move.
//!
//! A piece is told where it goes only when it is stored, and may go to two places: a tail is an object, in the new store, and
//! also a part of a multipart upload, which may be one of the old store. So a piece is staged for the new store, and what
//! came is kept beside it for the old one: at most the same memory again, bounded by the new store's own budget.

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

    async fn store_in_old(&mut self, target: &Target) -> Result<String, BlobFailure> {
        let mut staged = self.stores.old.stage(self.inner.len()).await?;
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
        if let Target::Part { key, multipart, .. } = target
            && self.stores.is_open_in_old(key, multipart).await?
        {
            return self.store_in_old(target).await;
        }
        self.inner.store(target).await
    }
}
