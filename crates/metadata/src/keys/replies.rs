//! The keys of remembered replies and first answers.

use oci::Digest;

use super::{Build, Key, Range, Read, before};
use crate::ids::{CommandId, LogIndex, LogTime, PrincipalName};
use crate::rows::ReplyRow;
use crate::tables::TableId;
use crate::typed::FirstAnswerRow;

/// The key of a remembered reply.
#[must_use]
pub fn reply(id: CommandId) -> Key<ReplyRow> {
    Build::default()
        .u128(id.incarnation)
        .u64(id.sequence)
        .key(TableId::Reply)
}

/// Reads a key of [`reply`].
#[must_use]
pub fn read_reply(key: &[u8]) -> Option<CommandId> {
    let mut read = Read(key);
    let id = CommandId {
        incarnation: read.u128()?,
        sequence: read.u64()?,
    };
    read.end(id)
}

/// The key of the order of replies.
#[must_use]
pub fn reply_order(index: LogIndex) -> Key<CommandId> {
    Build::default().u64(index.0).key(TableId::ReplyOrder)
}

/// Reads a key of [`reply_order`].
#[must_use]
pub fn read_reply_order(key: &[u8]) -> Option<LogIndex> {
    let mut read = Read(key);
    let index = LogIndex(read.u64()?);
    read.end(index)
}

/// The key of the first answer to a conditional `PUT`.
#[must_use]
pub fn recent_put(request: &Digest) -> Key<FirstAnswerRow> {
    Build::default().digest(request).key(TableId::RecentPut)
}

/// The key of the first answer to a request with an `Idempotency-Key`.
#[must_use]
pub fn idempotency_key(principal: &PrincipalName, key: &str) -> Key<FirstAnswerRow> {
    Build::default()
        .name(&principal.0)
        .last(key)
        .key(TableId::IdempotencyKey)
}

/// Reads a key of [`idempotency_key`].
#[must_use]
pub fn read_idempotency_key(key: &[u8]) -> Option<(PrincipalName, String)> {
    let mut read = Read(key);
    let principal = PrincipalName(read.text()?.into());
    Some((principal, read.rest()?.to_owned()))
}

/// The key of the order of first answers: `answer` may be forgotten from `time` on.
#[must_use]
pub fn first_answer_order(time: LogTime, answer: &Key<FirstAnswerRow>) -> Key<()> {
    Build::default()
        .u64(time.0)
        .bytes(&[answer.table.number()])
        .bytes(&answer.bytes)
        .key(TableId::FirstAnswerOrder)
}

/// First answers that may be forgotten before `time`.
#[must_use]
pub fn first_answers_before(time: LogTime) -> Range {
    before(TableId::FirstAnswerOrder, time)
}

/// Reads a key of [`first_answer_order`].
#[must_use]
pub fn read_first_answer_order(key: &[u8]) -> Option<(LogTime, Key<FirstAnswerRow>)> {
    let mut read = Read(key);
    let time = LogTime(read.u64()?);
    let table = TableId::from_number(*read.take(1)?.first()?)
        .filter(|table| matches!(table, TableId::RecentPut | TableId::IdempotencyKey))?;
    Some((time, Key::new(table, read.0.to_vec())))
}
