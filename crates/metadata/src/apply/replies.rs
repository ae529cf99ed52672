//! Replies are remembered, so that a retry gets the first answer and has no second effect. Rule 3.1.
//!
//! They are forgotten in the order of the log after 10 minutes of its time, or when there are more than a million, a few
//! with each entry. The floor is the last index that was forgotten: a sender who had seen it, or a later one, proposed
//! nothing whose first effect could lie at or below it.

use super::state::{State, Stop, less};
use crate::ids::CommandId;
use crate::keys::{self, Range};
use crate::reply::Reply;
use crate::rows::ReplyRow;
use crate::tables::TableId;

/// How long a reply is remembered, in milliseconds of log time.
pub(super) const REPLY_KEPT_MS: u64 = 10 * 60 * 1000;

/// How many replies are remembered at most (give or take what one entry forgets).
const REPLIES_MAX: u64 = 1_000_000;

/// How many are forgotten by one entry; more than one, so that forgetting outruns remembering.
const FORGOTTEN_PER_ENTRY_MAX: usize = 8;

/// The first answer to a command.
pub(super) fn remembered(state: &State<'_>, id: CommandId) -> Result<Option<Reply>, Stop> {
    if mutants::active!("forget_the_dedup") {
        return Ok(None);
    }
    Ok(state.get(&keys::reply(id))?.map(|row| row.reply))
}

/// Remembers the first answer to a command.
pub(super) fn remember(state: &mut State<'_>, id: CommandId, reply: &Reply) -> Result<(), Stop> {
    let row = ReplyRow {
        index: state.index,
        time: state.now(),
        reply: reply.clone(),
    };
    state.put(&keys::reply(id), row)?;
    state.put(&keys::reply_order(state.index), id)?;
    state.cluster.replies += 1;
    Ok(())
}

/// Forgets some replies that are older than they need to be. Most entries find none, and look at one only.
pub(super) fn forget_old(state: &mut State<'_>) -> Result<(), Stop> {
    if !forget_oldest(state, 1)? {
        return Ok(());
    }
    forget_oldest(state, FORGOTTEN_PER_ENTRY_MAX - 1)?;
    Ok(())
}

/// Forgets the `count` oldest replies; `false` when one of them is still needed.
fn forget_oldest(state: &mut State<'_>, count: usize) -> Result<bool, Stop> {
    let oldest = state.collect(
        &Range::all(TableId::ReplyOrder),
        count,
        |key, id: CommandId| Some((keys::read_reply_order(key)?, id)),
    )?;
    for (index, id) in oldest {
        let key = keys::reply(id);
        let row = state.require(&key, "a reply that the order of replies names")?;
        let is_old = row.time.plus_ms(REPLY_KEPT_MS) < state.now();
        if !is_old && state.cluster.replies <= REPLIES_MAX {
            return Ok(false);
        }
        state.remove(&key)?;
        state.remove(&keys::reply_order(index))?;
        state.cluster.replies = less(state.cluster.replies, 1, "the number of replies")?;
        state.cluster.replies_floor = index;
    }
    Ok(true)
}
