//! Connections: accepted, limited, served, drained.
//!
//! HTTP/1.1 and HTTP/2, by TLS or without, on one port; what comes before HTTP is `front`'s. A stop is polite: readiness fails first, new connections are
//! taken for the drain delay, then every reply says that it is the last of its connection, and what is in flight is
//! finished within the drain deadline. Then bodies that still come are ended, so that uploads keep what came, and what is
//! left is cut. A connection ends with FIN: what a client sends meanwhile is read away. PROTOCOLS, "The balancer's part".

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use front::{Arrival, Front, Transport};
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::CONNECTION;
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use metrics_exporter_prometheus::PrometheusHandle;
use registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::limits::Limits;
use crate::lingering::Lingering;
use crate::meter::Meter;
use crate::mounted::{Mounted, Mounts};
use crate::pages::{self, Info, PageState, Report};
use crate::passing_on::PassedOn;
use crate::reply;
use crate::service::{Beside, HeldTo, Service};
use crate::settings::Settings;
use crate::stalled_writes::StalledWrites;

/// Connections beyond the limit that are answered, with 429, at once.
const REFUSALS_MAX: usize = 256;
/// How long to wait when the system has no more sockets for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client that was refused may go on sending before it is cut; it reads the reply meanwhile.
const LINGER_MAX: Duration = Duration::from_secs(5);
/// After a stop, how long a connection that has not said anything yet may still begin.
const FIRST_WORD_MAX: Duration = Duration::from_millis(500);
/// After the drain deadline, how long uploads may take to keep what came and to be told so.
const LAST_REPLIES_MAX: Duration = Duration::from_secs(6);
/// The most bytes that hyper holds of one HTTP/1 connection's input. Bodies are read through it: with half of it a push
/// costs more processor time, with twice as much it costs the same and takes more memory.
const HTTP1_BUFFER_MAX: usize = 256 * 1024;
/// The most headers of one request.
const HEADERS_MAX: usize = 128;
/// Requests at once on one HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 128;
/// How far a client may send ahead, on one HTTP/2 stream and on all of a connection.
const HTTP2_STREAM_WINDOW: u32 = 1024 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// How often a silent HTTP/2 client is asked whether it is there.
const HTTP2_PING: Duration = Duration::from_secs(30);
/// How often the exporter tidies its histograms.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// What a server is made of.
pub struct ServeParts {
    /// Where connections come from; all are served alike.
    pub listeners: Vec<TcpListener>,
    /// The use-cases.
    pub registry: Registry,
    /// Who may ask; without it nobody is asked who they are.
    pub access: Option<Access>,
    /// What other crates serve beside `/v2/`.
    pub mounted: Mounted,
    /// How much may be pulled and how often a password may be tried; without it nothing is counted.
    pub limits: Option<Limits>,
    /// Limits and times.
    pub settings: Settings,
    /// What connections go through before they speak HTTP.
    pub front: Front,
    /// What the page for people shows.
    pub info: Info,
    /// What `/readyz?verbose` tells beyond whether the node is ready.
    pub reports: Vec<Report>,
    /// What `/metrics` renders; without it there is no such page.
    pub metrics: Option<PrometheusHandle>,
    /// Cancelled when the server is to stop.
    pub shutdown: CancellationToken,
    /// Cancelled when nobody has to notice first that it stops: the drain delay is skipped.
    pub without_delay: CancellationToken,
    /// Cancelled, before `shutdown`, when the log is lost to this node: answers that have begun go on, and every other request
    /// ends without one, so that a balancer asks another node.
    pub without_answers: CancellationToken,
}

