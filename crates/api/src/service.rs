//! From a request to its answer: limits, dispatch, the net under panics, the headers that all replies have, the log.
//!
//! No input makes a 500: what is wrong with a request is said in 4xx, what is wrong with the world in 503 and 507. A
//! panic is a bug, is counted, and is answered all the same.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use futures::FutureExt as _;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use metadata::access::Right;
use registry::Registry;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::access::{self, Access, Needed};
use crate::access_log::Record;
use crate::exchange::Exchange;
use crate::limits::Limits;
use crate::meter::Meter;
use crate::mounted::{self, Mounts, Visit};
use crate::passing_on::{Ending, PassedOn, Repeatable};
use crate::problem::Problem;
use crate::reply::{self, Content, Reply, ReplyBody};
use crate::request_body::RequestBody;
use crate::request_id::RequestIds;
use crate::route::{self, Route, RouteKind};
use crate::settings::Settings;
use crate::{blobs, cors, header, lists, manifests, pages, uploads};

/// How long past the hold time a request without a body may take before it is given up.
pub(crate) const SLACK: std::time::Duration = std::time::Duration::from_secs(20);

/// What is served beside `/v2/`.
pub(crate) struct Beside {
    pub(crate) pages: Router,
    pub(crate) mounts: Mounts,
}

/// What requests are held to.
pub(crate) struct HeldTo {
    pub(crate) access: Option<Access>,
    pub(crate) limits: Option<Limits>,
}

/// What every request needs.
pub(crate) struct Service {
    registry: Registry,
    settings: Settings,
    beside: Beside,
    meter: Arc<Meter>,
    ids: RequestIds,
    access: Option<Access>,
    limits: Option<Limits>,
    requests: Semaphore,
    manifest_memory: Semaphore,
    end_bodies: CancellationToken,
    without_answers: CancellationToken,
}

impl Service {
    pub(crate) fn new(
        registry: Registry,
        held_to: HeldTo,
        settings: Settings,
        beside: Beside,
        meter: Arc<Meter>,
        end_bodies: CancellationToken,
        without_answers: CancellationToken,
    ) -> Service {
        Service {
            registry,
            beside,
            meter,
            ids: RequestIds::new(),
            access: held_to.access,
            limits: held_to.limits,
            requests: Semaphore::new(settings.requests_max),
            // One largest manifest must fit, or it would wait for ever.
            manifest_memory: Semaphore::new(
                settings.manifest_memory_max.max(oci::MANIFEST_BYTES_MAX),
            ),
            settings,
            end_bodies,
            without_answers,
        }
    }

