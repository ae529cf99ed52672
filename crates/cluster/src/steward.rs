//! The leader has the group of the log follow the log's table of nodes: who joined learns and then votes, who was removed
//! leaves, who moved is called elsewhere, and a dead voter is replaced by a spare (rules 5.2 and 5.4).
//!
//! Each pass makes one change at most, and looks again: a change that was only half decided is seen as it is. Nothing is
//! kept that a new leader would miss, except since when voters have been silent. What may be done seldom only is asked of
//! the log first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;
use std::time::Duration;

use identity::{NodeId, Role};
use metadata::{Answer, Command, NodeView, Query, Reply};
use metadata_raft::{GroupFailure, GroupView, Member, PeerView};
use ports::{Deadline, MetadataStore};
use tokio::time::Instant;

use crate::node::Shared;
use crate::{status, upkeep};

const LOOK_EVERY: Duration = Duration::from_millis(200);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
const CHANGE_TIME_MAX: Duration = Duration::from_secs(10);

/// Members beyond so many learn as spares.
const VOTERS_MAX: usize = 5;
/// How far behind a learner may be that is to vote, in entries.
const CAUGHT_UP_WITHIN: u64 = 100;
/// A node that has not answered for so long is not live.
const LIVE_WITHIN: Duration = Duration::from_secs(1);
/// A voter that was silent for so long is told of.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// A voter that was silent for so long is replaced, if a spare is there.
const DEAD_AFTER: Duration = Duration::from_secs(10 * 60);
/// When the log refuses a replacement, it is asked again after so long.
const REPLACE_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Serves as long as the node lives.
pub(crate) async fn serve(shared: Weak<Shared>) {
    let mut steward = Steward::default();
    while let Some(shared) = shared.upgrade() {
        if let Some(member) = shared.member() {
            if member.leads() {
                steward.pass(&shared, member).await;
            } else {
                // What this member saw as the leader of another time says nothing.
                steward = Steward::default();
            }
        }
        drop(shared);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What the group needs next.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// A node that is in the table and not in the group.
    TakeIn(u64, String),
    /// A node is reached elsewhere.
    Move(u64, String),
    /// These vote.
    Voters(BTreeSet<u64>),
    /// A learner leaves.
    Forget(u64),
    /// This member was removed: another one is to lead first.
    StepDown,
}

#[derive(Default)]
struct Steward {
    /// When a dead voter's replacement was last asked for.
    replacement_asked: Option<Instant>,
    /// When it was last looked for what is due.
    looked: Option<Instant>,
    silent_since: BTreeMap<u64, Instant>,
    /// Those whose silence was logged.
    told: BTreeSet<u64>,
}

impl Steward {
    async fn pass(&mut self, shared: &Shared, member: &Member) {
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        let nodes = match member.read(Query::Nodes, deadline).await {
            Ok(answered) => match answered.answer {
                Answer::Nodes { nodes } => nodes,
                _ => return,
            },
            Err(_) => return,
        };
        let group = member.group();
        self.note_silence(&group);
        let change = match next_change(&group, &nodes) {
            Some(change) if may_be_made(shared, &group, &change).await => change,
            _ => {
                if self
                    .looked
                    .is_none_or(|at| at.elapsed() > upkeep::LOOK_EVERY)
                {
                    self.looked = Some(Instant::now());
                    upkeep::propose_due(shared, member, &nodes).await;
                }
                match self.decided_replacement(member, &group).await {
                    Some(change) => change,
                    None => return,
                }
            }
        };
        tracing::info!(?change, "the group of the metadata log changes");
        let deadline = Deadline::now() + CHANGE_TIME_MAX;
        let changed = match change {
            Change::TakeIn(node, address) => member.take_in(node, &address, deadline).await,
            Change::Move(node, address) => member.set_address(node, &address, deadline).await,
            Change::Voters(voters) => member.set_voters(voters, deadline).await,
            Change::Forget(node) => member.remove_learner(node, deadline).await,
            Change::StepDown => member.step_down(deadline).await,
        };
        match changed {
            Ok(()) | Err(GroupFailure::NotLeader { .. }) => {}
            Err(failure) => {
                tracing::warn!(%failure, "the group could not be changed; it is tried again")
            }
        }
    }

    fn note_silence(&mut self, group: &GroupView) {
        let now = Instant::now();
        let silent = group
            .nodes
            .iter()
            .filter(|(node, peer)| **node != group.node && peer.votes && !is_live(peer));
        let silent: BTreeSet<u64> = silent.map(|(node, _)| *node).collect();
        self.silent_since.retain(|node, since| {
            let is_silent = silent.contains(node);
            if !is_silent && self.told.remove(node) {
                let seconds = since.elapsed().as_secs();
                tracing::info!(node, seconds, "a voter answers again");
            }
            is_silent
        });
        for node in silent {
            let since = *self.silent_since.entry(node).or_insert(now);
            // One that has just been elected has not heard of anyone yet.
            if since.elapsed() > TOLD_AFTER && self.told.insert(node) {
                tracing::warn!(node, "a voter does not answer");
            }
        }
    }

    /// The replacement of a dead voter, once the log has taken it: how often that is done no leader knows by itself. A leader
    /// that dies in between leaves the next one to ask for the same.
    async fn decided_replacement(&mut self, member: &Member, group: &GroupView) -> Option<Change> {
        let (dead, spare) = self.replacement(group)?;
        let asked = self.replacement_asked;
        if asked.is_some_and(|at| at.elapsed() < REPLACE_AGAIN_AFTER) {
            return None;
        }
        self.replacement_asked = Some(Instant::now());
        let command = Command::ReplaceVoter {
            dead: NodeId(dead),
            spare: NodeId(spare),
        };
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        match member.propose(command, deadline).await {
            Ok(Reply::Done) => {}
            reply => {
                tracing::debug!(dead, spare, ?reply, "a dead voter is not replaced now");
                return None;
            }
        }
        tracing::warn!(
            dead,
            spare,
            "a voter has been dead for long: a spare takes its place"
        );
        let mut voters = voters_of(group);
        voters.remove(&dead);
        voters.insert(spare);
        Some(Change::Voters(voters))
    }

    /// Rule 5.4: one dead voter, all others live and caught up, a spare that is, too.
    fn replacement(&self, group: &GroupView) -> Option<(u64, u64)> {
        let [(dead, since)] = self.silent_since.iter().collect::<Vec<_>>()[..] else {
            return None;
        };
        if since.elapsed() < DEAD_AFTER {
            return None;
        }
        let fit = |node: &u64, peer: &PeerView| {
            *node == group.node || (is_live(peer) && is_caught_up(peer, group))
        };
        let others_fit = group
            .nodes
            .iter()
            .all(|(node, peer)| !peer.votes || node == dead || fit(node, peer));
        let spare = group
            .nodes
            .iter()
            .find(|(node, peer)| !peer.votes && fit(node, peer));
        let (spare, _) = spare.filter(|_| others_fit)?;
        Some((*dead, *spare))
    }
}

fn is_live(peer: &PeerView) -> bool {
    peer.silent_for.is_some_and(|silence| silence < LIVE_WITHIN)
}

fn is_caught_up(peer: &PeerView, group: &GroupView) -> bool {
    let last = group.last_log.unwrap_or(0);
    peer.matched
        .is_some_and(|matched| matched + CAUGHT_UP_WITHIN >= last)
}

/// Whether a change may be made now. Who is to vote has applied the log, by its own account: what it only has in its log it cannot
/// serve from, and while it applies a long one it answers late, when a majority may need it.
async fn may_be_made(shared: &Shared, group: &GroupView, change: &Change) -> bool {
    let Change::Voters(voters) = change else {
        return true;
    };
    let last = group.last_log.unwrap_or(0);
    for (node, peer) in &group.nodes {
        if voters.contains(node) && !peer.votes {
            let account = status::ask_at(shared, *node, &peer.address).await;
            if !account.is_ok_and(|status| status.applied + CAUGHT_UP_WITHIN >= last) {
                return false;
            }
        }
    }
    true
}

fn voters_of(group: &GroupView) -> BTreeSet<u64> {
    let voters = group.nodes.iter().filter(|(_, peer)| peer.votes);
    voters.map(|(node, _)| *node).collect()
}

/// What the table of nodes asks of the group, one change at a time.
fn next_change(group: &GroupView, nodes: &[NodeView]) -> Option<Change> {
    let members: BTreeMap<u64, &str> = nodes
        .iter()
        .filter(|node| node.role == Role::Member && node.removed.is_none())
        .map(|node| (node.node.0, node.announcement.peer_address.as_str()))
        .collect();
    if members.is_empty() {
        // Not founded yet.
        return None;
    }
    for (node, peer) in &group.nodes {
        if members.contains_key(node) {
            continue;
        }
        if *node == group.node {
            return Some(Change::StepDown);
        }
        if !peer.votes {
            return Some(Change::Forget(*node));
        }
        let mut voters = voters_of(group);
        voters.remove(node);
        return Some(Change::Voters(voters));
    }
    for (node, address) in &members {
        match group.nodes.get(node) {
            None => return Some(Change::TakeIn(*node, (*address).to_owned())),
            Some(peer) if peer.address != *address => {
                return Some(Change::Move(*node, (*address).to_owned()));
            }
            Some(_) => {}
        }
    }
    let mut voters = voters_of(group);
    if voters.len() >= VOTERS_MAX {
        return None;
    }
    let ready = group
        .nodes
        .iter()
        .find(|(_, peer)| !peer.votes && is_live(peer) && is_caught_up(peer, group));
    let (node, _) = ready?;
    voters.insert(*node);
    Some(Change::Voters(voters))
}

/// Makes a learner vote that has caught up.
pub(crate) async fn promote(shared: &Shared, member: &Member, node: NodeId) -> Result<(), String> {
    let group = member.group();
    let peer = group.nodes.get(&node.0);
    let peer = peer.ok_or_else(|| format!("node {node} is no member of the log's group"))?;
    if peer.votes {
        return Ok(());
    }
    let mut voters = voters_of(&group);
    voters.insert(node.0);
    let change = Change::Voters(voters.clone());
    let has_the_log = is_live(peer) && is_caught_up(peer, &group);
    if !has_the_log || !may_be_made(shared, &group, &change).await {
        return Err(format!(
            "node {node} has not caught up with the log yet: it votes when it has"
        ));
    }
    let deadline = Deadline::now() + CHANGE_TIME_MAX;
    let changed = member.set_voters(voters, deadline).await;
    changed.map_err(|failure| failure.to_string())
}

#[cfg(test)]
#[path = "steward_tests.rs"]
mod tests;
