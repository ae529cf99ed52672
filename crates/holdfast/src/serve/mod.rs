//! Runs the registry: takes addresses and folder, puts the parts together, serves, and stops in order.
//!
//! The order of a start is that of what can go wrong most often: addresses, folder, store, log. The order of a stop is
//! PROTOCOLS, "The balancer's part": readiness fails, the lead is handed over, connections are drained, the sweep ends,
//! the log is closed.

mod blob_follow;
mod blob_move;
mod blob_place;
mod client_port;
mod data_folder;
mod exposure;
mod file_limit;
mod greeting;
mod guard;
mod late_proofs;
mod late_store;
mod listen;
mod logins;
mod management_port;
mod metrics;
mod node;
mod parent;
mod peer_port;
mod session_settings;
mod stop;

pub use blob_move::{BlobMove, MoveState};
pub use data_folder::{DataFolder, blobs_below};
pub use exposure::{check as check_exposure, check_trial as check_trial_exposure};
pub use file_limit::raise as raise_file_limit;
pub use greeting::name_for_clients;
pub use listen::listen;
pub use parent::end_with_stdin;
pub use peer_port::{default_address as default_peer_address, take as take_peer_port};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use auth::outside::Outside;
use blobs::StorageSettings;
use front::Front;
use ports::{BlobStore, RandomIds};
use registry::{MovableStore, Parts, Registry, SweepPermit, Sweeper};
use sessions::Sessions;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::access;
use crate::config::{AccessMode, Configuration, api_settings, registry_settings, storage_settings};
use crate::control;
use crate::failure::Failure;
use crate::version;

use guard::Guard;
use late_store::LateStore;
pub use node::Node;
use node::Opening;
use session_settings::sessions_settings;
use stop::Asked;
pub use stop::StopSignals;

/// How long a node without its log sends what it has begun to send.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(10);
/// How long the durable steps of requests whose client has gone may take once nothing new is taken.
const STEPS_END_MAX: Duration = Duration::from_secs(15);

/// How long the work of other threads is waited for once everything is stopped.
const THREADS_END_MAX: Duration = Duration::from_secs(2);

/// Runs until it is told to stop.
///
/// # Errors
/// When it cannot start, or had to stop by itself.
pub fn run(configuration: Configuration) -> Result<(), Failure> {
    crate::logging::start(&configuration.settings);
    #[cfg(feature = "failpoints")]
    crate::steps::arm()?;
    file_limit::raise(configuration.settings.server.connections_max);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the threads cannot be started: {error}")))?;
    let ended = runtime.block_on(serve(&configuration));
    runtime.shutdown_timeout(THREADS_END_MAX);
    ended
}

