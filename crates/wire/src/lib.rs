//! The only bytes that are exchanged or kept: protobuf from `proto/` and hand-written conversions.
//!
//! Decoding is strict: what this build does not know (an unknown kind, an unknown field, a word that cannot be) is a
//! [`DecodeError`] and never skipped, because members that skip different things would diverge. It never panics and
//! never allocates more than a small multiple of its input. Encoding is canonical: equal values are equal bytes.
//!
//! Every persisted kind has a golden file under `golden/` that must load for ever.

mod access;
mod answer;
mod command;
mod error;
mod move_progress;
mod node;
pub mod nodes;
pub mod peer;
pub mod proofs;
mod query;
mod raft;
mod reply;
mod rows;
mod upkeep;
mod upload;
mod words;

#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod pb {
    include!(concat!(env!("OUT_DIR"), "/holdfast.v1.rs"));
}

pub use error::DecodeError;
pub use raft::{
    AppliedState, FORMAT, LogEntry, LogId, LogPayload, MemberIdentity, Membership, SnapshotEnd,
    SnapshotHeader, SnapshotRow, StoredMembership, Vote, decode_applied_state, decode_log_entry,
    decode_log_segment, decode_member_identity, decode_snapshot_end, decode_snapshot_header,
    decode_snapshot_rows, decode_vote, encode_applied_state, encode_log_entry, encode_log_segment,
    encode_member_identity, encode_snapshot_end, encode_snapshot_header, encode_snapshot_rows,
    encode_vote,
};
pub use rows::{decode_row, encode_row};

use metadata::{Answer, Entry, Query, Reply};
use prost::Message;

/// Encodes an entry of the log, without the envelope that a [`LogEntry`] adds.
#[must_use]
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    pb::Entry::from(entry).encode_to_vec()
}

/// Decodes what [`encode_entry`] made.
///
/// # Errors
/// When the bytes are not an entry that this build understands.
pub fn decode_entry(bytes: &[u8]) -> Result<Entry, DecodeError> {
    strict::<pb::Entry>(bytes, "an entry")?.try_into()
}

/// Encodes a reply.
#[must_use]
pub fn encode_reply(reply: &Reply) -> Vec<u8> {
    pb::Reply::from(reply).encode_to_vec()
}

/// Decodes what [`encode_reply`] made.
///
/// # Errors
/// When the bytes are not a reply that this build understands.
pub fn decode_reply(bytes: &[u8]) -> Result<Reply, DecodeError> {
    strict::<pb::Reply>(bytes, "a reply")?.try_into()
}

/// Encodes a query.
#[must_use]
pub fn encode_query(query: &Query) -> Vec<u8> {
    pb::Query::from(query).encode_to_vec()
}

/// Decodes what [`encode_query`] made.
///
/// # Errors
/// When the bytes are not a query that this build understands.
pub fn decode_query(bytes: &[u8]) -> Result<Query, DecodeError> {
    strict::<pb::Query>(bytes, "a query")?.try_into()
}

/// Encodes an answer.
#[must_use]
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    pb::Answer::from(answer).encode_to_vec()
}

/// Decodes what [`encode_answer`] made.
///
/// # Errors
/// When the bytes are not an answer that this build understands.
pub fn decode_answer(bytes: &[u8]) -> Result<Answer, DecodeError> {
    strict::<pb::Answer>(bytes, "an answer")?.try_into()
}

/// Decodes a message and refuses whatever the generated code would skip: unknown fields and fields that occur twice
/// make the message longer than what it encodes to.
fn strict<M: Message + Default>(bytes: &[u8], what: &'static str) -> Result<M, DecodeError> {
    let message =
        M::decode(bytes).map_err(|e| DecodeError::new(what, format!("malformed: {e}")))?;
    if message.encoded_len() != bytes.len() {
        return Err(DecodeError::new(
            what,
            "it has fields that this build does not know; a newer Holdfast wrote it",
        ));
    }
    Ok(message)
}
