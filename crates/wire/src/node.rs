//! Conversions of what the log knows of nodes: commands, rows and views.

use bytes::Bytes;
use metadata::{
    AuthorityRow, FoundCluster, JoinNode, JoinProof, JoinTokenId, JoinTokenRow, LogTime,
    NodeAnnouncement, NodeId, NodeRole, NodeRow, NodeTrust, NodeView, StorageWord,
};

use crate::error::{DecodeError, required};
use crate::pb;
use crate::words::{bits_from, bits_to};

pub(crate) fn role_to(role: NodeRole) -> i32 {
    match role {
        NodeRole::Member => pb::NodeRole::Member as i32,
        NodeRole::Gateway => pb::NodeRole::Gateway as i32,
    }
}

pub(crate) fn role_from(number: i32) -> Result<NodeRole, DecodeError> {
    match pb::NodeRole::try_from(number) {
        Ok(pb::NodeRole::Member) => Ok(NodeRole::Member),
        Ok(pb::NodeRole::Gateway) => Ok(NodeRole::Gateway),
        Ok(pb::NodeRole::Unspecified) | Err(_) => Err(DecodeError::new(
            "a node's role",
            format!("{number} is unknown to this build"),
        )),
    }
}

pub(crate) fn hash_to(hash: &[u8; 32]) -> Bytes {
    Bytes::copy_from_slice(hash)
}

pub(crate) fn hash_from(bytes: &[u8]) -> Result<[u8; 32], DecodeError> {
    let wrong = |_| DecodeError::new("a hash", "it is not 32 bytes long");
    bytes.try_into().map_err(wrong)
}

pub(crate) fn token_to(token: JoinTokenId) -> Bytes {
    bits_to(token.0)
}

pub(crate) fn token_from(bytes: &[u8]) -> Result<JoinTokenId, DecodeError> {
    bits_from(bytes, "a join token's id").map(JoinTokenId)
}

pub(crate) fn nodes_to(nodes: &[NodeId]) -> pb::NodeIds {
    pb::NodeIds {
        nodes: nodes.iter().map(|node| node.0).collect(),
    }
}

pub(crate) fn nodes_from(nodes: pb::NodeIds) -> Vec<NodeId> {
    nodes.nodes.into_iter().map(NodeId).collect()
}

pub(crate) fn announcement_from(
    announcement: Option<pb::NodeAnnouncement>,
) -> Result<NodeAnnouncement, DecodeError> {
    Ok(required(announcement, "what a node says of itself")?.into())
}

impl From<&NodeAnnouncement> for pb::NodeAnnouncement {
    fn from(announcement: &NodeAnnouncement) -> Self {
        pb::NodeAnnouncement {
            name: announcement.name.clone(),
            peer_address: announcement.peer_address.clone(),
            client_address: announcement.client_address.clone(),
            version: announcement.version.clone(),
            format_max: announcement.format_max,
        }
    }
}

/// Whether the log takes it, [`NodeAnnouncement::check`] tells.
impl From<pb::NodeAnnouncement> for NodeAnnouncement {
    fn from(announcement: pb::NodeAnnouncement) -> Self {
        NodeAnnouncement {
            name: announcement.name,
            peer_address: announcement.peer_address,
            client_address: announcement.client_address,
            version: announcement.version,
            format_max: announcement.format_max,
        }
    }
}

impl From<&FoundCluster> for pb::FoundCluster {
    fn from(found: &FoundCluster) -> Self {
        pb::FoundCluster {
            node: found.node.0,
            key_hash: hash_to(&found.key_hash),
            announcement: Some((&found.announcement).into()),
            authority_certificate: found.authority_certificate.clone(),
            sealed_authority_key: found.sealed_authority_key.clone(),
        }
    }
}

impl TryFrom<pb::FoundCluster> for FoundCluster {
    type Error = DecodeError;

    fn try_from(found: pb::FoundCluster) -> Result<Self, DecodeError> {
        Ok(FoundCluster {
            node: NodeId(found.node),
            key_hash: hash_from(&found.key_hash)?,
            announcement: announcement_from(found.announcement)?,
            authority_certificate: found.authority_certificate,
            sealed_authority_key: found.sealed_authority_key,
        })
    }
}

impl From<&JoinNode> for pb::JoinNode {
    fn from(join: &JoinNode) -> Self {
        use pb::join_node::Proof;
        let proof = match &join.proof {
            JoinProof::Token { token, hash } => Proof::Token(pb::JoinTokenProof {
                token: token_to(*token),
                hash: hash_to(hash),
            }),
            JoinProof::BootstrapSecret => Proof::BootstrapSecret(pb::Empty {}),
        };
        pb::JoinNode {
            role: role_to(join.role),
            key_hash: hash_to(&join.key_hash),
            announcement: Some((&join.announcement).into()),
            proof: Some(proof),
        }
    }
}

impl TryFrom<pb::JoinNode> for JoinNode {
    type Error = DecodeError;