async fn serve(configuration: &Configuration) -> Result<(), Failure> {
    let settings = &configuration.settings;
    exposure::check(&settings.server.listen, settings)?;
    let mut signals = StopSignals::install()?;
    let listening = listen::listen(&settings.server.listen, configuration.listen_was_chosen())?;
    let data =
        data_folder::DataFolder::open(&settings.server.data, settings.server.free_space_min)?;
    crate::crypto::install();
    let metrics = metrics::install()?;
    let sessions = Sessions::start(&sessions_settings(settings)?);
    let sessions = Arc::new(sessions.map_err(|error| Failure::new(error.to_string()))?);
    let storage = storage_settings(settings, &data.blobs());
    let movable = MovableStore::new(open_blobs(&storage).await?);
    let blobs: Arc<dyn BlobStore> = Arc::new(movable.clone());
    let log = Arc::new(LateStore::new());
    let registry = Registry::new(Parts {
        metadata: Arc::clone(&log) as _,
        blobs: Arc::clone(&blobs),
        ids: Arc::new(RandomIds),
        settings: registry_settings(settings),
    });
    let outside = logins::open(settings.access.logins.as_deref()).await?;
    let stop = CancellationToken::new();
    if let Some(outside) = &outside {
        logins::follow(outside, stop.clone());
    }
    let moves = BlobMove::new(registry.clone(), movable.clone(), storage, stop.clone());
    let addresses: Vec<SocketAddr> = listening
        .listeners
        .iter()
        .filter_map(|l| l.local_addr().ok())
        .collect();
    let port = client_port::open(settings, data.path(), &addresses, &stop).await?;
    let passwords = management_port::passwords();
    let guard = Guard::new(
        Arc::clone(&log) as _,
        passwords.clone(),
        &settings.access.service,
        outside.as_ref(),
    );
    let doorkeeper = Some(guard.doorkeeper());
    let tokens = guard.token_parts(&registry, &sessions, api_settings(settings).hold);
    let mounted = api::Mounted {
        auth: Some(token_service::router(tokens)),
        ..management_port::mounted(&registry, passwords, doorkeeper, &sessions)
    };
    let without_delay = CancellationToken::new();
    let without_answers = CancellationToken::new();
    let server = api::serve(api::ServeParts {
        listeners: listening.listeners,
        registry: registry.clone(),
        access: Some(guard.access()),
        mounted,
        limits: Some(limits(&sessions)),
        settings: api_settings(settings),
        front: port.front.clone(),
        reports: reports(&port.front, &sessions, outside.as_ref()),
        info: api::Info {
            version: version::VERSION.to_owned(),
            revision: Some(version::REVISION.to_owned()),
            addresses: addresses
                .iter()
                .map(|address| greeting::name_for_clients(*address))
                .collect(),
        },
        metrics: Some(metrics),
        shutdown: stop.clone(),
        without_delay: without_delay.clone(),
        without_answers: without_answers.clone(),
    });
    // It answers from now on, `/healthz` at least: the rest waits until the log is there.
    let mut server = tokio::spawn(server);
    let opening = Opening {
        settings,
        data: &data,
        blobs: Arc::new(movable.unguarded()),
        moves: &moves,
        client_address: addresses
            .first()
            .map(ToString::to_string)
            .unwrap_or_default(),
    };
    let node = tokio::select! {
        node = Node::open(opening) => node?,
        _ = signals.next() => return Ok(()),
    };
    // Before anybody reads or writes a blob.
    tokio::select! {
        () = moves.follow(node.cluster(), node.store()) => {}
        _ = signals.next() => return Ok(()),
    }
    guard.open(node.cluster());
    let control = control::serve(&data, &node, settings, &moves)?;
    let access = node.access();
    // Before anybody is served.
    let switched = tokio::select! {
        switched = access::at_start(&access, &settings.access) => switched?,
        failure = node.ended() => return Err(failure),
        _ = signals.next() => return Ok(()),
    };
    log.open(node.store());
    let noted = (settings.access.mode == AccessMode::Off)
        .then(|| AbortOnDropHandle::new(tokio::spawn(access::note_what_the_log_says(access))));
    let cluster = node.cluster().clone();
    let permit: SweepPermit = Arc::new(move || {
        let cluster = cluster.clone();
        Box::pin(async move { cluster.may_collect().await })
    });
    let sweeper = Sweeper::new(registry.clone()).permitted_by(permit);
    let sweep = tokio::spawn(sweeper.run(stop.clone()));
    crate::print(&greeting::greeting(&greeting::Started {
        addresses: &addresses,
        passed_over: &listening.passed_over,
        is_tls: port.front.tls().is_some(),
        trust: port.trust.as_ref(),
        data: data.path(),
        blobs: &blobs.describe(),
        access: &switched,
    }))?;
    drop(switched);
    tracing::info!(version = version::VERSION, revision = version::REVISION, data = %data.path().display(), "started");

    let asked = tokio::select! {
        asked = signals.next() => asked,
        failure = node.ended() => {
            // Removed from its cluster, or without its log: it can answer nothing more, and ends what it has begun to send.
            without_answers.cancel();
            without_delay.cancel();
            stop.cancel();
            // A slow client's answer is cut after that.
            drop(tokio::time::timeout(LAST_ANSWERS_MAX, &mut server).await);
            return Err(failure);
        }
    };
    tracing::info!(
        signal = asked.name(),
        "stopping: requests in flight are finished; another signal ends it at once"
    );
    if asked == Asked::AtTerminal {
        without_delay.cancel();
    }
    node.cluster().drain();
    stop.cancel();
    let ended = async { tokio::join!(&mut server, node.hand_over()).0 };
    tokio::select! {
        ended = ended => ended.map_err(|error| Failure::new(format!("the HTTP server failed: {error}")))?,
        _ = signals.next() => {
            return Err(Failure::new("stopped at once: requests in flight were cut; what was acknowledged is safe"));
        }
    }
    sweep
        .await
        .map_err(|error| Failure::new(format!("the sweep failed: {error}")))?;
    drained(&registry).await;
    drop((control, noted));
    moves.ended().await;
    node.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// What counts pulls and failed logins.
fn limits(sessions: &Sessions) -> api::Limits {
    let pulls = sessions.pull_limits();
    api::Limits {
        gate: sessions.pull_gate(),
        account: pulls.account,
        address: pulls.address,
    }
}

/// What `/readyz?verbose` tells.
fn reports(
    front: &Front,
    sessions: &Arc<Sessions>,
    outside: Option<&Arc<Outside>>,
) -> Vec<api::Report> {
    let tls = front.tls().map(Arc::clone);
    let tls = tls.map(|tls| api::Report {
        name: "tls",
        tell: Arc::new(move || tls.report()),
    });
    let sessions = Arc::clone(sessions);
    let sessions = api::Report {
        name: "sessions",
        tell: Arc::new(move || sessions.status().without_cause()),
    };
    let ldap = outside.and_then(logins::report);
    tls.into_iter().chain([sessions]).chain(ldap).collect()
}

async fn open_blobs(storage: &StorageSettings) -> Result<Arc<dyn BlobStore>, Failure> {
    let opened = blobs::open(storage).await;
    opened
        .map_err(|failure| Failure::new(format!("{failure}; `holdfast storage check` tells more")))
}

/// Lets the durable steps of cut requests end, within a bound.
async fn drained(registry: &Registry) {
    if tokio::time::timeout(STEPS_END_MAX, registry.drained())
        .await
        .is_err()
    {
        tracing::warn!(
            "steps of cut requests are left half-way: their uploads go on at the last acknowledged offset"
        );
    }
}
