//! How a member starts: its start is recorded, it takes part, and one that is alone forms its group and names the cluster.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metadata::{Answer, ClusterId, ClusterView, Command, Query, Reply};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{BasicNode, ServerState};
use ports::{Deadline, MetadataFailure, MetadataStore};
use wire::MemberIdentity;

use crate::OpenFailure;
use crate::folder;
use crate::member::{FirstStart, Member};

/// How long a start may take until the log can be read and written. A long log is replayed within it.
const START_TIME_MAX: Duration = Duration::from_secs(120);

impl Member {
    /// This start, for those who record it outside of this disk.
    #[must_use]
    pub fn this_start(&self) -> &MemberIdentity {
        &self.start
    }

    /// Takes part from now on: this start is recorded where an old copy of this disk would be told by it. A member that is
    /// alone in its group is returned to once it can be read and written. May be repeated.
    ///
    /// # Errors
    /// When the folder cannot be written, or the log does not start in time.
    pub async fn admit(&self) -> Result<(), OpenFailure> {
        let (folder, start) = (self.config.data_dir.clone(), self.start.clone());
        let confirmed = crate::blocking::blocking(move || folder::confirm(&folder, &start));
        confirmed.await.map_err(|e| OpenFailure::NotStarted {
            reason: e.to_string(),
        })??;
        self.admitted.store(true, Ordering::Release);
        self.raft.runtime_config().tick(true);
        self.begin().await
    }

    /// Whether [`Member::admit`] was called.
    pub(crate) fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Acquire) || mutants::active!("vote_with_an_old_disk")
    }

    /// Forms the group if this node is to, and waits for itself when nobody else could answer.
    async fn begin(&self) -> Result<(), OpenFailure> {
        let failed = |reason: String| OpenFailure::NotStarted { reason };
        let node = self.config.node_id;
        let initialized = self.raft.is_initialized().await;
        let fresh = !initialized.map_err(|e| failed(e.to_string()))?;
        if fresh {
            if self.config.start == FirstStart::AwaitGroup {
                return Ok(());
            }
            let members = BTreeMap::from([(
                node,
                BasicNode {
                    addr: self.config.address.clone(),
                },
            )]);
            self.raft
                .initialize(members)
                .await
                .map_err(|e| failed(e.to_string()))?;
        }
        let mut metrics = self.raft.metrics();
        let alone = {
            let seen = metrics.borrow_watched();
            seen.membership_config.membership().voter_ids().eq([node])
        };
        // What is seen may be from before the group was formed.
        if !fresh && !alone {
            return Ok(());
        }
        if metrics.borrow_watched().state != ServerState::Leader {
            // Nobody else could answer: no reason to wait for a timeout.
            self.raft
                .trigger()
                .elect(false)
                .await
                .map_err(|e| failed(e.to_string()))?;
        }
        let leads = async {
            loop {
                {
                    let seen = metrics.borrow_watched();
                    if seen.state == ServerState::Leader || seen.running_state.is_err() {
                        return seen
                            .running_state
                            .clone()
                            .map_err(|e| failed(e.to_string()));
                    }
                }
                metrics
                    .changed()
                    .await
                    .map_err(|_| failed("it stopped".to_owned()))?;
            }
        };
        match tokio::time::timeout(START_TIME_MAX, leads).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(failed(
                    "this member did not lead its group in time".to_owned(),
                ));
            }
        }
        tokio::select! {
            named = self.name_cluster() => named,
            // What the log holds cannot be applied: nothing would come of waiting.
            reason = self.failed() => Err(OpenFailure::Damaged { reason }),
        }
    }

    /// Gives the cluster its id if it has none.
    async fn name_cluster(&self) -> Result<(), OpenFailure> {
        let failed = |e: MetadataFailure| OpenFailure::NotStarted {
            reason: e.to_string(),
        };
        let deadline = Deadline::now() + START_TIME_MAX;
        let cluster = match self
            .read(Query::Cluster, deadline)
            .await
            .map_err(failed)?
            .answer
        {
            Answer::Cluster(view) => Some(view),
            _ => None,
        };
        if cluster.is_some_and(|view: ClusterView| view.cluster.is_some()) {
            // Before anybody else is served: the log's time stood still since the last run.
            self.correct_time().await;
            return Ok(());
        }
        let cluster = ClusterId(self.config.ids.fresh());
        match self
            .propose(Command::InitializeCluster { cluster }, deadline)
            .await
            .map_err(failed)?
        {
            Reply::Initialized { cluster } => {
                let id = format!("{:032x}", cluster.0);
                tracing::info!(cluster = id, "the cluster has its id");
                Ok(())
            }
            other => Err(OpenFailure::NotStarted {
                reason: format!("the cluster got no id: {other:?}"),
            }),
        }
    }
}
