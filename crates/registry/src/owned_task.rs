//! Runs a request's durable steps in a task of its own, which is joined.
//!
//! A server drops the future of a request whose client has gone, at any `.await`. The steps must not be cut there, so
//! the request only waits for them. Every such task ends by itself: bodies have an idle timeout, calls have deadlines.

use std::sync::{Arc, Weak};

use tracing::Instrument;

use crate::{Error, Registry};

impl Registry {
    /// Waits until no request's durable steps are under way any more. New ones may still begin: the caller stops
    /// taking requests first, and bounds the wait.
    pub async fn drained(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    pub(crate) async fn owned<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let task = self
            .inner
            .tasks
            .spawn(work.instrument(tracing::Span::current()));
        task.await
            .unwrap_or_else(|error| Err(Error::internal(format!("a request broke off: {error}"))))
    }
}

/// Whether somebody still waits for a request whose steps go on in a task of their own.
pub(crate) struct Presence(Weak<()>);

impl Presence {
    /// Somebody does for as long as the second value lives: it belongs to the request's own future.
    pub(crate) fn of_this_request() -> (Presence, Arc<()>) {
        let here = Arc::new(());
        (Presence(Arc::downgrade(&here)), here)
    }

    pub(crate) fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }
}
