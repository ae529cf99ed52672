//! What is sent back: a head, and a body that is nothing, bytes at hand, or a stream of a blob's bytes.
//!
//! Bodies are never re-encoded. A stream that fails cuts the connection: what was promised by `Content-Length` is
//! never silently shortened.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use ports::BlobFailure;

use crate::access_log::Record;
use crate::header;
use crate::problem::Problem;

/// An answer before it is accounted for.
pub(crate) type Reply = Response<Content>;

/// What hyper is given as the reason of a cut connection.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What a body holds.
pub(crate) enum Content {
    /// Nothing.
    Empty,
    /// Bytes at hand.
    Whole(Bytes),
    /// Bytes to come, so many.
    Stream {
        /// As they come.
        stream: BoxStream<'static, Result<Bytes, BlobFailure>>,
        /// How many are yet to come.
        remaining: u64,
    },
    /// A page that axum made.
    Page(axum::body::Body),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Empty => f.write_str("Empty"),
            Content::Whole(bytes) => write!(f, "Whole({})", bytes.len()),
            Content::Stream { remaining, .. } => write!(f, "Stream({remaining})"),
            Content::Page(_) => f.write_str("Page"),
        }
    }
}

/// A body of a reply. When it is dropped, sent or not, the request is accounted for.
pub(crate) struct ReplyBody {
    content: Content,
    record: Record,
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Content::Empty);
    *reply.status_mut() = status;
    reply
}

/// An answer of bytes at hand.
pub(crate) fn whole(status: StatusCode, content_type: HeaderValue, bytes: Bytes) -> Reply {
    let mut reply = Response::new(Content::Whole(bytes));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// An error body. `head` leaves the bytes out.
pub(crate) fn problem(problem: &Problem, head: bool) -> Reply {
    let body = problem.body();
    let mut reply = if head {
        let mut reply = empty(problem.status());
        reply.headers_mut().insert(CONTENT_TYPE, header::JSON);
        reply
            .headers_mut()
            .insert(http::header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        reply
    } else {
        whole(problem.status(), header::JSON, body.into())
    };
    let headers = reply.headers_mut();
    for (name, value) in problem.headers() {
        headers.insert(name.clone(), value.clone());
    }
    if problem.closes() {
        close_connection(headers);
    }
    reply
}

/// The answer to `OPTIONS`.
pub(crate) fn options(allow: &'static str) -> Reply {
    let mut reply = empty(StatusCode::NO_CONTENT);
    reply
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    reply
}

/// Says that nothing more is read from this connection.
pub(crate) fn close_connection(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

impl ReplyBody {
    /// Accounts for the request when the body is gone.
    pub(crate) fn new(content: Content, record: Record) -> ReplyBody {
        ReplyBody { content, record }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let bytes = match &mut this.content {
            Content::Empty => return Poll::Ready(None),
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.content = Content::Empty;
                bytes
            }
            Content::Stream { remaining: 0, .. } => {
                this.content = Content::Empty;
                return Poll::Ready(None);
            }
            Content::Stream { stream, remaining } => match ready!(stream.poll_next_unpin(cx)) {
                Some(Ok(bytes)) => match remaining.checked_sub(bytes.len() as u64) {
                    Some(rest) => {
                        *remaining = rest;
                        bytes
                    }
                    None => {
                        return Poll::Ready(Some(Err(this
                            .record
                            .cut("the store gave more bytes than it has"))));
                    }
                },
                Some(Err(failure)) => {
                    return Poll::Ready(Some(Err(this.record.cut(&failure.to_string()))));
                }
                None => {
                    return Poll::Ready(Some(Err(this
                        .record
                        .cut("the store gave fewer bytes than it has"))));
                }
            },
            Content::Page(body) => match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => bytes,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => {
                    this.content = Content::Empty;
                    return Poll::Ready(None);
                }
            },
        };
        this.record.sent(bytes.len());
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty | Content::Stream { remaining: 0, .. } => true,
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Stream { .. } => false,
            Content::Page(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream { remaining, .. } => SizeHint::with_exact(*remaining),
            Content::Page(body) => body.size_hint(),
        }
    }
}
