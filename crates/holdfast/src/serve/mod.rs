//! Runs the registry: takes addresses and folder, puts the parts together, serves, and stops in order.
//!
//! The order of a start is that of what can go wrong most often: addresses, folder, store, log. The order of a stop is
//! PROTOCOLS, "The balancer's part": readiness fails, the lead is handed over, connections are drained, the sweep ends,
//! the log is closed.

mod data_folder;
mod file_limit;
mod greeting;
mod listen;
mod metrics;
mod node;
mod parent;
mod stop;

pub use data_folder::{DataFolder, blobs_below};
pub use file_limit::raise as raise_file_limit;
pub use greeting::name_for_clients;
pub use listen::listen;
pub use parent::end_with_stdin;

use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::{Configuration, api_settings};
use crate::failure::Failure;
use crate::version;

use node::Node;
use stop::Asked;
pub use stop::StopSignals;

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
    let mut signals = StopSignals::install()?;
    let listening = listen::listen(&settings.server.listen, configuration.listen_was_chosen())?;
    let data =
        data_folder::DataFolder::open(&settings.server.data, settings.server.free_space_min)?;
    crate::crypto::install();
    let metrics = metrics::install()?;
    let node = tokio::select! {
        node = Node::open(settings, &data) => node?,
        _ = signals.next() => return Ok(()),
    };
    let addresses: Vec<SocketAddr> = listening
        .listeners
        .iter()
        .filter_map(|l| l.local_addr().ok())
        .collect();
    let stop = CancellationToken::new();
    let without_delay = CancellationToken::new();
    let server = api::serve(api::ServeParts {
        listeners: listening.listeners,
        registry: node.registry(),
        settings: api_settings(settings),
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
    });
    let mut server = tokio::spawn(server);
    let sweep = tokio::spawn(node.sweeper().run(stop.clone()));
    crate::print(&greeting::greeting(
        &addresses,
        &listening.passed_over,
        data.path(),
        &node.blobs_are_in(),
    ))?;
    tracing::info!(version = version::VERSION, revision = version::REVISION, data = %data.path().display(), "started");

    let asked = tokio::select! {
        asked = signals.next() => asked,
        failure = node.ended() => return Err(failure),
    };
    tracing::info!(
        signal = asked.name(),
        "stopping: requests in flight are finished; another signal ends it at once"
    );
    if asked == Asked::AtTerminal {
        without_delay.cancel();
    }
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
    node.close().await;
    tracing::info!("stopped");
    Ok(())
}
