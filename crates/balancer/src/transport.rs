//! A connection whose other side may not keep us waiting, and whose last answer arrives although the other side sends.
//!
//! A write that makes no progress for too long fails: without that, a client that stops reading would hold two connections
//! for ever. Reads are bounded elsewhere. A socket that is closed while bytes are unread is reset, and a reset takes away
//! the answer on its way; so a connection to a client says its end first, and reads away what comes for a moment.
//! RFC 9112, section 9.6, "Tear-down".

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long what a client still sends is read away.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// How much of it is read at once.
const SCRATCH_BYTES: usize = 8 * 1024;

/// A socket with these bounds.
pub(crate) struct Transport<T> {
    inner: T,
    write_timeout: Duration,
    lingers: bool,
    /// Set while the other side takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Set once the other side was told that nothing more comes.
    lingering: Option<Pin<Box<Sleep>>>,
}

impl<T> Transport<T> {
    /// To a client.
    pub(crate) fn to_client(inner: T, write_timeout: Duration) -> Transport<T> {
        Transport {
            lingers: true,
            ..Transport::to_node(inner, write_timeout)
        }
    }

    /// To a node, where nobody waits for its last words.
    pub(crate) fn to_node(inner: T, write_timeout: Duration) -> Transport<T> {
        Transport {
            inner,
            write_timeout,
            lingers: false,
            stalled: None,
            lingering: None,
        }
    }

    /// What was polled, unless it has been pending for too long.
    fn bounded<R>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let timeout = self.write_timeout;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Transport<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.bounded(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(context, pieces);
        self.bounded(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(context))?;
            if !this.lingers {
                return Poll::Ready(Ok(()));
            }
        }
        let until = this
            .lingering
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_MAX)));
        let mut scratch = [0; SCRATCH_BYTES];
        loop {
            if until.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut this.inner).poll_read(context, &mut buffer));
            // What goes wrong now concerns nobody: the answer was sent.
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

    #[tokio::test]
    async fn other_side_that_takes_nothing_is_given_up() {
        let (near, _far) = tokio::io::duplex(16);
        let mut transport = Transport::to_client(near, Duration::from_millis(20));
        let error = transport.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn what_a_client_still_sends_is_read_away_behind_the_end() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut transport = Transport::to_client(near, Duration::from_secs(60));
        let client = async {
            let mut end = Vec::new();
            far.read_to_end(&mut end).await.unwrap();
            far.write_all(&[0; 10_000]).await.unwrap();
            drop(far);
        };
        let (closed, ()) = tokio::join!(transport.shutdown(), client);
        closed.unwrap();
    }
}
