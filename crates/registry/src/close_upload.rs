//! Ends an upload: the closing `PUT`, with the last bytes or without.
//!
//! Effects, in order. With bytes: those of a writer, as [`crate::write_upload`] has them, but for the last entry. Then, for
//! a plain object, the entry `FinishUpload` records digest → key; for parts, `SealUpload` fixes the list and ends every
//! writer, the object is completed, and `FinishUpload` records it (see [`crate::complete_sealed`]). Nothing is sealed or
//! finished before its digest is verified, except that the digest of parts in another algorithm is verified between
//! completing and finishing.
//!
//! What is finished is always a state whose bytes this request has verified: the entry names the state itself, under
//! the epoch that it was seen with, so that a writer who comes in between changes nothing but who is refused.
//!
//! Sent again after any of these, the request finds the upload open, sealed or finished, and goes on from there.
//!
//! Spec: distribution-spec 1.1, "Pushing a blob monolithically" and "in chunks".

use metadata::{
    Command, FinishUpload, ObjectKey, Progress, Reply, SealUpload, TailObject, UploadEnd,
    UploadView, WriteFrom,
};
use oci::{Digest, RepositoryName, UploadId};

use crate::body_reader::BodyReader;
use crate::hash_pipeline::HashPipeline;
use crate::metric::UploadInFlight;
use crate::owned_task::Presence;
use crate::upload_writer::{UploadWriter, Written};
use crate::{Body, Caller, Error, Registry, metric, steps};

/// A blob that was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobStored {
    /// Its digest.
    pub digest: Digest,
}

impl Registry {
    /// Adds `body` to an upload, if it has any bytes, and ends it as `digest`. If the future is dropped, the work goes
    /// on until the body ends or stalls.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], after which the upload stands where it stood, or is over when it had several parts and the
    /// digest is of the other algorithm; otherwise as [`Registry::write_upload`]. After a failure the same request may be sent
    /// again.
    pub async fn close_upload(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        from: WriteFrom,
        body: Body,
        digest: Digest,
    ) -> Result<BlobStored, Error> {
        let (registry, caller, repository) = (self.clone(), caller.clone(), repository.clone());
        let (presence, _here) = Presence::of_this_request();
        self.owned(async move {
            let closed = registry
                .write_last_and_close(
                    &caller,
                    &repository,
                    (upload, from),
                    body,
                    digest,
                    &presence,
                )
                .await;
            match closed {
                Ok(stored) => Ok(stored),
                Err(error) => {
                    registry
                        .settle_close(&caller, &repository, upload, digest, error)
                        .await
                }
            }
        })
        .await
    }

    async fn write_last_and_close(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        (upload, from): (UploadId, WriteFrom),
        body: Body,
        digest: Digest,
        there: &Presence,
    ) -> Result<BlobStored, Error> {
        let _in_flight = UploadInFlight::begin();
        self.refuse_too_large(from, &body)?;
        let mut body = BodyReader::new(body, self.settings().body_idle_timeout);
        let mut from = from;
        if body.is_empty().await? {
            let view = self.upload_view(caller, repository, upload).await?;
            let closed = self
                .close_at_view(caller, repository, upload, from, &view, digest)
                .await?;
            if let Some(stored) = closed {
                return Ok(stored);
            }
            // Nothing may be dropped for a request that brings nothing.
            if let WriteFrom::Location(offset) = from {
                from = WriteFrom::Exactly(offset);
            }
        }
        let writer = self
            .begin_write(caller, repository, upload, from, there)
            .await?;
        self.write_and_close(caller, repository, upload, writer, &mut body, digest)
            .await
    }

    /// Closes at the acknowledged state, if that is a plain object and the latest: no new epoch is needed. `None` when
    /// it is not.
    async fn close_at_view(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        from: WriteFrom,
        view: &UploadView,
        digest: Digest,
    ) -> Result<Option<BlobStored>, Error> {
        if view.finished.is_some() {
            return if view.finished == Some(digest) {
                Ok(Some(BlobStored { digest }))
            } else {
                Err(Error::UploadUnknown)
            };
        }
        if view.sealed.is_some() {
            // Whoever handles the error goes on with what was sealed.
            return Err(Error::UploadSealed);
        }
        let acknowledged = view.acknowledged;
        match from {
            WriteFrom::Acknowledged => {}
            WriteFrom::Exactly(offset) | WriteFrom::Location(offset) if offset == acknowledged => {}
            WriteFrom::Exactly(offset) if view.checkpointed == Some(offset) => return Ok(None),
            WriteFrom::Exactly(_) | WriteFrom::Location(_) => {
                return Err(Error::OffsetMismatch { acknowledged });
            }
        }
        let Some(key) = view.plain.clone().filter(|_| view.checkpointed.is_none()) else {
            return Ok(None);
        };
        let mut hash = HashPipeline::resume(view.algorithm, acknowledged, &view.midstate)?;
        let own = hash.digest().await?;
        self.verify(digest, own, &key, acknowledged).await?;
        let size = u32::try_from(acknowledged)
            .map_err(|_| Error::internal("a plain object is larger than a part can be"))?;
        let tail = TailObject {
            key,
            size,
            part: None,
        };
        let progress = Progress {
            offset: acknowledged,
            midstate: view.midstate.clone(),
            last_part: 0,
            tail: Some(tail),
        };
        let end = UploadEnd::Writer {
            epoch: view.epoch,
            progress,
            parts: Vec::new(),
            multipart: None,
        };
        let stored = self
            .finish_upload(caller, repository, upload, digest, Some(end))
            .await?;
        Ok(Some(stored))
    }

