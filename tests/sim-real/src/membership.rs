//! Who is in the group: nodes that come, go and take the place of others, and leads that are handed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use ports::Deadline;

use crate::dice::Dice;
use crate::network::NodeId;
use crate::world::World;

/// Nodes that may be made in a run, over those of the start.
const NEW_NODES_MAX: u64 = 3;
/// The most voters.
const VOTERS_MAX: usize = 5;
/// How long a change of the group may take before it is given up.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(4);

/// What happened, and how often. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Occurred(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Occurred {
    /// Once more.
    pub(crate) fn count(&self, what: &'static str) {
        *self.0.lock().entry(what).or_default() += 1;
    }
}

impl World {
    /// What happened that was planned, as often as it did.
    #[must_use]
    pub fn occurred(&self) -> BTreeMap<&'static str, u64> {
        self.occurred.0.lock().clone()
    }

    /// Who leads and may begin a change, and who votes.
    fn may_change(&self) -> Option<(NodeId, BTreeSet<NodeId>)> {
        let leader = self.leader()?;
        let is_changing = self.is_changing.load(Ordering::Relaxed);
        (!is_changing).then(|| (leader, self.voters().into_iter().collect()))
    }

    /// A node that nobody has seen before, if one may be made.
    fn new_node(&mut self) -> Option<NodeId> {
        let made = self.nodes.len() as u64;
        if made >= self.members_at_first + NEW_NODES_MAX {
            return None;
        }
        let fresh = made + 1;
        self.add_node(fresh);
        self.start(fresh);
        Some(fresh)
    }

    /// A new node becomes a voter.
    pub(crate) fn join(&mut self) {
        let Some((leader, mut voters)) = self.may_change() else {
            return;
        };
        if voters.len() < VOTERS_MAX
            && let Some(fresh) = self.new_node()
        {
            voters.insert(fresh);
            self.trace.line(format!("{fresh} joins"));
            self.change_group("member joins", leader, BTreeSet::from([fresh]), voters);
        }
    }

    /// A voter that does not lead goes, unless three are left.
    pub(crate) fn leave(&mut self, number: u64) {
        let Some((leader, mut voters)) = self.may_change() else {
            return;
        };
        let others: Vec<NodeId> = voters.iter().copied().filter(|id| *id != leader).collect();
        if voters.len() > 3
            && let Some(gone) = Dice::new(number).pick(&others)
        {
            voters.remove(&gone);
            self.trace.line(format!("{gone} leaves"));
            self.change_group("member leaves", leader, BTreeSet::new(), voters);
        }
    }

    /// Has a member take nodes in and make these the voters.
    pub(crate) fn change_group(
        &self,
        what: &'static str,
        by: NodeId,
        taken_in: BTreeSet<NodeId>,
        voters: BTreeSet<NodeId>,
    ) {
        let Some(leader) = self.nodes[&by].member() else {
            return;
        };
        self.is_changing.store(true, Ordering::Relaxed);
        let done = Arc::clone(&self.is_changing);
        let occurred = self.occurred.clone();
        self.nodes[&by].spawn(async move {
            let deadline = Deadline::now() + CHANGE_TIME_MAX;
            let mut all_in = true;
            for node in taken_in.into_iter().filter(|node| *node != by) {
                let address = format!("node-{node}");
                let added = leader.add_learner(node, &address, deadline).await;
                all_in &= added.is_ok();
            }
            if all_in {
                // Whether one that failed was decided is seen in the group.
                if leader.set_voters(voters, deadline).await.is_ok() {
                    occurred.count(what);
                }
            }
            done.store(false, Ordering::Relaxed);
        });
    }

    /// Takes the lost machine out of the group.
    pub fn remove_lost(&self) {
        if let (Some(lost), Some(leader)) = (self.lost(), self.leader()) {
            let mut voters: BTreeSet<NodeId> = self.voters().into_iter().collect();
            voters.remove(&lost);
            self.change_group("lost voter removed", leader, BTreeSet::new(), voters);
        }
    }

    pub(crate) fn transfer(&mut self, number: u64) {
        let Some(leader) = self.leader() else {
            return;
        };
        let Some(member) = self.nodes[&leader].admitted() else {
            return;
        };
        let voters = self.voters();
        let to = Dice::new(number).pick(&voters).unwrap_or(leader);
        self.nodes[&leader].spawn(async move {
            let deadline = Deadline::now() + Duration::from_secs(1);
            if to == leader {
                drop(member.step_down(deadline).await);
            } else {
                drop(member.transfer_leader(to, deadline).await);
            }
        });
    }

    /// Those who vote, or would if there were a leader to tell.
    #[must_use]
    pub fn voters(&self) -> Vec<NodeId> {
        let known = self.group().unwrap_or_default();
        let voters: Vec<NodeId> = known
            .into_iter()
            .filter_map(|(id, votes)| votes.then_some(id))
            .collect();
        if voters.is_empty() {
            (1..=self.members_at_first).collect()
        } else {
            voters
        }
    }

    pub(crate) fn replace(&mut self, number: u64) {
        let Some((leader, mut voters)) = self.may_change() else {
            return;
        };
        let others: Vec<NodeId> = voters.iter().copied().filter(|id| *id != leader).collect();
        let Some(gone) = Dice::new(number).pick(&others) else {
            return;
        };
        let Some(fresh) = self.new_node() else {
            return;
        };
        voters.remove(&gone);
        voters.insert(fresh);
        self.trace.line(format!("{fresh} comes for {gone}"));
        self.change_group("voter replaced", leader, BTreeSet::from([fresh]), voters);
    }
}
