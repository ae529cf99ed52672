//! Makes a blob of one repository visible in another, without a byte of it being sent.
//!
//! Effects: the entry `Mount`; when there is no such blob, the entry `CreateUpload`. A mount that misses asks the store
//! nothing: clients try up to four sources for each layer. A crash after `Mount` leaves the blob visible, which is what
//! was asked for; sent again, it is visible still. In the last quarter of its grace a blob is mounted by an entry that
//! renews it, or not at all.
//!
//! Spec: distribution-spec 1.1, "Mounting a blob from another repository".

use metadata::{Command, Mount, Reply};
use oci::{Digest, RepositoryName};

use crate::{Caller, Error, Registry, UploadStatus, metric, steps};

/// How a mount ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountOutcome {
    /// The blob is visible in the repository.
    Mounted {
        /// Its bytes.
        size: u64,
    },
    /// There is no such blob to be mounted; an upload is open instead.
    Opened(UploadStatus),
}

impl Registry {
    /// Mounts `digest` from one repository, or from any when `from` is `None`; the caller has checked the right to
    /// pull from there. If the future is dropped, the blob may still be mounted or an upload opened.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::OutcomeUnknown`] when the log does not answer: ask again.
    pub async fn mount(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        digest: Digest,
        from: Option<RepositoryName>,
    ) -> Result<MountOutcome, Error> {
        let command = Command::Mount(Mount {
            repository: repository.clone(),
            digest,
            from,
            principal: caller.principal(),
        });
        steps::reach(steps::MOUNT_BEFORE_ENTRY);
        let reply = self.propose(caller, command).await?;
        steps::reach(steps::MOUNT_AFTER_ENTRY);
        match reply {
            Reply::Mounted { size } => {
                metric::blob_mounted();
                Ok(MountOutcome::Mounted { size })
            }
            Reply::MountMissed => {
                let status = self
                    .open_upload(caller, repository, Some(digest.algorithm()))
                    .await?;
                Ok(MountOutcome::Opened(status))
            }
            other => Err(Error::unexpected_reply(other)),
        }
    }
}
