//! One member of the pure log: what it decides on each message and each tick. Sends nothing and waits for nothing itself: the
//! messages that are to be sent lie in [`Core::outgoing`].
//!
//! It must never tell anyone that an entry is synced which a crash could lose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use metadata::Reply;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::disk::{Content, Disk, LogEntry, Members, Snapshot};
use super::machine::Machine;
use super::messages::Message;
use crate::dice::Dice;

pub(super) const HEARTBEAT: Duration = Duration::from_millis(50);
/// Elections begin after a silence of so many milliseconds.
pub(super) const ELECTION_MS: std::ops::Range<u64> = 150..300;
/// A leader that has not heard of most voters for so long leads no more.
pub(super) const QUORUM_SILENCE_MAX: Duration = Duration::from_millis(400);
/// Entries in one message.
pub(super) const BATCH: usize = 64;

/// What became of an entry that this member proposed: its reply, or `None` when another one took its place.
pub type Decision = Option<Reply>;

/// A member's part.
#[derive(Debug)]
pub enum Role {
    /// Follows whoever leads.
    Follower,
    /// Asks for votes.
    Candidate {
        /// Who gave them.
        votes: BTreeSet<u64>,
    },
    /// Leads.
    Leader(Box<Leader>),
}

/// What a leader knows of the others.
#[derive(Debug)]
pub struct Leader {
    pub(super) next: BTreeMap<u64, u64>,
    pub(super) matched: BTreeMap<u64, u64>,
    pub(super) acked_round: BTreeMap<u64, u64>,
    pub(super) heard_at: BTreeMap<u64, Instant>,
    /// Its first entry: before that is committed, it does not know what is.
    pub(super) first: u64,
    pub(super) round: u64,
    pub(super) heartbeat_at: Instant,
    /// Reads that wait for a confirmation of their round.
    pub(super) reads: Vec<(u64, u64, oneshot::Sender<u64>)>,
    pub(super) since: Instant,
}

/// See the module.
pub struct Core {
    /// Who this is.
    pub id: u64,
    /// Its disk.
    pub disk: Disk,
    /// Its part.
    pub role: Role,
    /// Who leads, as far as it knows.
    pub leader: Option<u64>,
    /// Up to here all is decided, as far as it knows.
    pub commit: u64,
    /// Up to here all is applied.
    pub applied: u64,
    /// What was applied.
    pub machine: Machine,
    /// Messages to be sent.
    pub outgoing: Vec<(u64, Message)>,
    /// Counts truncations: a sync that began before one says nothing of what came after it.
    pub truncations: u64,
    /// The latest clocks of others, and when they were read.
    pub clocks: BTreeMap<u64, (u64, Instant)>,
    pub(super) members_at: (u64, Arc<Members>),
    pub(super) applied_members: Arc<Members>,
    /// Equal to the present leader's log up to here.
    pub(super) verified: u64,
    /// The round of the leader's last message.
    pub(super) last_round: u64,
    pub(super) heard_at: Option<Instant>,
    pub(super) election_at: Instant,
    pub(super) waiting: BTreeMap<u64, (u64, oneshot::Sender<Decision>)>,
    pub(super) dice: Dice,
    pub(super) clock_ms: u64,
}

impl Core {
    /// A member that starts from its disk.
    #[must_use]
    pub fn new(id: u64, disk: Disk, dice: Dice, now: Instant) -> Core {
        let snapshot = Arc::clone(&disk.snapshot);
        Core {
            id,
            members_at: disk.members(),
            disk,
            role: Role::Follower,
            leader: None,
            commit: snapshot.index,
            applied: snapshot.index,
            machine: Machine::clone(&snapshot.machine),
            applied_members: Arc::clone(&snapshot.members),
            outgoing: Vec::new(),
            truncations: 0,
            clocks: BTreeMap::new(),
            verified: snapshot.index,
            last_round: 0,
            heard_at: None,
            election_at: now + dice.ms(ELECTION_MS),
            waiting: BTreeMap::new(),
            dice,
            clock_ms: 0,
        }
    }

