//! What is served outside `/v2`: a page for people, probes for balancers, and metrics.
//!
//! None of it takes a body or changes anything. `/readyz` fails while the node starts, drains, or cannot confirm a
//! read; `/healthz` fails only with the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use askama::Template;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use registry::Registry;

use crate::problem::Problem;
use crate::route::RouteKind;

/// What a person may want to know of this server.
#[derive(Debug, Clone)]
pub struct Info {
    /// The product's version.
    pub version: String,
    /// The revision that it was built from, if known.
    pub revision: Option<String>,
    /// Where it listens, as `host:port`, the best one for people first.
    pub addresses: Vec<String>,
}

/// Something that `/readyz?verbose` tells.
#[derive(Clone)]
pub struct Report {
    /// What it is about, in a word.
    pub name: &'static str,
    /// How it stands now, in a line that anybody may read: no paths, hosts or causes.
    pub tell: Arc<dyn Fn() -> String + Send + Sync>,
}

/// What the pages show.
pub(crate) struct PageState {
    pub(crate) registry: Registry,
    pub(crate) info: Info,
    pub(crate) reports: Vec<Report>,
    pub(crate) is_tls: bool,
    pub(crate) metrics: Option<PrometheusHandle>,
    pub(crate) draining: Arc<AtomicBool>,
    /// Set when it was found to be ready for the first time.
    pub(crate) was_ready: AtomicBool,
}

#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    version: &'a str,
    revision: &'a str,
    state: &'static str,
    address: &'a str,
    is_tls: bool,
}

/// Whether a path is one of the pages.
pub(crate) fn is_page(path: &str) -> bool {
    matches!(path, "/" | "/healthz" | "/readyz" | "/metrics")
}

/// The pages, and OCI errors for everything else.
pub(crate) fn router(state: PageState) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async || problem(&Problem::no_endpoint()))
        .method_not_allowed_fallback(async || problem(&Problem::method(RouteKind::Page)))
        .with_state(Arc::new(state))
}

impl PageState {
    /// Or why not, in a few words.
    fn readiness(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            Err("stopping")
        } else if self.registry.health().can_confirm {
            self.was_ready.store(true, Ordering::Relaxed);
            Ok(())
        } else if self.was_ready.load(Ordering::Relaxed) {
            Err("not ready: no read could be confirmed for 2 s; is there a quorum of members?")
        } else {
            Err("starting: no read was confirmed yet")
        }
    }
}

async fn index(State(state): State<Arc<PageState>>, headers: HeaderMap) -> Response {
    let asked = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .filter(|host| is_host(host));
    let own = state
        .info
        .addresses
        .first()
        .map_or("localhost:5000", String::as_str);
    let page = Index {
        version: &state.info.version,
        revision: state.info.revision.as_deref().unwrap_or("unknown"),
        state: state.readiness().err().unwrap_or("ready"),
        address: asked.unwrap_or(own),
        is_tls: state.is_tls,
    };
    let html = page.render().expect("rendering into memory does not fail");
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    );
    let no_store = HeaderValue::from_static("no-store");
    (
        [
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::CACHE_CONTROL, no_store),
        ],
        Html(html),
    )
        .into_response()
}

async fn readyz(State(state): State<Arc<PageState>>, RawQuery(query): RawQuery) -> Response {
    let readiness = state.readiness();
    let mut text = format!("{}\n", readiness.err().unwrap_or("ready"));
    if query.is_some_and(|query| query == "verbose" || query.starts_with("verbose=")) {
        for report in &state.reports {
            text.push_str(&format!("{}: {}\n", report.name, (report.tell)()));
        }
    }
    match readiness {
        Ok(()) => text.into_response(),
        Err(_) => {
            let soon = [(header::RETRY_AFTER, "1")];
            (StatusCode::SERVICE_UNAVAILABLE, soon, text).into_response()
        }
    }
}

async fn metrics(State(state): State<Arc<PageState>>) -> Response {
    match &state.metrics {
        Some(handle) => {
            let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            ([(header::CONTENT_TYPE, content_type)], handle.render()).into_response()
        }
        None => problem(&Problem::no_endpoint()),
    }
}

/// A problem as a router answers with it.
pub(crate) fn problem(problem: &Problem) -> Response {
    let mut response = (
        problem.status(),
        [(header::CONTENT_TYPE, "application/json")],
        problem.body(),
    )
        .into_response();
    for (name, value) in problem.headers() {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

/// Whether text may be shown as `host:port`.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
}
