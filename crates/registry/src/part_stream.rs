//! Stores the whole parts of an upload, a few at a time, and tells the log of them.
//!
//! Effects, in order: the multipart upload is begun when the first part is known not to be the whole blob; parts are
//! stored, beside the arrival of the next one's bytes; every few parts a `Checkpoint` names those that are durable. It
//! must never name a part before it is durable, nor use a number that is not reserved for this epoch.
//!
//! If the node dies here: a multipart upload of which the log does not know is an orphan; parts beyond the last
//! checkpoint have numbers that nobody lists, and no later writer uses.

use std::collections::VecDeque;

use bytes::Bytes;
use metadata::{
    Checkpoint, Command, Epoch, MultipartId, ObjectKey, PART_NUMBER_MAX, PARTS_RESERVED_AT_BEGIN,
    Part, Progress, Reply, WriteGrant,
};
use oci::{RepositoryName, UploadId};
use ports::{BlobFailure, StagedBytes, Target};
use tokio::task::JoinHandle;

use crate::{Caller, Error, Registry, steps};

/// So many parts of one upload are on their way at once. With the one that is being filled, an upload holds at most
/// one more than this of the node's budget of memory.
const IN_FLIGHT_MAX: usize = 2;

/// Which upload is written to, and for whom.
pub(crate) struct UploadHandle {
    pub(crate) registry: Registry,
    pub(crate) caller: Caller,
    pub(crate) repository: RepositoryName,
    pub(crate) upload: UploadId,
}

/// The parts of one writer.
pub(crate) struct PartStream {
    of: UploadHandle,
    epoch: Epoch,
    key: ObjectKey,
    multipart: Option<MultipartId>,
    /// Whether the log may know of the multipart upload.
    told: bool,
    next_number: u32,
    reserved_until: u32,
    in_flight: VecDeque<InFlight>,
    /// How far the whole parts reach that are durable without a gap.
    durable: Boundary,
    /// Durable, and in no entry yet.
    unrecorded: Vec<Part>,
}

/// The end of a part.
#[derive(Clone, Default)]
pub(crate) struct Boundary {
    pub(crate) offset: u64,
    pub(crate) midstate: Bytes,
    pub(crate) last_part: u32,
}

struct InFlight {
    end: Boundary,
    task: JoinHandle<Result<Part, BlobFailure>>,
}

/// What an entry has to say about parts.
pub(crate) struct PartsNews {
    pub(crate) parts: Vec<Part>,
    pub(crate) multipart: Option<MultipartId>,
}

impl PartStream {
    pub(crate) fn new(of: UploadHandle, grant: &WriteGrant) -> PartStream {
        PartStream {
            of,
            epoch: grant.epoch,
            key: grant.key.clone(),
            multipart: grant.multipart.clone(),
            told: grant.multipart.is_some(),
            next_number: grant.next_part,
            reserved_until: grant.reserved_until,
            in_flight: VecDeque::new(),
            durable: Boundary {
                last_part: grant.progress.last_part,
                ..Boundary::default()
            },
            unrecorded: Vec::new(),
        }
    }

    /// Whether the upload has whole parts, those on their way included.
    pub(crate) fn has_parts(&self) -> bool {
        self.durable.last_part > 0 || !self.in_flight.is_empty()
    }

    /// The last whole part that is durable; of all, after [`PartStream::settle`].
    pub(crate) fn last_part(&self) -> u32 {
        self.durable.last_part
    }

    /// Sends a piece on its way as the next part, which ends at `offset`. Waits until there is room for it, and
    /// commits a checkpoint when one is due.
    pub(crate) async fn push(
        &mut self,
        mut piece: Box<dyn StagedBytes>,
        offset: u64,
        midstate: Bytes,
    ) -> Result<(), Error> {
        while self.in_flight.len() >= IN_FLIGHT_MAX {
            self.join_first().await?;
        }
        if self.unrecorded.len()
            >= self.of.registry.settings().checkpoint_every_parts.max(1) as usize
        {
            self.checkpoint().await?;
        }
        let target = self.next_target().await?;
        let number = self.next_number - 1;
        let size = piece_size(piece.as_ref())?;
        steps::reach(steps::WRITE_BEFORE_PART);
        let task = tokio::spawn(async move {
            let etag = piece.store(&target).await?;
            steps::reach(steps::WRITE_AFTER_PART);
            Ok(Part { number, etag, size })
        });
        let end = Boundary {
            offset,
            midstate,
            last_part: number,
        };
        self.in_flight.push_back(InFlight { end, task });
        marks::note("parts on their way", self.in_flight.len(), IN_FLIGHT_MAX);
        Ok(())
    }

    /// Stores a piece as the next part beside keeping it: it is the tail's.
    pub(crate) async fn store_tail_part(
        &mut self,
        piece: &mut dyn StagedBytes,
    ) -> Result<Part, Error> {
        let target = self.next_target().await?;
        let number = self.next_number - 1;
        let size = piece_size(piece)?;
        steps::reach(steps::WRITE_BEFORE_PART);
        let etag = piece.store(&target).await?;
        steps::reach(steps::WRITE_AFTER_PART);
        Ok(Part { number, etag, size })
    }

