//! A restored cluster takes over the objects of the clusters that it was restored from (rules 6.1 and 6.3).
//!
//! Until then it reads them where they are and deletes none: the old cluster may still run somewhere, and whoever restored this
//! one may want to go back to it. Nobody but an operator can know that it never runs again. One entry of the log; it may be
//! asked for again.

use metadata::Command;
use serde::Serialize;

use crate::admin::{AdminFailure, cluster_view, propose};
use crate::node::Cluster;

/// Whose objects the cluster took over.
#[derive(Debug, Serialize)]
pub struct Adopted {
    /// The clusters that it was restored from.
    pub clusters: Vec<String>,
}

impl Cluster {
    /// Has the cluster delete the objects that it has borrowed like its own, once nothing names them.
    ///
    /// # Errors
    /// Unless it is `confirmed` that the clusters which it was restored from never run again, it says what that means. See
    /// also [`AdminFailure`].
    pub async fn adopt(&self, confirmed: bool) -> Result<Adopted, AdminFailure> {
        let shared = self.shared();
        if shared.member().is_none() {
            return Err(AdminFailure::NotAMember);
        }
        let view = cluster_view(shared).await?;
        let clusters: Vec<String> = view.borrowed_from().map(|id| id.to_string()).collect();
        if clusters.is_empty() {
            return Ok(Adopted { clusters });
        }
        if !confirmed {
            return Err(AdminFailure::Failed(format!(
                "this cluster reads objects of cluster {}, from which it was restored, and deletes none of them. Once it has adopted them, it deletes those that nothing here names any more: the old cluster must never run again, on any machine, or its images have holes. Make sure that all its nodes are gone for ever, then say --yes",
                clusters.join(" and of cluster ")
            )));
        }
        propose(shared, Command::AdoptBlobs).await?;
        tracing::info!(
            clusters = clusters.join(", "),
            "the objects of the clusters that this one was restored from are its own now"
        );
        Ok(Adopted { clusters })
    }
}
