//! Reads a body to its end, and holds it to what was declared.
//!
//! A body that brings nothing for too long, ends early or brings more than it declared is an error, never an end.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::{Body, BodyFailure, Error, metric};

/// A body as far as it was read.
pub(crate) struct BodyReader {
    stream: BoxStream<'static, Result<Bytes, BodyFailure>>,
    declared: Option<u64>,
    received: u64,
    idle: Duration,
    /// Read to find out whether there is anything, and not yet taken.
    peeked: Option<Bytes>,
}

impl BodyReader {
    pub(crate) fn new(body: Body, idle: Duration) -> BodyReader {
        BodyReader {
            stream: body.stream,
            declared: body.length,
            received: 0,
            idle,
            peeked: None,
        }
    }

    /// How many bytes were declared.
    pub(crate) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// How many bytes are to come after what [`BodyReader::next`] gave, if that was declared.
    pub(crate) fn remaining(&self) -> Option<u64> {
        self.declared.map(|declared| declared - self.received)
    }

    /// Whether there are no bytes; waits for the first when none were declared.
    pub(crate) async fn is_empty(&mut self) -> Result<bool, Error> {
        if let Some(declared) = self.declared {
            return Ok(declared == 0);
        }
        if self.peeked.is_none() && self.received == 0 {
            self.peeked = self.read().await?;
        }
        Ok(self.peeked.is_none() && self.received == 0)
    }

    /// The next bytes, never empty; `None` at the end.
    ///
    /// # Errors
    /// [`Error::BodyDisconnected`], [`Error::BodyStalled`]; [`Error::SizeMismatch`] when the length was a lie.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self.peeked.take() {
            Some(bytes) => Ok(Some(bytes)),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let next = tokio::time::timeout(self.idle, self.stream.next()).await;
            let Some(bytes) = next.map_err(|_| Error::BodyStalled)?.transpose()? else {
                return self.end();
            };
            self.received += bytes.len() as u64;
            metric::blob_bytes_pushed(bytes.len());
            if self
                .declared
                .is_some_and(|declared| self.received > declared)
            {
                return Err(self.size_mismatch());
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }

    fn end(&self) -> Result<Option<Bytes>, Error> {
        match self.declared {
            Some(declared) if declared != self.received => Err(self.size_mismatch()),
            _ => Ok(None),
        }
    }

    fn size_mismatch(&self) -> Error {
        Error::SizeMismatch {
            declared: self.declared.unwrap_or(self.received),
            received: self.received,
        }
    }
}
