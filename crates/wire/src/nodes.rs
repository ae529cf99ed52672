//! What nodes say to each other about themselves, and how a node comes into the cluster: plain types, and their bytes.

use std::fmt;

use bytes::Bytes;
use metadata::{JoinTokenId, LogTime, NodeAnnouncement, NodeId, NodeRole};
use prost::Message;

use crate::error::{DecodeError, required};
pub use crate::move_progress::MoveProgress;
use crate::node::{announcement_from, role_from, role_to, token_from, token_to};
use crate::peer::PeerMessage;
use crate::words::{bits_from, bits_to};
use crate::{pb, strict};

/// Asks a node how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRequest;

/// How a node is, by its own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Who it is.
    pub node: NodeId,
    /// Its process.
    pub pid: u32,
    /// The version of its build.
    pub version: String,
    /// The highest format of the log that its build knows.
    pub format_max: u32,
    /// What it is.
    pub role: NodeRole,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// The term.
    pub term: u64,
    /// The last entry in its log; for a gateway, the last that it was told of.
    pub last_log: u64,
    /// The last entry that it has applied; for a gateway, the last that it was told of.
    pub applied: u64,
    /// Whether it answers reads that are confirmed.
    pub can_confirm: bool,
    /// Whether it votes.
    pub votes: bool,
    /// Free space on the disk of its data folder, in bytes.
    pub disk_free: u64,
    /// Size of that disk, in bytes.
    pub disk_size: u64,
    /// How long it has been running, in milliseconds.
    pub uptime_ms: u64,
    /// Whether it is about to stop.
    pub draining: bool,
    /// Its clock.
    pub clock: LogTime,
    /// Whether its disk has no room for more of the log.
    pub disk_full: bool,
    /// How far the copy of the log is; said by the leader that makes it.
    pub log_copy: Option<LogCopyStatus>,
    /// How far the blobs are moved; said by the leader that moves them.
    pub storage_move: Option<MoveProgress>,
}

/// How far the copy of the log beside the blobs is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCopyStatus {
    /// It reaches so far; 0 when nothing is known of it.
    pub index: u64,
    /// How many entries it lacks.
    pub lag_entries: u64,
    /// For how long something has been missing in it, in milliseconds.
    pub lag_ms: u64,
    /// Why it does not get on.
    pub problem: Option<String>,
}

/// A member has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartNote {
    /// How often, this start included.
    pub starts: u64,
    /// Names this start.
    pub nonce: u128,
    /// The start that is recorded now must be one of these; empty at the first start.
    pub before: Vec<u128>,
}

/// Whether the start is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartNoted {
    /// Why not.
    pub refusal: Option<String>,
    /// The clock of who answers.
    pub clock: LogTime,
}

/// A certificate and what to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// The node's, in DER.
    pub certificate: Bytes,
    /// Those of the cluster's authorities, in DER; the one that signed comes first.
    pub authorities: Vec<Bytes>,
}

/// A node wants a certificate that lasts longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewRequest {
    /// In DER.
    pub signing_request: Bytes,
}

/// See [`RenewRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenewReply {
    /// Here it is.
    Renewed(Certificates),
    /// The answer is no.
    Refused(String),
}

/// What the leader is to do with the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderRequest {
    /// Hand the lead over; to whoever is furthest, if nobody is named.
    TransferLeader(Option<NodeId>),
    /// Have a node vote that has learned so far.
    Promote(NodeId),
}

/// What became of an [`OrderRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderReply {
    /// It is so.
    Done,
    /// The member that was asked does not lead; who does, as far as it knows.
    NotLeader(Option<NodeId>),
    /// It cannot be.
    Refused(String),
}

/// Why a node may join.
#[derive(Clone, PartialEq, Eq)]
pub enum JoinerProof {
    /// It has a token.
    Token {
        /// Which.
        token: JoinTokenId,
        /// Its secret.
        secret: [u8; 32],
    },
    /// It has the bootstrap secret, as this value shows, which is good for this very connection only.
    Bootstrap([u8; 32]),
}

impl fmt::Debug for JoinerProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinerProof::Token { token, .. } => write!(f, "Token({token})"),
            JoinerProof::Bootstrap(_) => f.write_str("Bootstrap(..)"),
        }
    }
}

