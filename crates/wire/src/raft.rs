//! What the Raft log and the node keep on disk around commands and rows, as plain types that no Raft library defines.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use metadata::{Entry, TableId};
use prost::Message;

use crate::error::{DecodeError, required};
use crate::pb;
use crate::strict;
use crate::words::{bits_from, bits_to};

/// The format of every record of this file. A record of another format is refused.
pub const FORMAT: u32 = 1;

/// A position in the log and the leader that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId {
    /// The leader's term.
    pub term: u64,
    /// The leader.
    pub node: u64,
    /// The position.
    pub index: u64,
}

/// Whom this node voted for, or follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// The term.
    pub term: u64,
    /// The candidate.
    pub node: u64,
    /// Whether a quorum granted it.
    pub committed: bool,
}

/// One position of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry<E> {
    /// Where.
    pub id: LogId,
    /// What.
    pub payload: LogPayload<E>,
}

/// What stands at a position of the log. `E` is an [`Entry`] or something that holds one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPayload<E> {
    /// Nothing: a new leader's first entry.
    Blank,
    /// A command.
    Command(E),
    /// Who is in the group from here on.
    Membership(Membership),
}

/// Who is in the group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    /// The voters; two sets while the group changes.
    pub configs: Vec<BTreeSet<u64>>,
    /// Every node and its address, learners included.
    pub nodes: BTreeMap<u64, String>,
}

/// A membership and the entry that made it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredMembership {
    /// The entry; `None` before the first.
    pub id: Option<LogId>,
    /// The membership.
    pub membership: Membership,
}

/// How far the tables have come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppliedState {
    /// The last applied entry.
    pub applied: Option<LogId>,
    /// The last applied membership.
    pub membership: StoredMembership,
}

/// Who this node is and how often it has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberIdentity {
    /// The node; never used again for another disk.
    pub node: u64,
    /// Starts so far, this one included.
    pub starts: u64,
    /// Made afresh at this start.
    pub nonce: u128,
    /// That of the last confirmed start before this one; 0 when there was none.
    pub previous_nonce: u128,
    /// Those of the starts between that one and this, of which peers may know or not.
    pub unconfirmed_nonces: Vec<u128>,
    /// This start is recorded outside of this disk, or needs not be.
    pub confirmed: bool,
}

/// The first chunk of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The state that it holds.
    pub state: AppliedState,
}

/// One row of a snapshot, as the tables hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// The table.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
    /// The encoded row.
    pub row: Bytes,
}

/// The last chunk of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotEnd {
    /// How many rows went before.
    pub rows: u64,
}

fn check_format(format: u32, what: &'static str) -> Result<(), DecodeError> {
    if format == FORMAT {
        return Ok(());
    }
    let problem = format!(
        "it has format {format} and this build knows format {FORMAT}; run the newer Holdfast"
    );
    Err(DecodeError::new(what, problem))
}

/// Encodes one position of the log.
#[must_use]
pub fn encode_log_entry<E: AsRef<Entry>>(entry: &LogEntry<E>) -> Vec<u8> {
    use pb::log_entry::Payload;
    let payload = match &entry.payload {
        LogPayload::Blank => Payload::Blank(pb::Empty {}),
        LogPayload::Command(entry) => Payload::Command(entry.as_ref().into()),
        LogPayload::Membership(membership) => Payload::Membership(membership.into()),
    };
    pb::LogEntry {
        format: FORMAT,
        id: Some(entry.id.into()),
        payload: Some(payload),
    }
    .encode_to_vec()
}

/// Decodes what [`encode_log_entry`] made.
///
/// # Errors
/// When the bytes are not an entry that this build understands; the member that holds them must stop.
pub fn decode_log_entry(bytes: &[u8]) -> Result<LogEntry<Entry>, DecodeError> {
    use pb::log_entry::Payload;
    let what = "an entry of the log";
    let entry = strict::<pb::LogEntry>(bytes, what)?;
    check_format(entry.format, what)?;
    let payload = match required(entry.payload, "the kind of an entry")? {
        Payload::Blank(pb::Empty {}) => LogPayload::Blank,
        Payload::Command(command) => LogPayload::Command(command.try_into()?),
        Payload::Membership(membership) => LogPayload::Membership(membership.try_into()?),
    };
    Ok(LogEntry {
        id: required(entry.id, "the id of an entry")?.into(),
        payload,
    })
}

