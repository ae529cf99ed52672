//! The asynchronous side of a piece: gathers what comes from the network into large writes on blocking threads.
//!
//! Holds at most two batches of [`WRITE_BYTES`]: one that fills while the other is being written.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use ports::{BlobFailure, StagedBytes, Target};
use tokio::task::JoinHandle;

use super::piece::Piece;
use super::{Shared, joined};

/// How many bytes one write takes.
const WRITE_BYTES: usize = 512 * 1024;
/// Smaller pieces are copied together, so that a batch of tiny ones cannot pin far more memory than it has bytes.
const COPY_BELOW_BYTES: usize = 8 * 1024;

/// Bytes on their way into the folder.
pub(super) struct StagedFile {
    shared: Arc<Shared>,
    piece: Arc<Mutex<Piece>>,
    batch: Vec<Bytes>,
    small: BytesMut,
    batch_bytes: usize,
    running: Option<JoinHandle<Result<(), BlobFailure>>>,
    len: u64,
    size_max: u64,
}

impl StagedFile {
    pub(super) fn new(shared: Arc<Shared>, staging_path: PathBuf, size_max: u64) -> StagedFile {
        StagedFile {
            shared,
            piece: Arc::new(Mutex::new(Piece::new(staging_path))),
            batch: Vec::new(),
            small: BytesMut::new(),
            batch_bytes: 0,
            running: None,
            len: 0,
            size_max,
        }
    }

    fn gather(&mut self, bytes: Bytes) {
        self.len += bytes.len() as u64;
        self.batch_bytes += bytes.len();
        if bytes.len() < COPY_BELOW_BYTES {
            self.small.extend_from_slice(&bytes);
        } else {
            self.close_small();
            self.batch.push(bytes);
        }
    }

    fn close_small(&mut self) {
        if !self.small.is_empty() {
            self.batch.push(self.small.split().freeze());
        }
    }

    fn take_batch(&mut self) -> Vec<Bytes> {
        self.close_small();
        self.batch_bytes = 0;
        std::mem::take(&mut self.batch)
    }

    /// Waits for what is under way. Its failure is not lost: the piece remembers it and repeats it.
    async fn settle(&mut self) -> Result<(), BlobFailure> {
        if let Some(running) = &mut self.running {
            let ended = running.await;
            self.running = None;
            joined(ended)?.ok();
        }
        Ok(())
    }

    /// Starts blocking work, after what was started before has ended.
    async fn start(
        &mut self,
        work: impl FnOnce(&mut Piece) -> Result<(), BlobFailure> + Send + 'static,
    ) -> Result<&mut JoinHandle<Result<(), BlobFailure>>, BlobFailure> {
        self.settle().await?;
        let piece = Arc::clone(&self.piece);
        Ok(self
            .running
            .insert(tokio::task::spawn_blocking(move || work(&mut piece.lock()))))
    }
}

#[async_trait]
impl StagedBytes for StagedFile {
    async fn append(&mut self, bytes: Bytes) -> Result<(), BlobFailure> {
        if self.len + bytes.len() as u64 > self.size_max {
            let reason = format!(
                "a piece grew beyond the {} bytes that were announced",
                self.size_max
            );
            return Err(BlobFailure::Other { reason });
        }
        self.gather(bytes);
        if self.batch_bytes >= WRITE_BYTES {
            // Cancelled here, the batch stays; the next call writes it.
            self.settle().await?;
            let batch = self.take_batch();
            self.start(move |piece| piece.write(&batch)).await?;
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.len
    }

    async fn store(&mut self, target: &Target) -> Result<String, BlobFailure> {
        self.settle().await?;
        let batch = self.take_batch();
        let (shared, target) = (Arc::clone(&self.shared), target.clone());
        let storing = self.start(move |piece| {
            piece.write(&batch)?;
            shared.store(piece, &target)
        });
        let ended = storing.await?.await;
        self.running = None;
        joined(ended)??;
        Ok(String::new())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // Removing a file frees its pages, which takes a while: not on the runtime's threads.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let piece = Arc::clone(&self.piece);
            runtime.spawn_blocking(move || drop(piece));
        }
    }
}