/// A node wants to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// Why it may.
    pub proof: JoinerProof,
    /// What it is to be.
    pub role: NodeRole,
    /// For its certificate, in DER.
    pub signing_request: Bytes,
    /// What it says of itself.
    pub announcement: NodeAnnouncement,
}

/// What is answered to a [`JoinRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinReply {
    /// It is a node of the cluster now.
    Joined(Box<Joined>),
    /// The answer is no, and stays so.
    Refused(String),
    /// Nobody could decide it: try again.
    Later(String),
    /// The one that was asked belongs to no cluster itself.
    Fresh {
        /// Its own choice, by which it is told from others.
        id: u128,
        /// That it has the bootstrap secret.
        proof: [u8; 32],
    },
}

/// What a new node is given.
#[derive(Clone, PartialEq, Eq)]
pub struct Joined {
    /// Who it is from now on.
    pub node: NodeId,
    /// Its certificate.
    pub certificates: Certificates,
    /// The members and where they are.
    pub members: Vec<(NodeId, String)>,
    /// The key of the cluster's secrets; for members only.
    pub cluster_key: Option<[u8; 32]>,
    /// That the answerer has the bootstrap secret, too.
    pub proof: Option<[u8; 32]>,
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined")
            .field("node", &self.node)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

fn secret_from(bytes: &[u8], what: &'static str) -> Result<[u8; 32], DecodeError> {
    let wrong = |_| DecodeError::new(what, "it is not 32 bytes long");
    bytes.try_into().map_err(wrong)
}

fn secret_to(secret: &[u8; 32]) -> Bytes {
    Bytes::copy_from_slice(secret)
}

fn optional_secret_from(bytes: &[u8], what: &'static str) -> Result<Option<[u8; 32]>, DecodeError> {
    match bytes {
        [] => Ok(None),
        bytes => secret_from(bytes, what).map(Some),
    }
}

fn optional_secret_to(secret: Option<&[u8; 32]>) -> Bytes {
    secret.map(secret_to).unwrap_or_default()
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl PeerMessage for StatusRequest {
    fn encode(&self) -> Vec<u8> {
        pb::Empty {}.encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        strict::<pb::Empty>(bytes, "a status request").map(|_| StatusRequest)
    }
}

impl PeerMessage for NodeStatus {
    fn encode(&self) -> Vec<u8> {
        pb::NodeStatus {
            node: self.node.0,
            pid: self.pid,
            version: self.version.clone(),
            format_max: self.format_max,
            role: role_to(self.role),
            leader: self.leader.map(|node| node.0),
            term: self.term,
            last_log: self.last_log,
            applied: self.applied,
            can_confirm: self.can_confirm,
            votes: self.votes,
            disk_free: self.disk_free,
            disk_size: self.disk_size,
            uptime_ms: self.uptime_ms,
            draining: self.draining,
            clock: self.clock.0,
            disk_full: self.disk_full,
            log_copy: self.log_copy.as_ref().map(|copy| pb::LogCopy {
                index: copy.index,
                lag_entries: copy.lag_entries,
                lag_ms: copy.lag_ms,
                problem: copy.problem.clone().unwrap_or_default(),
            }),
            storage_move: self.storage_move.as_ref().map(Into::into),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let status = strict::<pb::NodeStatus>(bytes, "a node's status")?;
        Ok(NodeStatus {
            node: NodeId(status.node),
            pid: status.pid,
            version: status.version,
            format_max: status.format_max,
            role: role_from(status.role)?,
            leader: status.leader.map(NodeId),
            term: status.term,
            last_log: status.last_log,
            applied: status.applied,
            can_confirm: status.can_confirm,
            votes: status.votes,
            disk_free: status.disk_free,
            disk_size: status.disk_size,
            uptime_ms: status.uptime_ms,
            draining: status.draining,
            clock: LogTime(status.clock),
            disk_full: status.disk_full,
            log_copy: status.log_copy.map(|copy| LogCopyStatus {
                index: copy.index,
                lag_entries: copy.lag_entries,
                lag_ms: copy.lag_ms,
                problem: text(&copy.problem),
            }),
            storage_move: status.storage_move.map(Into::into),
        })
    }
}

impl PeerMessage for StartNote {
    fn encode(&self) -> Vec<u8> {
        pb::StartNote {
            starts: self.starts,
            nonce: bits_to(self.nonce),
            before: self.before.iter().map(|nonce| bits_to(*nonce)).collect(),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let note = strict::<pb::StartNote>(bytes, "the note of a start")?;
        let before = note.before.iter();
        Ok(StartNote {
            starts: note.starts,
            nonce: bits_from(&note.nonce, "a nonce")?,
            before: before
                .map(|nonce| bits_from(nonce, "a nonce"))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl PeerMessage for StartNoted {
    fn encode(&self) -> Vec<u8> {
        pb::StartNoted {
            refusal: self.refusal.clone().unwrap_or_default(),
            clock: self.clock.0,
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let noted = strict::<pb::StartNoted>(bytes, "the reply to the note of a start")?;
        Ok(StartNoted {
            refusal: text(&noted.refusal),
            clock: LogTime(noted.clock),
        })
    }
}

impl From<&Certificates> for pb::Certificates {
    fn from(certificates: &Certificates) -> Self {
        pb::Certificates {
            certificate: certificates.certificate.clone(),
            authorities: certificates.authorities.clone(),
        }
    }
}

impl From<pb::Certificates> for Certificates {
    fn from(certificates: pb::Certificates) -> Self {
        Certificates {
            certificate: certificates.certificate,
            authorities: certificates.authorities,
        }
    }
}

impl PeerMessage for RenewRequest {
    fn encode(&self) -> Vec<u8> {
        pb::RenewRequest {
            signing_request: self.signing_request.clone(),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let request = strict::<pb::RenewRequest>(bytes, "a request for a certificate")?;
        Ok(RenewRequest {
            signing_request: request.signing_request,
        })
    }
}

impl PeerMessage for RenewReply {
    fn encode(&self) -> Vec<u8> {
        use pb::renew_reply::Outcome;
        let outcome = match self {
            RenewReply::Renewed(certificates) => Outcome::Certificates(certificates.into()),
            RenewReply::Refused(why) => Outcome::Refusal(why.clone()),
        };
        pb::RenewReply {
            outcome: Some(outcome),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::renew_reply::Outcome;
        let what = "the reply to a request for a certificate";
        let message = strict::<pb::RenewReply>(bytes, what)?;
        Ok(match required(message.outcome, what)? {
            Outcome::Certificates(certificates) => RenewReply::Renewed(certificates.into()),
            Outcome::Refusal(why) => RenewReply::Refused(why),
        })
    }
}

impl PeerMessage for OrderRequest {
    fn encode(&self) -> Vec<u8> {
        use pb::order_request::Order;
        let order = match *self {
            OrderRequest::TransferLeader(to) => {
                Order::TransferLeaderTo(to.map_or(0, |node| node.0))
            }
            OrderRequest::Promote(node) => Order::Promote(node.0),
        };
        pb::OrderRequest { order: Some(order) }.encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::order_request::Order;
        let message = strict::<pb::OrderRequest>(bytes, "an order")?;
        Ok(match required(message.order, "an order")? {
            Order::TransferLeaderTo(to) => OrderRequest::TransferLeader(known(to)),
            Order::Promote(node) => OrderRequest::Promote(NodeId(node)),
        })
    }
}

/// Nodes count from 1; 0 is nobody.
fn known(node: u64) -> Option<NodeId> {
    (node != 0).then_some(NodeId(node))
}

impl PeerMessage for OrderReply {
    fn encode(&self) -> Vec<u8> {
        use pb::order_reply::Outcome;
        let outcome = match self {
            OrderReply::Done => Outcome::Done(pb::Empty {}),
            OrderReply::NotLeader(leader) => Outcome::NotLeader(leader.map_or(0, |node| node.0)),
            OrderReply::Refused(why) => Outcome::Refusal(why.clone()),
        };
        pb::OrderReply {
            outcome: Some(outcome),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::order_reply::Outcome;
        let message = strict::<pb::OrderReply>(bytes, "the reply to an order")?;
        Ok(match required(message.outcome, "the reply to an order")? {
            Outcome::Done(pb::Empty {}) => OrderReply::Done,
            Outcome::NotLeader(leader) => OrderReply::NotLeader(known(leader)),
            Outcome::Refusal(why) => OrderReply::Refused(why),
        })
    }
}

impl PeerMessage for JoinRequest {
    fn encode(&self) -> Vec<u8> {
        use pb::join_request::Proof;
        let proof = match &self.proof {
            JoinerProof::Token { token, secret } => Proof::Token(pb::JoinTokenSecret {
                token: token_to(*token),
                secret: secret_to(secret),
            }),
            JoinerProof::Bootstrap(proof) => Proof::BootstrapProof(secret_to(proof)),
        };
        pb::JoinRequest {
            proof: Some(proof),
            role: role_to(self.role),
            signing_request: self.signing_request.clone(),
            announcement: Some((&self.announcement).into()),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::join_request::Proof;
        let request = strict::<pb::JoinRequest>(bytes, "a request to join")?;
        let proof = match required(request.proof, "what a joiner shows")? {
            Proof::Token(token) => JoinerProof::Token {
                token: token_from(&token.token)?,
                secret: secret_from(&token.secret, "a join token's secret")?,
            },
            Proof::BootstrapProof(proof) => {
                JoinerProof::Bootstrap(secret_from(&proof, "the proof of the bootstrap secret")?)
            }
        };
        Ok(JoinRequest {
            proof,
            role: role_from(request.role)?,
            signing_request: request.signing_request,
            announcement: announcement_from(request.announcement)?,
        })
    }
}

impl From<&Joined> for pb::Joined {
    fn from(joined: &Joined) -> Self {
        let members = joined.members.iter();
        pb::Joined {
            node: joined.node.0,
            certificates: Some((&joined.certificates).into()),
            members: members
                .map(|(node, address)| pb::MemberAddress {
                    node: node.0,
                    address: address.clone(),
                })
                .collect(),
            cluster_key: optional_secret_to(joined.cluster_key.as_ref()),
            proof: optional_secret_to(joined.proof.as_ref()),
        }
    }
}

impl TryFrom<pb::Joined> for Joined {
    type Error = DecodeError;

    fn try_from(joined: pb::Joined) -> Result<Self, DecodeError> {
        let members = joined.members.into_iter();
        Ok(Joined {
            node: NodeId(joined.node),
            certificates: required(joined.certificates, "a new node's certificate")?.into(),
            members: members
                .map(|member| (NodeId(member.node), member.address))
                .collect(),
            cluster_key: optional_secret_from(&joined.cluster_key, "the cluster's key")?,
            proof: optional_secret_from(&joined.proof, "the proof of the bootstrap secret")?,
        })
    }
}

impl PeerMessage for JoinReply {
    fn encode(&self) -> Vec<u8> {
        use pb::join_reply::Outcome;
        let outcome = match self {
            JoinReply::Joined(joined) => Outcome::Joined(joined.as_ref().into()),
            JoinReply::Refused(why) => Outcome::Refused(why.clone()),
            JoinReply::Later(why) => Outcome::Later(why.clone()),
            JoinReply::Fresh { id, proof } => Outcome::Fresh(pb::FreshNode {
                id: bits_to(*id),
                proof: secret_to(proof),
            }),
        };
        pb::JoinReply {
            outcome: Some(outcome),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::join_reply::Outcome;
        let what = "the reply to a request to join";
        let message = strict::<pb::JoinReply>(bytes, what)?;
        Ok(match required(message.outcome, what)? {
            Outcome::Joined(joined) => JoinReply::Joined(Box::new(joined.try_into()?)),
            Outcome::Refused(why) => JoinReply::Refused(why),
            Outcome::Later(why) => JoinReply::Later(why),
            Outcome::Fresh(fresh) => JoinReply::Fresh {
                id: bits_from(&fresh.id, "the id of a fresh node")?,
                proof: secret_from(&fresh.proof, "the proof of the bootstrap secret")?,
            },
        })
    }
}
