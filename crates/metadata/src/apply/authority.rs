//! The cluster's authority is rotated: a new one is believed by all, then it signs, then the old one ends. Rule 5.16.
//!
//! There are one or two. Each step is refused until every node that was not removed has said that it has got so far, so that no
//! node ever meets a certificate whose authority it does not believe. Each step may be asked for again.

use bytes::Bytes;

use super::node;
use super::state::{State, Stop, invalid};
use crate::AUTHORITY_BYTES_MAX;
use crate::answer::signing;
use crate::keys::{self, Range};
use crate::node::{AuthorityRow, NodeId, NodeRow, NodeTrust};
use crate::reply::{Refusal, Reply};
use crate::tables::TableId;

/// How many nodes one refusal names.
const NODES_NAMED_MAX: usize = 100;

/// Keeps an authority under `number`.
pub(super) fn put(
    state: &mut State<'_>,
    number: u32,
    certificate: &Bytes,
    sealed_key: &Bytes,
) -> Result<(), Stop> {
    if certificate.len().max(sealed_key.len()) > AUTHORITY_BYTES_MAX {
        return Err(invalid("an authority larger than the log takes").into());
    }
    let row = AuthorityRow {
        certificate: certificate.clone(),
        sealed_key: sealed_key.clone(),
        created: state.now(),
    };
    state.put(&keys::authority(number), row)
}

/// What a node has that joins now.
pub(super) fn trust_of_a_new_node(state: &State<'_>) -> Result<NodeTrust, Stop> {
    let numbers = numbers(state)?;
    Ok(NodeTrust {
        believes: numbers.last().copied().unwrap_or(0),
        signed_by: signing(&numbers, state.cluster.next_authority_signs),
    })
}

/// [`crate::Command::AddAuthority`].
pub(super) fn add(
    state: &mut State<'_>,
    certificate: &Bytes,
    sealed_key: &Bytes,
) -> Result<Reply, Stop> {
    state.require_founded()?;
    let [number] = numbers(state)?[..] else {
        return Err(invalid("the authority is being rotated already").into());
    };
    let next = number
        .checked_add(1)
        .ok_or_else(|| invalid("no number is left for an authority"))?;
    put(state, next, certificate, sealed_key)?;
    state.cluster.next_authority_signs = false;
    Ok(Reply::Done)
}

/// [`crate::Command::NoteTrust`].
pub(super) fn note_trust(
    state: &mut State<'_>,
    node: NodeId,
    trust: NodeTrust,
) -> Result<Reply, Stop> {
    let mut row = node::find(state, node)?;
    if row.removed.is_some() {
        return Err(Refusal::NodeRemoved.into());
    }
    row.trust = trust;
    state.put(&keys::node(node), row)?;
    Ok(Reply::Done)
}

/// [`crate::Command::SignWithNextAuthority`].
pub(super) fn sign_with_next(state: &mut State<'_>) -> Result<Reply, Stop> {
    if let [_, next] = numbers(state)?[..]
        && !state.cluster.next_authority_signs
    {
        require_all(state, |trust| trust.believes >= next)?;
        state.cluster.next_authority_signs = true;
    }
    Ok(Reply::Done)
}

/// [`crate::Command::DropAuthority`].
pub(super) fn drop_older(state: &mut State<'_>) -> Result<Reply, Stop> {
    let [older, next] = numbers(state)?[..] else {
        return Ok(Reply::Done);
    };
    if !state.cluster.next_authority_signs {
        return Err(invalid("the old authority signs still").into());
    }
    require_all(state, |trust| trust.signed_by >= next)?;
    state.remove(&keys::authority(older))?;
    state.cluster.next_authority_signs = false;
    Ok(Reply::Done)
}

fn numbers(state: &State<'_>) -> Result<Vec<u32>, Stop> {
    let all = Range::all(TableId::Authority);
    state.collect(&all, usize::MAX, |key, _: AuthorityRow| {
        keys::read_authority(key)
    })
}

fn require_all(state: &State<'_>, has: impl Fn(NodeTrust) -> bool) -> Result<(), Stop> {
    let is_behind = |row: &NodeRow| row.removed.is_none() && !has(row.trust);
    let nodes = state.nodes()?.into_iter();
    let behind = nodes
        .filter(|(_, row)| is_behind(row))
        .map(|(node, _)| node);
    let nodes: Vec<NodeId> = behind.take(NODES_NAMED_MAX).collect();
    match nodes.is_empty() {
        true => Ok(()),
        false => Err(Refusal::NodesBehind { nodes }.into()),
    }
}
