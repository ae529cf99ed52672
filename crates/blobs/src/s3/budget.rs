//! The memory that parts on their way may take on this node, in blocks that are used again.
//!
//! A piece takes blocks as its bytes come, so that a small one holds little. That could end with every piece half
//! full and none left to take, so a share is kept in reserve: one piece at a time may fill itself from it, whatever
//! its neighbours hold, and when it is done they go on. A block is given back when the last user of its bytes is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use ports::BlobFailure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit in which memory is taken.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// At most this much is in reserve; also the largest piece.
const RESERVE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How many blocks that nobody uses are kept, the rest goes back to the system.
const BLOCKS_KEPT_MAX: usize = 256;

/// One node's memory for pieces.
#[derive(Debug)]
pub(super) struct Budget {
    shared: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    reserve_bytes: u64,
    wait_max: Duration,
    free: Mutex<Vec<Vec<u8>>>,
}

/// A piece's claim on the reserve.
pub(super) type Reserve = Option<Arc<OwnedSemaphorePermit>>;

/// A block on loan.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    len: usize,
    budget: Arc<Budget>,
    _hold: Hold,
}

#[derive(Debug)]
#[expect(dead_code, reason = "what is held is held by existing")]
enum Hold {
    Shared(OwnedSemaphorePermit),
    Reserve(Arc<OwnedSemaphorePermit>),
}

impl Budget {
    /// A budget of so many bytes; whoever waits longer than `wait_max` for memory fails.
    pub(super) fn new(bytes: u64, wait_max: Duration) -> Budget {
        let reserve_bytes = RESERVE_BYTES_MAX.min(bytes / 2);
        let blocks = (bytes - reserve_bytes) / BLOCK_BYTES as u64;
        Budget {
            shared: Arc::new(Semaphore::new(
                usize::try_from(blocks).unwrap_or(Semaphore::MAX_PERMITS),
            )),
            reserve: Arc::new(Semaphore::new(1)),
            reserve_bytes,
            wait_max,
            free: Mutex::default(),
        }
    }

    /// The largest piece that is sure to find room.
    pub(super) fn piece_bytes_max(&self) -> u64 {
        self.reserve_bytes
    }

    /// One more block for a piece, now or when there is room.
    pub(super) async fn block(
        self: &Arc<Self>,
        reserve: &mut Reserve,
    ) -> Result<Block, BlobFailure> {
        let hold = match reserve {
            Some(held) => Hold::Reserve(Arc::clone(held)),
            None => self.wait_for_room(reserve).await?,
        };
        let bytes = self
            .free
            .lock()
            .pop()
            .unwrap_or_else(|| vec![0; BLOCK_BYTES]);
        Ok(Block {
            bytes,
            len: 0,
            budget: Arc::clone(self),
            _hold: hold,
        })
    }

    async fn wait_for_room(&self, reserve: &mut Reserve) -> Result<Hold, BlobFailure> {
        const NEVER_CLOSED: &str = "the budget's semaphores are never closed";
        tokio::select! {
            biased;
            permit = Arc::clone(&self.shared).acquire_owned() => Ok(Hold::Shared(permit.expect(NEVER_CLOSED))),
            permit = Arc::clone(&self.reserve).acquire_owned() => {
                let held = Arc::new(permit.expect(NEVER_CLOSED));
                *reserve = Some(Arc::clone(&held));
                Ok(Hold::Reserve(held))
            }
            () = tokio::time::sleep(self.wait_max) => {
                let reason = "the memory for parts on their way is used up (storage.s3.memory_mib)".to_owned();
                Err(BlobFailure::Unavailable { reason, retry_after: Some(Duration::from_secs(1)) })
            }
        }
    }
}

impl Block {
    /// Takes as much of `bytes` as there is room for, and says how much that was.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(BLOCK_BYTES - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&bytes[..taken]);
        self.len += taken;
        taken
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == BLOCK_BYTES
    }

    /// The bytes, which hold the block until the last copy of them is gone.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut free = self.budget.free.lock();
        if free.len() < BLOCKS_KEPT_MAX {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[tokio::test]
    async fn when_all_are_half_full_one_ends_and_the_others_follow() {
        let budget = Arc::new(Budget::new(2 * MIB, Duration::from_secs(60)));
        let piece_blocks = budget.piece_bytes_max() as usize / BLOCK_BYTES;
        let pieces = (0..8).map(|_| {
            let budget = Arc::clone(&budget);
            async move {
                let (mut reserve, mut held) = (None, Vec::new());
                for _ in 0..piece_blocks {
                    held.push(budget.block(&mut reserve).await.unwrap());
                    tokio::task::yield_now().await;
                }
            }
        });
        futures::future::join_all(pieces).await;
        assert_eq!(budget.shared.available_permits(), 16);
        assert_eq!(budget.reserve.available_permits(), 1);
    }

    #[tokio::test]
    async fn whoever_waits_too_long_is_told_to_come_back() {
        let budget = Arc::new(Budget::new(2 * MIB, Duration::from_millis(20)));
        let (mut first_reserve, mut held) = (None, Vec::new());
        for _ in 0..17 {
            held.push(budget.block(&mut first_reserve).await.unwrap());
        }
        assert!(first_reserve.is_some());
        let late = budget.block(&mut None).await;
        assert!(
            matches!(
                late,
                Err(BlobFailure::Unavailable {
                    retry_after: Some(_),
                    ..
                })
            ),
            "{late:?}"
        );
        drop((held, first_reserve));
        assert!(budget.block(&mut None).await.is_ok());
    }

    #[tokio::test]
    async fn bytes_hold_their_block_until_they_are_gone() {
        let budget = Arc::new(Budget::new(2 * MIB, Duration::from_secs(60)));
        let mut block = budget.block(&mut None).await.unwrap();
        assert_eq!(block.fill(&[7; BLOCK_BYTES + 5]), BLOCK_BYTES);
        assert!(block.is_full());
        let bytes = block.freeze();
        let copy = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(budget.shared.available_permits(), 15);
        assert_eq!(&copy[..], [7; 10]);
        drop(copy);
        assert_eq!(budget.shared.available_permits(), 16);
    }
}
