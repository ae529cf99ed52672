//! Work that blocks: on threads that may block, or, in a simulation, in the task that asks for it.
//!
//! A simulated run has one thread, so that one seed always gives the same run. Which of the two it is, is said once per
//! thread, by `simulation::begin`; without the feature `simulation` there is nothing to say and nothing to look at.

use tokio::task::JoinError;

/// Runs `work` where it may block, and gives what it made.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    #[cfg(feature = "simulation")]
    if crate::simulation::is_on() {
        crate::simulation::disk_pause().await;
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}
