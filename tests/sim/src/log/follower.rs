//! What a member of the pure log does with messages: it gives votes, takes entries and states, and says what it has synced.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::core::{Core, ELECTION_MS, Role};
use super::disk::{Content, LogEntry, Snapshot};
use super::machine::Machine;
use super::messages::Message;

impl Core {
    /// The disk has synced everything up to `index`, of what it had after `truncations` truncations.
    pub fn synced(&mut self, index: u64, truncations: u64) {
        if truncations != self.truncations {
            return;
        }
        self.disk.synced = self.disk.synced.max(index.min(self.disk.last()));
        if self.leads() {
            self.advance_commit();
        } else if let Some(leader) = self.leader {
            let outcome = Ok(self.disk.synced.min(self.verified));
            self.answer(leader, outcome, self.last_round);
        }
    }

    pub(super) fn answer(&mut self, to: u64, outcome: Result<u64, u64>, round: u64) {
        let answer = Message::Appended {
            term: self.disk.term,
            outcome,
            round,
            clock_ms: self.clock_ms,
        };
        self.outgoing.push((to, answer));
    }

    /// A message has come.
    pub fn receive(&mut self, from: u64, message: Message, now: Instant) {
        match message {
            Message::Vote {
                term,
                last,
                last_term,
                transfer,
            } => self.asked_for_vote(from, (term, transfer), (last_term, last), now),
            Message::Voted { term, granted } => {
                if term > self.disk.term {
                    self.follow(term, None, now);
                } else if let Role::Candidate { votes } = &mut self.role
                    && granted
                    && term == self.disk.term
                {
                    votes.insert(from);
                    self.count_votes(now);
                }
            }
            Message::Append {
                term,
                previous,
                previous_term,
                entries,
                commit,
                round,
            } => {
                if self.heard_leader(from, term, round, now) {
                    let joint = (previous, previous_term);
                    self.take_entries(from, joint, entries, commit, round);
                }
            }
            Message::Install {
                term,
                snapshot,
                round,
            } => {
                if self.heard_leader(from, term, round, now) {
                    self.take_snapshot(from, &snapshot, round);
                }
            }
            Message::Appended {
                term,
                outcome,
                round,
                clock_ms,
            } => {
                self.clocks.insert(from, (clock_ms, now));
                self.heard_follower(from, term, outcome, round, now);
            }
            Message::Transfer { term } => {
                if term == self.disk.term && !self.leads() {
                    self.campaign(now, true);
                }
            }
        }
    }

    pub(super) fn asked_for_vote(
        &mut self,
        from: u64,
        (term, transfer): (u64, bool),
        last: (u64, u64),
        now: Instant,
    ) {
        let hears_leader = self.leads()
            || self.heard_at.is_some_and(|at| {
                now.duration_since(at) < Duration::from_millis(ELECTION_MS.start)
            });
        if hears_leader && !transfer {
            return;
        }
        if term > self.disk.term {
            self.follow(term, None, now);
        }
        let is_up_to_date = last >= (self.disk.last_term(), self.disk.last());
        let is_free = self.disk.voted.is_none_or(|voted| voted == from);
        let granted = term == self.disk.term && is_free && is_up_to_date && !self.leads();
        if granted {
            self.disk.voted = Some(from);
            self.election_at = now + self.dice.ms(ELECTION_MS);
        }
        let term = self.disk.term;
        self.outgoing.push((from, Message::Voted { term, granted }));
    }

    /// Whether the sender leads. One of an old term is told so.
    pub(super) fn heard_leader(&mut self, from: u64, term: u64, round: u64, now: Instant) -> bool {
        if term < self.disk.term {
            self.answer(from, Err(0), round);
            return false;
        }
        self.follow(term, Some(from), now);
        self.last_round = self.last_round.max(round);
        self.heard_at = Some(now);
        true
    }

    pub(super) fn take_entries(
        &mut self,
        from: u64,
        (previous, previous_term): (u64, u64),
        entries: Vec<LogEntry>,
        commit: u64,
        round: u64,
    ) {
        let joins = previous < self.disk.snapshot.index
            || self.disk.term_at(previous) == Some(previous_term);
        if !joins {
            let hint = previous.min(self.disk.last() + 1).max(1);
            self.answer(from, Err(hint), round);
            return;
        }
        let last_sent = previous + entries.len() as u64;
        for (at, entry) in entries.into_iter().enumerate() {
            let index = previous + 1 + at as u64;
            if index <= self.disk.snapshot.index || self.disk.term_at(index) == Some(entry.term) {
                continue;
            }
            if index <= self.disk.last() {
                assert!(index > self.commit, "a decided entry would be replaced");
                self.disk.truncate(index);
                self.truncations += 1;
                self.members_at = self.disk.members();
            }
            let is_members = matches!(entry.content, Content::Members(_));
            self.disk.push(entry);
            if is_members {
                self.members_at = self.disk.members();
            }
        }
        self.verified = self.verified.max(last_sent);
        self.commit = self.commit.max(commit.min(self.verified));
        self.answer(from, Ok(self.disk.synced.min(self.verified)), round);
    }

    pub(super) fn take_snapshot(&mut self, from: u64, snapshot: &Arc<Snapshot>, round: u64) {
        if snapshot.index > self.commit {
            self.disk.install(Arc::clone(snapshot));
            self.truncations += 1;
            self.members_at = self.disk.members();
            self.commit = snapshot.index;
            self.applied = snapshot.index;
            self.machine = Machine::clone(&snapshot.machine);
            self.applied_members = Arc::clone(&snapshot.members);
            self.waiting.retain(|index, _| *index > snapshot.index);
        }
        self.verified = self.verified.max(snapshot.index);
        self.answer(from, Ok(self.disk.synced.min(self.verified)), round);
    }
}
