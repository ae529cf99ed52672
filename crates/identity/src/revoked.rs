//! The nodes that were removed from the cluster and whose certificates no handshake accepts any more.

use std::collections::BTreeSet;

use crate::node::NodeId;

/// The ids of removed nodes. An id is never given twice, so that a set of ids is a list of revoked certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revoked(BTreeSet<NodeId>);

impl Revoked {
    /// Whether `node` was removed.
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.contains(&node)
    }

    /// The ids, in their order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<NodeId> for Revoked {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Revoked {
        Revoked(nodes.into_iter().collect())
    }
}
