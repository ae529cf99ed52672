//! Makes a stopped member a group of its own, when the majority of its group is lost for ever.
//!
//! One entry is appended, of a term that the member has not seen: the group is this member alone. When it starts, it elects
//! itself, and with that entry everything before it in this log is committed. What other members had committed and this one
//! never received is lost; what this one had and nobody committed counts now. Must only be done to one member of a group, and
//! the others must never be started again: who calls this sees to it that they are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use metadata::{Answer, LogTime, Query};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::{BasicNode, EntryPayload, RaftLogReader};

use crate::log::{DiskSpace, LogStore};
use crate::storage::Storage;
use crate::types::{LogId, Membership, RaftEntry, Vote, log_id_from_wire, vote_from_wire};
use crate::{MemberConfig, OpenFailure};

/// How many entries are read at once.
const ENTRIES_AT_ONCE: u64 = 256;

/// What a survivor has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// The members of its group, and where they were.
    pub members: BTreeMap<u64, String>,
    /// The last entry in its log.
    pub last_log: u64,
    /// The last entry that it has applied, so that it was certainly committed.
    pub applied: u64,
    /// The log's time there.
    pub time: LogTime,
    /// How many repositories it knows.
    pub repositories: u64,
}

/// Looks at a stopped member, and makes it a group of its own if it `shall`. Blocks. May be repeated: another entry is
/// appended, which says the same.
///
/// # Errors
/// When the folder is in use or of another node, or has no log.
pub fn recover(config: &MemberConfig, shall: bool) -> Result<Survivor, OpenFailure> {
    let space = Arc::new(DiskSpace::default());
    let storage = Storage::open(config, config.ids.fresh(), space)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| failed(&e))?;
    runtime.block_on(survive(storage, config, shall))
}

fn failed(error: &dyn std::fmt::Display) -> OpenFailure {
    OpenFailure::NotStarted {
        reason: error.to_string(),
    }
}

async fn survive(
    storage: Storage,
    config: &MemberConfig,
    shall: bool,
) -> Result<Survivor, OpenFailure> {
    let mut log = storage.log;
    let state = log.get_log_state().await.map_err(|e| failed(&e))?;
    let applied = storage.tables.applied();
    let last = state.last_log_id.max(applied.last);
    let Some(last) = last else {
        return Err(failed(
            &"this member has no log: nothing can be recovered from it",
        ));
    };
    let mut membership = applied.membership.membership().clone();
    if let Some(latest) = latest_membership(&mut log, &state.last_purged_log_id, &last).await? {
        membership = latest;
    }
    let node = config.node_id;
    let members = membership.nodes();
    let members: BTreeMap<u64, String> = members.map(|(id, at)| (*id, at.addr.clone())).collect();
    let (time, repositories) = match metadata::answer(&storage.tables.view().rows, &Query::Cluster)
    {
        Ok(Answer::Cluster(view)) => (view.time, view.repositories),
        Ok(_) => (LogTime(0), 0),
        Err(e) => return Err(failed(&e)),
    };
    let survivor = Survivor {
        last_log: last.index,
        applied: applied.last.map_or(0, |id| id.index),
        time,
        repositories,
        members,
    };
    if shall {
        let address = survivor.members.get(&node).cloned().unwrap_or_default();
        append_alone(&mut log, node, address, &last).await?;
    }
    log.close().await.map_err(|e| failed(&e))?;
    storage.tables.close().map_err(|e| failed(&e))?;
    drop(storage.lock);
    Ok(survivor)
}

/// The last membership in the log, committed or not: the one that counts when the member starts.
async fn latest_membership(
    log: &mut LogStore,
    purged: &Option<LogId>,
    last: &LogId,
) -> Result<Option<Membership>, OpenFailure> {
    let mut found = None;
    let mut from = purged.as_ref().map_or(0, |id| id.index + 1);
    while from <= last.index {
        let until = (from + ENTRIES_AT_ONCE).min(last.index + 1);
        let entries = log.try_get_log_entries(from..until).await;
        let entries = entries.map_err(|e| failed(&e))?;
        let Some(end) = entries.last().map(|entry| entry.log_id.index) else {
            break;
        };
        for entry in entries {
            if let EntryPayload::Membership(membership) = entry.payload {
                found = Some(membership);
            }
        }
        from = end + 1;
    }
    Ok(found)
}

async fn append_alone(
    log: &mut LogStore,
    node: u64,
    address: String,
    last: &LogId,
) -> Result<(), OpenFailure> {
    let vote: Option<Vote> = log.read_vote().await.map_err(|e| failed(&e))?;
    let seen = vote.map_or(0, |vote| vote.leader_id.term);
    let term = seen.max(last.leader_id.term) + 1;
    let id = log_id_from_wire(wire::LogId {
        term,
        node,
        index: last.index + 1,
    });
    let alone = BTreeMap::from([(node, BasicNode { addr: address })]);
    let membership = Membership::new(vec![BTreeSet::from([node])], alone);
    let entry = RaftEntry {
        log_id: id,
        payload: EntryPayload::Membership(membership.map_err(|e| failed(&e))?),
    };
    let own_vote = vote_from_wire(wire::Vote {
        term,
        node,
        committed: false,
    });
    log.save_vote(&own_vote).await.map_err(|e| failed(&e))?;
    log.blocking_append([entry]).await.map_err(|e| failed(&e))
}
