//! Proposing: one id per command, sent to whoever leads, held until the deadline.
//!
//! A command keeps its id through every attempt, so that the log decides it once however often it was sent. Must never
//! tell the caller that a command had no effect once an attempt may have reached a log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metadata::{Answer, Command, CommandId, Entry, FORMAT, LogIndex, Query, Refusal, Reply};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardToLeader};
use ports::{Deadline, MetadataFailure, MetadataStore};
use wire::peer::{ProposeReply, ProposeRequest};

use crate::member::Member;
use crate::read_index::{another_leads, other_leader};
use crate::types::{Proposal, TypeConfig};

/// After an attempt that came to nothing, the next one waits for news of the group, and at most so long.
const NEWS_WAIT: Duration = Duration::from_millis(25);
/// A leader that has not decided for so long may be stopped or cut off: it is looked for again, and the log recognizes the
/// command if it was only slow.
const LEADER_SILENCE_MAX: Duration = Duration::from_millis(500);
/// The reply of a leader is waited for a little longer than it holds the command itself.
const REPLY_SLACK: Duration = Duration::from_millis(100);

/// Why a member that leads decides nothing.
const FULL: &str = "the disk of the metadata folder is full; free some space";

/// What one attempt came to.
enum Attempt {
    Reply(Reply),
    /// It had no effect; this node leads, as far as is known.
    Elsewhere(Option<(u64, String)>),
    /// It had no effect.
    Refused(String),
    /// It may have had an effect.
    Unknown(String),
    /// The log of this node has stopped while the command was in it.
    Stopped(String),
}

fn elsewhere(forward: ForwardToLeader<TypeConfig>) -> Attempt {
    let node = forward.leader_node.map(|node| node.addr);
    Attempt::Elsewhere(forward.leader_id.zip(node))
}

fn unavailable(reason: impl ToString) -> MetadataFailure {
    MetadataFailure::Unavailable {
        reason: reason.to_string(),
    }
}

impl Member {
    pub(crate) async fn propose_command(
        &self,
        command: Command,
        deadline: Deadline,
    ) -> Result<Reply, MetadataFailure> {
        let permit = tokio::time::timeout_at(deadline, self.proposals.acquire());
        let Ok(Ok(_permit)) = permit.await else {
            return Err(unavailable("too many commands are under way"));
        };
        if deadline <= Deadline::now() {
            return Err(unavailable("its deadline has passed"));
        }
        self.check_open()?;
        if let Some(refusal) = self.format_refusal(&command, deadline).await? {
            return Ok(Reply::Refused(refusal));
        }
        let seen = self
            .tables
            .view()
            .applied
            .map_or(LogIndex(0), |id| LogIndex(id.index));
        let id = CommandId {
            incarnation: self.start.nonce,
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
        };
        let entry = Arc::new(Entry {
            id,
            seen,
            stamped: self.stamp(),
            command,
        });
        self.propose_entry(entry, deadline).await
    }

    /// Keeps what the log's format does not have out of the log, where it would stop every older build.
    async fn format_refusal(
        &self,
        command: &Command,
        deadline: Deadline,
    ) -> Result<Option<Refusal>, MetadataFailure> {
        if command.format() <= FORMAT {
            return Ok(None);
        }
        match self.read(Query::Cluster, deadline).await?.answer {
            Answer::Cluster(view) => Ok(view.format_refusal(command)),
            other => Err(unavailable(format!(
                "no answer about the cluster: {other:?}"
            ))),
        }
    }

