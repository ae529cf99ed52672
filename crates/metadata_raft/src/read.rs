//! Reading at a member: from its own tables, confirmed through the leader; by a peer, while the leader cannot be reached
//! from here; and, for pulls only, from the last state when nobody confirms.
//!
//! It must never give an answer from a state that was not confirmed without marking it, and never ask a peer on behalf of
//! a peer. PROTOCOLS, "Reads".

use std::pin::pin;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metadata::access::AccessQuery;
use metadata::{Answer, ClusterView, LogIndex, Query};
use openraft::async_runtime::watch::WatchReceiver;
use ports::{Answered, Deadline, MetadataFailure};
use tokio::sync::watch;
use wire::peer::{AskReply, AskRequest};

use crate::member::Member;
use crate::metric;

/// While the leader has not confirmed for so long, peers are asked to answer.
const HERE_ALONE: Duration = Duration::from_secs(1);
/// A peer that says nothing for so long may be cut off or stopped: another one is asked.
const PEER_SILENCE_MAX: Duration = Duration::from_millis(700);
/// After every peer was asked in vain.
const PEERS_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// A member that nobody reads at confirms a read of its own so often, and one that cannot goes on trying.
const TRY_EVERY: Duration = Duration::from_millis(500);
/// One such try, and the pause after one in vain.
const TRY_TIME_MAX: Duration = Duration::from_secs(1);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

fn unavailable(reason: impl ToString) -> MetadataFailure {
    MetadataFailure::Unavailable {
        reason: reason.to_string(),
    }
}

fn stopped(reason: impl ToString) -> MetadataFailure {
    MetadataFailure::Stopped {
        reason: reason.to_string(),
    }
}

impl Member {
    /// Answers from a confirmed state: of this member, or of a peer while the leader cannot be reached from here.
    pub(crate) async fn read_confirmed(
        &self,
        query: &Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        let mut here = pin!(self.read_here(query, deadline));
        let lately = self.freshness.last().unwrap_or_else(Deadline::now) + HERE_ALONE;
        if let Ok(answered) = tokio::time::timeout_at(lately.min(deadline), &mut here).await {
            return answered;
        }
        tokio::select! {
            biased;
            answered = &mut here => answered,
            answered = self.ask_peers(query) => Ok(answered),
        }
    }

    /// Answers like [`Member::read_confirmed`]; when nobody confirms, from the last state.
    pub(crate) async fn read_or_last_state(
        &self,
        query: &Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        let confirmed = |until| self.read_confirmed(query, until);
        match self
            .freshness
            .confirmed_unless_lost(deadline, confirmed)
            .await
        {
            Some(outcome) => outcome,
            None => self.read_last_state(query).await,
        }
    }

    /// Answers a node that asks: one that has found out that nobody confirms may be given the last state.
    pub(crate) async fn read_for_peer(
        &self,
        query: &Query,
        may_be_stale: bool,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        if !may_be_stale {
            return self.read_here(query, deadline).await;
        }
        if !self.freshness.is_lost()
            && let Ok(answered) = self.read_here(query, deadline).await
        {
            return Ok(answered);
        }
        self.read_last_state(query).await
    }

    /// Answers from this member's tables, once they have what the leader had when it was asked.
    pub(crate) async fn read_here(
        &self,
        query: &Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        self.catch_up(deadline).await?;
        Ok(Answered {
            answer: self.answer(query).await?,
            stale: false,
        })
    }

