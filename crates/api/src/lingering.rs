//! A connection whose last reply arrives although the client is still sending.
//!
//! A socket that is closed while bytes are unread is reset, and a reset takes away the reply that the client has not
//! read yet: it would see a broken pipe instead of the reason why its body was refused. So the end of such a connection
//! is said first, and what still comes is read away for a while. It must never be kept.
//! RFC 9112, section 9.6, "Tear-down".

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How much of it is read at once.
const SCRATCH_BYTES: usize = 16 * 1024;

/// A transport that reads away what is left before it is closed.
pub(crate) struct Lingering<T> {
    inner: T,
    /// Set by whoever leaves a body unread.
    is_left: Arc<AtomicBool>,
    /// How long a client may go on sending what nobody wants.
    longest: Duration,
    /// Set once the client has been told that nothing more comes.
    until: Option<Pin<Box<Sleep>>>,
}

impl<T> Lingering<T> {
    /// Lingers at its end if `is_left` was set by then.
    pub(crate) fn new(inner: T, is_left: Arc<AtomicBool>, longest: Duration) -> Lingering<T> {
        Lingering {
            inner,
            is_left,
            longest,
            until: None,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lingering<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.until.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            if !this.is_left.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let longest = this.longest;
        let until = this
            .until
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
        let mut scratch = [0; SCRATCH_BYTES];
        loop {
            if until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buffer));
            // What goes wrong now concerns nobody: the reply was sent.
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn what_is_left_is_read_away_until_the_client_ends() {
        let (near, mut far) = tokio::io::duplex(64);
        let is_left = Arc::new(AtomicBool::new(true));
        let mut transport = Lingering::new(near, is_left, LONG);
        let client = async {
            let mut end = Vec::new();
            far.read_to_end(&mut end).await.expect("the end is said");
            far.write_all(&[0; 10_000]).await.expect("it is taken");
            drop(far);
        };
        let (closed, ()) = tokio::join!(transport.shutdown(), client);
        closed.expect("it is closed");
    }

    #[tokio::test]
    async fn a_client_that_never_ends_is_left() {
        let (near, _far) = tokio::io::duplex(64);
        let is_left = Arc::new(AtomicBool::new(true));
        let mut transport = Lingering::new(near, is_left, Duration::from_millis(20));
        transport.shutdown().await.expect("it is closed");
    }

    #[tokio::test]
    async fn nothing_is_waited_for_when_nothing_is_left() {
        let (near, _far) = tokio::io::duplex(64);
        let is_left = Arc::new(AtomicBool::new(false));
        let mut transport = Lingering::new(near, is_left, LONG);
        transport.shutdown().await.expect("it is closed");
    }
}
