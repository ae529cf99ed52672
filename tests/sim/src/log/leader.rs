//! What a leader of the pure log does: it sends entries, counts who has synced them, and confirms reads.
//!
//! An entry is decided when most voters have synced it and it is of the leader's own term (Raft, section 3.6.2). A read is
//! answered at what was decided when it came, once most voters have said that the leader still leads (section 6.4).

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::core::{BATCH, Core, HEARTBEAT, QUORUM_SILENCE_MAX, Role};
use super::messages::Message;

impl Core {
    pub(super) fn hears_a_majority(&self, now: Instant) -> bool {
        let Role::Leader(leader) = &self.role else {
            return false;
        };
        let heard = |node: &&u64| {
            let at = leader.heard_at.get(*node).copied().unwrap_or(leader.since);
            **node == self.id || now.duration_since(at) < QUORUM_SILENCE_MAX
        };
        let members = self.members();
        members.voters.iter().filter(heard).count() >= members.majority()
    }

    pub(super) fn beat(&mut self, now: Instant) {
        let others: Vec<u64> = self.members().all().filter(|n| *n != self.id).collect();
        if let Role::Leader(leader) = &mut self.role {
            leader.heartbeat_at = now + HEARTBEAT;
            leader.round += 1;
        }
        for other in others {
            self.replicate(other);
        }
        self.advance_commit();
    }

    /// Begins to confirm a read: the receiver is told which index answers it.
    ///
    /// # Errors
    /// Who leads, as far as is known; nobody when this one leads but does not know yet what is decided.
    pub fn read_index(&mut self, now: Instant) -> Result<oneshot::Receiver<u64>, Option<u64>> {
        let commit = self.commit;
        let (sender, receiver) = oneshot::channel();
        match &mut self.role {
            Role::Leader(leader) if commit >= leader.first => {
                leader.reads.push((leader.round + 1, commit, sender));
            }
            Role::Leader(_) => return Err(None),
            Role::Follower | Role::Candidate { .. } => {
                return Err(self.leader.filter(|leader| *leader != self.id));
            }
        }
        self.beat(now);
        self.confirm_reads();
        Ok(receiver)
    }

    pub(super) fn replicate(&mut self, to: u64) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let next = *leader.next.entry(to).or_insert(self.disk.last() + 1);
        let (term, round) = (self.disk.term, leader.round);
        let previous = next - 1;
        let message = match self.disk.term_at(previous) {
            Some(previous_term) => {
                let entries = self.disk.from(next, BATCH);
                leader.next.insert(to, next + entries.len() as u64);
                Message::Append {
                    term,
                    previous,
                    previous_term,
                    entries,
                    commit: self.commit,
                    round,
                }
            }
            None => {
                leader.next.insert(to, self.disk.snapshot.index + 1);
                Message::Install {
                    term,
                    snapshot: Arc::clone(&self.disk.snapshot),
                    round,
                }
            }
        };
        self.outgoing.push((to, message));
    }

    pub(super) fn advance_commit(&mut self) {
        let Role::Leader(leader) = &self.role else {
            return;
        };
        let members = self.members();
        let of = |node: &u64| match *node == self.id {
            true => self.disk.synced,
            false => leader.matched.get(node).copied().unwrap_or(0),
        };
        let mut matched: Vec<u64> = members.voters.iter().map(of).collect();
        matched.sort_unstable_by(|a, b| b.cmp(a));
        let decided = matched.get(members.majority() - 1).copied().unwrap_or(0);
        if decided > self.commit && self.disk.term_at(decided) == Some(self.disk.term) {
            self.commit = decided;
        }
    }

    pub(super) fn confirm_reads(&mut self) {
        let members = Arc::clone(&self.members_at.1);
        let id = self.id;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let acked = &leader.acked_round;
        let confirmed = |round: u64| {
            let has =
                |node: &&u64| **node == id || acked.get(*node).is_some_and(|acked| *acked >= round);
            members.voters.iter().filter(has).count() >= members.majority()
        };
        let waiting = std::mem::take(&mut leader.reads);
        for (round, index, reader) in waiting {
            if confirmed(round) {
                // Who gave up waiting is not there any more.
                let _ = reader.send(index);
            } else if !reader.is_closed() {
                leader.reads.push((round, index, reader));
            }
        }
    }

    pub(super) fn heard_follower(
        &mut self,
        from: u64,
        term: u64,
        outcome: Result<u64, u64>,
        round: u64,
        now: Instant,
    ) {
        if term > self.disk.term {
            self.follow(term, None, now);
            return;
        }
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if term < self.disk.term {
            return;
        }
        leader.heard_at.insert(from, now);
        let acked = leader.acked_round.entry(from).or_default();
        *acked = (*acked).max(round);
        match outcome {
            Ok(matched) => {
                let known = leader.matched.entry(from).or_default();
                *known = (*known).max(matched);
                let next = leader.next.entry(from).or_insert(matched + 1);
                *next = (*next).max(matched + 1);
            }
            Err(hint) => {
                let known = leader.matched.get(&from).copied().unwrap_or(0);
                leader.next.insert(from, hint.max(known + 1).max(1));
                self.replicate(from);
            }
        }
        self.advance_commit();
        self.confirm_reads();
    }

    /// The voter that has the most of the log, to hand the lead to.
    #[must_use]
    pub fn successor(&self) -> Option<u64> {
        let Role::Leader(leader) = &self.role else {
            return None;
        };
        let others = self
            .members()
            .voters
            .iter()
            .filter(|node| **node != self.id);
        others
            .copied()
            .max_by_key(|node| leader.matched.get(node).copied().unwrap_or(0))
    }
}
