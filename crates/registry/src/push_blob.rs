//! Pushes a whole blob by one request.
//!
//! Effects, in order: the entry `CreateUpload`, which grants the first epoch at once; the object (or parts, when the
//! blob is larger than one); the entry `FinishUpload` (or seal, complete and finish). A small blob costs two entries and
//! one put. If it fails, the upload is cancelled, since nobody else knows its id; if the node dies, it expires. Sent
//! again, it is another upload of the same blob, and the log keeps one of the two objects.
//!
//! Spec: distribution-spec 1.1, "Single POST".

use metadata::WriteFrom;
use oci::{Digest, RepositoryName};

use crate::body_reader::BodyReader;
use crate::metric::UploadInFlight;
use crate::{BlobStored, Body, Caller, Error, Registry};

impl Registry {
    /// Stores `body` as `digest`. If the future is dropped, the work goes on until the body ends or stalls.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::BlobTooLarge`]; those of the body; [`Error::Unavailable`],
    /// [`Error::StorageFull`] or [`Error::OutcomeUnknown`] when log or store fail: send it again.
    pub async fn push_blob(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        digest: Digest,
        body: Body,
    ) -> Result<BlobStored, Error> {
        let (registry, caller, repository) = (self.clone(), caller.clone(), repository.clone());
        self.owned(async move {
            registry
                .push_whole_blob(&caller, &repository, digest, body)
                .await
        })
        .await
    }

    async fn push_whole_blob(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        digest: Digest,
        body: Body,
    ) -> Result<BlobStored, Error> {
        let _in_flight = UploadInFlight::begin();
        self.refuse_too_large(WriteFrom::Exactly(0), &body)?;
        let mut body = BodyReader::new(body, self.settings().body_idle_timeout);
        let algorithm = digest.algorithm();
        let (upload, grant) = self
            .create_upload(caller, repository, algorithm, true)
            .await?;
        let stored = async {
            let grant =
                grant.ok_or_else(|| Error::internal("an upload was opened without a grant"))?;
            let writer = self.writer(caller, repository, upload, *grant).await?;
            self.write_and_close(caller, repository, upload, writer, &mut body, digest)
                .await
        };
        match stored.await {
            Ok(stored) => Ok(stored),
            Err(error) => {
                let caller = self.afresh(caller);
                if let Err(left) = self.cancel_upload(&caller, repository, upload).await {
                    tracing::debug!(%upload, %left, "the upload of a failed push is left to expire");
                }
                Err(error)
            }
        }
    }
}
