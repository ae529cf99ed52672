//! Reading a span from S3 as a stream that goes on where it broke.
//!
//! Must never give fewer bytes than were asked for without failing, nor more.

use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream as SdkStream;
use bytes::Bytes;
use futures::StreamExt;
use metadata::ObjectKey;
use ports::{BlobFailure, ByteSpan, ByteStream};
use tokio::time::{sleep, timeout};

use super::Shared;
use super::failure::CallFailure;
use crate::metric;

/// How often a read may break without a byte in between.
const BREAKS_MAX: u32 = 4;

/// A read that is under way.
struct Reading {
    shared: Arc<Shared>,
    key: ObjectKey,
    left: ByteSpan,
    stream: Option<SdkStream>,
    breaks: u32,
}

/// Opens `span` of an object.
pub(super) async fn open(
    shared: Arc<Shared>,
    key: ObjectKey,
    span: ByteSpan,
) -> Result<ByteStream, BlobFailure> {
    if span.len == 0 {
        return Ok(futures::stream::empty().boxed());
    }
    let stream = request(&shared, &key, span).await?;
    let reading = Reading {
        shared,
        key,
        left: span,
        stream: Some(stream),
        breaks: 0,
    };
    Ok(futures::stream::unfold(reading, |mut reading| async move {
        Some((reading.next().await?, reading))
    })
    .boxed())
}

async fn request(
    shared: &Shared,
    key: &ObjectKey,
    span: ByteSpan,
) -> Result<SdkStream, BlobFailure> {
    let (stream, len) = shared
        .get_range(key, span)
        .await
        .map_err(|failure| failure.about(key))?;
    match len {
        Some(len) if len != span.len => {
            let reason =
                format!("the store answered {len} bytes of {key} when {span} was asked for");
            Err(BlobFailure::Other { reason })
        }
        _ => Ok(stream),
    }
}

impl Reading {
    /// The next bytes; `None` at the end of the span or after a failure.
    async fn next(&mut self) -> Option<Result<Bytes, BlobFailure>> {
        while self.left.len > 0 {
            let reason = match self.try_next().await {
                Ok(block) if block.is_empty() => continue,
                Ok(block) => return Some(self.take(block)),
                Err(reason) => reason,
            };
            self.breaks += 1;
            if self.breaks > BREAKS_MAX {
                self.left.len = 0;
                let reason = format!("a read of {} broke {BREAKS_MAX} times: {reason}", self.key);
                return Some(Err(BlobFailure::Unavailable {
                    reason,
                    retry_after: None,
                }));
            }
            if let Err(failure) = self.reopen(&reason).await {
                self.left.len = 0;
                return Some(Err(failure));
            }
        }
        None
    }

    async fn try_next(&mut self) -> Result<Bytes, String> {
        let stream = self.stream.as_mut().ok_or("it is closed")?;
        match timeout(self.shared.read_timeout, stream.next()).await {
            Ok(Some(Ok(block))) => Ok(block),
            Ok(Some(Err(error))) => Err(error.to_string()),
            Ok(None) => Err("it ended early".to_owned()),
            Err(_) => Err(format!("nothing came for {:?}", self.shared.read_timeout)),
        }
    }

    fn take(&mut self, block: Bytes) -> Result<Bytes, BlobFailure> {
        let len = block.len() as u64;
        if len > self.left.len {
            self.left.len = 0;
            return Err(BlobFailure::Other {
                reason: format!("the store sent too many bytes of {}", self.key),
            });
        }
        self.breaks = 0;
        self.left = ByteSpan {
            start: self.left.start + len,
            len: self.left.len - len,
        };
        Ok(block)
    }

    async fn reopen(&mut self, reason: &str) -> Result<(), BlobFailure> {
        metric::read_resumed();
        tracing::debug!(key = %self.key, left = %self.left, reason, "a read from the blob store is resumed");
        self.stream = None;
        let broken = CallFailure::Retryable {
            reason: reason.to_owned(),
            retry_after: None,
        };
        sleep(super::failure::pause_after(self.breaks, &broken)).await;
        self.stream = Some(request(&self.shared, &self.key, self.left).await?);
        Ok(())
    }
}
