//! Adds bytes to an upload: one `PATCH`, of any length.
//!
//! Effects, in order: the entry `BeginWrite`, which takes the next epoch and ends every earlier writer; parts and
//! checkpoints while bytes come (see [`crate::part_stream`]); the tail; the entry `Acknowledge`. Only after it the client
//! is told of an offset, so every offset that a client was told is safe.
//!
//! The work is done by a task of its own: a client that vanishes cannot cut it in two. What the body's end finds
//! durable is then kept by a checkpoint and not acknowledged. Sent again, the request takes a new epoch and starts
//! where its `Location` says; what the first one left beyond that is dropped.
//!
//! Spec: distribution-spec 1.1, "Pushing a blob in chunks". Design: `docs/architecture.md`, "Uploads".

use metadata::{Acknowledge, BeginWrite, Command, Epoch, Refusal, Reply, WriteFrom, WriteGrant};
use oci::{RepositoryName, UploadId};

use crate::body_reader::BodyReader;
use crate::metric::UploadInFlight;
use crate::owned_task::Presence;
use crate::part_stream::UploadHandle;
use crate::upload_writer::{UploadWriter, Written};
use crate::{Body, Caller, Error, Registry, UploadStatus, steps};

impl Registry {
    /// Adds `body` to an upload and tells the offset that is acknowledged then. If the future is dropped, the work
    /// goes on until the body ends or stalls.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::UploadSealed`]; [`Error::OffsetMismatch`] when it does not start where the
    /// upload stands; [`Error::UploadBusyElsewhere`] when another request took over; [`Error::BlobTooLarge`]; those of
    /// the body; [`Error::Unavailable`], [`Error::StorageFull`] or [`Error::OutcomeUnknown`] when log or store fail.
    /// After any of them the upload goes on at the offset that a status request tells.
    pub async fn write_upload(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        from: WriteFrom,
        body: Body,
    ) -> Result<UploadStatus, Error> {
        let (registry, caller, repository) = (self.clone(), caller.clone(), repository.clone());
        let (presence, _here) = Presence::of_this_request();
        self.owned(async move {
            registry
                .write_and_acknowledge(&caller, &repository, upload, from, body, &presence)
                .await
        })
        .await
    }

    async fn write_and_acknowledge(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        from: WriteFrom,
        body: Body,
        there: &Presence,
    ) -> Result<UploadStatus, Error> {
        let _in_flight = UploadInFlight::begin();
        self.refuse_too_large(from, &body)?;
        let mut body = BodyReader::new(body, self.settings().body_idle_timeout);
        let mut writer = self
            .begin_write(caller, repository, upload, from, there)
            .await?;
        let written = async {
            writer.take_all(&mut body).await?;
            writer.end_to_go_on().await
        };
        match written.await {
            Ok(written) => {
                let caller = self.afresh(caller);
                self.acknowledge(&caller, repository, upload, written).await
            }
            Err(error) => {
                writer.abandon(&error).await;
                Err(error)
            }
        }
    }

    /// Refuses a blob that is too large before its upload takes an epoch, where the numbers say so already.
    pub(crate) fn refuse_too_large(&self, from: WriteFrom, body: &Body) -> Result<(), Error> {
        let start = match from {
            WriteFrom::Exactly(offset) | WriteFrom::Location(offset) => offset,
            WriteFrom::Acknowledged => 0,
        };
        let max = self.settings().blob_size_max;
        match start.checked_add(body.length.unwrap_or(0)) {
            Some(end) if end <= max => Ok(()),
            _ => Err(Error::BlobTooLarge { max }),
        }
    }

    /// Takes the next epoch of an upload.
    ///
    /// A request that starts before what is acknowledged is one that was sent again, and drops what lies beyond. But what it finds
    /// acknowledged may have come after it, from a later request of the same client, while this one was held. So it goes back only
    /// after another look at the upload, as long as no other writer comes in between, and while its client is `there`.
    pub(crate) async fn begin_write(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        from: WriteFrom,
        there: &Presence,
    ) -> Result<UploadWriter, Error> {
        // Nothing is acknowledged before the first writer.
        let before_all = Epoch(0);
        let mut reply = self
            .take_epoch(caller, repository, upload, from, before_all)
            .await?;
        if let (Reply::Refused(Refusal::OffsetMismatch { acknowledged }), WriteFrom::Location(at)) =
            (&reply, from)
            && at < *acknowledged
        {
            let view = self.upload_view(caller, repository, upload).await?;
            if there.is_there() {
                reply = self
                    .take_epoch(caller, repository, upload, from, view.epoch)
                    .await?;
            }
        }
        match reply {
            Reply::WriteGranted(grant) => self.writer(caller, repository, upload, *grant).await,
            other => Err(Error::unexpected_reply(other)),
        }
    }

    async fn take_epoch(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        from: WriteFrom,
        after: Epoch,
    ) -> Result<Reply, Error> {
        let command = Command::BeginWrite(BeginWrite {
            repository: repository.clone(),
            upload,
            from,
            after: Some(after),
        });
        steps::reach(steps::WRITE_BEFORE_EPOCH);
        let reply = self.propose(caller, command).await;
        steps::reach(steps::WRITE_AFTER_EPOCH);
        reply
    }

    /// A writer with the epoch that was granted.
    pub(crate) async fn writer(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        grant: WriteGrant,
    ) -> Result<UploadWriter, Error> {
        let cluster = self.cluster_id(caller.deadline).await?;
        let handle = UploadHandle {
            registry: self.clone(),
            caller: caller.clone(),
            repository: repository.clone(),
            upload,
        };
        UploadWriter::new(handle, cluster, grant)
    }

    async fn acknowledge(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        written: Written,
    ) -> Result<UploadStatus, Error> {
        let (epoch, offset) = (written.epoch, written.progress.offset);
        let command = Command::Acknowledge(Acknowledge {
            repository: repository.clone(),
            upload,
            epoch,
            progress: written.progress,
            parts: written.news.parts,
            multipart: written.news.multipart,
        });
        steps::reach(steps::WRITE_BEFORE_ACKNOWLEDGE);
        let reply = self.propose(caller, command).await;
        steps::reach(steps::WRITE_AFTER_ACKNOWLEDGE);
        match reply {
            Ok(Reply::Acknowledged { offset }) => Ok(UploadStatus { upload, offset }),
            Ok(other) => Err(Error::unexpected_reply(other)),
            Err(Error::OutcomeUnknown { .. }) if mutants::active!("call_unknown_success") => {
                Ok(UploadStatus { upload, offset })
            }
            Err(error @ Error::OutcomeUnknown { .. }) => {
                // Only the log can tell, and it may be there again.
                let view = self.upload_view(caller, repository, upload).await;
                match view {
                    Ok(view) if view.epoch == epoch && view.acknowledged == offset => {
                        Ok(UploadStatus { upload, offset })
                    }
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }
}
