//! Every node follows the log's table of nodes: whom to refuse, where the members are, and whether it still belongs to the
//! cluster itself.

use std::sync::{Arc, Weak};
use std::time::Duration;

use identity::{NodeId, Role};
use metadata::{Answer, Command, NodeView, Query, Refusal, Reply};
use ports::Deadline;
use tokio::time::Instant;

use crate::node::{Log, Shared, client_members};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A gateway says so often that it is there: one of which nothing is heard for a day is removed.
const HEARD_OF_EVERY: Duration = Duration::from_secs(60 * 60);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Follows as long as the node lives.
pub(crate) async fn follow(shared: Weak<Shared>) {
    let mut known = Known::default();
    while let Some(shared) = shared.upgrade() {
        known.look(&shared).await;
        drop(shared);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What was seen last, so that only changes have effects.
#[derive(Default)]
struct Known {
    members: Vec<(NodeId, String)>,
    removed: Vec<NodeId>,
    /// When the log took what this process says of itself.
    announced: Option<Instant>,
}

impl Known {
    async fn look(&mut self, shared: &Arc<Shared>) {
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        let nodes = match shared.store().read(Query::Nodes, deadline).await {
            Ok(answered) => match answered.answer {
                Answer::Nodes { nodes } => nodes,
                _ => return,
            },
            Err(failure) => {
                tracing::debug!(%failure, "the nodes of the cluster are not known now");
                return;
            }
        };
        let own = nodes.iter().find(|node| node.node == shared.node());
        if own.is_none_or(|own| own.removed.is_some()) {
            shared.end(removed(shared.node()));
            return;
        }
        self.refuse_removed(shared, &nodes);
        self.learn_members(shared, &nodes).await;
        let is_heard = self
            .announced
            .is_some_and(|at| shared.role() == Role::Member || at.elapsed() < HEARD_OF_EVERY);
        if !is_heard || own.is_none_or(|own| own.announcement != *shared.announcement()) {
            self.announce(shared).await;
        }
    }

    fn refuse_removed(&mut self, shared: &Shared, nodes: &[NodeView]) {
        let removed = nodes.iter().filter(|node| node.removed.is_some());
        let removed: Vec<NodeId> = removed.map(|node| node.node).collect();
        if removed != self.removed
            && let Some(credentials) = shared.credentials()
        {
            credentials.replace_revoked(removed.iter().copied().collect());
            self.removed = removed;
        }
    }

    async fn learn_members(&mut self, shared: &Shared, nodes: &[NodeView]) {
        let members = members_of(nodes);
        if members == self.members {
            return;
        }
        if let Log::Gateway(client) = shared.log() {
            client.set_members(client_members(&members));
        }
        let (folder, saved) = (shared.folder().clone(), members.clone());
        let saved = crate::join::blocking(move || folder.save_members(&saved)).await;
        if let Err(error) = saved {
            tracing::warn!(%error, "the members' addresses cannot be kept for the next start");
        }
        self.members = members;
    }

    async fn announce(&mut self, shared: &Shared) {
        let announcement = (*shared.announcement()).clone();
        let command = Command::AnnounceNode {
            node: shared.node(),
            announcement,
        };
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        match shared.store().propose(command, deadline).await {
            Ok(Reply::Refused(Refusal::FormatTooOld { needed })) => shared.end(format!(
                "the cluster's log has format {needed}, which this version of Holdfast does not know: run the version that the other nodes run"
            )),
            Ok(Reply::Refused(refusal)) => {
                tracing::warn!(?refusal, "the log does not take what this node says of itself");
                self.announced = Some(Instant::now());
            }
            Ok(_) => self.announced = Some(Instant::now()),
            Err(failure) => tracing::debug!(%failure, "this node could not announce itself yet"),
        }
    }
}

/// What a node says at its end that was removed.
pub(crate) fn removed(node: NodeId) -> String {
    format!(
        "node {node} was removed from the cluster, by an operator or as a gateway that was not heard of for a day: to come back, it joins with an empty data folder and a new token"
    )
}

/// The members that are not removed, and where they are.
pub(crate) fn members_of(nodes: &[NodeView]) -> Vec<(NodeId, String)> {
    let members = nodes
        .iter()
        .filter(|node| node.role == Role::Member && node.removed.is_none());
    members
        .map(|node| (node.node, node.announcement.peer_address.clone()))
        .collect()
}
