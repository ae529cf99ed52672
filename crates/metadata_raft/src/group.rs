//! Who is in the group, and changes of it: a node learns first and votes when it has caught up.
//!
//! Everything here is asked of the leader; another member answers who that is. A change may be asked for again: what is
//! already so is no change.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers, Instant, ServerState};
use ports::Deadline;

use crate::member::Member;
use crate::types::TypeConfig;

/// How often the progress of a learner or of a hand-over is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A voter that has not answered for so long is not asked to take the lead.
const THERE_SINCE_MAX: Duration = Duration::from_millis(300);
/// One that has not taken the lead for so long does not.
const TAKE_OVER_TIME_MAX: Duration = Duration::from_secs(1);

/// A change of the group did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupFailure {
    /// This member does not lead.
    #[error("this member does not lead the group; {}", match leader {
        Some(node) => format!("node {node} does"),
        None => "nobody is known to".to_owned(),
    })]
    NotLeader {
        /// Who leads, as far as this member knows.
        leader: Option<u64>,
    },
    /// It is not known whether it happened: ask for the group's view.
    #[error("the group did not decide in time")]
    Late,
    /// It cannot be.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

/// A node of the group, as this member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Where it is reached.
    pub address: String,
    /// Whether it votes; else it learns.
    pub votes: bool,
    /// The last entry that it is known to have. Only the leader knows that of others.
    pub matched: Option<u64>,
    /// For how long it has not answered. Only the leader knows that of others; `None` when it never has.
    pub silent_for: Option<Duration>,
}

/// The group, as this member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// This member.
    pub node: u64,
    /// Who leads.
    pub leader: Option<u64>,
    /// The term.
    pub term: u64,
    /// The last entry in this member's log.
    pub last_log: Option<u64>,
    /// Every node.
    pub nodes: BTreeMap<u64, PeerView>,
}

impl Member {
    /// The group as this member sees it, without asking anyone.
    #[must_use]
    pub fn group(&self) -> GroupView {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let matched = |node: &u64| {
            let replication = metrics.replication.as_ref()?;
            replication.get(node)?.as_ref().map(|id| id.index)
        };
        let silent_for = |node: &u64| {
            let answered = metrics.heartbeat.as_ref()?.get(node).copied().flatten();
            answered.map(|at| at.elapsed())
        };
        let nodes = membership.nodes().map(|(node, at)| {
            let peer = PeerView {
                address: at.addr.clone(),
                votes: voters.contains(node),
                matched: matched(node),
                silent_for: silent_for(node),
            };
            (*node, peer)
        });
        GroupView {
            node: self.config.node_id,
            leader: metrics.current_leader,
            term: metrics.current_term,
            last_log: metrics.last_log_index,
            nodes: nodes.collect(),
        }
    }

    /// Takes a node in as a learner, and returns when the group has decided it: the node need not be there yet.
    ///
    /// # Errors
    /// See [`GroupFailure`].
    pub async fn take_in(
        &self,
        node: u64,
        address: &str,
        deadline: Deadline,
    ) -> Result<(), GroupFailure> {
        let at = BasicNode {
            addr: address.to_owned(),
        };
        let adding = self.raft.add_learner(node, at, false);
        decided(tokio::time::timeout_at(deadline, adding).await)
    }

    /// Tells the group that one of its nodes is reached elsewhere.
    ///
    /// # Errors
    /// See [`GroupFailure`].
    pub async fn set_address(
        &self,
        node: u64,
        address: &str,
        deadline: Deadline,
    ) -> Result<(), GroupFailure> {
        let at = BasicNode {
            addr: address.to_owned(),
        };
        let change = ChangeMembers::SetNodes(BTreeMap::from([(node, at)]));
        let changing = self.raft.change_membership(change, false);
        decided(tokio::time::timeout_at(deadline, changing).await)
    }

    /// Takes a node in as a learner, and returns when it has caught up with what was in the log at the call.
    ///
    /// # Errors
    /// See [`GroupFailure`]. After [`GroupFailure::Late`] it goes on catching up.
    pub async fn add_learner(
        &self,
        node: u64,
        address: &str,
        deadline: Deadline,
    ) -> Result<(), GroupFailure> {
        let target = self.group().last_log;
        self.take_in(node, address, deadline).await?;
        loop {
            let view = self.group();
            if view.leader != Some(self.config.node_id) {
                return Err(GroupFailure::NotLeader {
                    leader: view.leader,
                });
            }
            if view
                .nodes
                .get(&node)
                .is_some_and(|peer| peer.matched >= target)
            {
                return Ok(());
            }
            pause(deadline).await?;
        }
    }