    /// Returns when the tables have everything that was committed before the call.
    async fn catch_up(&self, deadline: Deadline) -> Result<(), MetadataFailure> {
        let index = match mutants::active!("read_without_read_index") {
            true => LogIndex(0),
            false => self.reads.confirmed(deadline).await?,
        };
        if self.tables.view().applied.map(|id| LogIndex(id.index)) < Some(index) {
            let mut applied = self.tables.watch_applied();
            let reached = applied.wait_for(|applied| applied.map(LogIndex) >= Some(index));
            match tokio::time::timeout_at(deadline, reached).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(stopped("the tables are closed")),
                Err(_) => {
                    return Err(unavailable(
                        "this node had not applied the latest entries before the deadline",
                    ));
                }
            }
        }
        self.freshness.confirmed();
        Ok(())
    }

    /// Answers from what this member has applied, whatever that is.
    async fn read_last_state(&self, query: &Query) -> Result<Answered, MetadataFailure> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(stopped("the metadata log is closed"));
        }
        match self.answer(&Query::Cluster).await? {
            Answer::Cluster(view) if view.cluster.is_some() => {}
            // It knows nothing: what it would answer is no old state but none.
            _ => {
                return Err(unavailable(
                    "this node has no state yet, and nobody confirms",
                ));
            }
        }
        Ok(Answered {
            answer: self.answer(query).await?,
            stale: true,
        })
    }

    /// The cluster as this member's own tables have it, which may be behind the log: for a start, before anybody can be asked.
    #[must_use]
    pub fn last_view(&self) -> Option<ClusterView> {
        match metadata::answer(&self.tables.view().rows, &Query::Cluster) {
            Ok(Answer::Cluster(view)) => Some(view),
            _ => None,
        }
    }

    async fn answer(&self, query: &Query) -> Result<Answer, MetadataFailure> {
        let view = self.tables.view();
        let answer = match is_small(query) {
            true => metadata::answer(&view.rows, query),
            false => {
                let query = query.clone();
                crate::blocking::blocking(move || metadata::answer(&view.rows, &query))
                    .await
                    .map_err(stopped)?
            }
        };
        answer.map_err(|error| {
            tracing::error!(%error, "a query could not be answered");
            stopped(error)
        })
    }

    /// Asks the other nodes of the group in turn until one answers from a state that it had confirmed.
    async fn ask_peers(&self, query: &Query) -> Answered {
        let encoded: bytes::Bytes = wire::encode_query(query).into();
        loop {
            for (node, address) in self.peers() {
                let until = Deadline::now() + PEER_SILENCE_MAX;
                let request = AskRequest {
                    query: encoded.clone(),
                    patience_ms: u64::try_from(PEER_SILENCE_MAX.as_millis()).unwrap_or(u64::MAX),
                    may_be_stale: false,
                };
                let mut client = self.connections.client(node, &address);
                let reply = match tokio::time::timeout_at(until, client.ask(request)).await {
                    Ok(Ok(reply)) => reply.into_inner(),
                    Ok(Err(status)) => {
                        tracing::debug!(node, %status, "a peer did not answer");
                        continue;
                    }
                    Err(_) => continue,
                };
                match reply {
                    AskReply::Answer {
                        answer,
                        stale: false,
                    } => match wire::decode_answer(&answer) {
                        Ok(answer) => {
                            self.freshness.confirmed_elsewhere();
                            metric::read_by_peer();
                            return Answered {
                                answer,
                                stale: false,
                            };
                        }
                        Err(error) => tracing::warn!(node, %error, "a peer's answer is not one"),
                    },
                    AskReply::Answer { stale: true, .. } => {}
                    AskReply::Unavailable(reason) => {
                        tracing::debug!(node, reason, "a peer confirms nothing either");
                    }
                }
            }
            tokio::time::sleep(PEERS_AGAIN_AFTER).await;
        }
    }

    /// The other nodes of the group, and where they are.
    fn peers(&self) -> Vec<(u64, String)> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let nodes = metrics.membership_config.membership().nodes();
        nodes
            .filter(|(node, _)| **node != self.config.node_id)
            .map(|(node, at)| (*node, at.addr.clone()))
            .collect()
    }

    /// Confirms a read if nobody's was of late; asks the peers, too, when that has not worked for a while.
    async fn try_to_confirm(&self) {
        let is_older_than = |age| self.freshness.last().is_none_or(|at| at.elapsed() >= age);
        if !is_older_than(TRY_EVERY) {
            return;
        }
        let elsewhere = async {
            if is_older_than(HERE_ALONE) && !self.peers().is_empty() {
                self.ask_peers(&Query::Cluster).await;
            }
            std::future::pending::<()>().await;
        };
        // What comes of it is in the freshness.
        tokio::select! {
            _ = self.catch_up(Deadline::now() + TRY_TIME_MAX) => {}
            () = elsewhere => {}
        }
    }
}

/// Keeps the freshness of a member up to date, as long as it lives: a read is confirmed as reads are, since nothing less
/// proves that one can be. A follower that hears from its leader does not know whether that one has a quorum.
pub(crate) async fn keep_trying(member: Weak<Member>, mut stopped: watch::Receiver<bool>) {
    loop {
        let pause = match member.upgrade() {
            Some(member) => {
                let tried = member.try_to_confirm();
                member.freshness.looked_after(tried).await;
                let works = member
                    .freshness
                    .last()
                    .is_some_and(|at| at.elapsed() < TRY_TIME_MAX);
                if works { TRY_EVERY } else { TRY_AGAIN_AFTER }
            }
            None => return,
        };
        if tokio::time::timeout(pause, stopped.changed()).await.is_ok() {
            return;
        }
    }
}

/// Whether an answer takes one or a few rows: it is given quicker than a change of threads takes.
fn is_small(query: &Query) -> bool {
    match query {
        Query::Cluster
        | Query::Manifest { .. }
        | Query::Blob { .. }
        | Query::Upload { .. }
        | Query::Authority
        | Query::Authorities => true,
        Query::Access(query) => match **query {
            AccessQuery::Access
            | AccessQuery::Credentials { .. }
            | AccessQuery::Account { .. }
            | AccessQuery::Project { .. }
            | AccessQuery::TokenKeys
            | AccessQuery::SealedTokenKeys => true,
            AccessQuery::Users(_)
            | AccessQuery::Robots { .. }
            | AccessQuery::Groups(_)
            | AccessQuery::GroupMembers { .. }
            | AccessQuery::Projects(_)
            | AccessQuery::Members { .. }
            | AccessQuery::Tokens { .. }
            | AccessQuery::Rights { .. }
            | AccessQuery::Audit(_) => false,
        },
        Query::Asked { query, .. } => is_small(query),
        Query::Uploads(_)
        | Query::BlobObjects(_)
        | Query::Repositories(_)
        | Query::Tags { .. }
        | Query::Referrers { .. }
        | Query::DueDeletions { .. }
        | Query::Nodes => false,
    }
}
