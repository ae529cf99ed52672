//! The port to the metadata log: propose commands, ask queries.

pub mod faulty;
pub mod freshness;
pub mod memory;
pub mod metric;
pub mod suite;

use std::time::Duration;

use async_trait::async_trait;
use metadata::{Answer, Command, LogIndex, Query, Reply};

use crate::Deadline;

/// The metadata log as one node sees it.
#[async_trait]
pub trait MetadataStore: Send + Sync + 'static {
    /// Has `command` decided by the log and gives its reply, refusals included.
    ///
    /// The implementation gives the command one id, holds it through elections, and retries it under that id until
    /// the deadline. If the future is dropped, the command may still take effect.
    ///
    /// # Errors
    /// [`MetadataFailure::Unavailable`]: it has no effect and never will. [`MetadataFailure::OutcomeUnknown`]: it may
    /// have an effect; only the caller can look. [`MetadataFailure::Stopped`]: this node is going down.
    async fn propose(&self, command: Command, deadline: Deadline)
    -> Result<Reply, MetadataFailure>;

    /// Answers `query` from a state that is not older than this call: linearizable by ReadIndex, shared with other
    /// reads. Never stale. May be repeated.
    ///
    /// # Errors
    /// [`MetadataFailure::Unavailable`] when no state that is new enough was reached before the deadline.
    async fn read(&self, query: Query, deadline: Deadline) -> Result<Answered, MetadataFailure>;

    /// Answers `query` as [`MetadataStore::read`] does, for as long as that works. When nothing could be confirmed for
    /// [`freshness::STALE_AFTER`], whomever this node asked, the answer is that of the last state that is known, and
    /// says so by [`Answered::stale`]; while that lasts, at once. For pulls only: who writes by what was read, or acts on
    /// what is absent, reads. May be repeated.
    ///
    /// # Errors
    /// As [`MetadataStore::read`], and when no state is known.
    async fn read_even_stale(
        &self,
        query: Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure>;

    /// How this node stands to the log, from what it knows without asking anyone.
    fn health(&self) -> Health;
}

/// An answer, and what is known of its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The answer.
    pub answer: Answer,
    /// Given without a confirmation that nothing newer exists: the client is told so by `Warning: 299`.
    pub stale: bool,
}

/// How a node stands to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// A read was confirmed by this node within the last two seconds ([`freshness::READY_FOR`]). It tries all the time,
    /// whether anybody reads or not.
    pub can_confirm: bool,
    /// How long ago that was; `None`: never.
    pub confirmed_before: Option<Duration>,
    /// Whether this node leads.
    pub leader: bool,
    /// The term.
    pub term: u64,
    /// The last entry in this node's log.
    pub last_log: LogIndex,
    /// The last entry that this node applied.
    pub applied: LogIndex,
    /// What the last snapshot covers.
    pub snapshot: LogIndex,
    /// The last entry that was purged.
    pub purged: LogIndex,
}

/// The log did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetadataFailure {
    /// No quorum, no leader, or too much to do, until the deadline. Nothing was done; may be repeated.
    #[error("the metadata log did not answer in time: {reason}")]
    Unavailable {
        /// For the operator.
        reason: String,
    },
    /// The command was sent and its reply did not come. It may have taken effect or may yet do so.
    #[error("the outcome of a command is unknown: {reason}")]
    OutcomeUnknown {
        /// For the operator.
        reason: String,
    },
    /// This node is going down, or has stopped itself because of its disk.
    #[error("this node's metadata log has stopped: {reason}")]
    Stopped {
        /// For the operator.
        reason: String,
    },
}

impl MetadataFailure {
    /// Whether the same request may simply be made again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            MetadataFailure::Unavailable { .. } => true,
            MetadataFailure::OutcomeUnknown { .. } | MetadataFailure::Stopped { .. } => false,
        }
    }
}
