//! Writes the body of one request to an upload: hash, pieces, parts and the tail.
//!
//! Effects, in order: whole parts as [`crate::part_stream`] says; at the end the tail, as an object of its own (which
//! is the blob, while there are no parts) and with parts as the next part too. The caller then proposes the entry that
//! names them: `Acknowledge`, `SealUpload` or `FinishUpload`. It must never hold more than the pieces that the store's
//! budget grants, and never give a state whose bytes are not durable.
//!
//! If the node dies here: what no entry names is an orphan under keys and numbers of this epoch, and is never used.

use bytes::Bytes;
use futures::TryStreamExt;
use metadata::{ClusterId, Epoch, ObjectKey, Part, Progress, TailObject, WriteGrant};
use oci::{Algorithm, Digest, UploadId};
use ports::{ByteSpan, StagedBytes, Target};

use crate::body_reader::BodyReader;
use crate::hash_pipeline::HashPipeline;
use crate::part_stream::{PartStream, PartsNews, UploadHandle};
use crate::{Error, Registry, steps};

/// One request's hold on an upload.
pub(crate) struct UploadWriter {
    registry: Registry,
    cluster: ClusterId,
    upload: UploadId,
    grant: WriteGrant,
    hash: HashPipeline,
    /// The bytes of the upload that were taken, durable or not.
    offset: u64,
    /// What the last request left, until it is loaded.
    tail: Option<TailObject>,
    /// The bytes after the last whole part that was sent on its way.
    piece: Option<Box<dyn StagedBytes>>,
    parts: PartStream,
}

/// The state at the end of a request; all of it is durable.
pub(crate) struct Written {
    pub(crate) epoch: Epoch,
    pub(crate) progress: Progress,
    pub(crate) news: PartsNews,
}

impl Written {
    /// Whether the blob is in parts, and has to be sealed and completed.
    pub(crate) fn has_parts(&self) -> bool {
        self.progress.last_part > 0
    }
}

impl UploadWriter {
    pub(crate) fn new(
        handle: UploadHandle,
        cluster: ClusterId,
        grant: WriteGrant,
    ) -> Result<UploadWriter, Error> {
        let start = &grant.progress;
        Ok(UploadWriter {
            hash: HashPipeline::resume(grant.algorithm, start.offset, &start.midstate)?,
            offset: start.offset,
            tail: start.tail.clone(),
            piece: None,
            registry: handle.registry.clone(),
            cluster,
            upload: handle.upload,
            parts: PartStream::new(handle, &grant),
            grant,
        })
    }