    /// Writes what the body brings and closes there.
    pub(crate) async fn write_and_close(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        mut writer: UploadWriter,
        body: &mut BodyReader,
        digest: Digest,
    ) -> Result<BlobStored, Error> {
        let written = async {
            writer.take_all(body).await?;
            let own = writer.digest().await?;
            let skips = mutants::active!("skip_the_digest");
            if writer.algorithm() == digest.algorithm() && own != digest && !skips {
                return Err(Error::DigestMismatch {
                    expected: digest,
                    actual: own,
                });
            }
            Ok((own, writer.end_to_close().await?))
        };
        let (own, written) = match written.await {
            Ok(written) => written,
            Err(error) => {
                writer.abandon(&error).await;
                return Err(error);
            }
        };
        if written.has_parts() {
            let unverified = own != digest || mutants::active!("hash_again_what_is_stored");
            self.seal_and_finish(caller, repository, upload, written, digest, unverified)
                .await
        } else {
            self.finish_plain(caller, repository, upload, written, own, digest)
                .await
        }
    }

    async fn finish_plain(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        written: Written,
        own: Digest,
        digest: Digest,
    ) -> Result<BlobStored, Error> {
        let offset = written.progress.offset;
        let tail = written.progress.tail.as_ref();
        let key = tail.map(|tail| tail.key.clone());
        let key = key.ok_or_else(|| Error::internal("a plain object without a key"))?;
        self.verify(digest, own, &key, offset).await?;
        let end = end_of(written);
        self.finish_upload(caller, repository, upload, digest, Some(end))
            .await
    }

    async fn seal_and_finish(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        written: Written,
        digest: Digest,
        unverified: bool,
    ) -> Result<BlobStored, Error> {
        let command = Command::SealUpload(SealUpload {
            repository: repository.clone(),
            upload,
            digest,
            end: end_of(written),
            unverified,
        });
        steps::reach(steps::CLOSE_BEFORE_SEAL);
        let reply = self.propose(&self.afresh(caller), command).await?;
        steps::reach(steps::CLOSE_AFTER_SEAL);
        match reply {
            Reply::Sealed(sealed) => {
                self.complete_sealed(caller, repository, upload, &sealed)
                    .await
            }
            // Another node has sealed and finished it since.
            Reply::BlobFinished { digest, .. } => Ok(BlobStored { digest }),
            other => Err(Error::unexpected_reply(other)),
        }
    }

    /// Whether the bytes of a plain object are those of `digest`: by their own digest, or, when the client names
    /// another algorithm, by reading them back.
    async fn verify(
        &self,
        digest: Digest,
        own: Digest,
        key: &ObjectKey,
        size: u64,
    ) -> Result<(), Error> {
        let actual = if own.algorithm() == digest.algorithm() {
            own
        } else {
            self.digest_of_object(key, size, digest.algorithm()).await?
        };
        if actual == digest || mutants::active!("skip_the_digest") {
            Ok(())
        } else {
            Err(Error::DigestMismatch {
                expected: digest,
                actual,
            })
        }
    }

    /// Records digest → key.
    pub(crate) async fn finish_upload(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        digest: Digest,
        end: Option<UploadEnd>,
    ) -> Result<BlobStored, Error> {
        let command = Command::FinishUpload(FinishUpload {
            repository: repository.clone(),
            upload,
            digest,
            end,
            principal: caller.principal(),
        });
        steps::reach(steps::CLOSE_BEFORE_FINISH);
        let reply = self.propose(&self.afresh(caller), command).await?;
        steps::reach(steps::CLOSE_AFTER_FINISH);
        match reply {
            Reply::BlobFinished { digest, .. } => {
                metric::blob_pushed();
                Ok(BlobStored { digest })
            }
            other => Err(Error::unexpected_reply(other)),
        }
    }

    /// After a failure to close: asks the log whether the upload is closed all the same (by an earlier copy of this
    /// request, by another node, or by an entry whose reply was lost), and completes what is sealed.
    async fn settle_close(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        digest: Digest,
        error: Error,
    ) -> Result<BlobStored, Error> {
        let may_be_closed = matches!(
            error,
            Error::UploadUnknown
                | Error::UploadSealed
                | Error::UploadBusyElsewhere { .. }
                | Error::OffsetMismatch { .. }
                | Error::OutcomeUnknown { .. }
        );
        if !may_be_closed {
            return Err(error);
        }
        let asking = self.afresh(caller);
        let Ok(view) = self.upload_view(&asking, repository, upload).await else {
            return Err(error);
        };
        if view.finished == Some(digest) {
            return Ok(BlobStored { digest });
        }
        match view.sealed {
            Some(sealed) if sealed.digest == digest => {
                self.complete_sealed(caller, repository, upload, &sealed)
                    .await
            }
            _ => Err(error),
        }
    }
}

fn end_of(written: Written) -> UploadEnd {
    UploadEnd::Writer {
        epoch: written.epoch,
        progress: written.progress,
        parts: written.news.parts,
        multipart: written.news.multipart,
    }
}
