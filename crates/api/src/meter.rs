//! The counters of this crate, registered once and then only counted up.
//!
//! Labels are the kind of route and the status: their number is bounded, whatever clients send.

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
};
use metrics::{Unit, histogram};

use crate::route::RouteKind;

/// Statuses from 100 to 599.
const STATUSES: usize = 500;

/// The counters.
pub(crate) struct Meter {
    requests: Vec<OnceLock<Counter>>,
    durations: Vec<Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    received: Counter,
    sent: Counter,
    panics: Counter,
    shed: Counter,
    passed_on: Counter,
}

/// Tells the recorder what the metrics mean. Called once, after the recorder was installed.
pub fn describe() {
    describe_counter!(
        "holdfast_http_requests_total",
        "Requests answered, by `route` and `status`."
    );
    describe_histogram!(
        "holdfast_http_request_duration_seconds",
        Unit::Seconds,
        "From the end of a request's headers to the end of its reply, by `route`."
    );
    describe_gauge!(
        "holdfast_http_requests_in_flight",
        "Requests that are being answered."
    );
    describe_gauge!("holdfast_http_connections", "Connections that are open.");
    describe_counter!(
        "holdfast_http_received_bytes_total",
        Unit::Bytes,
        "Bytes of request bodies."
    );
    describe_counter!(
        "holdfast_http_sent_bytes_total",
        Unit::Bytes,
        "Bytes of reply bodies."
    );
    describe_counter!(
        "holdfast_http_panics_total",
        "Requests that ended in a bug. Anything but 0 is one."
    );
    describe_counter!(
        "holdfast_http_shed_total",
        "Requests and connections told to come back later."
    );
    describe_counter!(
        "holdfast_http_passed_on_total",
        "Requests that ended without an answer, so that the balancer asks another node: this one was cut off."
    );
}

impl Meter {
    /// Registers them with the recorder that is installed.
    pub(crate) fn new() -> Meter {
        Meter {
            requests: (0..RouteKind::ALL.len() * STATUSES).map(|_| OnceLock::new()).collect(),
            durations: RouteKind::ALL
                .iter()
                .map(|kind| histogram!("holdfast_http_request_duration_seconds", "route" => kind.name()))
                .collect(),
            in_flight: gauge!("holdfast_http_requests_in_flight"),
            connections: gauge!("holdfast_http_connections"),
            received: counter!("holdfast_http_received_bytes_total"),
            sent: counter!("holdfast_http_sent_bytes_total"),
            panics: counter!("holdfast_http_panics_total"),
            shed: counter!("holdfast_http_shed_total"),
            passed_on: counter!("holdfast_http_passed_on_total"),
        }
    }

    pub(crate) fn began(&self) {
        self.in_flight.increment(1.0);
    }

    pub(crate) fn ended(
        &self,
        kind: RouteKind,
        status: StatusCode,
        took: Duration,
        received: u64,
        sent: u64,
    ) {
        self.in_flight.decrement(1.0);
        let position = kind as usize * STATUSES
            + usize::from(status.as_u16())
                .saturating_sub(100)
                .min(STATUSES - 1);
        self.requests[position]
            .get_or_init(|| {
                let status = status.as_str().to_owned();
                counter!("holdfast_http_requests_total", "route" => kind.name(), "status" => status)
            })
            .increment(1);
        self.durations[kind as usize].record(took.as_secs_f64());
        if received > 0 {
            self.received.increment(received);
        }
        if sent > 0 {
            self.sent.increment(sent);
        }
    }

    pub(crate) fn connected(&self) {
        self.connections.increment(1.0);
    }

    pub(crate) fn disconnected(&self) {
        self.connections.decrement(1.0);
    }

    pub(crate) fn panicked(&self) {
        self.panics.increment(1);
    }

    pub(crate) fn passed_on(&self) {
        self.passed_on.increment(1);
    }

    pub(crate) fn shed(&self) {
        self.shed.increment(1);
    }
}
