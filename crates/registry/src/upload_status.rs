//! Tells a client where its upload stands, and acknowledges the checkpoint by telling it.
//!
//! One effect, the entry `AcknowledgeCheckpoint`, unless the upload has no bytes: it acknowledges a checkpoint that lies beyond what
//! was acknowledged, and ends the right of earlier requests, which may yet be decided, to drop what is told here. A crash after it
//! leaves an offset that the client was not told of and asks for again. Sent again, it changes nothing.
//!
//! Spec: distribution-spec 1.1, "Pushing a blob in chunks" (the status of an upload).

use metadata::{Answer, Command, Query, Reply, UploadView};
use oci::{RepositoryName, UploadId};

use crate::{Caller, Error, Registry, UploadStatus};

impl Registry {
    /// The offset at which the upload goes on. May be repeated.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], for finished uploads too; [`Error::Unavailable`] or [`Error::OutcomeUnknown`] when
    /// the log does not answer.
    pub async fn upload_status(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
    ) -> Result<UploadStatus, Error> {
        let view = self.upload_view(caller, repository, upload).await?;
        if view.finished.is_some() {
            return Err(Error::UploadUnknown);
        }
        // What is told must not be taken back by a request that was sent before and is decided later: that takes an entry.
        let is_something = view.acknowledged > 0 || view.checkpointed.is_some_and(|at| at > 0);
        if !is_something || view.sealed.is_some() {
            return Ok(UploadStatus {
                upload,
                offset: view.acknowledged,
            });
        }
        if mutants::active!("tell_a_checkpoint_without_an_entry") {
            let offset = view.checkpointed.unwrap_or(view.acknowledged);
            return Ok(UploadStatus { upload, offset });
        }
        let command = Command::AcknowledgeCheckpoint {
            repository: repository.clone(),
            upload,
        };
        match self.propose(caller, command).await? {
            Reply::Acknowledged { offset } => Ok(UploadStatus { upload, offset }),
            other => Err(Error::unexpected_reply(other)),
        }
    }

    /// The upload as the log has it. Never from a stale state: an offset must be the latest.
    pub(crate) async fn upload_view(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
    ) -> Result<UploadView, Error> {
        let query = Query::Upload {
            repository: repository.clone(),
            upload,
        };
        match self.read(caller, query).await? {
            Answer::Upload(view) => Ok(*view),
            Answer::RepositoryUnknown | Answer::Absent => Err(Error::UploadUnknown),
            other => Err(Error::unexpected_answer(&other)),
        }
    }
}
