//! The body of a request on its way to a node: kept whole, so that it can be sent again, or passed on as it comes.

use std::collections::VecDeque;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

/// The body.
pub(crate) enum RequestBody {
    /// Whole. Empty once it was taken.
    Kept(Bytes),
    /// As it comes.
    Streamed(Box<Streamed>),
}

/// A body that is passed on.
pub(crate) struct Streamed {
    /// What was read of it before it proved too long to be kept.
    first: VecDeque<Bytes>,
    rest: Incoming,
    flow: Arc<Flow>,
    quiet_timeout: Duration,
    /// Set while the client sends nothing.
    quiet: Option<Pin<Box<Sleep>>>,
}

/// How a body that is passed on gets on.
#[derive(Default)]
pub(crate) struct Flow {
    ended: OnceLock<Instant>,
    has_failed: AtomicBool,
}

impl Flow {
    /// When there was nothing more to pass on. Until then its own deadlines hold.
    pub(crate) fn ended(&self) -> Option<Instant> {
        self.ended.get().copied()
    }

    /// Whether the client has ended it before its end.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        // It may have ended before that, or be dropped because the node wants no more: nothing moves from now on.
        let _ = self.flow.ended.set(Instant::now());
    }
}

impl RequestBody {
    /// Receives the body whole, unless it has more than `bytes_max` bytes.
    ///
    /// # Errors
    /// When the client ends it before its end.
    pub(crate) async fn receive(
        mut body: Incoming,
        bytes_max: usize,
        quiet_timeout: Duration,
    ) -> Result<RequestBody, hyper::Error> {
        let told = body.size_hint();
        let fits = |bytes: u64| usize::try_from(bytes).is_ok_and(|bytes| bytes <= bytes_max);
        let mut first = VecDeque::new();
        let mut count = 0;
        while fits(told.lower().max(count)) {
            let Some(frame) = next_frame(&mut body).await.transpose()? else {
                return Ok(RequestBody::Kept(joined(first)));
            };
            if let Ok(data) = frame.into_data() {
                count += data.len() as u64;
                first.push_back(data);
            }
        }
        Ok(RequestBody::streamed(first, body, quiet_timeout))
    }

    /// Passes the body on as it comes, behind what was read of it.
    pub(crate) fn streamed(
        first: VecDeque<Bytes>,
        rest: Incoming,
        quiet_timeout: Duration,
    ) -> RequestBody {
        RequestBody::Streamed(Box::new(Streamed {
            first,
            rest,
            flow: Arc::default(),
            quiet_timeout,
            quiet: None,
        }))
    }

    /// How it gets on, if it is passed on.
    pub(crate) fn flow(&self) -> Option<Arc<Flow>> {
        match self {
            RequestBody::Kept(_) => None,
            RequestBody::Streamed(streamed) => Some(Arc::clone(&streamed.flow)),
        }
    }
}

async fn next_frame(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

fn joined(mut pieces: VecDeque<Bytes>) -> Bytes {
    if pieces.len() <= 1 {
        return pieces.pop_front().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces
        .iter()
        .for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
}

impl Streamed {
    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(data) = self.first.pop_front() {
            return Poll::Ready(Some(Ok(data)));
        }
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.rest).poll_frame(context) else {
                let timeout = self.quiet_timeout;
                let quiet = self.quiet.get_or_insert_with(|| Box::pin(sleep(timeout)));
                ready!(quiet.as_mut().poll(context));
                return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
            };
            self.quiet = None;
            match frame.transpose() {
                Ok(None) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                // Trailers belong to the chunks, which end here.
                Ok(Some(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            RequestBody::Kept(bytes) => {
                let bytes = std::mem::take(bytes);
                let frame = (!bytes.is_empty()).then(|| Ok(Frame::data(bytes)));
                Poll::Ready(frame)
            }
            RequestBody::Streamed(streamed) => {
                let polled = ready!(streamed.poll_data(context));
                match &polled {
                    None => drop(streamed.flow.ended.set(Instant::now())),
                    Some(Ok(_)) => {}
                    Some(Err(_)) => streamed.flow.has_failed.store(true, Ordering::SeqCst),
                }
                Poll::Ready(polled.map(|data| data.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Kept(bytes) => bytes.is_empty(),
            RequestBody::Streamed(streamed) => {
                streamed.first.is_empty() && streamed.rest.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Kept(bytes) => SizeHint::with_exact(bytes.len() as u64),
            RequestBody::Streamed(streamed) => {
                let first: u64 = streamed.first.iter().map(|data| data.len() as u64).sum();
                let rest = streamed.rest.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(first.saturating_add(rest.lower()));
                if let Some(upper) = rest.upper() {
                    hint.set_upper(first.saturating_add(upper));
                }
                hint
            }
        }
    }
}
