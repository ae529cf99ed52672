//! A connection as HTTP reads and writes it, with TLS or without, including the bytes that were read to find out which.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

/// A connection that was received.
pub enum Transport<S> {
    /// In the clear.
    Plain(Begun<S>),
    /// By TLS.
    Tls(Box<TlsStream<Begun<S>>>),
}

/// A connection of which the first bytes may have been read already.
pub struct Begun<S> {
    /// What was read and not yet given.
    read: Vec<u8>,
    given: usize,
    inner: S,
}

impl<S> Begun<S> {
    pub(crate) fn new(inner: S) -> Begun<S> {
        Begun {
            read: Vec::new(),
            given: 0,
            inner,
        }
    }

    /// What was read and not yet given.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.read[self.given..]
    }

    /// Drops so many bytes of what was read.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.given = self.read.len().min(self.given + bytes);
    }
}

impl<S: AsyncRead + Unpin> Begun<S> {
    /// Reads some more ahead, up to `at_most` in all.
    pub(crate) async fn look_further(&mut self, at_most: usize) -> io::Result<()> {
        let mut block = [0; 512];
        let room = at_most.saturating_sub(self.ahead().len()).min(block.len());
        match self.inner.read(&mut block[..room]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.read.extend_from_slice(&block[..read]);
                Ok(())
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead().is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let some = self.ahead().len().min(buf.remaining());
        buf.put_slice(&self.ahead()[..some]);
        self.skip(some);
        if self.ahead().is_empty() {
            self.read = Vec::new();
            self.given = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
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
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Transport<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_ahead_comes_first_and_what_was_skipped_does_not() {
        let mut begun = Begun::new(&b"header|request"[..]);
        begun.look_further(10).await.unwrap();
        assert_eq!(begun.ahead(), b"header|req");
        begun.skip(7);
        let mut rest = String::new();
        begun.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "request");
        assert!(begun.look_further(10).await.is_err());
    }
}