    /// Waits until every part is durable.
    pub(crate) async fn settle(&mut self) -> Result<(), Error> {
        while !self.in_flight.is_empty() {
            self.join_first().await?;
        }
        Ok(())
    }

    /// What the writer's last entry has to say. It must be proposed: the parts are forgotten here.
    pub(crate) fn take_news(&mut self) -> PartsNews {
        let multipart = self.multipart.clone().filter(|_| !self.told);
        self.told = self.multipart.is_some();
        PartsNews {
            parts: std::mem::take(&mut self.unrecorded),
            multipart,
        }
    }

    /// After a failure: keeps what is durable by a last checkpoint if `keep`, and frees what the log will never know of.
    /// Does what it can; what remains is harmless.
    pub(crate) async fn abandon(mut self, keep: bool) {
        // The tasks are joined in any case: no part may be stored after the answer to the client.
        while let Ok(true) = self.join_first().await {}
        while let Some(in_flight) = self.in_flight.pop_front() {
            let _ = in_flight.task.await;
        }
        if keep
            && !self.unrecorded.is_empty()
            && let Err(error) = self.checkpoint().await
        {
            tracing::debug!(upload = %self.of.upload, %error, "the last checkpoint of a broken request was not kept");
        }
        if let Some(multipart) = self.multipart.filter(|_| !self.told) {
            let aborted = self
                .of
                .registry
                .blobs()
                .abort_multipart(&self.key, &multipart)
                .await;
            if let Err(error) = aborted {
                tracing::debug!(upload = %self.of.upload, %error, "an unused multipart upload was left to the collector");
            }
        }
    }

    /// Takes the next part number, and begins the multipart upload before the first.
    async fn next_target(&mut self) -> Result<Target, Error> {
        if self.next_number > self.reserved_until {
            self.settle().await?;
            self.checkpoint().await?;
        }
        if self.next_number > self.reserved_until || self.next_number > PART_NUMBER_MAX {
            return Err(Error::BlobTooLarge {
                max: self.of.registry.settings().blob_size_max,
            });
        }
        let multipart = match &self.multipart {
            Some(multipart) => multipart.clone(),
            None => {
                steps::reach(steps::WRITE_BEFORE_MULTIPART);
                let begun = self.of.registry.blobs().begin_multipart(&self.key).await?;
                steps::reach(steps::WRITE_AFTER_MULTIPART);
                self.multipart.insert(begun).clone()
            }
        };
        let number = self.next_number;
        self.next_number += 1;
        Ok(Target::Part {
            key: self.key.clone(),
            multipart,
            number,
        })
    }

    /// Waits for the oldest part on its way; `false` when there is none.
    async fn join_first(&mut self) -> Result<bool, Error> {
        let Some(first) = self.in_flight.front_mut() else {
            return Ok(false);
        };
        let joined = (&mut first.task).await;
        let first = self
            .in_flight
            .pop_front()
            .ok_or_else(|| Error::internal("a part vanished"))?;
        let part = joined
            .map_err(|error| Error::internal(format!("storing a part broke off: {error}")))??;
        self.unrecorded.push(part);
        let every = self.of.registry.settings().checkpoint_every_parts.max(1) as usize;
        let bound = every + IN_FLIGHT_MAX;
        marks::note("parts without an entry", self.unrecorded.len(), bound);
        self.durable = first.end;
        Ok(true)
    }

    /// Commits how far the durable parts reach, and reserves numbers for more.
    async fn checkpoint(&mut self) -> Result<(), Error> {
        let wanted = self.next_number.saturating_add(PARTS_RESERVED_AT_BEGIN);
        let reserve = wanted
            .min(PART_NUMBER_MAX)
            .saturating_sub(self.reserved_until);
        let progress = Progress {
            offset: self.durable.offset,
            midstate: self.durable.midstate.clone(),
            last_part: self.durable.last_part,
            tail: None,
        };
        let news = self.take_news();
        let command = Command::Checkpoint(Checkpoint {
            repository: self.of.repository.clone(),
            upload: self.of.upload,
            epoch: self.epoch,
            progress,
            parts: news.parts,
            multipart: news.multipart,
            reserve,
        });
        steps::reach(steps::WRITE_BEFORE_CHECKPOINT);
        let registry = &self.of.registry;
        let caller = registry.afresh(&self.of.caller);
        let reply = registry.propose(&caller, command).await?;
        steps::reach(steps::WRITE_AFTER_CHECKPOINT);
        match reply {
            Reply::Checkpointed { reserved_until } => {
                self.reserved_until = reserved_until;
                Ok(())
            }
            other => Err(Error::unexpected_reply(other)),
        }
    }
}

fn piece_size(piece: &dyn StagedBytes) -> Result<u32, Error> {
    u32::try_from(piece.len()).map_err(|_| Error::internal("a piece is larger than a part can be"))
}
