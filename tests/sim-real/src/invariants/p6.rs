//! P6, deterministic: members that have applied the same entries hold the same rows.

use std::collections::BTreeMap;

use metadata_raft::simulation::StateHash;

use crate::network::NodeId;

/// Members are looked at so often, in milliseconds: reading every row is dear.
const EVERY_MS: u64 = 20;

/// What was seen so far.
#[derive(Default)]
pub struct States {
    seen: BTreeMap<u64, (StateHash, NodeId)>,
    looked: BTreeMap<NodeId, (u64, u64)>,
    /// How often two states were compared.
    pub compared: u64,
}

impl States {
    /// Whether a member that has applied `index` is to be looked at now.
    pub fn is_due(&mut self, node: NodeId, index: u64, now: u64) -> bool {
        let (before, at) = self.looked.get(&node).copied().unwrap_or_default();
        let is_due = index != before && now >= at + EVERY_MS;
        if is_due {
            self.looked.insert(node, (index, now));
        }
        is_due
    }

    /// Compares a state with those seen before.
    ///
    /// # Errors
    /// When they differ.
    pub fn note(&mut self, node: NodeId, state: StateHash) -> Result<(), String> {
        let (before, other) = *self.seen.entry(state.index.0).or_insert((state, node));
        if other != node {
            self.compared += 1;
        }
        if before == state {
            return Ok(());
        }
        Err(format!(
            "P6: after entry {} node {other} held {:016x} of term {} and node {node} holds {:016x} of term {}",
            state.index.0, before.rows, before.term, state.rows, state.term
        ))
    }
}