/// Encodes a vote.
#[must_use]
pub fn encode_vote(vote: &Vote) -> Vec<u8> {
    let vote = pb::Vote {
        term: vote.term,
        node: vote.node,
        committed: vote.committed,
    };
    pb::VoteRecord {
        format: FORMAT,
        vote: Some(vote),
    }
    .encode_to_vec()
}

/// Decodes what [`encode_vote`] made.
///
/// # Errors
/// When the bytes are not a vote that this build understands.
pub fn decode_vote(bytes: &[u8]) -> Result<Vote, DecodeError> {
    let record = strict::<pb::VoteRecord>(bytes, "a vote")?;
    check_format(record.format, "a vote")?;
    let vote = required(record.vote, "a vote")?;
    Ok(Vote {
        term: vote.term,
        node: vote.node,
        committed: vote.committed,
    })
}

/// Encodes how far the tables have come.
#[must_use]
pub fn encode_applied_state(state: &AppliedState) -> Vec<u8> {
    pb::AppliedState::from(state).encode_to_vec()
}

/// Decodes what [`encode_applied_state`] made.
///
/// # Errors
/// When the bytes are not such a record that this build understands.
pub fn decode_applied_state(bytes: &[u8]) -> Result<AppliedState, DecodeError> {
    strict::<pb::AppliedState>(bytes, "the applied state")?.try_into()
}

/// Encodes who this node is.
#[must_use]
pub fn encode_member_identity(identity: &MemberIdentity) -> Vec<u8> {
    pb::MemberIdentity {
        format: FORMAT,
        node: identity.node,
        starts: identity.starts,
        nonce: bits_to(identity.nonce),
        previous_nonce: bits_to(identity.previous_nonce),
        unconfirmed_nonces: identity
            .unconfirmed_nonces
            .iter()
            .map(|nonce| bits_to(*nonce))
            .collect(),
        confirmed: identity.confirmed,
    }
    .encode_to_vec()
}

/// Decodes what [`encode_member_identity`] made.
///
/// # Errors
/// When the bytes are not such a record that this build understands.
pub fn decode_member_identity(bytes: &[u8]) -> Result<MemberIdentity, DecodeError> {
    let what = "the identity of a member";
    let identity = strict::<pb::MemberIdentity>(bytes, what)?;
    check_format(identity.format, what)?;
    Ok(MemberIdentity {
        node: identity.node,
        starts: identity.starts,
        nonce: bits_from(&identity.nonce, "a nonce")?,
        previous_nonce: bits_from(&identity.previous_nonce, "a nonce")?,
        unconfirmed_nonces: identity
            .unconfirmed_nonces
            .iter()
            .map(|nonce| bits_from(nonce, "a nonce"))
            .collect::<Result<_, _>>()?,
        confirmed: identity.confirmed,
    })
}

/// Encodes the first chunk of a snapshot.
#[must_use]
pub fn encode_snapshot_header(header: &SnapshotHeader) -> Vec<u8> {
    pb::SnapshotHeader {
        format: FORMAT,
        state: Some((&header.state).into()),
    }
    .encode_to_vec()
}

/// Decodes what [`encode_snapshot_header`] made.
///
/// # Errors
/// When the bytes are not such a chunk that this build understands.
pub fn decode_snapshot_header(bytes: &[u8]) -> Result<SnapshotHeader, DecodeError> {
    let what = "the header of a snapshot";
    let header = strict::<pb::SnapshotHeader>(bytes, what)?;
    check_format(header.format, what)?;
    Ok(SnapshotHeader {
        state: required(header.state, what)?.try_into()?,
    })
}

/// Encodes a chunk of rows.
#[must_use]
pub fn encode_snapshot_rows(rows: &[SnapshotRow]) -> Vec<u8> {
    let row = |row: &SnapshotRow| pb::SnapshotRow {
        table: u32::from(row.table.number()),
        key: row.key.clone(),
        row: row.row.clone(),
    };
    pb::SnapshotRows {
        rows: rows.iter().map(row).collect(),
    }
    .encode_to_vec()
}

/// Decodes what [`encode_snapshot_rows`] made. The rows themselves stay encoded.
///
/// # Errors
/// When the bytes are not such a chunk, or name a table that this build does not know.
pub fn decode_snapshot_rows(bytes: &[u8]) -> Result<Vec<SnapshotRow>, DecodeError> {
    let rows = strict::<pb::SnapshotRows>(bytes, "a chunk of a snapshot")?.rows;
    rows.into_iter()
        .map(|row| {
            let table = u8::try_from(row.table).ok().and_then(TableId::from_number);
            let unknown = || {
                DecodeError::new(
                    "a row of a snapshot",
                    format!("table {} is unknown", row.table),
                )
            };
            Ok(SnapshotRow {
                table: table.ok_or_else(unknown)?,
                key: row.key,
                row: row.row,
            })
        })
        .collect()
}

