//! Cancels an upload.
//!
//! One effect, the entry `CancelUpload`, which forgets the upload and hands its objects to the delete queue; a writer
//! that is still at it is fenced by the upload's absence. Sent again, it finds no upload, which is the truth.
//!
//! Spec: distribution-spec main, "Cancel a blob upload".

use metadata::{Command, Reply};
use oci::{RepositoryName, UploadId};

use crate::{Caller, Error, Registry, steps};

impl Registry {
    /// Ends an upload that is not finished. If the future is dropped, it may still end.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`]; [`Error::Unavailable`] or [`Error::OutcomeUnknown`] when the log does not answer.
    pub async fn cancel_upload(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
    ) -> Result<(), Error> {
        let command = Command::CancelUpload {
            repository: repository.clone(),
            upload,
        };
        steps::reach(steps::CANCEL_BEFORE_ENTRY);
        let reply = self.propose(caller, command).await?;
        steps::reach(steps::CANCEL_AFTER_ENTRY);
        match reply {
            Reply::Done => Ok(()),
            other => Err(Error::unexpected_reply(other)),
        }
    }
}
