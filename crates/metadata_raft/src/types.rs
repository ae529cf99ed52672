//! What openraft is told about our types, and their conversions to what `wire` stores.
//!
//! Nothing here may be serialized by openraft or serde: only `wire` makes bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use metadata::Reply;
use openraft::alias::{EntryOf, LogIdOf, StoredMembershipOf, VoteOf};
use openraft::impls::leader_id_adv::LeaderId;
use openraft::{BasicNode, EntryPayload};

/// A command with its id and time, as it is proposed. Cheap to clone, because the log keeps recent ones in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal(pub(crate) Arc<metadata::Entry>);

impl AsRef<metadata::Entry> for Proposal {
    fn as_ref(&self) -> &metadata::Entry {
        &self.0
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "command {:032x}/{}",
            self.0.id.incarnation, self.0.id.sequence
        )
    }
}

openraft::declare_raft_types!(
    /// Our types. The response is `None` for entries that are no commands.
    pub(crate) TypeConfig:
        D = Proposal,
        R = Option<Reply>,
        NodeId = u64,
        Node = BasicNode,
);

/// A stored record is not what this build understands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoredRecordError {
    #[error(transparent)]
    Decode(#[from] wire::DecodeError),
    #[error("a stored membership cannot be: {0}")]
    Membership(String),
}

pub(crate) type LogId = LogIdOf<TypeConfig>;
pub(crate) type Vote = VoteOf<TypeConfig>;
pub(crate) type RaftEntry = EntryOf<TypeConfig>;
pub(crate) type StoredMembership = StoredMembershipOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, BasicNode>;

pub(crate) fn log_id_to_wire(id: &LogId) -> wire::LogId {
    wire::LogId {
        term: id.leader_id.term,
        node: id.leader_id.node_id,
        index: id.index,
    }
}

pub(crate) fn log_id_from_wire(id: wire::LogId) -> LogId {
    LogId::new(
        LeaderId {
            term: id.term,
            node_id: id.node,
        },
        id.index,
    )
}

pub(crate) fn vote_to_wire(vote: &Vote) -> wire::Vote {
    wire::Vote {
        term: vote.leader_id.term,
        node: vote.leader_id.node_id,
        committed: vote.committed,
    }
}

pub(crate) fn vote_from_wire(vote: wire::Vote) -> Vote {
    Vote {
        leader_id: LeaderId {
            term: vote.term,
            node_id: vote.node,
        },
        committed: vote.committed,
    }
}

fn membership_to_wire(membership: &Membership) -> wire::Membership {
    wire::Membership {
        configs: membership.get_joint_config().clone(),
        nodes: membership
            .nodes()
            .map(|(id, node)| (*id, node.addr.clone()))
            .collect(),
    }
}

fn membership_from_wire(membership: wire::Membership) -> Result<Membership, StoredRecordError> {
    let nodes: BTreeMap<u64, BasicNode> = membership
        .nodes
        .into_iter()
        .map(|(id, addr)| (id, BasicNode { addr }))
        .collect();
    let configs: Vec<BTreeSet<u64>> = membership.configs;
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|e| StoredRecordError::Membership(e.to_string()))
}

pub(crate) fn applied_to_wire(
    applied: Option<&LogId>,
    membership: &StoredMembership,
) -> wire::AppliedState {
    wire::AppliedState {
        applied: applied.map(log_id_to_wire),
        membership: wire::StoredMembership {
            id: membership.log_id().as_ref().map(log_id_to_wire),
            membership: membership_to_wire(membership.membership()),
        },
    }
}

pub(crate) fn applied_from_wire(
    state: wire::AppliedState,
) -> Result<(Option<LogId>, StoredMembership), StoredRecordError> {
    let membership = membership_from_wire(state.membership.membership)?;
    let stored = StoredMembership::new(state.membership.id.map(log_id_from_wire), membership);
    Ok((state.applied.map(log_id_from_wire), stored))
}

/// Encodes an entry for the log.
pub(crate) fn encode_entry(entry: &RaftEntry) -> Vec<u8> {
    let payload = match &entry.payload {
        EntryPayload::Blank => wire::LogPayload::Blank,
        EntryPayload::Normal(proposal) => wire::LogPayload::Command(proposal.clone()),
        EntryPayload::Membership(membership) => {
            wire::LogPayload::Membership(membership_to_wire(membership))
        }
    };
    wire::encode_log_entry(&wire::LogEntry {
        id: log_id_to_wire(&entry.log_id),
        payload,
    })
}

/// Decodes what [`encode_entry`] made. An entry of an unknown kind stops the member with the error's message.
pub(crate) fn decode_entry(bytes: &[u8]) -> Result<RaftEntry, StoredRecordError> {
    let entry = wire::decode_log_entry(bytes)?;
    let payload = match entry.payload {
        wire::LogPayload::Blank => EntryPayload::Blank,
        wire::LogPayload::Command(command) => EntryPayload::Normal(Proposal(Arc::new(command))),
        wire::LogPayload::Membership(membership) => {
            EntryPayload::Membership(membership_from_wire(membership)?)
        }
    };
    Ok(RaftEntry {
        log_id: log_id_from_wire(entry.id),
        payload,
    })
}
