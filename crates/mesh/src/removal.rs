//! Notices on connections that this node has opened that the other side says: you were removed.
//!
//! In TLS 1.3 a caller is done with its handshake before the other side has looked at its certificate; so the word comes as
//! the error of the first read. Only there it is believed: see `identity::says_removed`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::client::TlsStream;

/// Whether a node of the cluster has said that this one was removed.
#[derive(Clone)]
pub(crate) struct Removal(Arc<watch::Sender<bool>>);

impl Removal {
    pub(crate) fn new() -> Removal {
        Removal(Arc::new(watch::Sender::new(false)))
    }

    /// Waits until it is said.
    pub(crate) async fn said(&self) {
        let mut said = self.0.subscribe();
        // The sender lives as long as this.
        drop(said.wait_for(|said| *said).await);
    }

    fn hear(&self, error: &io::Error) {
        if identity::tls_error(error).is_some_and(identity::says_removed) {
            self.0.send_replace(true);
        }
    }
}

/// A connection that was opened, and on which that word may come.
pub(crate) struct Opened {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) removal: Removal,
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Err(error)) = &read {
            self.removal.hear(error);
        }
        read
    }
}

impl AsyncWrite for Opened {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
