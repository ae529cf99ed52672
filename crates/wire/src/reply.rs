//! Conversions of replies and refusals.

use metadata::{ClusterId, LogTime, NodeId, Refusal, Reply, SealedObject, WriteGrant};

use crate::access::{denial_from, denial_to, named_from, named_to};
use crate::error::{DecodeError, required};
use crate::node::{nodes_from, nodes_to, role_from, role_to};
use crate::pb;
use crate::words::{
    bits_to, cluster_from, digest_from, digest_option_from, digest_to, digests_from, digests_to,
    repository_from, tag_from,
};

impl From<&Reply> for pb::Reply {
    fn from(reply: &Reply) -> Self {
        use pb::reply::Kind;
        let kind = match reply {
            Reply::Done => Kind::Done(pb::Empty {}),
            Reply::Initialized {
                cluster: ClusterId(bits),
            } => Kind::Initialized(bits_to(*bits)),
            Reply::UploadCreated { grant } => Kind::UploadCreated(pb::UploadCreated {
                grant: grant.as_deref().map(pb::WriteGrant::from),
            }),
            Reply::WriteGranted(grant) => Kind::WriteGranted(grant.as_ref().into()),
            Reply::Checkpointed { reserved_until } => Kind::Checkpointed(*reserved_until),
            Reply::Acknowledged { offset } => Kind::Acknowledged(*offset),
            Reply::Sealed(sealed) => Kind::Sealed(sealed.as_ref().into()),
            Reply::BlobFinished { digest, size } => Kind::BlobFinished(pb::BlobFinished {
                digest: digest_to(digest),
                size: *size,
            }),
            Reply::Mounted { size } => Kind::Mounted(*size),
            Reply::MountMissed => Kind::MountMissed(pb::Empty {}),
            Reply::ManifestPut { created, absent } => Kind::ManifestPut(pb::ManifestPut {
                created: *created,
                absent: *absent,
            }),
            Reply::DeletionContinues => Kind::DeletionContinues(pb::Empty {}),
            Reply::Founded { node } => Kind::Founded(node.0),
            Reply::NodeJoined { node } => Kind::NodeJoined(node.0),
            Reply::Refused(refusal) => Kind::Refused(refusal.into()),
        };
        pb::Reply { kind: Some(kind) }
    }
}

impl TryFrom<pb::Reply> for Reply {
    type Error = DecodeError;

    fn try_from(reply: pb::Reply) -> Result<Self, DecodeError> {
        use pb::reply::Kind;
        Ok(match required(reply.kind, "the kind of a reply")? {
            Kind::Done(pb::Empty {}) => Reply::Done,
            Kind::Initialized(cluster) => Reply::Initialized {
                cluster: cluster_from(&cluster)?,
            },
            Kind::UploadCreated(created) => {
                let grant = created.grant.map(WriteGrant::try_from).transpose()?;
                Reply::UploadCreated {
                    grant: grant.map(Box::new),
                }
            }
            Kind::WriteGranted(grant) => Reply::WriteGranted(Box::new(grant.try_into()?)),
            Kind::Checkpointed(reserved_until) => Reply::Checkpointed { reserved_until },
            Kind::Acknowledged(offset) => Reply::Acknowledged { offset },
            Kind::Sealed(sealed) => Reply::Sealed(Box::new(SealedObject::try_from(sealed)?)),
            Kind::BlobFinished(finished) => Reply::BlobFinished {
                digest: digest_from(&finished.digest)?,
                size: finished.size,
            },
            Kind::Mounted(size) => Reply::Mounted { size },
            Kind::MountMissed(pb::Empty {}) => Reply::MountMissed,
            Kind::ManifestPut(put) => Reply::ManifestPut {
                created: put.created,
                absent: put.absent,
            },
            Kind::DeletionContinues(pb::Empty {}) => Reply::DeletionContinues,
            Kind::Founded(node) => Reply::Founded { node: NodeId(node) },
            Kind::NodeJoined(node) => Reply::NodeJoined { node: NodeId(node) },
            Kind::Refused(refusal) => Reply::Refused(refusal.try_into()?),
        })
    }
}

