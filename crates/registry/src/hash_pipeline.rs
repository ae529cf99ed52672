//! Hashes a stream beside its writing, off the runtime's threads.
//!
//! Bytes are gathered to batches; a batch is hashed on a blocking thread while the next one arrives, and what is small
//! is hashed where it is, since a change of threads would cost more. Holds at most two batches and no more, whatever
//! a client sends.

use bytes::Bytes;
use hashing::{Hasher, Midstate};
use oci::{Algorithm, Digest};
use tokio::task::JoinHandle;

use crate::Error;

/// A batch is hashed when it has so many bytes: small enough that it is still in the processor's cache.
const BATCH_BYTES: usize = 256 * 1024;

/// Or so many chunks, lest a client that sends single bytes makes a batch large.
const BATCH_CHUNKS: usize = 512;

/// A batch up to this size is hashed at once, in well under a millisecond.
const INLINE_BYTES: usize = 64 * 1024;

/// A hash in progress, and the bytes on their way into it.
pub(crate) struct HashPipeline {
    state: State,
    batch: Vec<Bytes>,
    batch_bytes: usize,
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each upload, and it is mostly idle or busy"
)]
enum State {
    Idle(Hasher),
    Busy(JoinHandle<Hasher>),
    /// A batch panicked, or the runtime is going down.
    Lost,
}

impl HashPipeline {
    /// The hash of nothing yet.
    pub(crate) fn new(algorithm: Algorithm) -> HashPipeline {
        HashPipeline::with(Hasher::new(algorithm))
    }

    /// Goes on from a midstate as the log keeps it; empty at offset 0.
    ///
    /// # Errors
    /// [`Error::Internal`] when the midstate is not of this algorithm and offset.
    pub(crate) fn resume(
        algorithm: Algorithm,
        offset: u64,
        midstate: &[u8],
    ) -> Result<HashPipeline, Error> {
        if offset == 0 {
            return Ok(HashPipeline::new(algorithm));
        }
        let damaged = |reason: String| Error::internal(format!("a midstate is damaged: {reason}"));
        let midstate =
            Midstate::from_bytes(midstate).map_err(|error| damaged(error.to_string()))?;
        let hasher = Hasher::resume(&midstate).map_err(|error| damaged(error.to_string()))?;
        if hasher.algorithm() != algorithm || hasher.len() != offset {
            return Err(damaged(format!(
                "of {} at {} instead of {algorithm} at {offset}",
                hasher.algorithm(),
                hasher.len()
            )));
        }
        Ok(HashPipeline::with(hasher))
    }

    fn with(hasher: Hasher) -> HashPipeline {
        HashPipeline {
            state: State::Idle(hasher),
            batch: Vec::new(),
            batch_bytes: 0,
        }
    }

    /// Appends bytes. Waits only for the batch before the last.
    pub(crate) async fn update(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.batch_bytes += bytes.len();
        self.batch.push(bytes);
        marks::note("chunks to be hashed", self.batch.len(), BATCH_CHUNKS);
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_CHUNKS {
            self.hash_batch().await?;
        }
        Ok(())
    }

    /// The canonical form of the hash of all bytes so far, as the log keeps it.
    pub(crate) async fn midstate(&mut self) -> Result<Bytes, Error> {
        let hasher = self.settled().await?;
        if hasher.is_empty() {
            return Ok(Bytes::new());
        }
        Ok(Bytes::copy_from_slice(hasher.midstate().as_bytes()))
    }

    /// The digest of all bytes so far.
    pub(crate) async fn digest(&mut self) -> Result<Digest, Error> {
        Ok(self.settled().await?.clone().finish())
    }

    async fn settled(&mut self) -> Result<&Hasher, Error> {
        self.hash_batch().await?;
        self.join().await?;
        match &self.state {
            State::Idle(hasher) => Ok(hasher),
            State::Busy(_) | State::Lost => Err(lost()),
        }
    }

    async fn hash_batch(&mut self) -> Result<(), Error> {
        self.join().await?;
        let batch = std::mem::take(&mut self.batch);
        let bytes = std::mem::take(&mut self.batch_bytes);
        let State::Idle(mut hasher) = std::mem::replace(&mut self.state, State::Lost) else {
            return Err(lost());
        };
        let work = move || {
            for chunk in &batch {
                hasher.update(chunk);
            }
            hasher
        };
        self.state = if bytes > INLINE_BYTES {
            State::Busy(tokio::task::spawn_blocking(work))
        } else {
            State::Idle(work())
        };
        Ok(())
    }

    async fn join(&mut self) -> Result<(), Error> {
        if let State::Busy(work) = &mut self.state {
            let hasher = work.await.map_err(|_| lost())?;
            self.state = State::Idle(hasher);
        }
        Ok(())
    }
}

fn lost() -> Error {
    Error::internal("a hash was lost: the node is going down, or hashing panicked")
}