/// Encodes the last chunk of a snapshot.
#[must_use]
pub fn encode_snapshot_end(end: &SnapshotEnd) -> Vec<u8> {
    pb::SnapshotEnd { rows: end.rows }.encode_to_vec()
}

/// Decodes what [`encode_snapshot_end`] made.
///
/// # Errors
/// When the bytes are not such a chunk.
pub fn decode_snapshot_end(bytes: &[u8]) -> Result<SnapshotEnd, DecodeError> {
    let end = strict::<pb::SnapshotEnd>(bytes, "the end of a snapshot")?;
    Ok(SnapshotEnd { rows: end.rows })
}

impl From<LogId> for pb::LogId {
    fn from(id: LogId) -> Self {
        pb::LogId {
            term: id.term,
            node: id.node,
            index: id.index,
        }
    }
}

impl From<pb::LogId> for LogId {
    fn from(id: pb::LogId) -> Self {
        LogId {
            term: id.term,
            node: id.node,
            index: id.index,
        }
    }
}

impl From<&Membership> for pb::Membership {
    fn from(membership: &Membership) -> Self {
        let voters = |config: &BTreeSet<u64>| pb::Voters {
            nodes: config.iter().copied().collect(),
        };
        let peer = |(node, address): (&u64, &String)| pb::Peer {
            node: *node,
            address: address.clone(),
        };
        pb::Membership {
            configs: membership.configs.iter().map(voters).collect(),
            nodes: membership.nodes.iter().map(peer).collect(),
        }
    }
}

impl TryFrom<pb::Membership> for Membership {
    type Error = DecodeError;

    fn try_from(membership: pb::Membership) -> Result<Self, DecodeError> {
        let mut configs = Vec::with_capacity(membership.configs.len());
        for voters in membership.configs {
            if !voters.nodes.is_sorted_by(|a, b| a < b) {
                return Err(DecodeError::new(
                    "a membership",
                    "its voters are not in order",
                ));
            }
            configs.push(voters.nodes.into_iter().collect());
        }
        if !membership.nodes.is_sorted_by(|a, b| a.node < b.node) {
            return Err(DecodeError::new(
                "a membership",
                "its nodes are not in order",
            ));
        }
        let nodes = membership
            .nodes
            .into_iter()
            .map(|peer| (peer.node, peer.address))
            .collect();
        Ok(Membership { configs, nodes })
    }
}

impl From<&AppliedState> for pb::AppliedState {
    fn from(state: &AppliedState) -> Self {
        pb::AppliedState {
            format: FORMAT,
            applied: state.applied.map(pb::LogId::from),
            membership: Some(pb::StoredMembership {
                id: state.membership.id.map(pb::LogId::from),
                membership: Some((&state.membership.membership).into()),
            }),
        }
    }
}

impl TryFrom<pb::AppliedState> for AppliedState {
    type Error = DecodeError;

    fn try_from(state: pb::AppliedState) -> Result<Self, DecodeError> {
        check_format(state.format, "the applied state")?;
        let stored = required(state.membership, "the applied membership")?;
        let membership = required(stored.membership, "the applied membership")?.try_into()?;
        Ok(AppliedState {
            applied: state.applied.map(LogId::from),
            membership: StoredMembership {
                id: stored.id.map(LogId::from),
                membership,
            },
        })
    }
}

/// Encodes entries, each encoded by [`encode_log_entry`], as one segment of the log's copy.
#[must_use]
pub fn encode_log_segment(entries: &[Bytes]) -> Vec<u8> {
    pb::LogSegment {
        format: FORMAT,
        entries: entries.to_vec(),
    }
    .encode_to_vec()
}

/// Decodes what [`encode_log_segment`] made. The entries themselves stay encoded.
///
/// # Errors
/// When the bytes are not such a segment that this build understands.
pub fn decode_log_segment(bytes: &[u8]) -> Result<Vec<Bytes>, DecodeError> {
    let what = "a segment of the log's copy";
    let segment = strict::<pb::LogSegment>(bytes, what)?;
    check_format(segment.format, what)?;
    Ok(segment.entries)
}
