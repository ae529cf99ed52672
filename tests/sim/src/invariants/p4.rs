//! P4, available: once the faults have stopped, every request is served again, through every node, within a bound.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::census::Kind;
use crate::clients::Client;
use crate::world::World;

/// A request after the heal was served.
pub const SERVED: &str = "P4 served after the heal";

/// The longest that a push of a small image may take then.
const PUSH_MAX: Duration = Duration::from_secs(5);

/// Pushes an image through a node, which has to be served.
pub async fn check_served(world: &Arc<World>, auditor: &Client, node: u64) {
    world.census.count(Kind::Invariant, SERVED);
    let began = Instant::now();
    if let Err(problem) = auditor.push_through(node).await {
        world.breach(
            "P4",
            format!("node {node} does not serve after the heal: {problem}"),
        );
    } else if began.elapsed() > PUSH_MAX {
        world.breach(
            "P4",
            format!(
                "node {node} takes {:?} for a push after the heal",
                began.elapsed()
            ),
        );
    }
}
