//! One stream of appends to a peer: what openraft wants sent, and what is not answered yet.
//!
//! openraft keeps what a peer is to be sent in one place, from which the requests of every stream to this peer are made. A
//! transport may hold the requests of a stream for a while after nobody waits for its answers any more; asked once more, they
//! would take what is meant for the next stream. So they end, and are dropped, at the moment at which the stream does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::{Stream, StreamExt};
use parking_lot::Mutex;

/// The requests of a stream, for the transport. They go on as long as their [`AppendStream`] lives.
pub(crate) struct Requests<S>(Arc<Mutex<State<S>>>);

/// The side that waits for the answers; when it is dropped, the requests end.
pub(crate) struct AppendStream<S>(Arc<Mutex<State<S>>>);

struct State<S> {
    source: Option<S>,
    unanswered: usize,
    /// openraft had no more to send.
    was_all_sent: bool,
}

/// Both sides of a stream of these requests.
pub(crate) fn of<S>(source: S) -> (Requests<S>, AppendStream<S>) {
    let state = Arc::new(Mutex::new(State {
        source: Some(source),
        unanswered: 0,
        was_all_sent: false,
    }));
    (Requests(Arc::clone(&state)), AppendStream(state))
}

impl<S: Stream + Unpin> Stream for Requests<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut state = self.0.lock();
        let Some(source) = &mut state.source else {
            return Poll::Ready(None);
        };
        let next = ready!(source.poll_next_unpin(context));
        match &next {
            Some(_) => state.unanswered += 1,
            None => {
                state.source = None;
                state.was_all_sent = true;
            }
        }
        Poll::Ready(next)
    }
}

impl<S> AppendStream<S> {
    /// Whether an answer is due.
    pub(crate) fn is_answer_due(&self) -> bool {
        self.0.lock().unanswered > 0
    }

    /// One more request was answered.
    pub(crate) fn answered(&self) {
        let mut state = self.0.lock();
        state.unanswered = state.unanswered.saturating_sub(1);
    }

    /// Whether the answers may end here. Where they end earlier, the peer ended them, and that is a failure: openraft would
    /// go on with what it had wanted sent before, which may be purged by now.
    pub(crate) fn is_complete(&self) -> bool {
        let state = self.0.lock();
        state.was_all_sent && state.unanswered == 0
    }
}

impl<S> Drop for AppendStream<S> {
    fn drop(&mut self) {
        self.0.lock().source = None;
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::of;

    #[tokio::test]
    async fn requests_end_with_their_stream_although_the_transport_holds_them() {
        let (orders, source) = mpsc::unbounded_channel();
        let (mut requests, stream) = of(UnboundedReceiverStream::new(source));
        orders.send(1).unwrap();
        assert_eq!(requests.next().await, Some(1));
        drop(stream);
        assert!(
            orders.send(2).is_err(),
            "the source is gone before the transport lets go of the requests"
        );
        assert_eq!(requests.next().await, None);
    }

    #[tokio::test]
    async fn answers_end_rightly_only_after_the_last_request_was_answered() {
        let (mut requests, stream) = of(stream::iter([1, 2]));
        assert!(!stream.is_complete(), "nothing was sent yet");
        assert!(!stream.is_answer_due());
        while requests.next().await.is_some() {}
        stream.answered();
        assert!(stream.is_answer_due());
        assert!(!stream.is_complete());
        stream.answered();
        assert!(stream.is_complete());
    }
}