    fn check_open(&self) -> Result<(), MetadataFailure> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(MetadataFailure::Stopped {
                reason: "this node is shutting down".to_owned(),
            });
        }
        if let Some(why) = self.refuses.get() {
            return Err(unavailable(why));
        }
        // Another member may lead and have room.
        if self.space.is_full() && self.is_alone() {
            return Err(unavailable(FULL));
        }
        Ok(())
    }

    fn is_alone(&self) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().voter_ids().count() <= 1
    }

    /// Proposes under the same id until there is a reply or the deadline has come.
    pub(crate) async fn propose_entry(
        &self,
        mut entry: Arc<Entry>,
        deadline: Deadline,
    ) -> Result<Reply, MetadataFailure> {
        let mut may_have_effect = false;
        let mut last_problem = "no member led the group".to_owned();
        let mut news = self.raft.server_metrics();
        loop {
            if may_have_effect && mutants::active!("retry_under_another_id") {
                Arc::make_mut(&mut entry).id.sequence =
                    self.sequence.fetch_add(1, Ordering::Relaxed);
            }
            // What happens from here on is news after the attempt.
            news.borrow_and_update();
            let here = match other_leader(&self.raft, self.config.node_id) {
                // It would only be told so by its log, which has other things to do.
                Some(leader) => Attempt::Elsewhere(Some(leader)),
                None => self.attempt_here(&entry, deadline).await,
            };
            let attempt = match here {
                Attempt::Elsewhere(Some((leader, address))) if leader != self.config.node_id => {
                    tokio::select! {
                        attempt = self.attempt_at(leader, &address, &entry, deadline) => attempt,
                        // Its reply would come late, or never.
                        () = another_leads(&self.raft, leader) => {
                            Attempt::Unknown(format!("node {leader} leads no more"))
                        }
                    }
                }
                attempt => attempt,
            };
            match attempt {
                Attempt::Reply(reply) => return Ok(reply),
                Attempt::Elsewhere(_) => {}
                Attempt::Refused(reason) => last_problem = reason,
                Attempt::Unknown(reason) => {
                    may_have_effect = true;
                    last_problem = reason;
                }
                Attempt::Stopped(reason) => {
                    return Err(MetadataFailure::OutcomeUnknown { reason });
                }
            }
            let wait = (Deadline::now() + NEWS_WAIT).min(deadline);
            // Both outcomes mean: look again.
            drop(tokio::time::timeout_at(wait, news.changed()).await);
            if deadline <= Deadline::now() {
                let reason =
                    format!("no reply before the deadline; the last problem: {last_problem}");
                return Err(
                    if may_have_effect && !mutants::active!("call_unknown_unavailable") {
                        MetadataFailure::OutcomeUnknown { reason }
                    } else {
                        MetadataFailure::Unavailable { reason }
                    },
                );
            }
        }
    }

    async fn attempt_here(&self, entry: &Arc<Entry>, deadline: Deadline) -> Attempt {
        if self.space.is_full() && self.leads() {
            return Attempt::Refused(FULL.to_owned());
        }
        let write = self.turnstile.decided(Proposal(Arc::clone(entry)));
        let decided = tokio::select! {
            biased;
            decided = tokio::time::timeout_at(deadline, write) => decided,
            // Others may apply it.
            () = self.space.is_stuck() => return Attempt::Unknown(FULL.to_owned()),
        };
        match decided {
            Ok(Some(Ok(Ok(written)))) => match written.response {
                Some(reply) => Attempt::Reply(reply),
                None => Attempt::Unknown("the log gave no reply".to_owned()),
            },
            Ok(Some(Ok(Err(ClientWriteError::ForwardToLeader(forward))))) => elsewhere(forward),
            // It was in this node's log and another leader's took its place: it may be in that one too.
            Ok(Some(Ok(Err(error @ ClientWriteError::LogEntryDiscarded(_))))) => {
                Attempt::Unknown(error.to_string())
            }
            Ok(Some(Ok(Err(error)))) => Attempt::Refused(error.to_string()),
            Ok(Some(Err(fatal))) => Attempt::Stopped(format!("the log stopped: {fatal}")),
            Ok(None) => Attempt::Stopped("the log was closed".to_owned()),
            Err(_) => Attempt::Unknown("the log did not decide it in time".to_owned()),
        }
    }

    async fn attempt_at(
        &self,
        leader: u64,
        address: &str,
        entry: &Entry,
        deadline: Deadline,
    ) -> Attempt {
        let until = deadline.min(Deadline::now() + LEADER_SILENCE_MAX);
        let patience = until.saturating_duration_since(Deadline::now());
        let request = ProposeRequest {
            entry: wire::encode_entry(entry).into(),
            patience_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
        };
        let mut client = self.connections.client(leader, address);
        let asked = client.propose(request);
        match tokio::time::timeout_at(until + REPLY_SLACK, asked).await {
            Ok(Ok(reply)) => match reply.into_inner() {
                ProposeReply::Reply(bytes) => match wire::decode_reply(&bytes) {
                    Ok(reply) => Attempt::Reply(reply),
                    Err(error) => Attempt::Unknown(error.to_string()),
                },
                ProposeReply::NotLeader(_) => Attempt::Elsewhere(None),
                ProposeReply::Unavailable(reason) => Attempt::Refused(reason),
                ProposeReply::Unknown(reason) => Attempt::Unknown(reason),
            },
            // The connection may have broken before or after the leader took it: nobody knows.
            Ok(Err(status)) => Attempt::Unknown(format!("the leader did not answer: {status}")),
            Err(_) => Attempt::Unknown("the leader did not answer in time".to_owned()),
        }
    }

    /// What a peer wants of this node as the leader. The time is this node's to set.
    pub(crate) async fn propose_as_leader(
        &self,
        mut entry: Entry,
        deadline: Deadline,
    ) -> ProposeReply {
        if let Err(failure) = self.check_open() {
            return ProposeReply::Unavailable(failure.to_string());
        }
        let Ok(Ok(_permit)) = tokio::time::timeout_at(deadline, self.proposals.acquire()).await
        else {
            return ProposeReply::Unavailable("too many commands are under way".to_owned());
        };
        match self.format_refusal(&entry.command, deadline).await {
            Ok(None) => {}
            Ok(Some(refusal)) => {
                let reply = Reply::Refused(refusal);
                return ProposeReply::Reply(wire::encode_reply(&reply).into());
            }
            Err(failure) => return ProposeReply::Unavailable(failure.to_string()),
        }
        entry.stamped = self.stamp();
        match self.attempt_here(&Arc::new(entry), deadline).await {
            Attempt::Reply(reply) => ProposeReply::Reply(wire::encode_reply(&reply).into()),
            Attempt::Elsewhere(leader) => ProposeReply::NotLeader(leader.map(|(node, _)| node)),
            Attempt::Refused(reason) => ProposeReply::Unavailable(reason),
            Attempt::Unknown(reason) | Attempt::Stopped(reason) => ProposeReply::Unknown(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemberConfig;
    use metadata::ClusterId;
    use std::time::Duration;

    #[tokio::test]
    async fn the_same_command_again_gets_the_first_answer() {
        let folder = tempfile::tempdir().unwrap();
        let config = MemberConfig {
            segment_bytes: 64 * 1024,
            free_bytes_min: 0,
            ..MemberConfig::new(folder.path().into(), 1)
        };
        let member = Member::open(config).await.unwrap();
        let deadline = Deadline::now() + Duration::from_secs(20);
        let Answer::Cluster(view) = member.read(Query::Cluster, deadline).await.unwrap().answer
        else {
            panic!("no answer about the cluster");
        };
        let cluster = view.cluster.unwrap();
        // The first command of this start named the cluster; any other of that id is that one, sent again.
        let id = CommandId {
            incarnation: member.start.nonce,
            sequence: 0,
        };
        let propose = |id, cluster| {
            let entry = Entry {
                id,
                seen: LogIndex(0),
                stamped: member.stamp(),
                command: Command::InitializeCluster { cluster },
            };
            member.propose_entry(Arc::new(entry), deadline)
        };
        let again = propose(id, ClusterId(1)).await.unwrap();
        assert_eq!(again, Reply::Initialized { cluster });
        let another = propose(
            CommandId {
                sequence: 1_000,
                ..id
            },
            ClusterId(1),
        )
        .await
        .unwrap();
        assert_eq!(
            another,
            Reply::Refused(Refusal::AlreadyInitialized { cluster })
        );
        member.shutdown().await;
        let stopped = member
            .propose(Command::InitializeCluster { cluster }, deadline)
            .await;
        assert!(matches!(stopped, Err(MetadataFailure::Stopped { .. })));
    }
}