/// Serves until `shutdown`, then drains. Ends when the last connection has.
///
/// Dropping the future stops accepting and leaves connections to themselves: cancel `shutdown` instead.
pub async fn serve(parts: ServeParts) {
    let ServeParts {
        listeners,
        registry,
        access,
        mounted,
        limits,
        settings,
        front,
        info,
        reports,
        metrics,
        shutdown,
        without_delay,
        without_answers,
    } = parts;
    let draining = Arc::new(AtomicBool::new(false));
    let end_bodies = CancellationToken::new();
    let shared = Arc::new(Shared::new(Making {
        registry,
        access,
        mounted,
        limits,
        settings,
        front,
        info,
        reports,
        metrics: metrics.clone(),
        draining: Arc::clone(&draining),
        end_bodies: end_bodies.clone(),
        without_answers,
    }));
    let stop_accepting = CancellationToken::new();
    let acceptors = TaskTracker::new();
    for listener in listeners {
        acceptors.spawn(accept(
            listener,
            Arc::clone(&shared),
            stop_accepting.clone(),
        ));
    }
    acceptors.close();
    if let Some(handle) = metrics {
        let stop = shared.cut.clone();
        tokio::spawn(async move { stop.run_until_cancelled(keep_up(handle)).await });
    }
    shutdown.cancelled().await;
    draining.store(true, Ordering::Relaxed);
    let noticed = tokio::time::sleep(shared.settings.drain_delay);
    without_delay.run_until_cancelled(noticed).await;
    stop_accepting.cancel();
    acceptors.wait().await;
    shared.last_reply.cancel();
    shared.tasks.close();
    if !shared.ended_within(shared.settings.drain_deadline).await {
        tracing::warn!(
            connections = shared.tasks.len(),
            "the drain deadline has passed: uploads are kept as far as they came, and connections are cut"
        );
        end_bodies.cancel();
        shared.ended_within(LAST_REPLIES_MAX).await;
    }
    shared.cut.cancel();
    shared.tasks.wait().await;
}

/// What [`Shared`] is made of.
pub(crate) struct Making {
    pub(crate) registry: Registry,
    pub(crate) access: Option<Access>,
    pub(crate) mounted: Mounted,
    pub(crate) limits: Option<Limits>,
    pub(crate) settings: Settings,
    pub(crate) front: Front,
    pub(crate) info: Info,
    pub(crate) reports: Vec<Report>,
    pub(crate) metrics: Option<PrometheusHandle>,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) end_bodies: CancellationToken,
    pub(crate) without_answers: CancellationToken,
}

/// What all connections share.
pub(crate) struct Shared {
    service: Service,
    builder: auto::Builder<TokioExecutor>,
    connections: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    meter: Arc<Meter>,
    settings: Settings,
    front: Front,
    /// Cancelled when each reply is to be the last of its connection.
    last_reply: CancellationToken,
    /// Cancelled when connections are to end at once.
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Shared {
    pub(crate) fn new(making: Making) -> Shared {
        let settings = making.settings;
        let meter = Arc::new(Meter::new());
        let state = PageState {
            registry: making.registry.clone(),
            info: making.info,
            reports: making.reports,
            is_tls: making.front.tls().is_some(),
            metrics: making.metrics,
            draining: making.draining,
            was_ready: AtomicBool::new(false),
        };
        let service = Service::new(
            making.registry,
            HeldTo {
                access: making.access,
                limits: making.limits,
            },
            settings.clone(),
            Beside {
                pages: pages::router(state),
                mounts: Mounts::new(making.mounted),
            },
            Arc::clone(&meter),
            making.end_bodies,
            making.without_answers,
        );
        Shared {
            service,
            builder: connection_builder(&settings),
            connections: Arc::new(Semaphore::new(settings.connections_max)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            meter,
            front: making.front,
            last_reply: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            settings,
        }
    }

    /// Whether the last connection has ended by then.
    async fn ended_within(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }

    /// Serves a connection in a task of its own.
    fn take_on(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, place: Place) {
        // Without it the last bytes of a reply wait for an acknowledgement of those before.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Some((stream, arrival)) = shared.receive(stream, peer).await {
                connection(stream, arrival, place, shared).await;
            }
        });
    }

    /// The connection with what comes before HTTP behind it, unless it is refused or the server stops meanwhile.
    async fn receive(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<(Transport<TcpStream>, Arrival)> {
        let is_late = async {
            self.last_reply.cancelled().await;
            tokio::time::sleep(FIRST_WORD_MAX).await;
        };
        tokio::select! {
            biased;
            received = self.front.receive(stream, peer) => match received {
                Ok(received) => Some(received),
                Err(refused) => {
                    tracing::debug!(%peer, %refused, "a connection was refused");
                    None
                }
            },
            () = is_late => None,
            () = self.cut.cancelled() => None,
        }
    }
}

