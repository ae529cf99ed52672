//! Who leads, as the nodes' own metrics tell it; for the picture only. A cluster without them is shown without.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::World;
use crate::client::{Client, get};

/// The gauge that is the id of who leads, and 0 when the node knows of none.
const LEADER: &str = "holdfast_metadata_leader ";

/// The gauge that is the term in which it leads: a node that is cut off tells of an earlier one.
const TERM: &str = "holdfast_metadata_term ";

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// One look may take so long.
const LOOK_MAX: Duration = Duration::from_secs(1);

pub(super) async fn watch(world: Arc<World>) {
    let (mut turn, mut term) = (0, 0.0);
    let mut clients: Vec<Client> = Vec::new();
    for (_, node) in &world.plan.nodes {
        clients.push(Client::new(node.clone()));
    }
    while !clients.is_empty() {
        turn = (turn + 1) % clients.len();
        let asked = ask(&mut clients[turn]);
        if let Ok(Some((told, leader))) = tokio::time::timeout(LOOK_MAX, asked).await
            && told >= term
        {
            term = told;
            world.timeline.leads(&leader);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn ask(client: &mut Client) -> Option<(f64, String)> {
    let reply = client.call(get("/metrics").ok()?, &[StatusCode::OK]).await;
    let body = reply.ok()?.into_body();
    let text = String::from_utf8_lossy(&body);
    let value = |name| text.lines().find_map(|line| line.strip_prefix(name));
    // A gateway has no term of its own, and a member without a leader has none to tell.
    let (term, leader) = (value(TERM)?.parse().ok()?, value(LEADER)?);
    (leader != "0").then(|| (term, leader.to_owned()))
}
