//! What a member keeps on its disk: term, vote, snapshot and entries. What was appended and not synced may be lost by a
//! crash, in whole or from some entry on.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use metadata::Entry;

use super::machine::Machine;
use crate::dice::Dice;

/// Who is in the group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Who votes.
    pub voters: BTreeSet<u64>,
    /// Who is sent the log and does not vote.
    pub learners: BTreeSet<u64>,
}

impl Members {
    /// Everybody.
    pub fn all(&self) -> impl Iterator<Item = u64> {
        self.voters.iter().chain(&self.learners).copied()
    }

    /// How many voters decide.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }
}

/// What an entry of the log holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// Nothing: a leader's first entry.
    Blank,
    /// A command.
    Command(Arc<Entry>),
    /// Who is in the group from here on.
    Members(Arc<Members>),
}

/// An entry of the log.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// The leader's term.
    pub term: u64,
    /// What it holds.
    pub content: Content,
}

/// The state at an index.
#[derive(Debug)]
pub struct Snapshot {
    /// The last index that it covers.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// The state.
    pub machine: Arc<Machine>,
    /// Who was in the group then.
    pub members: Arc<Members>,
}

/// A member's disk. Term, vote and snapshots are durable at once.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The latest term.
    pub term: u64,
    /// Whom this member gave its vote in it.
    pub voted: Option<u64>,
    /// What the log begins after.
    pub snapshot: Arc<Snapshot>,
    entries: VecDeque<LogEntry>,
    /// Up to here nothing is lost.
    pub synced: u64,
    /// Which start of the member this disk has seen.
    pub start: u64,
}

impl Disk {
    /// A disk with nothing on it but who founds the group.
    #[must_use]
    pub fn new(founders: Members) -> Disk {
        Disk {
            term: 0,
            voted: None,
            snapshot: Arc::new(Snapshot {
                index: 0,
                term: 0,
                machine: Arc::default(),
                members: Arc::new(founders),
            }),
            entries: VecDeque::new(),
            synced: 0,
            start: 0,
        }
    }

    /// The last index.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.snapshot.index + self.entries.len() as u64
    }

    /// The last entry's term.
    #[must_use]
    pub fn last_term(&self) -> u64 {
        self.entries.back().map_or(self.snapshot.term, |e| e.term)
    }

    /// The term of an entry; `None` when there is none of this index, or only the snapshot has it.
    #[must_use]
    pub fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.snapshot.index {
            return Some(self.snapshot.term);
        }
        self.at(index).map(|entry| entry.term)
    }

    /// An entry.
    #[must_use]
    pub fn at(&self, index: u64) -> Option<&LogEntry> {
        let at = index.checked_sub(self.snapshot.index + 1)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// Entries from `first` on, which is beyond the snapshot; at most `max`.
    #[must_use]
    pub fn from(&self, first: u64, max: usize) -> Vec<LogEntry> {
        let at = first.saturating_sub(self.snapshot.index + 1) as usize;
        self.entries.iter().skip(at).take(max).cloned().collect()
    }

    /// Appends, without a sync.
    pub fn push(&mut self, entry: LogEntry) {
        self.entries.push_back(entry);
    }

    /// Removes the entries from `index` on.
    pub fn truncate(&mut self, index: u64) {
        let kept = index.saturating_sub(self.snapshot.index + 1) as usize;
        self.entries.truncate(kept);
        self.synced = self.synced.min(self.last());
    }

    /// Takes a snapshot of this disk's own state, and drops the entries that it covers.
    pub fn compact(&mut self, snapshot: Arc<Snapshot>) {
        let covered = snapshot.index.saturating_sub(self.snapshot.index) as usize;
        self.entries.drain(..covered.min(self.entries.len()));
        self.synced = self.synced.max(snapshot.index);
        self.snapshot = snapshot;
    }

    /// Takes a snapshot of somebody else. What the log has beyond it stays if it joins.
    pub fn install(&mut self, snapshot: Arc<Snapshot>) {
        if self.term_at(snapshot.index) == Some(snapshot.term) {
            self.compact(snapshot);
            return;
        }
        self.entries.clear();
        self.synced = snapshot.index;
        self.snapshot = snapshot;
    }

    /// The latest membership, and at which index it is.
    #[must_use]
    pub fn members(&self) -> (u64, Arc<Members>) {
        let later = self.entries.iter().enumerate().rev();
        let found = later
            .into_iter()
            .find_map(|(at, entry)| match &entry.content {
                Content::Members(members) => Some((at as u64, Arc::clone(members))),
                Content::Blank | Content::Command(_) => None,
            });
        match found {
            Some((at, members)) => (self.snapshot.index + 1 + at, members),
            None => (self.snapshot.index, Arc::clone(&self.snapshot.members)),
        }
    }

    /// Power is lost: of what was not synced some entries may be there, without a gap. Tells how many were lost.
    pub fn crash(&mut self, dice: &Dice) -> (u64, u64) {
        let unsynced = self.last() - self.synced;
        if unsynced == 0 {
            return (0, 0);
        }
        let kept = if dice.hits(350) {
            0
        } else {
            dice.within(0..unsynced + 1)
        };
        self.truncate(self.synced + kept + 1);
        self.synced = self.last();
        (unsynced - kept, kept)
    }
}
