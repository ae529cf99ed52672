//! Deletes a blob from one repository. Others that see it keep it; its bytes go when its grace is over.
//!
//! One effect, the entry `DeleteBlob`: before it nothing happened, after it everything has. Sent again, it finds no
//! blob, which is the truth.
//!
//! Spec: distribution-spec 1.1, "Deleting blobs".

use metadata::{Command, Reply};
use oci::{Digest, RepositoryName};

use crate::{Caller, Error, Registry, steps};

impl Registry {
    /// Ends the link of a blob. If the future is dropped, it may still end.
    ///
    /// # Errors
    /// [`Error::NameUnknown`], [`Error::BlobUnknown`]; [`Error::BlobInUse`] while a manifest of the repository names
    /// it; [`Error::Unavailable`] or [`Error::OutcomeUnknown`] when the log does not answer.
    pub async fn delete_blob(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        digest: Digest,
    ) -> Result<(), Error> {
        let command = Command::DeleteBlob {
            repository: repository.clone(),
            digest,
            principal: caller.principal(),
        };
        steps::reach(steps::DELETE_BLOB_BEFORE_ENTRY);
        let reply = self.propose(caller, command).await?;
        steps::reach(steps::DELETE_BLOB_AFTER_ENTRY);
        match reply {
            Reply::Done => Ok(()),
            other => Err(Error::unexpected_reply(other)),
        }
    }
}
