//! The parts of a node, put together: the metadata log, the store of blobs, and the use-cases over both.

use std::sync::Arc;
use std::time::Duration;

use metadata_raft::Member;
use ports::{BlobStore, Deadline, RandomIds};
use registry::{Parts, Registry, Sweeper};

use super::data_folder::DataFolder;
use crate::config::{Settings, member_config, registry_settings, storage_settings};
use crate::failure::Failure;

/// How long the durable steps of requests whose client has gone may take once nothing new is taken.
const STEPS_END_MAX: Duration = Duration::from_secs(15);

/// How long another member may take to take the lead.
const HAND_OVER_MAX: Duration = Duration::from_secs(5);

/// One node.
pub struct Node {
    member: Arc<Member>,
    registry: Registry,
    blobs: Arc<dyn BlobStore>,
}

impl Node {
    /// Opens the store and the log, and waits until the log answers.
    ///
    /// # Errors
    /// One line that names the fix.
    pub async fn open(settings: &Settings, data: &DataFolder) -> Result<Node, Failure> {
        let blobs = blobs::open(&storage_settings(settings, &data.blobs()))
            .await
            .map_err(|failure| {
                Failure::new(format!("{failure}; `holdfast storage check` tells more"))
            })?;
        let member = Member::open(member_config(settings, data.metadata()))
            .await
            .map_err(|failure| Failure::new(failure.to_string()))?;
        let registry = Registry::new(Parts {
            metadata: member.clone(),
            blobs: Arc::clone(&blobs),
            ids: Arc::new(RandomIds),
            settings: registry_settings(settings),
        });
        Ok(Node {
            member,
            registry,
            blobs,
        })
    }

    /// The use-cases.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// The worker that removes what nothing names any more.
    pub fn sweeper(&self) -> Sweeper {
        Sweeper::new(self.registry())
    }

    /// Where the bytes of blobs are, for people.
    pub fn blobs_are_in(&self) -> String {
        self.blobs.describe()
    }

    /// Waits until the log has ended by itself, and tells why.
    pub async fn ended(&self) -> Failure {
        let why = self.member.ended().await;
        Failure::new(format!(
            "the metadata log has ended: {why}; what was acknowledged is safe, and a restart goes on from it once the cause is mended"
        ))
    }

    /// Hands the lead to another member, if this one has it and there is one, so that nobody waits for an election when
    /// this node is gone.
    pub async fn hand_over(&self) {
        if let Err(failure) = self.member.step_down(Deadline::now() + HAND_OVER_MAX).await {
            tracing::warn!(%failure, "the lead was not handed over: an election follows");
        }
    }

    /// Lets the durable steps of cut requests end, within a bound, and closes the log. What was acknowledged is durable
    /// already.
    pub async fn close(self) {
        if tokio::time::timeout(STEPS_END_MAX, self.registry.drained())
            .await
            .is_err()
        {
            tracing::warn!(
                "steps of cut requests are left half-way: their uploads go on at the last acknowledged offset"
            );
        }
        // It may have been given back meanwhile.
        self.hand_over().await;
        self.member.shutdown().await;
    }
}
