//! The cluster gets its name, its first member and authority, its label, and the next format of its log. Rules 3.7 and
//! 5.6.

use super::authority;
use super::node::check_announcement;
use super::state::{State, Stop, invalid};
use super::upkeep;
use crate::LABEL_BYTES_MAX;
use crate::keys;
use crate::node::{FoundCluster, NodeRole, NodeRow, StorageWord};
use crate::object_key::ClusterId;
use crate::reply::{Refusal, Reply};

/// The number of the authority that a cluster begins with.
const FIRST_AUTHORITY: u32 = 1;

/// How many nodes one refusal names.
const NODES_NAMED_MAX: usize = 100;

/// [`crate::Command::InitializeCluster`].
pub(super) fn initialize(state: &mut State<'_>, cluster: ClusterId) -> Result<Reply, Stop> {
    if let Some(cluster) = state.cluster.cluster {
        return Err(Refusal::AlreadyInitialized { cluster }.into());
    }
    state.cluster.cluster = Some(cluster);
    Ok(Reply::Initialized { cluster })
}

/// [`crate::Command::FoundCluster`].
pub(super) fn found(state: &mut State<'_>, found: &FoundCluster) -> Result<Reply, Stop> {
    if state.is_founded() {
        return Err(Refusal::AlreadyFounded.into());
    }
    if found.node.0 == 0 {
        return Err(invalid("a node's id is above 0").into());
    }
    if state.cluster.storage.moving_to.is_some() {
        return Err(invalid("the blobs are being moved to another store").into());
    }
    check_announcement(state, &found.announcement)?;
    let now = state.now();
    let (certificate, key) = (&found.authority_certificate, &found.sealed_authority_key);
    authority::put(state, FIRST_AUTHORITY, certificate, key)?;
    let node = NodeRow {
        role: NodeRole::Member,
        key_hash: found.key_hash,
        announcement: found.announcement.clone(),
        joined: now,
        announced: now,
        removed: None,
        trust: authority::trust_of_a_new_node(state)?,
        storage: StorageWord::default(),
    };
    state.put(&keys::node(found.node), node)?;
    state.cluster.last_node = found.node.0;
    upkeep::note_next_format(state)?;
    Ok(Reply::Founded { node: found.node })
}

/// [`crate::Command::RaiseFormat`].
pub(super) fn raise_format(state: &mut State<'_>, to: u32) -> Result<Reply, Stop> {
    state.require_founded()?;
    let current = state.cluster.format;
    if to == current {
        return Ok(Reply::Done);
    }
    if to.checked_sub(1) != Some(current) {
        let reason = format!("the format is {current}; it is raised by one at a time");
        return Err(invalid(reason).into());
    }
    let behind = state.nodes()?.into_iter().filter_map(|(node, row)| {
        let is_behind = row.removed.is_none() && row.announcement.format_max < to;
        is_behind.then_some(node)
    });
    let nodes: Vec<_> = behind.take(NODES_NAMED_MAX).collect();
    if !nodes.is_empty() {
        return Err(Refusal::FormatUnsupported { nodes }.into());
    }
    state.cluster.format = to;
    // All others go on: a build that is older than what its node last said must not.
    state.check_format()?;
    upkeep::note_next_format(state)?;
    Ok(Reply::Done)
}

/// [`crate::Command::SetLabel`].
pub(super) fn set_label(state: &mut State<'_>, label: &str) -> Result<Reply, Stop> {
    if label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
        let reason =
            format!("a label has at most {LABEL_BYTES_MAX} bytes and no control characters");
        return Err(invalid(reason).into());
    }
    state.cluster.label = (!label.is_empty()).then(|| label.to_owned());
    Ok(Reply::Done)
}
