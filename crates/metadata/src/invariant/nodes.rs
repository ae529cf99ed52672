//! Who belongs to the cluster: ids and keys are never given twice, and there is always a member. Rules 3.7,
//! 5.6 and 5.7.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, all};
use crate::FORMAT;
use crate::keys;
use crate::node::{AuthorityRow, JoinTokenRow, NodeRole, NodeRow};
use crate::rows::ClusterRow;
use crate::tables::{ReadTables, TableId};
use crate::typed;

fn broken(what: String) -> Result<(), Broken> {
    Err(Broken::Contradiction(what))
}

fn cluster(tables: &dyn ReadTables) -> Result<Option<ClusterRow>, Broken> {
    Ok(typed::get(tables, &keys::cluster())?)
}

/// No id is above the last one that was given, none is 0, no two nodes have one key, and times are in order.
///
/// # Errors
/// [`Broken`].
pub fn nodes_are_their_keys(tables: &dyn ReadTables) -> Result<(), Broken> {
    let nodes: BTreeMap<_, NodeRow> = all(tables, TableId::Node, keys::read_node)?;
    let Some(cluster) = cluster(tables)? else {
        return if nodes.is_empty() {
            Ok(())
        } else {
            broken("nodes of no cluster".to_owned())
        };
    };
    let mut key_hashes = BTreeSet::new();
    for (node, row) in nodes {
        if node.0 == 0 || node.0 > cluster.last_node {
            return broken(format!("node {node} has an id that was never given"));
        }
        if !key_hashes.insert(row.key_hash) {
            return broken(format!("node {node} has the key of another node"));
        }
        let is_ordered = row.joined <= row.announced && row.announced <= cluster.time;
        let ended = row.removed.unwrap_or(cluster.time);
        if !is_ordered || ended < row.announced || ended > cluster.time {
            return broken(format!(
                "the times of node {node} are not in order: {row:?}"
            ));
        }
        if row.announcement.check().is_err() {
            return broken(format!("what node {node} says is not what the log takes"));
        }
    }
    Ok(())
}

/// A used token names a node of its role, or one that was forgotten; and there is no token before there is an authority.
///
/// # Errors
/// [`Broken`].
pub fn used_tokens_name_nodes(tables: &dyn ReadTables) -> Result<(), Broken> {
    let tokens: BTreeMap<_, JoinTokenRow> = all(tables, TableId::JoinToken, keys::read_join_token)?;
    let nodes: BTreeMap<_, NodeRow> = all(tables, TableId::Node, keys::read_node)?;
    let last_node = cluster(tables)?.map_or(0, |row| row.last_node);
    let mut by_token = BTreeSet::new();
    for (token, row) in tokens {
        if last_node == 0 {
            return broken(format!("token {token} is of no authority"));
        }
        let Some(node) = row.used else { continue };
        let is_other_role = nodes.get(&node).is_some_and(|named| named.role != row.role);
        if node.0 == 0 || node.0 > last_node || is_other_role || !by_token.insert(node) {
            return broken(format!("token {token} says that node {node} joined by it"));
        }
    }
    Ok(())
}

/// A founded cluster has its first authority and a member; one that is not founded has neither.
///
/// # Errors
/// [`Broken`].
pub fn founded_cluster_has_a_member(tables: &dyn ReadTables) -> Result<(), Broken> {
    let nodes: BTreeMap<_, NodeRow> = all(tables, TableId::Node, keys::read_node)?;
    let authorities: BTreeMap<_, AuthorityRow> =
        all(tables, TableId::Authority, keys::read_authority)?;
    let is_founded = cluster(tables)?.is_some_and(|row| row.last_node > 0);
    let is_member = |row: &NodeRow| row.role == NodeRole::Member && row.removed.is_none();
    let first = authorities.keys().next().copied().unwrap_or(0);
    let numbers_count = authorities
        .keys()
        .zip(first..)
        .all(|(have, want)| *have == want);
    let is_rotated = cluster(tables)?.is_some_and(|row| row.next_authority_signs);
    let most = if is_rotated { 2..=2 } else { 0..=2 };
    let counted = numbers_count && most.contains(&authorities.len());
    if authorities.is_empty() == is_founded || !counted {
        return broken(format!(
            "founded: {is_founded}, authorities: {}",
            authorities.len()
        ));
    }
    if nodes.values().any(is_member) != is_founded {
        return broken(format!(
            "founded: {is_founded}, and the members are {nodes:?}"
        ));
    }
    Ok(())
}

/// Every node that was not removed knows the log's format, and what only a later format has is not there.
///
/// # Errors
/// [`Broken`].
pub fn every_node_knows_the_format(tables: &dyn ReadTables) -> Result<(), Broken> {
    let Some(cluster) = cluster(tables)? else {
        return Ok(());
    };
    let nodes: BTreeMap<_, NodeRow> = all(tables, TableId::Node, keys::read_node)?;
    let is_behind =
        |row: &NodeRow| row.removed.is_none() && row.announcement.format_max < cluster.format;
    if let Some((node, _)) = nodes.iter().find(|(_, row)| is_behind(row)) {
        return broken(format!(
            "node {node} does not know format {}",
            cluster.format
        ));
    }
    let mut live = nodes.values().filter(|row| row.removed.is_none());
    let is_known =
        !nodes.is_empty() && live.all(|row| row.announcement.format_max > cluster.format);
    if cluster.upkeep.next_format_since.is_some() != is_known {
        return broken(format!(
            "all know the next format: {is_known}, and it says {:?}",
            cluster.upkeep.next_format_since
        ));
    }
    if cluster.format < FORMAT || (cluster.format < 2 && cluster.label.is_some()) {
        return broken(format!(
            "format {} with {:?}",
            cluster.format, cluster.label
        ));
    }
    Ok(())
}

/// Blobs have a place once they were moved, go to a new store only while there is one, and no node is ahead of the move.
///
/// # Errors
/// [`Broken`].
pub fn storage_moves_in_steps(tables: &dyn ReadTables) -> Result<(), Broken> {
    let Some(cluster) = cluster(tables)? else {
        return Ok(());
    };
    let storage = &cluster.storage;
    let is_moved = storage.generation > 0;
    if is_moved != storage.place.is_some() || (storage.writes_to_new && storage.moving_to.is_none())
    {
        return broken(format!("{storage:?}"));
    }
    let nodes: BTreeMap<_, NodeRow> = all(tables, TableId::Node, keys::read_node)?;
    for (node, row) in nodes {
        if row.storage.step > storage.step {
            return broken(format!("{storage:?} and node {node}: {:?}", row.storage));
        }
    }
    Ok(())
}
