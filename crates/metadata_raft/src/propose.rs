//! Proposing: one id per command, held until the deadline, refused while that is still harmless.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use metadata::{Command, CommandId, Entry, LogIndex, Reply};
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use ports::{Deadline, MetadataFailure};

use crate::member::Member;
use crate::types::Proposal;

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
        let seen = self
            .tables
            .view()
            .applied
            .map_or(LogIndex(0), |id| LogIndex(id.index));
        let id = CommandId {
            incarnation: self.incarnation,
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
        };
        let entry = Arc::new(Entry {
            id,
            seen,
            stamped: self.stamp(),
            command,
        });
        let started = std::time::Instant::now();
        let reply = self.propose_entry(entry, deadline).await;
        metrics::histogram!("holdfast_metadata_propose_seconds")
            .record(started.elapsed().as_secs_f64());
        reply
    }

    fn check_open(&self) -> Result<(), MetadataFailure> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(MetadataFailure::Stopped {
                reason: "this node is shutting down".to_owned(),
            });
        }
        if self.space.is_full() {
            return Err(unavailable(
                "the disk of the metadata folder is full; free some space",
            ));
        }
        Ok(())
    }

    /// Proposes under the same id until there is a reply or the deadline has come.
    async fn propose_entry(
        &self,
        entry: Arc<Entry>,
        deadline: Deadline,
    ) -> Result<Reply, MetadataFailure> {
        loop {
            let write = self.raft.client_write(Proposal(Arc::clone(&entry)));
            match tokio::time::timeout_at(deadline, write).await {
                Ok(Ok(response)) => {
                    let reason = "the log gave no reply".to_owned();
                    return response
                        .data
                        .ok_or(MetadataFailure::OutcomeUnknown { reason });
                }
                // Not the leader: the entry was not taken. It waits for the end of the election.
                Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
                    self.wait_to_lead(deadline).await?;
                }
                Ok(Err(RaftError::APIError(error))) => return Err(unavailable(error)),
                Ok(Err(RaftError::Fatal(fatal))) => {
                    return Err(MetadataFailure::OutcomeUnknown {
                        reason: format!("the log stopped: {fatal}"),
                    });
                }
                Err(_) => {
                    return Err(MetadataFailure::OutcomeUnknown {
                        reason: "no reply before the deadline".to_owned(),
                    });
                }
            }
        }
    }

    async fn wait_to_lead(&self, deadline: Deadline) -> Result<(), MetadataFailure> {
        let mut metrics = self.raft.metrics();
        let leads = async {
            loop {
                let state = metrics.borrow_and_update().state;
                if state == ServerState::Leader || metrics.changed().await.is_err() {
                    return;
                }
            }
        };
        let waited = tokio::time::timeout_at(deadline, leads).await;
        waited.map_err(|_| unavailable("this member did not lead the group before the deadline"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemberConfig;
    use metadata::{Answer, ClusterId, Query, Refusal};
    use ports::MetadataStore;
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
            incarnation: member.incarnation,
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
