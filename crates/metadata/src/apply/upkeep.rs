//! What the cluster does by itself, in its time: the log's time is corrected, the format is raised, gateways that are gone
//! are removed, a dead voter is replaced; and blobs that were inherited become the cluster's own when an operator says so.
//! Rules 3.3, 3.7, 5.4, 5.15 and 6.1.
//!
//! The leader proposes each of these when it believes that the time has come; whether it has, is decided here.

use super::node;
use super::state::{State, Stop, invalid};
use crate::ids::LogTime;
use crate::node::{NodeId, NodeRole};
use crate::reply::{Refusal, Reply};
use crate::upkeep::Replacement;
use crate::{
    CORRECTION_MS_MIN, FORMAT_RAISED_AFTER_MS, GATEWAY_GONE_AFTER_MS, REPLACEMENT_INTERVAL_MS,
};

/// [`crate::Command::CorrectTime`]. Again, or by two leaders, it has no second effect.
pub(super) fn correct_time(state: &mut State<'_>, to: LogTime) -> Result<Reply, Stop> {
    if to > state.now().plus_ms(CORRECTION_MS_MIN) {
        state.cluster.time = to;
        state.cluster.upkeep.corrected = Some(to);
    }
    Ok(Reply::Done)
}

/// [`crate::Command::RaiseFormatInTime`].
pub(super) fn raise_format_in_time(state: &mut State<'_>, to: u32) -> Result<Reply, Stop> {
    state.require_founded()?;
    if to == state.cluster.format {
        return Ok(Reply::Done);
    }
    if let Some(since) = state.cluster.upkeep.next_format_since {
        require_passed(state, since, FORMAT_RAISED_AFTER_MS)?;
    }
    super::cluster::raise_format(state, to)
}

/// [`crate::Command::RemoveGoneGateway`].
pub(super) fn remove_gone_gateway(state: &mut State<'_>, gateway: NodeId) -> Result<Reply, Stop> {
    let row = node::find(state, gateway)?;
    if row.removed.is_some() {
        return Ok(Reply::Done);
    }
    if row.role != NodeRole::Gateway {
        return Err(invalid("a member is removed by an operator").into());
    }
    require_passed(state, row.announced, GATEWAY_GONE_AFTER_MS)?;
    node::remove(state, gateway)
}

/// [`crate::Command::ReplaceVoter`]. The same replacement again is the same one: the leader that decided it may have died
/// before the group changed.
pub(super) fn replace_voter(
    state: &mut State<'_>,
    dead: NodeId,
    spare: NodeId,
) -> Result<Reply, Stop> {
    for member in [dead, spare] {
        let row = node::find(state, member)?;
        if row.role != NodeRole::Member {
            return Err(invalid("only members vote").into());
        }
    }
    let at = state.now();
    match state.cluster.upkeep.replacement {
        Some(last) if (last.dead, last.spare) == (dead, spare) => {}
        Some(last) if at < last.at.plus_ms(REPLACEMENT_INTERVAL_MS) => {
            let until = last.at.plus_ms(REPLACEMENT_INTERVAL_MS);
            return Err(Refusal::TooEarly { until }.into());
        }
        _ => state.cluster.upkeep.replacement = Some(Replacement { dead, spare, at }),
    }
    Ok(Reply::Done)
}

/// [`crate::Command::AdoptBlobs`].
pub(super) fn adopt_blobs(state: &mut State<'_>) -> Result<Reply, Stop> {
    state.cluster.adopted_from = state.cluster.storage.borrowed.clone();
    Ok(Reply::Done)
}

/// Refuses until `span_ms` have passed since `since`, also on a clock that was just corrected.
fn require_passed(state: &State<'_>, since: LogTime, span_ms: u64) -> Result<(), Refusal> {
    let (upkeep, now) = (&state.cluster.upkeep, state.now());
    if upkeep.has_passed(since, span_ms, now) {
        return Ok(());
    }
    let until = since.plus_ms(span_ms);
    let until = upkeep
        .suspended_until(now)
        .map_or(until, |end| end.max(until));
    Err(Refusal::TooEarly { until })
}

/// Notes since when every node knows the next format. Called by every verb that changes who is a node or what a node says.
pub(super) fn note_next_format(state: &mut State<'_>) -> Result<(), Stop> {
    let next = state.cluster.format.saturating_add(1);
    let nodes = state.nodes()?;
    let mut nodes = nodes.iter().filter(|(_, row)| row.removed.is_none());
    let is_known = nodes.all(|(_, row)| row.announcement.format_max >= next);
    let now = state.now();
    let since = &mut state.cluster.upkeep.next_format_since;
    *since = is_known.then(|| since.unwrap_or(now));
    Ok(())
}