    /// Answers a request of a connection that is served, or has the balancer ask another node.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, PassedOn> {
        let (head, incoming) = request.into_parts();
        let body = RequestBody::new(
            incoming,
            self.settings.body_idle_timeout,
            self.end_bodies.clone(),
        );
        let mut record = self.record(&head);
        let answered = self.guarded(&head, body.as_ref(), &mut record);
        let answered = self.unless_hopeless(&head, answered);
        let answered = AssertUnwindSafe(async {
            tokio::select! {
                biased;
                result = answered => result,
                () = self.without_answers.cancelled() => Err(Ending::PassOn),
            }
        });
        let result = match answered.catch_unwind().await {
            Ok(Err(Ending::PassOn)) => {
                self.meter.passed_on();
                record.answered(StatusCode::SERVICE_UNAVAILABLE);
                return Err(PassedOn);
            }
            Ok(Err(Ending::Refuse)) => Ok(Err(Problem::too_slow(
                "nothing could be confirmed for the hold time",
            ))),
            Ok(Ok(result)) => Ok(result),
            Err(panic) => Err(panic),
        };
        let mut reply = self.written(
            &head,
            &record,
            result.unwrap_or_else(|_| Err(Problem::panicked())),
        );
        if let Some(body) = &body
            && head.version != Version::HTTP_2
            && !body.is_used_up(head.headers.contains_key(EXPECT)).await
        {
            reply::close_connection(reply.headers_mut());
        }
        Ok(self.finish(&head, record, reply))
    }

    /// What came out of a request, unless it cannot be answered here and another node may be asked.
    async fn unless_hopeless<T>(
        &self,
        head: &Parts,
        answered: impl Future<Output = T>,
    ) -> Result<T, Ending> {
        let Some(request) = Repeatable::of(&head.headers) else {
            return Ok(answered.await);
        };
        let (registry, hold) = (&self.registry, self.settings.hold);
        if !head.method.is_safe() {
            request.may_begin(registry, hold).await?;
        }
        let is_closing =
            head.method == Method::PUT && route::kind(head.uri.path()) == RouteKind::Upload;
        tokio::select! {
            biased;
            result = answered => Ok(result),
            ending = request.is_hopeless(registry, hold, is_closing) => Err(ending),
        }
    }

    /// Answers a request of a connection that is one too many.
    pub(crate) fn refuse(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        let (head, _) = request.into_parts();
        let record = self.record(&head);
        self.meter.shed();
        let reply = self.written(&head, &record, Err(Problem::overconnected()));
        self.finish(&head, record, reply)
    }

    fn record(&self, head: &Parts) -> Record {
        let path = head.uri.path();
        let kind = if pages::is_page(path) {
            RouteKind::Page
        } else {
            match route::kind(path) {
                RouteKind::None => mounted::kind(path).unwrap_or(RouteKind::None),
                kind => kind,
            }
        };
        let id = self.ids.id(&head.headers);
        Record::begin(Arc::clone(&self.meter), id, head, kind)
    }

    /// Answers when it is the request's turn.
    async fn guarded(
        &self,
        head: &Parts,
        body: Option<&RequestBody>,
        record: &mut Record,
    ) -> Result<Reply, Problem> {
        let size: usize = head
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if size > self.settings.header_bytes_max {
            return Err(Problem::headers_too_large());
        }
        if !route::is_protocol(head.uri.path()) {
            return match record.kind() {
                RouteKind::Management | RouteKind::Auth => self.visit(head, body, record).await,
                _ => Ok(self.page(head).await),
            };
        }
        let _turn = self.turn().await?;
        if head.method == Method::OPTIONS {
            return Ok(reply::options(record.kind().allow()));
        }
        if !cors::may_proceed(head, &self.settings.cors_write_origins) {
            return Err(Problem::foreign_origin());
        }
        let route = route::parse(head.uri.path());
        let needed = route.as_ref().map(|route| access::needed(route, head));
        let needed = needed.unwrap_or_default();
        let access = self.access.as_ref();
        let deadline = Instant::now() + self.settings.hold;
        let limits = self.limits.as_ref();
        let asking = access::asking(access, limits, &self.registry, head, deadline).await;
        let asking = match asking {
            Ok(asking) => asking,
            Err(problem) => {
                return Err(access::challenged(access, head, None, &needed, problem));
            }
        };
        let may_push = needed.iter().any(|needed| match needed {
            Needed::Right(repository, _) => asking.covers(repository, Right::Push),
            Needed::Source(_) | Needed::Catalog => false,
        });
        let received = body.is_some().then(|| record.receives());
        let exchange = Exchange {
            registry: &self.registry,
            settings: &self.settings,
            head,
            body,
            received,
            asking: &asking,
            may_push,
            limits,
            manifest_memory: &self.manifest_memory,
        };
        let answer = async {
            access::check_scope(&exchange, &needed).await?;
            if needed.is_empty() {
                access::look_in(access, &exchange).await?;
            }
            dispatch(&exchange, record.kind(), route).await
        };
        let answered = if body.is_some() {
            // What streams has idle timeouts, and deadlines for what comes after them.
            answer.await
        } else {
            match tokio::time::timeout(self.settings.hold + SLACK, answer).await {
                Ok(result) => result,
                Err(_) => Err(Problem::too_slow("a call outlasted its deadline")),
            }
        };
        answered
            .map_err(|problem| access::challenged(access, head, Some(&asking), &needed, problem))
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        if let Ok(permit) = self.requests.try_acquire() {
            return Ok(permit);
        }
        match tokio::time::timeout(self.settings.queue_wait, self.requests.acquire()).await {
            Ok(permit) => Ok(permit.expect("the semaphore is never closed")),
            Err(_) => {
                self.meter.shed();
                Err(Problem::overloaded())
            }
        }
    }

    /// Answers what is asked of a router that is mounted.
    async fn visit(
        &self,
        head: &Parts,
        body: Option<&RequestBody>,
        record: &mut Record,
    ) -> Result<Reply, Problem> {
        let _turn = self.turn().await?;
        if head.method == Method::OPTIONS {
            return Ok(reply::options(record.kind().allow()));
        }
        if !cors::may_proceed(head, &self.settings.cors_write_origins) {
            return Err(Problem::foreign_origin());
        }
        let visit = Visit {
            registry: &self.registry,
            access: self.access.as_ref(),
            limits: self.limits.as_ref(),
            settings: &self.settings,
            kind: record.kind(),
            head,
            body: body.map(|body| (body, record.receives())),
        };
        self.beside.mounts.answer(visit).await
    }

    async fn page(&self, head: &Parts) -> Reply {
        let mut request = Request::new(axum::body::Body::empty());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        if let Some(host) = head.headers.get(HOST) {
            request.headers_mut().insert(HOST, host.clone());
        }
        match self.beside.pages.clone().oneshot(request).await {
            Ok(response) => response.map(Content::Page),
            Err(never) => match never {},
        }
    }

    /// The reply to what came out, problems logged once.
    fn written(&self, head: &Parts, record: &Record, result: Result<Reply, Problem>) -> Reply {
        let problem = match result {
            Ok(reply) => return reply,
            Err(problem) => problem,
        };
        let (status, code, summary) = (problem.status(), problem.code(), problem.summary());
        let (id, cause) = (record.id_text(), problem.cause().unwrap_or(""));
        if problem.is_for_operator() {
            if cause == "a handler panicked" {
                self.meter.panicked();
            }
            tracing::error!(
                id,
                status = status.as_u16(),
                code,
                summary,
                cause,
                "a request failed"
            );
        } else if status.is_server_error() {
            tracing::warn!(
                id,
                status = status.as_u16(),
                code,
                summary,
                cause,
                "a request could not be served"
            );
        } else {
            tracing::debug!(
                id,
                status = status.as_u16(),
                code,
                summary,
                cause,
                "a request was refused"
            );
        }
        reply::problem(&problem, head.method == Method::HEAD)
    }

    /// Adds what all replies have, and hands the reply over to be sent and accounted for.
    fn finish(&self, head: &Parts, mut record: Record, reply: Reply) -> Response<ReplyBody> {
        let (mut parts, mut content) = reply.into_parts();
        let headers = &mut parts.headers;
        if head.method == Method::HEAD
            && let Content::Whole(bytes) = &content
        {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            content = Content::Empty;
        }
        let write_origins = &self.settings.cors_write_origins;
        match record.kind() {
            RouteKind::Page => {}
            RouteKind::Management => cors::expose_to_writers(head, write_origins, headers),
            RouteKind::Auth => cors::expose(head, write_origins, headers),
            _ => {
                headers.insert(header::API_VERSION, header::API_VERSION_VALUE);
                cors::expose(head, write_origins, headers);
                if let Some(namespace) = namespace(head) {
                    headers.insert(header::OCI_NAMESPACE, namespace);
                }
            }
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, header::NO_SNIFF);
        headers.insert(header::REQUEST_ID, record.id().clone());
        record.answered(parts.status);
        Response::from_parts(parts, ReplyBody::new(content, record))
    }
}

