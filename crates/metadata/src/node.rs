//! Nodes as the log knows them: their ids and roles, what each says of itself, and what lets a new one in.
//!
//! The log knows hashes only: of a node's key, and of a join token's secret. What it keeps of the cluster's authority is
//! a certificate that everybody may see and a key that is sealed.
//!
//! Design: `docs/protocols.md`, "Members and their peers".

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::ids::LogTime;

/// The longest name of a node, in bytes.
pub const NODE_NAME_BYTES_MAX: usize = 63;

/// The longest address that a node announces, in bytes.
pub const NODE_ADDRESS_BYTES_MAX: usize = 260;

/// The longest version that a node announces, in bytes.
pub const NODE_VERSION_BYTES_MAX: usize = 64;

/// The longest reason of a node that cannot use a store, in bytes.
pub const STORAGE_PROBLEM_BYTES_MAX: usize = 300;

/// Names a node of a cluster, member or gateway; given once by the log and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a node is in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeRole {
    /// Holds the replicated log, or is about to.
    Member,
    /// Holds nothing, and asks the members.
    Gateway,
}

impl NodeRole {
    /// The word that certificates, tokens and people use for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            NodeRole::Member => "member",
            NodeRole::Gateway => "gateway",
        }
    }
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NodeRole {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<NodeRole, UnknownRole> {
        match text {
            "member" => Ok(NodeRole::Member),
            "gateway" => Ok(NodeRole::Gateway),
            _ => Err(UnknownRole),
        }
    }
}

/// The text is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is `member` or `gateway`")]
pub struct UnknownRole;

/// Names a join token; 128 random bits, written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JoinTokenId(pub u128);

impl fmt::Display for JoinTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a node says of itself when it joins, and again whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAnnouncement {
    /// What people call it: 1 to [`NODE_NAME_BYTES_MAX`] of `A-Z a-z 0-9 . _ -`. Two nodes may have one name.
    pub name: String,
    /// `host:port` where nodes reach it, at most [`NODE_ADDRESS_BYTES_MAX`] bytes.
    pub peer_address: String,
    /// Where it serves clients, at most [`NODE_ADDRESS_BYTES_MAX`] bytes; empty when it does not say.
    pub client_address: String,
    /// The version of its build, for people; at most [`NODE_VERSION_BYTES_MAX`] bytes.
    pub version: String,
    /// The highest format of the log that its build knows.
    pub format_max: u32,
}

impl NodeAnnouncement {
    /// Whether the log takes it.
    ///
    /// # Errors
    /// The first field that it does not take.
    pub fn check(&self) -> Result<(), AnnouncementError> {
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=NODE_NAME_BYTES_MAX).contains(&self.name.len()) || !self.name.bytes().all(in_name)
        {
            return Err(AnnouncementError::Name);
        }
        let is_address = |text: &str| text.len() <= NODE_ADDRESS_BYTES_MAX && is_printable(text);
        let host_and_port = self.peer_address.rsplit_once(':');
        let has_port = host_and_port.is_some_and(|(host, port)| !host.is_empty() && is_port(port));
        if !is_address(&self.peer_address) || !has_port {
            return Err(AnnouncementError::PeerAddress);
        }
        if !is_address(&self.client_address) {
            return Err(AnnouncementError::ClientAddress);
        }
        if self.version.len() > NODE_VERSION_BYTES_MAX || !is_printable(&self.version) {
            return Err(AnnouncementError::Version);
        }
        Ok(())
    }
}

/// Announcements are shown in tables and logs: nothing in them moves a cursor or ends a line.
fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Why the log does not take an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnnouncementError {
    /// See [`NodeAnnouncement::name`].
    #[error(
        "a node's name has 1 to {NODE_NAME_BYTES_MAX} letters, digits, dots, hyphens and underscores"
    )]
    Name,
    /// See [`NodeAnnouncement::peer_address`].
    #[error(
        "a node's address for other nodes is HOST:PORT, of at most {NODE_ADDRESS_BYTES_MAX} bytes"
    )]
    PeerAddress,
    /// See [`NodeAnnouncement::client_address`].
    #[error(
        "a node's address for clients is without spaces, and has at most {NODE_ADDRESS_BYTES_MAX} bytes"
    )]
    ClientAddress,
    /// See [`NodeAnnouncement::version`].
    #[error("a node's version is without spaces, and has at most {NODE_VERSION_BYTES_MAX} bytes")]
    Version,
}

/// See [`crate::Command::FoundCluster`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCluster {
    /// The first member; its log knows it by this id already.
    pub node: NodeId,
    /// The SHA-256 of its public key.
    pub key_hash: [u8; 32],
    /// What it says of itself.
    pub announcement: NodeAnnouncement,
    /// The authority's certificate, at most [`crate::AUTHORITY_BYTES_MAX`].
    pub authority_certificate: Bytes,
    /// The authority's key, sealed, at most [`crate::AUTHORITY_BYTES_MAX`].
    pub sealed_authority_key: Bytes,
}

/// See [`crate::Command::JoinNode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinNode {
    /// Why it may join.
    pub proof: JoinProof,
    /// What it wants to be.
    pub role: NodeRole,
    /// The SHA-256 of its public key: the same key is the same node.
    pub key_hash: [u8; 32],
    /// What it says of itself.
    pub announcement: NodeAnnouncement,
}

/// Why a node may join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinProof {
    /// It has shown the secret of a token; used once.
    Token {
        /// Which.
        token: JoinTokenId,
        /// The SHA-256 of the secret that it showed.
        hash: [u8; 32],
    },
    /// It has shown the bootstrap secret, which the member that proposes this has verified.
    BootstrapSecret,
}

/// A node, also for a while after it was removed: so long its certificate may still be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// What it is, for ever.
    pub role: NodeRole,
    /// The SHA-256 of its public key; no two rows have the same.
    pub key_hash: [u8; 32],
    /// What it said of itself last.
    pub announcement: NodeAnnouncement,
    /// When it became a node of the cluster.
    pub joined: LogTime,
    /// When it last said something of itself.
    pub announced: LogTime,
    /// Since when it is none any more.
    pub removed: Option<LogTime>,
    /// What it has of the cluster's authorities.
    pub trust: NodeTrust,
    /// What it said last about where blobs are.
    pub storage: StorageWord,
}

/// What a node has of the cluster's authorities, by their numbers; 0 where it has not said so yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeTrust {
    /// The last authority that it believes, with all before it that there are.
    pub believes: u32,
    /// The authority that signed its certificate.
    pub signed_by: u32,
}

/// What a node says about the steps of moving the blobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageWord {
    /// The last step that it has taken: nothing that it does belongs to an earlier one.
    pub step: u64,
    /// Why it cannot take the next one; at most [`STORAGE_PROBLEM_BYTES_MAX`] bytes without control characters.
    pub problem: Option<String>,
}

/// A join token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinTokenRow {
    /// The SHA-256 of its secret.
    pub hash: [u8; 32],
    /// What a node becomes by it.
    pub role: NodeRole,
    /// From this time on it lets nobody in.
    pub expires: LogTime,
    /// Who has joined by it.
    pub used: Option<NodeId>,
}

/// An authority of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityRow {
    /// Its certificate.
    pub certificate: Bytes,
    /// Its key, sealed.
    pub sealed_key: Bytes,
    /// Since when it is one.
    pub created: LogTime,
}