impl From<&Refusal> for pb::Refusal {
    fn from(refusal: &Refusal) -> Self {
        use pb::refusal::Kind;
        let empty = pb::Empty {};
        let kind = match refusal {
            Refusal::OutcomeUnknown => Kind::OutcomeUnknown(empty),
            Refusal::AlreadyInitialized {
                cluster: ClusterId(bits),
            } => Kind::AlreadyInitialized(bits_to(*bits)),
            Refusal::NotInitialized => Kind::NotInitialized(empty),
            Refusal::RepositoryUnknown => Kind::RepositoryUnknown(empty),
            Refusal::UploadUnknown => Kind::UploadUnknown(empty),
            Refusal::OffsetMismatch { acknowledged } => Kind::OffsetMismatch(*acknowledged),
            Refusal::Fenced { acknowledged } => Kind::Fenced(*acknowledged),
            Refusal::Sealed { digest } => Kind::Sealed(digest_to(digest)),
            Refusal::WrongEnd => Kind::WrongEnd(empty),
            Refusal::TooManyParts => Kind::TooManyParts(empty),
            Refusal::BlobUnknown => Kind::BlobUnknown(empty),
            Refusal::BlobInUse { manifests } => Kind::BlobInUse(*manifests),
            Refusal::ManifestUnknown => Kind::ManifestUnknown(empty),
            Refusal::BlobsUnknown { digests } => Kind::BlobsUnknown(pb::BlobsUnknown {
                digests: digests_to(digests),
            }),
            Refusal::TagUnknown => Kind::TagUnknown(empty),
            Refusal::PreconditionFailed { tag, current } => {
                Kind::PreconditionFailed(pb::PreconditionFailed {
                    tag: tag.as_ref().map(|tag| tag.as_str().to_owned()),
                    current: current.as_ref().map(digest_to),
                })
            }
            Refusal::DeletionInProgress => Kind::DeletionInProgress(empty),
            Refusal::Invalid { reason } => Kind::Invalid(reason.clone()),
            Refusal::IdempotencyKeyReused { repository } => {
                Kind::IdempotencyKeyReused(repository.as_str().to_owned())
            }
            Refusal::NotFounded => Kind::NotFounded(empty),
            Refusal::AlreadyFounded => Kind::AlreadyFounded(empty),
            Refusal::TokenUnknown => Kind::TokenUnknown(empty),
            Refusal::TokenUsed { node } => Kind::TokenUsed(node.0),
            Refusal::TokenExpired => Kind::TokenExpired(empty),
            Refusal::TokenRole { role } => Kind::TokenRole(role_to(*role)),
            Refusal::NodeUnknown => Kind::NodeUnknown(empty),
            Refusal::NodeRemoved => Kind::NodeRemoved(empty),
            Refusal::LastMember => Kind::LastMember(empty),
            Refusal::FormatTooOld { needed } => Kind::FormatTooOld(*needed),
            Refusal::FormatTooLow { needed, current } => Kind::FormatTooLow(pb::FormatTooLow {
                needed: *needed,
                current: *current,
            }),
            Refusal::NodesBehind { nodes } => Kind::NodesBehind(nodes_to(nodes)),
            Refusal::TooEarly { until } => Kind::TooEarly(until.0),
            Refusal::FormatUnsupported { nodes } => Kind::FormatUnsupported(nodes_to(nodes)),
            Refusal::Denied(denial) => Kind::Denied(denial_to(*denial)),
            Refusal::Unknown(named) => Kind::Unknown(named_to(*named)),
            Refusal::Exists(named) => Kind::Exists(named_to(*named)),
            Refusal::OtherSource => Kind::OtherSource(empty),
            Refusal::LastAdministrator => Kind::LastAdministrator(empty),
            Refusal::ProjectInUse { repositories } => Kind::ProjectInUse(*repositories),
        };
        pb::Refusal { kind: Some(kind) }
    }
}

impl TryFrom<pb::Refusal> for Refusal {
    type Error = DecodeError;

