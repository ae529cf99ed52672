//! One request as a handler sees it, and what all handlers share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::request::Parts;
use http::{HeaderMap, Method};
use registry::{Body, Caller, Registry};
use tokio::time::Instant;

use crate::access::Asking;
use crate::limits::Limits;
use crate::query::Query;
use crate::request_body::RequestBody;
use crate::settings::Settings;

/// What handlers work with.
pub(crate) struct Exchange<'a> {
    /// The use-cases.
    pub(crate) registry: &'a Registry,
    /// Limits and times.
    pub(crate) settings: &'a Settings,
    /// The request's head.
    pub(crate) head: &'a Parts,
    /// The request's body; `None` when it has none.
    pub(crate) body: Option<&'a RequestBody>,
    /// Where the bytes of the body are counted.
    pub(crate) received: Option<Arc<AtomicU64>>,
    /// Who asks.
    pub(crate) asking: &'a Asking,
    /// Whether what they showed is good for a push to the repository of this request.
    pub(crate) may_push: bool,
    /// What counts pulls, if anything does.
    pub(crate) limits: Option<&'a Limits>,
    /// The memory for manifests on their way in, in bytes.
    pub(crate) manifest_memory: &'a tokio::sync::Semaphore,
}

impl<'a> Exchange<'a> {
    /// Who asks, with the time that metadata calls have from now on.
    pub(crate) fn caller(&self) -> Caller {
        Caller::asking(
            self.asking.asker.clone(),
            self.may_push,
            Instant::now() + self.settings.hold,
        )
    }

    pub(crate) fn headers(&self) -> &'a HeaderMap {
        &self.head.headers
    }

    pub(crate) fn method(&self) -> &'a Method {
        &self.head.method
    }

    /// Whether only the head of the reply is wanted.
    pub(crate) fn is_head(&self) -> bool {
        self.head.method == Method::HEAD
    }

    pub(crate) fn query(&self) -> Query<'a> {
        Query::of(self.head.uri.query())
    }

    /// The body as the use-cases take it.
    pub(crate) fn stream(&self) -> Body {
        match (self.body, &self.received) {
            (Some(body), Some(received)) => body.stream(Arc::clone(received)),
            _ => Body::empty(),
        }
    }
}
