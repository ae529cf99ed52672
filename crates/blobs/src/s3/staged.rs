//! Bytes on their way into S3: gathered in memory and put as a whole, since what is streamed cannot be sent again.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ports::{BlobFailure, StagedBytes, Target};

use super::budget::{Block, Reserve};
use super::{Shared, at_step};
use crate::steps;

/// A piece in memory.
pub(super) struct S3Staged {
    shared: Arc<Shared>,
    full: Vec<Bytes>,
    filling: Option<Block>,
    reserve: Reserve,
    len: u64,
    size_max: u64,
}

impl S3Staged {
    pub(super) fn new(shared: Arc<Shared>, size_max: u64) -> S3Staged {
        S3Staged {
            shared,
            full: Vec::new(),
            filling: None,
            reserve: None,
            len: 0,
            size_max,
        }
    }
}

#[async_trait]
impl StagedBytes for S3Staged {
    /// Waits for memory. When that is cancelled, a part of `bytes` may have been taken: such a piece is of no use.
    async fn append(&mut self, bytes: Bytes) -> Result<(), BlobFailure> {
        if self.len + bytes.len() as u64 > self.size_max {
            let reason = format!(
                "a piece grew beyond the {} bytes that were announced",
                self.size_max
            );
            return Err(BlobFailure::Other { reason });
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let mut block = match self.filling.take() {
                Some(block) => block,
                None => self.shared.budget.block(&mut self.reserve).await?,
            };
            let taken = block.fill(rest);
            rest = &rest[taken..];
            self.len += taken as u64;
            if block.is_full() {
                self.full.push(block.freeze());
            } else {
                self.filling = Some(block);
            }
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.len
    }

    async fn store(&mut self, target: &Target) -> Result<String, BlobFailure> {
        self.full.extend(self.filling.take().map(Block::freeze));
        at_step(steps::S3_BEFORE_PUT)?;
        let etag = match target {
            Target::Object(key) => self.shared.put_object(key, &self.full).await,
            Target::Part {
                key,
                multipart,
                number,
            } => {
                self.shared
                    .put_part(key, multipart, *number, &self.full)
                    .await
            }
        }?;
        at_step(steps::S3_AFTER_PUT)?;
        Ok(etag)
    }
}
