//! Opens an upload.
//!
//! One effect, the entry `CreateUpload`: the upload is in the log before its 202 is sent, so every node knows it. A
//! crash after it leaves an upload that nobody writes to, which expires. Sent again, it opens another.
//!
//! Spec: distribution-spec 1.1, "Pushing a blob".

use metadata::{Command, CreateUpload, Reply, WriteGrant};
use oci::{Algorithm, RepositoryName, UploadId};

use crate::{Caller, Error, Registry, steps};

/// Where an upload stands, as the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadStatus {
    /// The upload.
    pub upload: UploadId,
    /// The acknowledged offset: so many bytes are safe.
    pub offset: u64,
}

impl Registry {
    /// Opens an upload whose bytes are hashed with `algorithm` (sha256 unless said otherwise) as they come. If the
    /// future is dropped, an upload that nobody uses may remain until it expires.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::OutcomeUnknown`] when the log does not answer: ask again.
    pub async fn open_upload(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        algorithm: Option<Algorithm>,
    ) -> Result<UploadStatus, Error> {
        let algorithm = algorithm.unwrap_or(Algorithm::Sha256);
        let (upload, _) = self
            .create_upload(caller, repository, algorithm, false)
            .await?;
        Ok(UploadStatus { upload, offset: 0 })
    }

    /// Opens an upload; with `write` the same entry grants the first epoch.
    pub(crate) async fn create_upload(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        algorithm: Algorithm,
        write: bool,
    ) -> Result<(UploadId, Option<Box<WriteGrant>>), Error> {
        let upload = UploadId::from_u128(self.fresh_id());
        let command = Command::CreateUpload(CreateUpload {
            upload,
            repository: repository.clone(),
            algorithm,
            part_size: self.settings().part_size,
            write,
            principal: caller.principal(),
        });
        steps::reach(steps::OPEN_BEFORE_ENTRY);
        let reply = self.propose(caller, command).await?;
        steps::reach(steps::OPEN_AFTER_ENTRY);
        match reply {
            Reply::UploadCreated { grant } => Ok((upload, grant)),
            other => Err(Error::unexpected_reply(other)),
        }
    }
}
