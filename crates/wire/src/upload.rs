//! Conversions of what uploads are made of: parts, tails, progress, sealed objects, grants.

use metadata::{
    Epoch, MultipartId, Part, Progress, SealedObject, TailObject, UploadEnd, WriteGrant,
};
use std::sync::Arc;

use crate::error::{DecodeError, required};
use crate::pb;
use crate::words::{
    algorithm_from, algorithm_to, digest_from, digest_to, key_from, multipart_from, multipart_to,
};

impl From<&Part> for pb::Part {
    fn from(part: &Part) -> Self {
        pb::Part {
            number: part.number,
            etag: part.etag.clone(),
            size: part.size,
        }
    }
}

impl From<pb::Part> for Part {
    fn from(part: pb::Part) -> Self {
        Part {
            number: part.number,
            etag: part.etag,
            size: part.size,
        }
    }
}

pub(crate) fn parts_to(parts: &[Part]) -> Vec<pb::Part> {
    parts.iter().map(pb::Part::from).collect()
}

pub(crate) fn parts_from(parts: Vec<pb::Part>) -> Vec<Part> {
    parts.into_iter().map(Part::from).collect()
}

impl From<&TailObject> for pb::TailObject {
    fn from(tail: &TailObject) -> Self {
        pb::TailObject {
            key: tail.key.to_string(),
            size: tail.size,
            part: tail.part.as_ref().map(pb::Part::from),
        }
    }
}

impl TryFrom<pb::TailObject> for TailObject {
    type Error = DecodeError;

    fn try_from(tail: pb::TailObject) -> Result<Self, DecodeError> {
        Ok(TailObject {
            key: key_from(&tail.key)?,
            size: tail.size,
            part: tail.part.map(Part::from),
        })
    }
}

impl From<&Progress> for pb::Progress {
    fn from(progress: &Progress) -> Self {
        pb::Progress {
            offset: progress.offset,
            midstate: progress.midstate.clone(),
            last_part: progress.last_part,
            tail: progress.tail.as_ref().map(pb::TailObject::from),
        }
    }
}

impl TryFrom<pb::Progress> for Progress {
    type Error = DecodeError;

    fn try_from(progress: pb::Progress) -> Result<Self, DecodeError> {
        Ok(Progress {
            offset: progress.offset,
            midstate: progress.midstate,
            last_part: progress.last_part,
            tail: progress.tail.map(TailObject::try_from).transpose()?,
        })
    }
}

pub(crate) fn progress_from(progress: Option<pb::Progress>) -> Result<Progress, DecodeError> {
    required(progress, "the progress of an upload")?.try_into()
}

impl From<&SealedObject> for pb::SealedObject {
    fn from(sealed: &SealedObject) -> Self {
        pb::SealedObject {
            digest: digest_to(&sealed.digest),
            size: sealed.size,
            key: sealed.key.to_string(),
            multipart: sealed.multipart.to_string(),
            parts: parts_to(&sealed.parts),
            unverified: sealed.unverified,
        }
    }
}

impl TryFrom<pb::SealedObject> for SealedObject {
    type Error = DecodeError;

    fn try_from(sealed: pb::SealedObject) -> Result<Self, DecodeError> {
        Ok(SealedObject {
            digest: digest_from(&sealed.digest)?,
            size: sealed.size,
            key: key_from(&sealed.key)?,
            multipart: MultipartId(Arc::from(sealed.multipart)),
            parts: parts_from(sealed.parts),
            unverified: sealed.unverified,
        })
    }
}

impl From<&WriteGrant> for pb::WriteGrant {
    fn from(grant: &WriteGrant) -> Self {
        pb::WriteGrant {
            epoch: grant.epoch.0,
            progress: Some((&grant.progress).into()),
            algorithm: algorithm_to(grant.algorithm),
            part_size: grant.part_size,
            parts_count: grant.parts_count,
            multipart: multipart_to(&grant.multipart),
            key: grant.key.to_string(),
            next_part: grant.next_part,
            reserved_until: grant.reserved_until,
        }
    }
}

impl TryFrom<pb::WriteGrant> for WriteGrant {
    type Error = DecodeError;

    fn try_from(grant: pb::WriteGrant) -> Result<Self, DecodeError> {
        Ok(WriteGrant {
            epoch: Epoch(grant.epoch),
            progress: progress_from(grant.progress)?,
            algorithm: algorithm_from(grant.algorithm)?,
            part_size: grant.part_size,
            parts_count: grant.parts_count,
            multipart: multipart_from(grant.multipart),
            key: key_from(&grant.key)?,
            next_part: grant.next_part,
            reserved_until: grant.reserved_until,
        })
    }
}

impl From<&UploadEnd> for pb::UploadEnd {
    fn from(end: &UploadEnd) -> Self {
        use pb::upload_end::Kind;
        let kind = match end {
            UploadEnd::Acknowledged { offset } => {
                Kind::Acknowledged(pb::EndAcknowledged { offset: *offset })
            }
            UploadEnd::Writer {
                epoch,
                progress,
                parts,
                multipart,
            } => Kind::Writer(pb::EndWriter {
                epoch: epoch.0,
                progress: Some(progress.into()),
                parts: parts_to(parts),
                multipart: multipart_to(multipart),
            }),
        };
        pb::UploadEnd { kind: Some(kind) }
    }
}

impl TryFrom<pb::UploadEnd> for UploadEnd {
    type Error = DecodeError;

    fn try_from(end: pb::UploadEnd) -> Result<Self, DecodeError> {
        use pb::upload_end::Kind;
        match required(end.kind, "the end of an upload")? {
            Kind::Acknowledged(end) => Ok(UploadEnd::Acknowledged { offset: end.offset }),
            Kind::Writer(end) => Ok(UploadEnd::Writer {
                epoch: Epoch(end.epoch),
                progress: progress_from(end.progress)?,
                parts: parts_from(end.parts),
                multipart: multipart_from(end.multipart),
            }),
        }
    }
}