/// The one place where routes and methods meet handlers.
async fn dispatch(
    exchange: &Exchange<'_>,
    kind: RouteKind,
    route: Result<Route, Problem>,
) -> Result<Reply, Problem> {
    if kind != RouteKind::None && !kind.takes(exchange.method()) {
        return Err(Problem::method(kind));
    }
    let method = exchange.method().as_str();
    match route? {
        Route::Base => Ok(reply::whole(
            StatusCode::OK,
            header::JSON,
            bytes::Bytes::from_static(b"{}"),
        )),
        Route::Catalog => lists::catalog(exchange).await,
        Route::Tags(repository) => lists::tags(exchange, &repository).await,
        Route::Referrers(repository, subject) => {
            lists::referrers(exchange, &repository, subject).await
        }
        Route::Manifest(repository, reference) => match method {
            "PUT" => manifests::push(exchange, &repository, reference).await,
            "DELETE" => manifests::delete(exchange, &repository, &reference).await,
            _ => manifests::pull(exchange, &repository, &reference).await,
        },
        Route::Blob(repository, digest) => match method {
            "DELETE" => blobs::delete(exchange, &repository, digest).await,
            _ => blobs::pull(exchange, &repository, &digest).await,
        },
        Route::Uploads(repository) => uploads::begin(exchange, &repository).await,
        Route::Upload(repository, upload) => match method {
            "PATCH" => uploads::write(exchange, &repository, upload).await,
            "PUT" => uploads::close(exchange, &repository, upload).await,
            "DELETE" => uploads::cancel(exchange, &repository, upload).await,
            _ => uploads::status(exchange, &repository, upload).await,
        },
    }
}

/// `?ns=` of a pull, which a proxy is told whose repository is meant by; given back as it came if it is a host.
fn namespace(head: &Parts) -> Option<HeaderValue> {
    let query = head.uri.query()?;
    if !query.contains("ns=") || !matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    let namespace = crate::query::Query::of(Some(query)).get("ns").ok()??;
    let is_host = !namespace.is_empty()
        && namespace.len() <= 255
        && namespace
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    is_host.then(|| header::text(namespace))
}