    /// Who is in the group, by the last entry that says so.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members_at.1
    }

    /// Whether this member leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Tells what this member's clock shows.
    pub fn set_clock(&mut self, ms: u64) {
        self.clock_ms = ms;
    }

    /// When [`Core::tick`] has something to do.
    #[must_use]
    pub fn next_tick(&self) -> Instant {
        match &self.role {
            Role::Leader(leader) => leader.heartbeat_at,
            Role::Follower | Role::Candidate { .. } => self.election_at,
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        if let Role::Leader(leader) = &self.role {
            if leader.heartbeat_at > now {
                return;
            }
            if !self.hears_a_majority(now) {
                self.follow(self.disk.term, None, now);
                return;
            }
            self.beat(now);
        } else if self.election_at <= now {
            self.campaign(now, false);
        }
    }

    /// Asks for votes, unless this member has none itself.
    pub fn campaign(&mut self, now: Instant, transfer: bool) {
        self.election_at = now + self.dice.ms(ELECTION_MS);
        if !self.members().voters.contains(&self.id) {
            return;
        }
        self.disk.term += 1;
        self.disk.voted = Some(self.id);
        self.leader = None;
        self.role = Role::Candidate {
            votes: BTreeSet::from([self.id]),
        };
        let question = Message::Vote {
            term: self.disk.term,
            last: self.disk.last(),
            last_term: self.disk.last_term(),
            transfer,
        };
        let voters = self.members().voters.clone();
        for voter in voters.into_iter().filter(|voter| *voter != self.id) {
            self.outgoing.push((voter, question.clone()));
        }
        self.count_votes(now);
    }

    pub(super) fn count_votes(&mut self, now: Instant) {
        let Role::Candidate { votes } = &self.role else {
            return;
        };
        if votes.intersection(&self.members().voters).count() < self.members().majority() {
            return;
        }
        let first = self.disk.last() + 1;
        self.role = Role::Leader(Box::new(Leader {
            next: BTreeMap::new(),
            matched: BTreeMap::new(),
            acked_round: BTreeMap::new(),
            heard_at: BTreeMap::new(),
            first,
            round: 0,
            heartbeat_at: now,
            reads: Vec::new(),
            since: now,
        }));
        self.leader = Some(self.id);
        self.verified = self.disk.last();
        self.append(Content::Blank);
        self.beat(now);
    }

    pub(super) fn follow(&mut self, term: u64, leader: Option<u64>, now: Instant) {
        let is_new = term > self.disk.term;
        if is_new {
            self.disk.term = term;
            self.disk.voted = None;
        }
        if is_new || !matches!(self.role, Role::Follower) || self.leader != leader {
            self.verified = self.commit;
            self.last_round = 0;
        }
        self.role = Role::Follower;
        self.leader = leader;
        self.election_at = now + self.dice.ms(ELECTION_MS);
    }

    pub(super) fn append(&mut self, content: Content) -> u64 {
        let is_members = matches!(content, Content::Members(_));
        self.disk.push(LogEntry {
            term: self.disk.term,
            content,
        });
        if is_members {
            self.members_at = self.disk.members();
        }
        self.disk.last()
    }

    /// Appends a command or a membership, if this member leads; the receiver is told what became of it.
    ///
    /// # Errors
    /// Who leads, as far as is known.
    pub fn propose(
        &mut self,
        content: Content,
        now: Instant,
    ) -> Result<oneshot::Receiver<Decision>, Option<u64>> {
        if !self.leads() {
            return Err(self.leader.filter(|leader| *leader != self.id));
        }
        let index = self.append(content);
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(index, (self.disk.term, sender));
        self.beat(now);
        Ok(receiver)
    }

    /// Whether a change of membership may begin: one at a time, and only by a leader that knows what is decided.
    #[must_use]
    pub fn may_change_members(&self) -> bool {
        match &self.role {
            Role::Leader(leader) => self.commit >= leader.first && self.commit >= self.members_at.0,
            Role::Follower | Role::Candidate { .. } => false,
        }
    }

    /// Applies the next entry that is decided, if there is one, and gives what came of it.
    ///
    /// # Errors
    /// When the real member would have stopped.
    pub fn apply_next(&mut self) -> Result<Option<Applied>, String> {
        if self.applied >= self.commit {
            return Ok(None);
        }
        let index = self.applied + 1;
        let Some(entry) = self.disk.at(index).cloned() else {
            return Err(format!("entry {index} is decided and not there"));
        };
        let mut changes = Vec::new();
        let mut reply = None;
        match &entry.content {
            Content::Blank => {}
            Content::Command(command) => {
                let (given, changed) = self.machine.apply(index, command)?;
                (reply, changes) = (Some(given), changed);
            }
            Content::Members(members) => self.applied_members = Arc::clone(members),
        }
        self.applied = index;
        if let Some((term, waiter)) = self.waiting.remove(&index) {
            let decision = match reply.clone() {
                _ if term != entry.term => None,
                None => Some(Reply::Done),
                reply => reply,
            };
            // Who gave up waiting is not there any more.
            let _ = waiter.send(decision);
        }
        Ok(Some(Applied {
            index,
            entry,
            reply,
            changes: Arc::new(changes),
        }))
    }

    /// Takes a snapshot at every `every`th entry. `share` gives the same state as others have it who took theirs there.
    pub fn compact(
        &mut self,
        every: u64,
        share: impl FnOnce(u64, &Machine) -> Arc<Machine>,
    ) -> bool {
        let index = self.applied;
        // What is applied may lie beyond what this member's own disk has synced.
        let is_due = index.is_multiple_of(every) && index > self.disk.snapshot.index;
        if !is_due || index > self.disk.synced {
            return false;
        }
        let Some(term) = self.disk.term_at(index) else {
            return false;
        };
        let snapshot = Snapshot {
            index,
            term,
            machine: share(index, &self.machine),
            members: Arc::clone(&self.applied_members),
        };
        self.disk.compact(Arc::new(snapshot));
        true
    }
}

/// An entry that was applied.
#[derive(Debug)]
pub struct Applied {
    /// Where.
    pub index: u64,
    /// What.
    pub entry: LogEntry,
    /// The reply, of a command.
    pub reply: Option<Reply>,
    /// What changed.
    pub changes: Arc<Vec<super::recording::Change>>,
}
