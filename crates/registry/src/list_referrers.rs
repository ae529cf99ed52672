//! Lists the manifests that are about another. Reads only: nothing to be harmed by a crash.
//!
//! Spec: distribution-spec 1.1, "Listing referrers". Never "not found": a subject that nobody knows has no referrers.

use metadata::{Answer, Page, Query};
use oci::{Descriptor, Digest, RepositoryName};

use crate::read_for_pull::Pulled;
use crate::{Caller, Error, Registry, Served};

/// A page of referrers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferrerList {
    /// In the order of digests.
    pub descriptors: Vec<Descriptor>,
    /// Where to go on when there may be more: not always the last one shown, since a filter passes over some.
    pub next: Option<Digest>,
}

impl Registry {
    /// The referrers of `subject`, of one artifact type if wanted. May be repeated, and dropped at any time.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the log does not answer before the caller's deadline.
    pub async fn referrers(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        subject: Digest,
        artifact_type: Option<String>,
        page: Page<Digest>,
    ) -> Result<Served<ReferrerList>, Error> {
        let query = Query::Referrers {
            repository: repository.clone(),
            subject,
            artifact_type,
            page,
        };
        let answered = self.read_for_pull(caller, Pulled::Changing, query).await?;
        let list = match answered.value {
            Answer::Referrers { referrers, next } => ReferrerList {
                descriptors: referrers.into_iter().map(|view| view.descriptor).collect(),
                next,
            },
            Answer::RepositoryUnknown | Answer::Absent => ReferrerList {
                descriptors: Vec::new(),
                next: None,
            },
            other => return Err(Error::unexpected_answer(&other)),
        };
        Ok(Served {
            value: list,
            stale: answered.stale,
        })
    }
}