    fn try_from(join: pb::JoinNode) -> Result<Self, DecodeError> {
        use pb::join_node::Proof;
        let proof = match required(join.proof, "why a node may join")? {
            Proof::Token(proof) => JoinProof::Token {
                token: token_from(&proof.token)?,
                hash: hash_from(&proof.hash)?,
            },
            Proof::BootstrapSecret(pb::Empty {}) => JoinProof::BootstrapSecret,
        };
        Ok(JoinNode {
            proof,
            role: role_from(join.role)?,
            key_hash: hash_from(&join.key_hash)?,
            announcement: announcement_from(join.announcement)?,
        })
    }
}

/// Nothing when the node has not said so, so that equal rows are equal bytes.
fn trust_to(trust: NodeTrust) -> Option<pb::NodeTrust> {
    (trust != NodeTrust::default()).then(|| trust.into())
}

fn trust_from(trust: Option<pb::NodeTrust>) -> Result<NodeTrust, DecodeError> {
    match trust.map(NodeTrust::from) {
        None => Ok(NodeTrust::default()),
        Some(trust) if trust == NodeTrust::default() => {
            Err(DecodeError::new("what a node trusts", "it says nothing"))
        }
        Some(trust) => Ok(trust),
    }
}

impl From<NodeTrust> for pb::NodeTrust {
    fn from(trust: NodeTrust) -> Self {
        pb::NodeTrust {
            believes: trust.believes,
            signed_by: trust.signed_by,
        }
    }
}

impl From<pb::NodeTrust> for NodeTrust {
    fn from(trust: pb::NodeTrust) -> Self {
        NodeTrust {
            believes: trust.believes,
            signed_by: trust.signed_by,
        }
    }
}

fn word_to(word: &StorageWord) -> Option<pb::StorageWord> {
    (*word != StorageWord::default()).then(|| pb::StorageWord {
        step: word.step,
        problem: word.problem.clone(),
    })
}

fn word_from(word: Option<pb::StorageWord>) -> StorageWord {
    word.map_or_else(StorageWord::default, |word| StorageWord {
        step: word.step,
        problem: word.problem,
    })
}

impl From<&NodeRow> for pb::NodeRow {
    fn from(row: &NodeRow) -> Self {
        pb::NodeRow {
            role: role_to(row.role),
            key_hash: hash_to(&row.key_hash),
            announcement: Some((&row.announcement).into()),
            joined: row.joined.0,
            announced: row.announced.0,
            removed: row.removed.map(|time| time.0),
            trust: trust_to(row.trust),
            storage: word_to(&row.storage),
        }
    }
}

impl TryFrom<pb::NodeRow> for NodeRow {
    type Error = DecodeError;

    fn try_from(row: pb::NodeRow) -> Result<Self, DecodeError> {
        Ok(NodeRow {
            role: role_from(row.role)?,
            key_hash: hash_from(&row.key_hash)?,
            announcement: announcement_from(row.announcement)?,
            joined: LogTime(row.joined),
            announced: LogTime(row.announced),
            removed: row.removed.map(LogTime),
            trust: trust_from(row.trust)?,
            storage: word_from(row.storage),
        })
    }
}

impl From<&NodeView> for pb::NodeView {
    fn from(view: &NodeView) -> Self {
        pb::NodeView {
            node: view.node.0,
            role: role_to(view.role),
            key_hash: hash_to(&view.key_hash),
            announcement: Some((&view.announcement).into()),
            joined: view.joined.0,
            announced: view.announced.0,
            removed: view.removed.map(|time| time.0),
            trust: trust_to(view.trust),
            storage: word_to(&view.storage),
        }
    }
}

impl TryFrom<pb::NodeView> for NodeView {
    type Error = DecodeError;

    fn try_from(view: pb::NodeView) -> Result<Self, DecodeError> {
        Ok(NodeView {
            node: NodeId(view.node),
            role: role_from(view.role)?,
            key_hash: hash_from(&view.key_hash)?,
            announcement: announcement_from(view.announcement)?,
            joined: LogTime(view.joined),
            announced: LogTime(view.announced),
            removed: view.removed.map(LogTime),
            trust: trust_from(view.trust)?,
            storage: word_from(view.storage),
        })
    }
}

impl From<&JoinTokenRow> for pb::JoinTokenRow {
    fn from(row: &JoinTokenRow) -> Self {
        pb::JoinTokenRow {
            hash: hash_to(&row.hash),
            role: role_to(row.role),
            expires: row.expires.0,
            used: row.used.map(|node| node.0),
        }
    }
}

impl TryFrom<pb::JoinTokenRow> for JoinTokenRow {
    type Error = DecodeError;

    fn try_from(row: pb::JoinTokenRow) -> Result<Self, DecodeError> {
        Ok(JoinTokenRow {
            hash: hash_from(&row.hash)?,
            role: role_from(row.role)?,
            expires: LogTime(row.expires),
            used: row.used.map(NodeId),
        })
    }
}

impl From<&AuthorityRow> for pb::AuthorityRow {
    fn from(row: &AuthorityRow) -> Self {
        pb::AuthorityRow {
            certificate: row.certificate.clone(),
            sealed_key: row.sealed_key.clone(),
            created: row.created.0,
        }
    }
}

impl From<pb::AuthorityRow> for AuthorityRow {
    fn from(row: pb::AuthorityRow) -> Self {
        AuthorityRow {
            certificate: row.certificate,
            sealed_key: row.sealed_key,
            created: LogTime(row.created),
        }
    }
}