    fn try_from(refusal: pb::Refusal) -> Result<Self, DecodeError> {
        use pb::refusal::Kind;
        Ok(match required(refusal.kind, "the kind of a refusal")? {
            Kind::OutcomeUnknown(pb::Empty {}) => Refusal::OutcomeUnknown,
            Kind::AlreadyInitialized(cluster) => Refusal::AlreadyInitialized {
                cluster: cluster_from(&cluster)?,
            },
            Kind::NotInitialized(pb::Empty {}) => Refusal::NotInitialized,
            Kind::RepositoryUnknown(pb::Empty {}) => Refusal::RepositoryUnknown,
            Kind::UploadUnknown(pb::Empty {}) => Refusal::UploadUnknown,
            Kind::OffsetMismatch(acknowledged) => Refusal::OffsetMismatch { acknowledged },
            Kind::Fenced(acknowledged) => Refusal::Fenced { acknowledged },
            Kind::Sealed(digest) => Refusal::Sealed {
                digest: digest_from(&digest)?,
            },
            Kind::WrongEnd(pb::Empty {}) => Refusal::WrongEnd,
            Kind::TooManyParts(pb::Empty {}) => Refusal::TooManyParts,
            Kind::BlobUnknown(pb::Empty {}) => Refusal::BlobUnknown,
            Kind::BlobInUse(manifests) => Refusal::BlobInUse { manifests },
            Kind::ManifestUnknown(pb::Empty {}) => Refusal::ManifestUnknown,
            Kind::BlobsUnknown(unknown) => Refusal::BlobsUnknown {
                digests: digests_from(&unknown.digests)?,
            },
            Kind::TagUnknown(pb::Empty {}) => Refusal::TagUnknown,
            Kind::PreconditionFailed(failed) => Refusal::PreconditionFailed {
                tag: failed.tag.map(|tag| tag_from(&tag)).transpose()?,
                current: digest_option_from(failed.current)?,
            },
            Kind::DeletionInProgress(pb::Empty {}) => Refusal::DeletionInProgress,
            Kind::Invalid(reason) => Refusal::Invalid { reason },
            Kind::IdempotencyKeyReused(repository) => Refusal::IdempotencyKeyReused {
                repository: repository_from(&repository)?,
            },
            Kind::NotFounded(pb::Empty {}) => Refusal::NotFounded,
            Kind::AlreadyFounded(pb::Empty {}) => Refusal::AlreadyFounded,
            Kind::TokenUnknown(pb::Empty {}) => Refusal::TokenUnknown,
            Kind::TokenUsed(node) => Refusal::TokenUsed { node: NodeId(node) },
            Kind::TokenExpired(pb::Empty {}) => Refusal::TokenExpired,
            Kind::TokenRole(role) => Refusal::TokenRole {
                role: role_from(role)?,
            },
            Kind::NodeUnknown(pb::Empty {}) => Refusal::NodeUnknown,
            Kind::NodeRemoved(pb::Empty {}) => Refusal::NodeRemoved,
            Kind::LastMember(pb::Empty {}) => Refusal::LastMember,
            Kind::FormatTooOld(needed) => Refusal::FormatTooOld { needed },
            Kind::FormatTooLow(low) => Refusal::FormatTooLow {
                needed: low.needed,
                current: low.current,
            },
            Kind::NodesBehind(nodes) => Refusal::NodesBehind {
                nodes: nodes_from(nodes),
            },
            Kind::TooEarly(until) => Refusal::TooEarly {
                until: LogTime(until),
            },
            Kind::FormatUnsupported(nodes) => Refusal::FormatUnsupported {
                nodes: nodes_from(nodes),
            },
            Kind::Denied(denial) => Refusal::Denied(denial_from(denial)?),
            Kind::Unknown(named) => Refusal::Unknown(named_from(named)?),
            Kind::Exists(named) => Refusal::Exists(named_from(named)?),
            Kind::OtherSource(pb::Empty {}) => Refusal::OtherSource,
            Kind::LastAdministrator(pb::Empty {}) => Refusal::LastAdministrator,
            Kind::ProjectInUse(repositories) => Refusal::ProjectInUse { repositories },
        })
    }
}
