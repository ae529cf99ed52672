//! The keys of nodes, join tokens and authorities.

use super::{Build, Key, Read};
use crate::node::{AuthorityRow, JoinTokenId, JoinTokenRow, NodeId, NodeRow};
use crate::tables::TableId;

/// The key of a node.
#[must_use]
pub fn node(node: NodeId) -> Key<NodeRow> {
    Build::default().u64(node.0).key(TableId::Node)
}

/// Reads a key of [`node`].
#[must_use]
pub fn read_node(key: &[u8]) -> Option<NodeId> {
    let mut read = Read(key);
    let node = NodeId(read.u64()?);
    read.end(node)
}

/// The key of a join token.
#[must_use]
pub fn join_token(token: JoinTokenId) -> Key<JoinTokenRow> {
    Build::default().u128(token.0).key(TableId::JoinToken)
}

/// Reads a key of [`join_token`].
#[must_use]
pub fn read_join_token(key: &[u8]) -> Option<JoinTokenId> {
    let mut read = Read(key);
    let token = JoinTokenId(read.u128()?);
    read.end(token)
}

/// The key of an authority; the first has number 1.
#[must_use]
pub fn authority(number: u32) -> Key<AuthorityRow> {
    Build::default().u32(number).key(TableId::Authority)
}

/// Reads a key of [`authority`].
#[must_use]
pub fn read_authority(key: &[u8]) -> Option<u32> {
    let mut read = Read(key);
    let number = read.u32()?;
    read.end(number)
}
