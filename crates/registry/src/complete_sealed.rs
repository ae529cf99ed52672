//! Makes the object of a sealed upload, and finishes it.
//!
//! Effects, in order: the store completes the multipart upload with exactly the sealed parts; the entry `FinishUpload`
//! (or, when the bytes turn out not to be those of the digest, `CancelUpload`). Any node may do it, any number of times
//! and at the same time: the list is fixed. "No such upload" then means that it was completed, or that the store lost
//! it; the size of the object tells which, and nothing else is ever asked of the store.
//!
//! Design: `docs/architecture.md`, "Uploads", rule 6.

use metadata::{Part, SealedObject};
use oci::{RepositoryName, UploadId};
use ports::{BlobFailure, CompletedPart};

use crate::{BlobStored, Caller, Error, Registry, steps};

impl Registry {
    /// Completes, verifies if that is still to be done, and finishes.
    pub(crate) async fn complete_sealed(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        sealed: &SealedObject,
    ) -> Result<BlobStored, Error> {
        if !self.complete_object(sealed).await? {
            tracing::error!(%upload, key = %sealed.key, "the blob store lost the parts of a sealed upload");
            self.give_up(caller, repository, upload).await;
            return Err(Error::UploadUnknown);
        }
        steps::reach(steps::CLOSE_AFTER_COMPLETE);
        if sealed.unverified {
            let algorithm = sealed.digest.algorithm();
            let actual = self
                .digest_of_object(&sealed.key, sealed.size, algorithm)
                .await?;
            if actual != sealed.digest {
                self.give_up(caller, repository, upload).await;
                return Err(Error::DigestMismatch {
                    expected: sealed.digest,
                    actual,
                });
            }
        }
        let finished = self
            .finish_upload(caller, repository, upload, sealed.digest, None)
            .await;
        match finished {
            Err(error @ (Error::UploadUnknown | Error::OutcomeUnknown { .. })) => {
                let asking = self.afresh(caller);
                match self.upload_view(&asking, repository, upload).await {
                    Ok(view) if view.finished == Some(sealed.digest) => Ok(BlobStored {
                        digest: sealed.digest,
                    }),
                    _ => Err(error),
                }
            }
            finished => finished,
        }
    }

    /// Whether the object is there now, whole.
    async fn complete_object(&self, sealed: &SealedObject) -> Result<bool, Error> {
        let mut parts: Vec<CompletedPart> = sealed.parts.iter().map(completed).collect();
        if mutants::active!("complete_another_list") && parts.len() > 1 {
            parts.pop();
        }
        let completed = self
            .blobs()
            .complete_multipart(&sealed.key, &sealed.multipart, &parts)
            .await;
        match completed {
            Ok(()) => Ok(true),
            Err(BlobFailure::NoSuchUpload { .. }) => {
                match self.blobs().object_size(&sealed.key).await {
                    Ok(size) => Ok(size == sealed.size),
                    Err(BlobFailure::NoSuchObject { .. }) => Ok(false),
                    Err(failure) => Err(failure.into()),
                }
            }
            Err(_) if mutants::active!("take_a_failed_completion_for_one") => Ok(true),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Ends an upload that cannot become what it was sealed as; its client starts anew.
    async fn give_up(&self, caller: &Caller, repository: &RepositoryName, upload: UploadId) {
        let caller = self.afresh(caller);
        if let Err(error) = self.cancel_upload(&caller, repository, upload).await {
            tracing::warn!(%upload, %error, "an upload that cannot be completed is left to expire");
        }
    }
}

fn completed(part: &Part) -> CompletedPart {
    CompletedPart {
        number: part.number,
        etag: part.etag.clone(),
        size: u64::from(part.size),
    }
}
