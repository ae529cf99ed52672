//! One line of log and a few counters for each request, when its reply is sent or given up.
//!
//! Nothing secret: no query, no `Authorization`, no body. Costs nothing to speak of when the level is off. Target
//! `holdfast::access`, level INFO.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use front::{ClientPlace, Scheme};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Uri};

use crate::meter::Meter;
use crate::reply::BodyError;
use crate::route::RouteKind;

/// What is known of a request, until it is over.
pub(crate) struct Record {
    meter: Arc<Meter>,
    id: HeaderValue,
    method: Method,
    uri: Uri,
    from: Option<(IpAddr, Scheme)>,
    kind: RouteKind,
    status: StatusCode,
    started: Instant,
    received: Option<Arc<AtomicU64>>,
    sent: u64,
    cut: bool,
}

impl Record {
    /// A request that came in just now.
    pub(crate) fn begin(
        meter: Arc<Meter>,
        id: HeaderValue,
        head: &Parts,
        kind: RouteKind,
    ) -> Record {
        meter.began();
        let place = head.extensions.get::<ClientPlace>();
        Record {
            meter,
            id,
            method: head.method.clone(),
            uri: head.uri.clone(),
            from: place.map(|place| (place.address, place.scheme)),
            kind,
            status: StatusCode::INTERNAL_SERVER_ERROR,
            started: Instant::now(),
            received: None,
            sent: 0,
            cut: false,
        }
    }

    /// The id as it is returned.
    pub(crate) fn id(&self) -> &HeaderValue {
        &self.id
    }

    /// The id for a line of log.
    pub(crate) fn id_text(&self) -> &str {
        self.id.to_str().unwrap_or("")
    }

    pub(crate) fn kind(&self) -> RouteKind {
        self.kind
    }

    /// Where the body's bytes are counted.
    pub(crate) fn receives(&mut self) -> Arc<AtomicU64> {
        Arc::clone(self.received.get_or_insert_with(Arc::default))
    }

    /// What was answered.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// So many bytes more were handed to the connection.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The reply cannot be finished; gives the reason with which the connection is cut.
    pub(crate) fn cut(&mut self, cause: &str) -> BodyError {
        self.cut = true;
        tracing::warn!(id = self.id_text(), cause, "a reply was cut short");
        cause.to_owned().into()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let received = self
            .received
            .as_ref()
            .map_or(0, |bytes| bytes.load(Ordering::Relaxed));
        self.meter
            .ended(self.kind, self.status, took, received, self.sent);
        tracing::info!(
            target: "holdfast::access",
            id = self.id_text(),
            client = self.from.map(|(address, _)| tracing::field::display(address)),
            scheme = self.from.map(|(_, scheme)| scheme.as_str()),
            method = self.method.as_str(),
            route = self.kind.name(),
            path = self.uri.path(),
            status = self.status.as_u16(),
            received,
            sent = self.sent,
            cut = self.cut,
            us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
}
