//! Nodes join, say what they are, and are removed. Rules 5.6 and 5.7.
//!
//! A node is its key: the same key gets the same id again, and a removed one none. Removed nodes are remembered until every
//! certificate that they could show has ended long ago, and forgotten a few with each node that joins.

use super::state::{State, Stop, invalid};
use super::{authority, upkeep};
use crate::NODES_MAX;
use crate::keys;
use crate::node::{
    JoinNode, JoinProof, JoinTokenId, JoinTokenRow, NodeAnnouncement, NodeId, NodeRole, NodeRow,
    StorageWord,
};
use crate::reply::{Refusal, Reply};

/// How long a removed member is remembered, in milliseconds: 400 days, more than ten times the life of a certificate.
const REMOVED_MEMBER_KEPT_MS: u64 = 400 * 24 * 60 * 60 * 1000;

/// How long a removed gateway is remembered, in milliseconds: 60 days, twice the life of a certificate. Where gateways come
/// and go with the load there are many.
const REMOVED_GATEWAY_KEPT_MS: u64 = 60 * 24 * 60 * 60 * 1000;

/// How many removed nodes are forgotten by one entry.
const FORGOTTEN_PER_ENTRY_MAX: usize = 100;

/// [`crate::Command::JoinNode`].
pub(super) fn join(state: &mut State<'_>, join: &JoinNode) -> Result<Reply, Stop> {
    state.require_founded()?;
    let token = known_token(state, &join.proof)?;
    check_announcement(state, &join.announcement)?;
    let nodes = state.nodes()?;
    let same_key = |(_, row): &&(NodeId, NodeRow)| row.key_hash == join.key_hash;
    if let Some((node, row)) = nodes.iter().find(same_key) {
        return join_again(state, *node, row.clone(), join);
    }
    if let Some((_, row)) = &token {
        check_token(state, row, join.role)?;
    }
    let forgotten = long_removed(state, &nodes);
    if nodes.len() - forgotten.len() >= NODES_MAX {
        let reason = format!("the cluster remembers {NODES_MAX} nodes, and cannot take more");
        return Err(invalid(reason).into());
    }
    let node = state.cluster.last_node.checked_add(1).map(NodeId);
    let node = node.ok_or_else(|| invalid("no id is left for a node"))?;
    state.cluster.last_node = node.0;
    for forgotten in forgotten {
        state.remove(&keys::node(forgotten))?;
    }
    if let Some((token, mut row)) = token {
        row.used = Some(node);
        state.put(&keys::join_token(token), row)?;
    }
    let now = state.now();
    let trust = authority::trust_of_a_new_node(state)?;
    let row = NodeRow {
        role: join.role,
        key_hash: join.key_hash,
        announcement: join.announcement.clone(),
        joined: now,
        announced: now,
        removed: None,
        trust,
        storage: StorageWord::default(),
    };
    state.put(&keys::node(node), row)?;
    upkeep::note_next_format(state)?;
    Ok(Reply::NodeJoined { node })
}

/// A joiner that did not hear the answer asks again with its key; its token may be used or expired by now.
fn join_again(
    state: &mut State<'_>,
    node: NodeId,
    row: NodeRow,
    join: &JoinNode,
) -> Result<Reply, Stop> {
    if row.removed.is_some() {
        return Err(Refusal::NodeRemoved.into());
    }
    if row.role != join.role {
        let reason = format!("the key is that of node {node}, which is a {}", row.role);
        return Err(invalid(reason).into());
    }
    announced(state, node, row, &join.announcement)?;
    Ok(Reply::NodeJoined { node })
}

/// The token that the joiner knows the secret of; `None` when it needs none.
fn known_token(
    state: &State<'_>,
    proof: &JoinProof,
) -> Result<Option<(JoinTokenId, JoinTokenRow)>, Stop> {
    match proof {
        JoinProof::BootstrapSecret => Ok(None),
        JoinProof::Token { token, hash } => {
            let row = state.get(&keys::join_token(*token))?;
            let row = row.filter(|row| row.hash == *hash);
            Ok(Some((*token, row.ok_or(Refusal::TokenUnknown)?)))
        }
    }
}

fn check_token(state: &State<'_>, token: &JoinTokenRow, role: NodeRole) -> Result<(), Refusal> {
    if let Some(node) = token.used {
        return Err(Refusal::TokenUsed { node });
    }
    if state.now() >= token.expires {
        return Err(Refusal::TokenExpired);
    }
    if token.role != role {
        return Err(Refusal::TokenRole { role: token.role });
    }
    Ok(())
}

fn long_removed(state: &State<'_>, nodes: &[(NodeId, NodeRow)]) -> Vec<NodeId> {
    let (upkeep, now) = (&state.cluster.upkeep, state.now());
    let is_old = |row: &NodeRow| {
        let kept_ms = match row.role {
            NodeRole::Member => REMOVED_MEMBER_KEPT_MS,
            NodeRole::Gateway => REMOVED_GATEWAY_KEPT_MS,
        };
        let removed = row.removed;
        removed.is_some_and(|removed| upkeep.has_passed(removed, kept_ms, now))
    };
    let old = nodes.iter().filter(|(_, row)| is_old(row));
    old.map(|(node, _)| *node)
        .take(FORGOTTEN_PER_ENTRY_MAX)
        .collect()
}

/// [`crate::Command::AnnounceNode`].
pub(super) fn announce(
    state: &mut State<'_>,
    node: NodeId,
    announcement: &NodeAnnouncement,
) -> Result<Reply, Stop> {
    let row = find(state, node)?;
    if row.removed.is_some() {
        return Err(Refusal::NodeRemoved.into());
    }
    check_announcement(state, announcement)?;
    announced(state, node, row, announcement)?;
    Ok(Reply::Done)
}

fn announced(
    state: &mut State<'_>,
    node: NodeId,
    mut row: NodeRow,
    announcement: &NodeAnnouncement,
) -> Result<(), Stop> {
    row.announcement = announcement.clone();
    row.announced = state.now();
    state.put(&keys::node(node), row)?;
    upkeep::note_next_format(state)
}

/// [`crate::Command::RemoveNode`].
pub(super) fn remove(state: &mut State<'_>, node: NodeId) -> Result<Reply, Stop> {
    let mut row = find(state, node)?;
    if row.removed.is_some() {
        return Ok(Reply::Done);
    }
    let is_other_member = |(other, row): &(NodeId, NodeRow)| {
        *other != node && row.role == NodeRole::Member && row.removed.is_none()
    };
    if row.role == NodeRole::Member && !state.nodes()?.iter().any(is_other_member) {
        return Err(Refusal::LastMember.into());
    }
    row.removed = Some(state.now());
    state.put(&keys::node(node), row)?;
    upkeep::note_next_format(state)?;
    Ok(Reply::Done)
}

pub(super) fn find(state: &State<'_>, node: NodeId) -> Result<NodeRow, Stop> {
    let row = state.get(&keys::node(node))?;
    Ok(row.ok_or(Refusal::NodeUnknown)?)
}

/// Refuses what the log does not take, and a build that does not understand it.
pub(super) fn check_announcement(
    state: &State<'_>,
    announcement: &NodeAnnouncement,
) -> Result<(), Refusal> {
    announcement
        .check()
        .map_err(|error| invalid(error.to_string()))?;
    let needed = state.cluster.format;
    if announcement.format_max < needed {
        return Err(Refusal::FormatTooOld { needed });
    }
    Ok(())
}
