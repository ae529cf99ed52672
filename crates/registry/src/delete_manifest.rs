//! Deletes a manifest from one repository, and with it every tag that points there.
//!
//! The first entry `DeleteManifest` hides link and tags at once; if they have more rows than one entry may touch, the
//! same entry is proposed until the log says that it is done. A crash in between leaves the manifest hidden; the same
//! request again, or a `PutManifest` of the same digest, goes on with what is left.
//!
//! Spec: distribution-spec 1.1, "Deleting manifests".

use metadata::{Command, Reply};
use oci::{Digest, RepositoryName};

use crate::{Caller, Error, Registry, steps};

impl Registry {
    /// Ends the link of a manifest. If the future is dropped, it may still end.
    ///
    /// # Errors
    /// [`Error::NameUnknown`], [`Error::ManifestUnknown`]; [`Error::Unavailable`] or [`Error::OutcomeUnknown`] when
    /// the log does not answer: send it again.
    pub async fn delete_manifest(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        digest: Digest,
    ) -> Result<(), Error> {
        self.end_manifest_link(caller, repository, digest).await
    }

    /// Proposes `DeleteManifest` until nothing is left of the link.
    pub(crate) async fn end_manifest_link(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        digest: Digest,
    ) -> Result<(), Error> {
        loop {
            let command = Command::DeleteManifest {
                repository: repository.clone(),
                digest,
                principal: caller.principal(),
            };
            steps::reach(steps::DELETE_MANIFEST_BEFORE_ENTRY);
            let reply = self.propose(caller, command).await?;
            steps::reach(steps::DELETE_MANIFEST_AFTER_ENTRY);
            match reply {
                Reply::Done => return Ok(()),
                Reply::DeletionContinues if tokio::time::Instant::now() >= caller.deadline => {
                    return Err(Error::unavailable(
                        "the deletion of a manifest with very many tags goes on",
                    ));
                }
                Reply::DeletionContinues => {}
                other => return Err(Error::unexpected_reply(other)),
            }
        }
    }
}
