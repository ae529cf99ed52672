//! Join tokens are issued, and forgotten when they have expired. A used one is kept until then: whoever tries it again is
//! told who was let in by it. Rule 5.7.

use super::state::{State, Stop, invalid};
use crate::ids::LogTime;
use crate::keys::{self, Range};
use crate::node::{JoinTokenId, JoinTokenRow, NodeRole};
use crate::reply::Reply;
use crate::tables::TableId;
use crate::{JOIN_TOKEN_LIFE_MS_MAX, JOIN_TOKENS_MAX};

/// How many expired tokens are forgotten with each that is issued.
const FORGOTTEN_PER_ENTRY_MAX: usize = 100;

/// [`crate::Command::IssueJoinToken`].
pub(super) fn issue(
    state: &mut State<'_>,
    token: JoinTokenId,
    hash: [u8; 32],
    role: NodeRole,
    expires: LogTime,
) -> Result<Reply, Stop> {
    state.require_founded()?;
    let now = state.now();
    if expires <= now || expires > now.plus_ms(JOIN_TOKEN_LIFE_MS_MAX) {
        return Err(invalid("a join token expires within 30 days, and not at once").into());
    }
    // Never more than may be live: one is added only while fewer are, and then the expired ones go first.
    let all = Range::all(TableId::JoinToken);
    let tokens = state.collect(&all, usize::MAX, |key, row: JoinTokenRow| {
        Some((keys::read_join_token(key)?, row.expires))
    })?;
    if tokens.iter().any(|(known, _)| *known == token) {
        return Err(invalid("a join token of this id exists").into());
    }
    let is_expired = |(_, expires): &&(JoinTokenId, LogTime)| *expires <= now;
    let expired = tokens.iter().filter(is_expired);
    if tokens.len() - expired.clone().count() >= JOIN_TOKENS_MAX {
        let reason = format!("there are {JOIN_TOKENS_MAX} join tokens that have not expired");
        return Err(invalid(reason).into());
    }
    for (old, _) in expired.take(FORGOTTEN_PER_ENTRY_MAX) {
        state.remove(&keys::join_token(*old))?;
    }
    let row = JoinTokenRow {
        hash,
        role,
        expires,
        used: None,
    };
    state.put(&keys::join_token(token), row)?;
    Ok(Reply::Done)
}
