//! Runs the registry: takes addresses and folder, puts the parts together, serves, and stops in order.

mod data_folder;
mod greeting;
mod listen;

use crate::config::Configuration;
use crate::failure::Failure;

/// Runs until it is told to stop.
///
/// # Errors
/// When it cannot start, or had to stop by itself.
pub fn run(configuration: Configuration) -> Result<(), Failure> {
    crate::logging::start(&configuration.settings);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the threads cannot be started: {error}")))?;
    runtime.block_on(serve(configuration))
}

async fn serve(configuration: Configuration) -> Result<(), Failure> {
    let server = &configuration.settings.server;
    let listening = listen::listen(&server.listen, configuration.listen_was_chosen())?;
    let data = data_folder::DataFolder::open(&server.data, server.free_space_min)?;
    let _ = (data.path(), data.blobs(), data.metadata());
    let addresses: Vec<_> = listening
        .listeners
        .iter()
        .filter_map(|l| l.local_addr().ok())
        .collect();
    crate::print(&greeting::greeting(
        &addresses,
        &listening.passed_over,
        data.path(),
        "b",
    ))
}
