//! The metadata log as a gateway sees it: every question and every command goes to the members, whoever of them answers.
//!
//! Keeps nothing but connections and the last index that it was told. A command has one id through every attempt at every
//! member, so that the log decides it once; must never tell the caller that a command had no effect once an attempt may
//! have reached a log. A question may be asked again anywhere.
//!
//! Design: `docs/protocols.md`, "Members and their peers".

mod ask;
mod pulse;
mod roster;
mod send;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use metadata::{Answer, Command, CommandId, Entry, FORMAT, LogIndex, LogTime, Query, Reply};
use peers::{Connections, PeerTransport};
use ports::metadata_store::metric;
use ports::{Answered, Deadline, Health, IdSource, MetadataFailure, MetadataStore};
use tokio::task::JoinHandle;

use pulse::Pulse;
pub use roster::MemberAddress;
use roster::Roster;

/// A gateway's way to the log. Ends its background task when it is dropped.
pub struct Client {
    shared: Arc<Shared>,
    /// Names the commands of this start.
    incarnation: u128,
    sequence: AtomicU64,
    pulse_task: JoinHandle<()>,
}

/// What calls share.
pub(crate) struct Shared {
    connections: Connections,
    roster: Roster,
    pulse: Pulse,
}

impl Client {
    /// A client of these members. Nobody is called before it is needed; whether anybody answers, [`MetadataStore::health`]
    /// tells. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(
        members: Vec<MemberAddress>,
        transport: Arc<dyn PeerTransport>,
        ids: &dyn IdSource,
    ) -> Client {
        let shared = Arc::new(Shared {
            connections: Connections::new(transport),
            roster: Roster::new(members),
            pulse: Pulse::default(),
        });
        Client {
            pulse_task: tokio::spawn(pulse::beat(Arc::downgrade(&shared))),
            incarnation: ids.fresh(),
            sequence: AtomicU64::new(0),
            shared,
        }
    }

    /// The members, as far as they are known.
    #[must_use]
    pub fn members(&self) -> Vec<MemberAddress> {
        self.shared.roster.all()
    }

    /// The members from now on.
    pub fn set_members(&self, members: Vec<MemberAddress>) {
        self.shared.roster.replace(members);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.pulse_task.abort();
    }
}

#[async_trait]
impl MetadataStore for Client {
    async fn propose(
        &self,
        command: Command,
        deadline: Deadline,
    ) -> Result<Reply, MetadataFailure> {
        // Members of an older build would not even understand it.
        if command.format() > FORMAT
            && let Answer::Cluster(view) = self.read(Query::Cluster, deadline).await?.answer
            && let Some(refusal) = view.format_refusal(&command)
        {
            return Ok(Reply::Refused(refusal));
        }
        // A command says what its sender has seen, so that one that was long on its way is not taken for a new one.
        let seen = self.shared.seen(deadline).await?;
        let entry = Entry {
            id: CommandId {
                incarnation: self.incarnation,
                sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
            },
            seen,
            // The leader's to set.
            stamped: LogTime(0),
            command,
        };
        let began = Instant::now();
        let outcome = self.shared.send(&entry, deadline).await;
        metric::proposal_ended(began, &outcome);
        outcome
    }

    async fn read(&self, query: Query, deadline: Deadline) -> Result<Answered, MetadataFailure> {
        let began = Instant::now();
        let outcome = self.shared.ask(&query, deadline).await;
        metric::read_ended(began, &outcome);
        outcome
    }

    async fn read_even_stale(
        &self,
        query: Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        let began = Instant::now();
        let outcome = self.shared.ask_even_stale(&query, deadline).await;
        metric::read_ended(began, &outcome);
        outcome
    }

    fn health(&self) -> Health {
        let none = LogIndex(0);
        Health {
            can_confirm: self.shared.pulse.freshness.is_ready(),
            confirmed_before: self.shared.pulse.freshness.last().map(|at| at.elapsed()),
            leader: false,
            term: 0,
            last_log: none,
            applied: self.shared.pulse.index(),
            snapshot: none,
            purged: none,
        }
    }
}

fn unavailable(reason: impl ToString) -> MetadataFailure {
    MetadataFailure::Unavailable {
        reason: reason.to_string(),
    }
}
