//! The bytes that a client sends: streamed with an idle timeout, collected only when they are a manifest.
//!
//! A body that nobody reads to its end comes back here, so that a little of it can be read away and the connection
//! used again; a larger rest closes the connection.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{Stream, StreamExt as _};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use registry::{Body, BodyFailure, Error};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How much of an unread body is read away to keep the connection.
const LEFTOVER_BYTES_MAX: usize = 256 * 1024;
/// How long that may take.
const LEFTOVER_WAIT: Duration = Duration::from_secs(1);

/// The body of one request.
pub(crate) struct RequestBody {
    slot: Slot,
    length: Option<u64>,
    idle_timeout: Duration,
    end: CancellationToken,
}

/// Where a body is between its readers.
#[derive(Clone)]
struct Slot(Arc<Mutex<Whereabouts>>);

enum Whereabouts {
    /// Here, perhaps begun.
    Here(Incoming),
    /// With somebody who reads it, or gone with an error.
    Away,
    /// Read to its end.
    Ended,
}

impl Slot {
    fn take(&self) -> Whereabouts {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *place {
            Whereabouts::Ended => Whereabouts::Ended,
            Whereabouts::Here(_) | Whereabouts::Away => {
                std::mem::replace(&mut place, Whereabouts::Away)
            }
        }
    }

    fn put(&self, whereabouts: Whereabouts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = whereabouts;
    }
}

impl RequestBody {
    /// The body that hyper gives; `None` when the request has none. Whoever reads it is told to stop when `end` is
    /// cancelled, so that what came before can be kept.
    pub(crate) fn new(
        incoming: Incoming,
        idle_timeout: Duration,
        end: CancellationToken,
    ) -> Option<RequestBody> {
        if incoming.is_end_stream() {
            return None;
        }
        let length = incoming.size_hint().exact();
        let slot = Slot(Arc::new(Mutex::new(Whereabouts::Here(incoming))));
        Some(RequestBody {
            slot,
            length,
            idle_timeout,
            end,
        })
    }

    /// What `Content-Length` says.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The bytes as they come. What is not read comes back when the stream is dropped.
    pub(crate) fn stream(&self, received: Arc<AtomicU64>) -> Body {
        let Whereabouts::Here(incoming) = self.slot.take() else {
            return Body::empty();
        };
        let stream = ClientStream {
            incoming: Some(incoming),
            slot: self.slot.clone(),
            idle_timeout: self.idle_timeout,
            idle: None,
            end: Box::pin(self.end.clone().cancelled_owned()),
            received,
        };
        Body {
            stream: stream.boxed(),
            length: self.length,
        }
    }

    /// All of it, at most `max` bytes.
    pub(crate) async fn collect(
        &self,
        max: usize,
        received: Arc<AtomicU64>,
    ) -> Result<Bytes, Error> {
        let too_large = Error::ManifestTooLarge { max };
        let expected = match self.length.map(usize::try_from) {
            Some(Ok(length)) if length <= max => length,
            Some(_) => return Err(too_large),
            None => 0,
        };
        let mut body = self.stream(received);
        let mut collected = BytesMut::new();
        while let Some(bytes) = body.stream.next().await {
            let bytes = bytes?;
            if collected.len() + bytes.len() > max {
                return Err(too_large);
            }
            if collected.is_empty() && bytes.len() == expected {
                return Ok(bytes);
            }
            collected.reserve(bytes.len().max(expected.saturating_sub(collected.len())));
            collected.extend_from_slice(&bytes);
        }
        Ok(collected.freeze())
    }

    /// Reads away what nobody read, within bounds. Answers whether the connection can be used again.
    pub(crate) async fn is_used_up(&self, expects_continue: bool) -> bool {
        let mut incoming = match self.slot.take() {
            Whereabouts::Here(incoming) => incoming,
            Whereabouts::Away => return false,
            Whereabouts::Ended => return true,
        };
        if incoming.is_end_stream() {
            return true;
        }
        // Reading would send `100 Continue` and so ask for bytes that nobody wants.
        if expects_continue
            || self
                .length
                .is_some_and(|length| length > LEFTOVER_BYTES_MAX as u64)
        {
            return false;
        }
        let drain = async {
            let mut read = 0;
            while let Some(frame) = incoming.frame().await {
                let Ok(frame) = frame else { return false };
                read += frame.data_ref().map_or(0, Bytes::len);
                if read > LEFTOVER_BYTES_MAX {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(LEFTOVER_WAIT, drain)
            .await
            .unwrap_or(false)
    }
}

/// A body on its way to a use-case.
struct ClientStream {
    incoming: Option<Incoming>,
    slot: Slot,
    idle_timeout: Duration,
    /// Set while the client keeps us waiting.
    idle: Option<Pin<Box<Sleep>>>,
    /// Ready when nothing more is to be taken.
    end: Pin<Box<WaitForCancellationFutureOwned>>,
    received: Arc<AtomicU64>,
}

impl Stream for ClientStream {
    type Item = Result<Bytes, BodyFailure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(BodyFailure::Stopping)));
        }
        loop {
            let Some(incoming) = &mut this.incoming else {
                return Poll::Ready(None);
            };
            match Pin::new(incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    this.idle = None;
                    // Trailers say nothing that we want.
                    let Ok(bytes) = frame.into_data() else {
                        continue;
                    };
                    this.received
                        .fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Poll::Ready(Some(Err(error))) => {
                    this.incoming = None;
                    return Poll::Ready(Some(Err(BodyFailure::Disconnected {
                        reason: error.to_string(),
                    })));
                }
                Poll::Ready(None) => {
                    this.incoming = None;
                    this.slot.put(Whereabouts::Ended);
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    let timeout = this.idle_timeout;
                    let idle = this.idle.get_or_insert_with(|| {
                        Box::pin(tokio::time::sleep_until(Instant::now() + timeout))
                    });
                    if idle.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    this.idle = None;
                    return Poll::Ready(Some(Err(BodyFailure::TimedOut)));
                }
            }
        }
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            self.slot.put(Whereabouts::Here(incoming));
        }
    }
}