/// The right to a connection, given back when it is dropped.
pub(crate) struct Place {
    /// Whether the connection is served, or only told to come back.
    serves: bool,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn served(permit: OwnedSemaphorePermit) -> Place {
        Place {
            serves: true,
            _permit: permit,
        }
    }

    fn refused(permit: OwnedSemaphorePermit) -> Place {
        Place {
            serves: false,
            _permit: permit,
        }
    }
}

fn connection_builder(settings: &Settings) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.idle_timeout)
        .max_buf_size(HTTP1_BUFFER_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(settings.header_timeout)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(settings.header_bytes_max).unwrap_or(u32::MAX));
    builder
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let accepting = async {
        loop {
            let place = place(&shared).await;
            match listener.accept().await {
                Ok((stream, peer)) => shared.take_on(stream, peer, place),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accepting).await;
    // Those that the system has taken for us already would be reset.
    while let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned()
        && let Some(Ok((stream, peer))) = listener.accept().now_or_never()
    {
        shared.take_on(stream, peer, Place::served(permit));
    }
}

/// Waits for a place, so that what is beyond all limits waits in the system's queue and takes no memory of ours.
pub(crate) async fn place(shared: &Shared) -> Place {
    if let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() {
        return Place::served(permit);
    }
    let served = Arc::clone(&shared.connections).acquire_owned();
    let refused = Arc::clone(&shared.refusals).acquire_owned();
    tokio::select! {
        biased;
        permit = served => Place::served(permit.expect("the semaphore is never closed")),
        permit = refused => Place::refused(permit.expect("the semaphore is never closed")),
    }
}

/// Whether only the connection that was to be accepted has failed.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Serves one connection to its end.
pub(crate) async fn connection<S>(stream: S, arrival: Arrival, place: Place, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    shared.meter.connected();
    let spoke = Arc::new(AtomicBool::new(false));
    let is_left = Arc::new(AtomicBool::new(false));
    let serves = place.serves;
    let service = service_fn(|mut request: Request<Incoming>| {
        spoke.store(true, Ordering::Relaxed);
        let from = shared
            .front
            .place(&arrival, request.uri(), request.headers());
        request.extensions_mut().insert(from);
        let (shared, is_left) = (Arc::clone(&shared), Arc::clone(&is_left));
        async move {
            let is_http1 = request.version() < Version::HTTP_2;
            let mut reply = if serves {
                shared.service.answer(request).await?
            } else {
                shared.service.refuse(request)
            };
            if is_http1 && shared.last_reply.is_cancelled() {
                reply::close_connection(reply.headers_mut());
            }
            // Such a reply may come before the whole request did.
            if reply.headers().contains_key(CONNECTION) {
                is_left.store(true, Ordering::Relaxed);
            }
            Ok::<_, PassedOn>(reply)
        }
    });
    let transport = StalledWrites::new(stream, shared.settings.write_timeout);
    let transport = TokioIo::new(Lingering::new(transport, Arc::clone(&is_left), LINGER_MAX));
    let mut serving = pin!(shared.builder.serve_connection(transport, service));
    let mut first_request = pin!(tokio::time::sleep(shared.settings.header_timeout));
    let mut is_to_end = pin!(async {
        shared.last_reply.cancelled().await;
        if !spoke.load(Ordering::Relaxed) {
            tokio::time::sleep(FIRST_WORD_MAX).await;
        }
    });
    let (mut waits_for_first, mut may_go_on) = (true, true);
    let ended = loop {
        tokio::select! {
            biased;
            ended = serving.as_mut() => break ended,
            () = is_to_end.as_mut(), if may_go_on => {
                may_go_on = false;
                // The client may be sending just now.
                is_left.store(true, Ordering::Relaxed);
                serving.as_mut().graceful_shutdown();
            }
            () = shared.cut.cancelled() => break Ok(()),
            () = first_request.as_mut(), if waits_for_first => {
                waits_for_first = false;
                if !spoke.load(Ordering::Relaxed) {
                    break Ok(());
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %arrival.peer, error, "a connection ended with an error");
    }
    shared.meter.disconnected();
    drop(place);
}

async fn keep_up(handle: PrometheusHandle) {
    let mut tick = tokio::time::interval(METRICS_UPKEEP);
    loop {
        tick.tick().await;
        handle.run_upkeep();
    }
}