    /// Makes exactly these nodes the voters, in one joint change; voters that are left out leave the group. Learners must
    /// have been added before.
    ///
    /// # Errors
    /// See [`GroupFailure`].
    pub async fn set_voters(
        &self,
        voters: BTreeSet<u64>,
        deadline: Deadline,
    ) -> Result<(), GroupFailure> {
        let change = ChangeMembers::ReplaceAllVoters(voters);
        let changing = self.raft.change_membership(change, false);
        decided(tokio::time::timeout_at(deadline, changing).await)
    }

    /// Takes a learner out of the group.
    ///
    /// # Errors
    /// See [`GroupFailure`].
    pub async fn remove_learner(&self, node: u64, deadline: Deadline) -> Result<(), GroupFailure> {
        let change = ChangeMembers::RemoveNodes(BTreeSet::from([node]));
        let changing = self.raft.change_membership(change, false);
        decided(tokio::time::timeout_at(deadline, changing).await)
    }

    /// Hands the lead to another voter, and returns when it leads. Does nothing when this member does not lead.
    ///
    /// # Errors
    /// [`GroupFailure::Late`] when it did not take over in time: this member may lead on.
    pub async fn transfer_leader(&self, to: u64, deadline: Deadline) -> Result<(), GroupFailure> {
        if !self.leads() {
            return Ok(());
        }
        let asked = self.raft.trigger().transfer_leader(to).await;
        asked.map_err(|error| GroupFailure::Refused {
            reason: error.to_string(),
        })?;
        while self.group().leader != Some(to) {
            pause(deadline).await?;
        }
        Ok(())
    }

    /// Hands the lead, if this member has it, to the voter that has the most of the log among those that answer, and
    /// returns when another one leads: nobody has to wait for an election when this member stops then. Commands that are
    /// under way are decided by the next leader. Does nothing when this member does not lead, or nobody else could.
    ///
    /// It may be called again: this member may be made the leader again while it is still there.
    ///
    /// # Errors
    /// [`GroupFailure::Late`] when nobody took over before the deadline; an election comes as soon as this member stops.
    pub async fn step_down(&self, deadline: Deadline) -> Result<(), GroupFailure> {
        while self.leads() {
            let Some(next) = self.likely_leader() else {
                return Ok(());
            };
            tracing::info!(next, "handing the lead over");
            let until = deadline.min(Deadline::now() + TAKE_OVER_TIME_MAX);
            match self.transfer_leader(next, until).await {
                // Somebody leads, if not the one that was asked.
                Err(GroupFailure::Late) if !self.leads() => {}
                Err(GroupFailure::Late) if Deadline::now() < deadline => {}
                outcome => return outcome,
            }
        }
        Ok(())
    }

    /// Of the other voters that have answered lately, the one with the most of the log.
    fn likely_leader(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let (answered, matched) = (metrics.heartbeat.as_ref()?, metrics.replication.as_ref()?);
        let is_there = |node: &u64| {
            let last = answered.get(node).copied().flatten();
            last.is_some_and(|at| at.elapsed() < THERE_SINCE_MAX)
        };
        metrics
            .membership_config
            .membership()
            .voter_ids()
            .filter(|node| *node != self.config.node_id && is_there(node))
            .max_by_key(|node| matched.get(node).copied().flatten())
    }

    /// Whether this member leads, as far as it knows.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.raft.server_metrics().borrow_watched().state == ServerState::Leader
    }
}

async fn pause(deadline: Deadline) -> Result<(), GroupFailure> {
    if deadline <= Deadline::now() {
        return Err(GroupFailure::Late);
    }
    tokio::time::sleep(LOOK_EVERY).await;
    Ok(())
}

type Change<T> = Result<T, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>;

fn decided<T, E>(change: Result<Change<T>, E>) -> Result<(), GroupFailure> {
    match change {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
            Err(GroupFailure::NotLeader {
                leader: forward.leader_id,
            })
        }
        Ok(Err(error)) => Err(GroupFailure::Refused {
            reason: error.to_string(),
        }),
        Err(_) => Err(GroupFailure::Late),
    }
}
