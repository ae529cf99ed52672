//! What the members of the pure log say to each other. Each message may be lost, late, doubled and out of order.

use std::sync::Arc;

use super::disk::{LogEntry, Snapshot};

/// A message of one member to another.
#[derive(Debug, Clone)]
pub enum Message {
    /// Asks for a vote.
    Vote {
        /// The candidate's term.
        term: u64,
        /// Its last entry.
        last: u64,
        /// That entry's term.
        last_term: u64,
        /// The leader itself asked for the election: nobody waits for it to be silent.
        transfer: bool,
    },
    /// The answer.
    Voted {
        /// The voter's term.
        term: u64,
        /// Whether it is for the candidate.
        granted: bool,
    },
    /// Entries, or none: a heartbeat.
    Append {
        /// The leader's term.
        term: u64,
        /// The index before the first entry.
        previous: u64,
        /// That entry's term.
        previous_term: u64,
        /// What follows.
        entries: Vec<LogEntry>,
        /// Up to here all is decided.
        commit: u64,
        /// Counts up, so that an answer tells which question it answers.
        round: u64,
    },
    /// The answer to both [`Message::Append`] and [`Message::Install`].
    Appended {
        /// The follower's term.
        term: u64,
        /// Synced and equal to the leader's log up to here; or, where the entries did not join, where to go on.
        outcome: Result<u64, u64>,
        /// The question's.
        round: u64,
        /// The follower's clock, for the median of clocks.
        clock_ms: u64,
    },
    /// A state, for one that is too far behind.
    Install {
        /// The leader's term.
        term: u64,
        /// The state.
        snapshot: Arc<Snapshot>,
        /// As of [`Message::Append`].
        round: u64,
    },
    /// The leader wants the receiver to lead.
    Transfer {
        /// The leader's term.
        term: u64,
    },
}