    /// What the bytes are hashed with.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.grant.algorithm
    }

    /// Takes the body to its end.
    ///
    /// # Errors
    /// Those of the body, the store and the log; [`Error::BlobTooLarge`] before bytes are taken when their number was
    /// declared. Then [`UploadWriter::abandon`].
    pub(crate) async fn take_all(&mut self, body: &mut BodyReader) -> Result<(), Error> {
        let max = self.registry.settings().blob_size_max;
        let too_large =
            |offset: u64, more: u64| offset.checked_add(more).is_none_or(|end| end > max);
        if too_large(self.offset, body.declared().unwrap_or(0)) {
            return Err(Error::BlobTooLarge { max });
        }
        while let Some(bytes) = body.next().await? {
            if too_large(self.offset, bytes.len() as u64) {
                return Err(Error::BlobTooLarge { max });
            }
            self.take(bytes, body.remaining()).await?;
        }
        Ok(())
    }

    /// The digest of the upload's bytes, by the upload's own algorithm.
    pub(crate) async fn digest(&mut self) -> Result<Digest, Error> {
        self.hash.digest().await
    }

    /// Makes everything durable so that the upload can go on from here later.
    pub(crate) async fn end_to_go_on(&mut self) -> Result<Written, Error> {
        self.end(false).await
    }

    /// Makes everything durable so that the upload can be closed here: like [`UploadWriter::end_to_go_on`], but an empty
    /// blob gets an object, and what is left of a blob in parts is stored as its last part only: the state is sealed
    /// or dropped, and nobody loads its tail.
    pub(crate) async fn end_to_close(&mut self) -> Result<Written, Error> {
        if self.offset == 0 {
            let mut piece = self.registry.blobs().stage(0).await?;
            self.store_tail(piece.as_mut()).await?;
            let tail = self.tail(piece.as_ref(), None)?;
            return Ok(self.written(Bytes::new(), Some(tail)));
        }
        self.end(true).await
    }

    async fn end(&mut self, closes: bool) -> Result<Written, Error> {
        if self.offset == self.grant.progress.offset {
            return Ok(self.as_it_was());
        }
        let midstate = self.hash.midstate().await?;
        self.parts.settle().await?;
        let tail = match self.piece.take() {
            None => None,
            Some(piece) if self.is_whole_part(piece.as_ref()) => {
                self.parts
                    .push(piece, self.offset, midstate.clone())
                    .await?;
                self.parts.settle().await?;
                None
            }
            Some(mut piece) if self.parts.has_parts() => {
                let part = self.parts.store_tail_part(piece.as_mut()).await?;
                if !closes {
                    self.store_tail(piece.as_mut()).await?;
                }
                Some(self.tail(piece.as_ref(), Some(part))?)
            }
            Some(mut piece) => {
                self.store_tail(piece.as_mut()).await?;
                Some(self.tail(piece.as_ref(), None)?)
            }
        };
        Ok(self.written(midstate, tail))
    }

    /// After a failure. What is durable is kept by a last checkpoint, unless the failure says that it is of no use.
    pub(crate) async fn abandon(self, failure: &Error) {
        let keep = !matches!(
            failure,
            Error::UploadBusyElsewhere { .. }
                | Error::UploadUnknown
                | Error::UploadSealed
                | Error::DigestMismatch { .. }
                | Error::BlobTooLarge { .. }
        );
        drop(self.piece);
        self.parts.abandon(keep).await;
    }

    async fn take(&mut self, mut bytes: Bytes, remaining: Option<u64>) -> Result<(), Error> {
        let part_size = u64::from(self.grant.part_size);
        while !bytes.is_empty() {
            let to_come = remaining.map(|remaining| remaining + bytes.len() as u64);
            let room = part_size - self.piece(to_come).await?.len();
            if room == 0 {
                self.send_part().await?;
                continue;
            }
            let len = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
            let head = bytes.split_to(len);
            let piece = self.piece(to_come).await?;
            piece.append(head.clone()).await?;
            let held = usize::try_from(piece.len()).unwrap_or(usize::MAX);
            marks::note("bytes of a piece", held, part_size as usize);
            self.offset += len as u64;
            self.hash.update(head).await?;
        }
        Ok(())
    }

    /// The piece that is being filled. The first one of a request begins with the tail that the last request left.
    async fn piece(&mut self, to_come: Option<u64>) -> Result<&mut Box<dyn StagedBytes>, Error> {
        if self.piece.is_none() {
            let part_size = u64::from(self.grant.part_size);
            let tail = self.tail.take();
            let tail_size = tail.as_ref().map_or(0, |tail| u64::from(tail.size));
            let size = to_come.map_or(part_size, |to_come| {
                part_size.min(to_come.saturating_add(tail_size))
            });
            let mut piece = self.registry.blobs().stage(size).await?;
            if let Some(tail) = tail.filter(|tail| tail.size > 0) {
                self.load(&tail, piece.as_mut()).await?;
            }
            self.piece = Some(piece);
        }
        self.piece
            .as_mut()
            .ok_or_else(|| Error::internal("a piece vanished"))
    }

    /// Reads a tail back; its bytes are in the midstate already. It is gone when another writer has taken over since.
    async fn load(&mut self, tail: &TailObject, piece: &mut dyn StagedBytes) -> Result<(), Error> {
        let span = ByteSpan {
            start: 0,
            len: u64::from(tail.size),
        };
        let mut stream = self.registry.read_tail(&tail.key, span).await?;
        while let Some(bytes) = stream.try_next().await? {
            piece.append(bytes).await?;
        }
        Ok(())
    }

    /// Sends the full piece on its way: more bytes follow, so it is a part.
    async fn send_part(&mut self) -> Result<(), Error> {
        let midstate = self.hash.midstate().await?;
        match self.piece.take() {
            Some(piece) => self.parts.push(piece, self.offset, midstate).await,
            None => Ok(()),
        }
    }

    /// With parts before it, a piece that is exactly a part is one; without, it may be the whole blob.
    fn is_whole_part(&self, piece: &dyn StagedBytes) -> bool {
        self.parts.has_parts() && piece.len() == u64::from(self.grant.part_size)
    }

    async fn store_tail(&mut self, piece: &mut dyn StagedBytes) -> Result<(), Error> {
        if mutants::active!("acknowledge_without_the_tail") {
            return Ok(());
        }
        let target = Target::Object(self.tail_key(piece));
        steps::reach(steps::WRITE_BEFORE_TAIL);
        piece.store(&target).await?;
        steps::reach(steps::WRITE_AFTER_TAIL);
        Ok(())
    }

    fn tail(&self, piece: &dyn StagedBytes, part: Option<Part>) -> Result<TailObject, Error> {
        let size =
            u32::try_from(piece.len()).map_err(|_| Error::internal("a tail is too large"))?;
        Ok(TailObject {
            key: self.tail_key(piece),
            size,
            part,
        })
    }

    fn tail_key(&self, piece: &dyn StagedBytes) -> ObjectKey {
        let start = self.offset - piece.len();
        ObjectKey::tail(self.cluster, self.upload, self.grant.epoch, start)
    }

    fn as_it_was(&mut self) -> Written {
        Written {
            epoch: self.grant.epoch,
            progress: self.grant.progress.clone(),
            news: self.parts.take_news(),
        }
    }

    fn written(&mut self, midstate: Bytes, tail: Option<TailObject>) -> Written {
        Written {
            epoch: self.grant.epoch,
            progress: Progress {
                offset: self.offset,
                midstate,
                last_part: self.parts.last_part(),
                tail,
            },
            news: self.parts.take_news(),
        }
    }
}
