//! An object store that is not at its best: a proxy in front of a good one that answers some requests with 500, before or
//! after they were carried out, and some late.
//!
//! It passes on what it passes on as it is, `Host` included, so that signatures hold.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What S3 says when it cannot.
const FAILURE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>InternalError</Code>\
                       <Message>We encountered an internal error. Please try again.</Message></Error>";

/// How poor a store is.
#[derive(Debug, Clone, Copy)]
pub struct Poverty {
    /// Of a hundred requests, so many are answered with 500.
    pub failing_percent: u64,
    /// Of a hundred requests, so many are late.
    pub slow_percent: u64,
    /// So late.
    pub slow_by: Duration,
}

type Body = BoxBody<Bytes, hyper::Error>;

/// The proxy. Ends when dropped.
pub struct PoorStore {
    address: SocketAddr,
    counts: Arc<Counts>,
    runtime: Option<Runtime>,
}

/// What was done to requests.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    failed: AtomicU64,
    slowed: AtomicU64,
}

/// What is to become of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lot {
    Good,
    FailedBefore,
    FailedAfter,
    Slow,
}

impl PoorStore {
    /// Stands in front of the store at `http://HOST:PORT`.
    pub fn start(endpoint: &str, poverty: Poverty) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let store: Uri = endpoint.parse()?;
        let host = store.authority().context("an address")?.to_string();
        let counts = Arc::new(Counts::default());
        let front = Front {
            host,
            poverty,
            counts: Arc::clone(&counts),
            client: Client::builder(TokioExecutor::new()).build_http(),
        };
        runtime.spawn(async move {
            // The listener is good: it was bound above.
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let front = front.clone();
                let served = hyper::server::conn::http1::Builder::new().serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request| {
                        let front = front.clone();
                        async move { Ok::<_, Infallible>(front.answer(request).await) }
                    }),
                );
                tokio::spawn(served);
            }
            #[expect(unreachable_code, reason = "it tells what the loop's errors are")]
            std::io::Result::Ok(())
        });
        Ok(Self {
            address,
            counts,
            runtime: Some(runtime),
        })
    }

    /// `http://HOST:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests came, how many were answered with 500, and how many late.
    pub fn counts(&self) -> [u64; 3] {
        let counts = &self.counts;
        [&counts.requests, &counts.failed, &counts.slowed]
            .map(|count| count.load(Ordering::Relaxed))
    }
}

impl Drop for PoorStore {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone)]
struct Front {
    host: String,
    poverty: Poverty,
    counts: Arc<Counts>,
    client: Client<HttpConnector, Incoming>,
}

impl Front {
    /// By turns spread evenly, so that every run has its share of each.
    fn draw(&self) -> Lot {
        let number = self.counts.requests.fetch_add(1, Ordering::Relaxed);
        // 37 and 100 have no common divisor: a hundred requests draw each number once.
        let drawn = number * 37 % 100;
        let Poverty {
            failing_percent,
            slow_percent,
            ..
        } = self.poverty;
        if drawn < failing_percent {
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
            return match (number / 100 + drawn) % 2 {
                0 => Lot::FailedBefore,
                _ => Lot::FailedAfter,
            };
        }
        if drawn < failing_percent + slow_percent {
            self.counts.slowed.fetch_add(1, Ordering::Relaxed);
            return Lot::Slow;
        }
        Lot::Good
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        let lot = self.draw();
        if lot == Lot::Slow {
            tokio::time::sleep(self.poverty.slow_by).await;
        }
        if lot == Lot::FailedBefore {
            // Whoever still sends would not see the answer.
            while let Some(Ok(_)) = request.body_mut().frame().await {}
            return failure();
        }
        let target = request.uri().path_and_query().map_or("/", |at| at.as_str());
        let Ok(uri) = format!("http://{}{target}", self.host).parse() else {
            return failure();
        };
        *request.uri_mut() = uri;
        match self.client.request(request).await {
            Ok(reply) if lot != Lot::FailedAfter => reply.map(|body| body.boxed()),
            Ok(_) | Err(_) => failure(),
        }
    }
}

fn failure() -> Response<Body> {
    let body = Full::new(Bytes::from_static(FAILURE.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
