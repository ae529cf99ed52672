//! The body of an answer on its way to the client. When it was read to its end, its connection serves the next request.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use crate::connection::Connection;
use crate::node::Node;
use crate::settings::Settings;

/// The body.
pub(crate) struct AnswerBody(Source);

enum Source {
    /// What the balancer says itself. Empty once it was taken.
    Own(Bytes),
    /// What a node says.
    Node(Box<FromNode>),
}

struct FromNode {
    body: Incoming,
    node: Arc<Node>,
    settings: Arc<Settings>,
    /// There until the body was read to its end and the connection is kept.
    connection: Option<Connection>,
    has_ended: bool,
    /// Set while the node sends nothing.
    quiet: Option<Pin<Box<Sleep>>>,
}

impl AnswerBody {
    pub(crate) fn own(text: Bytes) -> AnswerBody {
        AnswerBody(Source::Own(text))
    }

    /// The body of an answer that came on `connection`.
    pub(crate) fn of_node(
        body: Incoming,
        node: Arc<Node>,
        connection: Connection,
        settings: Arc<Settings>,
    ) -> AnswerBody {
        AnswerBody(Source::Node(Box::new(FromNode {
            body,
            node,
            settings,
            connection: Some(connection),
            has_ended: false,
            quiet: None,
        })))
    }
}

impl FromNode {
    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                let timeout = self.settings.quiet_timeout;
                let quiet = self.quiet.get_or_insert_with(|| Box::pin(sleep(timeout)));
                ready!(quiet.as_mut().poll(context));
                return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
            };
            self.quiet = None;
            match frame.transpose() {
                Ok(Some(frame)) if frame.is_data() => return Poll::Ready(Some(Ok(frame))),
                // Trailers belong to the chunks, which end here.
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.has_ended = true;
                    return Poll::Ready(None);
                }
                Err(error) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            }
        }
    }
}

impl Drop for FromNode {
    fn drop(&mut self) {
        let is_whole = self.has_ended || self.body.is_end_stream();
        if let Some(connection) = self.connection.take_if(|_| is_whole) {
            self.node.keep(connection, &self.settings);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.get_mut().0 {
            Source::Own(text) => {
                let text = std::mem::take(text);
                Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(text))))
            }
            Source::Node(from) => from.poll_data(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Own(text) => text.is_empty(),
            Source::Node(from) => from.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Own(text) => SizeHint::with_exact(text.len() as u64),
            Source::Node(from) => from.body.size_hint(),
        }
    }
}
