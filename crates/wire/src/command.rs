//! Conversions of entries and commands.

use metadata::{
    Acknowledge, BeginWrite, Checkpoint, ClusterId, Command, CreateUpload, Entry, Epoch,
    FinishUpload, LogIndex, LogTime, ManifestReference, Mount, NodeId, ObjectKey, Precondition,
    PutManifest, SealUpload, UploadEnd, WriteFrom,
};
use oci::{RepositoryName, Tag, UploadId};

use crate::error::{DecodeError, known_format, required};
use crate::node::{
    announcement_from, hash_from, hash_to, role_from, role_to, token_from, token_to,
};
use crate::pb;
use crate::pb::command::Kind;
use crate::upload::{parts_from, parts_to, progress_from};
use crate::words::{
    algorithm_from, algorithm_to, bits_to, cluster_from, digest_from, digest_option_from,
    digest_to, digests_from, digests_to, key_from, media_type_from, multipart_from, multipart_to,
    principal_from, repository_from, tag_from, upload_from, upload_to,
};

impl From<&Entry> for pb::Entry {
    fn from(entry: &Entry) -> Self {
        pb::Entry {
            id: Some((&entry.id).into()),
            seen: entry.seen.0,
            stamped: entry.stamped.0,
            command: Some((&entry.command).into()),
        }
    }
}

impl TryFrom<pb::Entry> for Entry {
    type Error = DecodeError;

    fn try_from(entry: pb::Entry) -> Result<Self, DecodeError> {
        Ok(Entry {
            id: required(entry.id, "the id of a command")?.try_into()?,
            seen: LogIndex(entry.seen),
            stamped: LogTime(entry.stamped),
            command: required(entry.command, "the command of an entry")?.try_into()?,
        })
    }
}

fn path_to(repository: &RepositoryName, upload: UploadId) -> pb::UploadPath {
    pb::UploadPath {
        repository: repository.as_str().to_owned(),
        upload: upload_to(upload),
    }
}

fn path_from(path: Option<pb::UploadPath>) -> Result<(RepositoryName, UploadId), DecodeError> {
    let path = required(path, "the path of an upload")?;
    Ok((
        repository_from(&path.repository)?,
        upload_from(&path.upload)?,
    ))
}

impl From<&Command> for pb::Command {
    fn from(command: &Command) -> Self {
        let kind = match command {
            Command::InitializeCluster {
                cluster: ClusterId(bits),
            } => Kind::InitializeCluster(pb::InitializeCluster {
                cluster: bits_to(*bits),
            }),
            Command::CreateUpload(create) => Kind::CreateUpload(create.into()),
            Command::BeginWrite(begin) => Kind::BeginWrite(begin.into()),
            Command::Checkpoint(checkpoint) => Kind::Checkpoint(checkpoint.into()),
            Command::Acknowledge(acknowledge) => Kind::Acknowledge(acknowledge.into()),
            Command::AcknowledgeCheckpoint { repository, upload } => {
                Kind::AcknowledgeCheckpoint(path_to(repository, *upload))
            }
            Command::SealUpload(seal) => Kind::SealUpload(seal.into()),
            Command::FinishUpload(finish) => Kind::FinishUpload(finish.into()),
            Command::CancelUpload { repository, upload } => {
                Kind::CancelUpload(path_to(repository, *upload))
            }
            Command::Mount(mount) => Kind::Mount(mount.into()),
            Command::PutManifest(put) => Kind::PutManifest(put.into()),
            Command::DeleteTag {
                repository,
                tag,
                precondition,
                principal,
            } => Kind::DeleteTag(pb::DeleteTag {
                repository: repository.as_str().to_owned(),
                tag: tag.as_str().to_owned(),
                precondition: precondition.as_ref().map(pb::Precondition::from),
                principal: principal.to_string(),
            }),
            Command::DeleteManifest {
                repository,
                digest,
                principal,
            } => Kind::DeleteManifest(pb::DeleteDigest {
                repository: repository.as_str().to_owned(),
                digest: digest_to(digest),
                principal: principal.to_string(),
            }),
            Command::DeleteBlob {
                repository,
                digest,
                principal,
            } => Kind::DeleteBlob(pb::DeleteDigest {
                repository: repository.as_str().to_owned(),
                digest: digest_to(digest),
                principal: principal.to_string(),
            }),
            Command::RenewBlob { repository, digest } => Kind::RenewBlob(pb::RenewBlob {
                repository: repository.as_str().to_owned(),
                digest: digest_to(digest),
            }),
            Command::ObjectsDeleted { keys } => Kind::ObjectsDeleted(pb::ObjectsDeleted {
                keys: keys.iter().map(ObjectKey::to_string).collect(),
            }),
            Command::FoundCluster(found) => Kind::FoundCluster(found.as_ref().into()),
            Command::IssueJoinToken {
                token,
                hash,
                role,
                expires,
            } => Kind::IssueJoinToken(pb::IssueJoinToken {
                token: token_to(*token),
                hash: hash_to(hash),
                role: role_to(*role),
                expires: expires.0,
            }),
            Command::JoinNode(join) => Kind::JoinNode(join.as_ref().into()),
            Command::AnnounceNode { node, announcement } => Kind::AnnounceNode(pb::AnnounceNode {
                node: node.0,
                announcement: Some(announcement.into()),
            }),
            Command::RemoveNode { node } => Kind::RemoveNode(node.0),
            Command::RaiseFormat { to } => Kind::RaiseFormat(*to),
            Command::MoveStorage {
                to,
                uploads_idle_ms,
            } => Kind::MoveStorage(pb::MoveStorage {
                to: to.clone(),
                uploads_idle_ms: *uploads_idle_ms,
            }),
            Command::ConfirmStorage {
                node,
                step,
                problem,
            } => Kind::ConfirmStorage(pb::ConfirmStorage {
                node: node.0,
                step: *step,
                problem: problem.clone(),
            }),
            Command::FillStorage { step } => Kind::FillStorage(*step),
            Command::CancelMove { step } => Kind::CancelMove(*step),
            Command::SwitchStorage { generation } => Kind::SwitchStorage(*generation),
            Command::CorrectTime { to } => Kind::CorrectTime(to.0),
            Command::RaiseFormatInTime { to } => Kind::RaiseFormatInTime(*to),
            Command::RemoveGoneGateway { gateway } => Kind::RemoveGoneGateway(gateway.0),
            Command::ReplaceVoter { dead, spare } => Kind::ReplaceVoter(pb::ReplaceVoter {
                dead: dead.0,
                spare: spare.0,
            }),
            Command::AddAuthority {
                certificate,
                sealed_key,
            } => Kind::AddAuthority(pb::AddAuthority {
                certificate: certificate.clone(),
                sealed_key: sealed_key.clone(),
            }),
            Command::NoteTrust { node, trust } => Kind::NoteTrust(pb::NoteTrust {
                node: node.0,
                trust: Some((*trust).into()),
            }),
            Command::SignWithNextAuthority => Kind::SignWithNextAuthority(pb::Empty {}),
            Command::DropAuthority => Kind::DropAuthority(pb::Empty {}),
            Command::AdoptBlobs => Kind::AdoptBlobs(pb::Empty {}),
            Command::Access(command) => Kind::Access((&**command).into()),
            Command::Asked { asker, command } => Kind::Asked(Box::new(pb::AskedCommand {
                asker: Some(asker.into()),
                command: Some(Box::new((&**command).into())),
            })),
            Command::SetLabel { label } => Kind::SetLabel(label.clone()),
        };
        pb::Command { kind: Some(kind) }
    }
}

impl TryFrom<pb::Command> for Command {
    type Error = DecodeError;

    fn try_from(command: pb::Command) -> Result<Self, DecodeError> {
        let command = match required(command.kind, "the kind of a command")? {
            Kind::InitializeCluster(command) => Command::InitializeCluster {
                cluster: cluster_from(&command.cluster)?,
            },
            Kind::CreateUpload(create) => Command::CreateUpload(create.try_into()?),
            Kind::BeginWrite(begin) => Command::BeginWrite(begin.try_into()?),
            Kind::Checkpoint(checkpoint) => Command::Checkpoint(checkpoint.try_into()?),
            Kind::Acknowledge(acknowledge) => Command::Acknowledge(acknowledge.try_into()?),
            Kind::AcknowledgeCheckpoint(path) => {
                let (repository, upload) = path_from(Some(path))?;
                Command::AcknowledgeCheckpoint { repository, upload }
            }
            Kind::SealUpload(seal) => Command::SealUpload(seal.try_into()?),
            Kind::FinishUpload(finish) => Command::FinishUpload(finish.try_into()?),
            Kind::CancelUpload(path) => {
                let (repository, upload) = path_from(Some(path))?;
                Command::CancelUpload { repository, upload }
            }
            Kind::Mount(mount) => Command::Mount(mount.try_into()?),
            Kind::PutManifest(put) => Command::PutManifest(put.try_into()?),
            Kind::DeleteTag(delete) => Command::DeleteTag {
                repository: repository_from(&delete.repository)?,
                tag: tag_from(&delete.tag)?,
                precondition: delete
                    .precondition
                    .map(Precondition::try_from)
                    .transpose()?,
                principal: principal_from(delete.principal),
            },
            Kind::DeleteManifest(delete) => Command::DeleteManifest {
                repository: repository_from(&delete.repository)?,
                digest: digest_from(&delete.digest)?,
                principal: principal_from(delete.principal),
            },
            Kind::DeleteBlob(delete) => Command::DeleteBlob {
                repository: repository_from(&delete.repository)?,
                digest: digest_from(&delete.digest)?,
                principal: principal_from(delete.principal),
            },
            Kind::RenewBlob(renew) => Command::RenewBlob {
                repository: repository_from(&renew.repository)?,
                digest: digest_from(&renew.digest)?,
            },
            Kind::ObjectsDeleted(deleted) => Command::ObjectsDeleted {
                keys: deleted
                    .keys
                    .iter()
                    .map(|key| key_from(key))
                    .collect::<Result<_, _>>()?,
            },
            Kind::FoundCluster(found) => Command::FoundCluster(Box::new(found.try_into()?)),
            Kind::IssueJoinToken(issue) => Command::IssueJoinToken {
                token: token_from(&issue.token)?,
                hash: hash_from(&issue.hash)?,
                role: role_from(issue.role)?,
                expires: LogTime(issue.expires),
            },
            Kind::JoinNode(join) => Command::JoinNode(Box::new(join.try_into()?)),
            Kind::AnnounceNode(announce) => Command::AnnounceNode {
                node: NodeId(announce.node),
                announcement: announcement_from(announce.announcement)?,
            },
            Kind::RemoveNode(node) => Command::RemoveNode { node: NodeId(node) },
            Kind::RaiseFormat(to) => Command::RaiseFormat { to },
            Kind::MoveStorage(moving) => Command::MoveStorage {
                to: moving.to,
                uploads_idle_ms: moving.uploads_idle_ms,
            },
            Kind::ConfirmStorage(confirm) => Command::ConfirmStorage {
                node: NodeId(confirm.node),
                step: confirm.step,
                problem: confirm.problem,
            },
            Kind::FillStorage(step) => Command::FillStorage { step },
            Kind::CancelMove(step) => Command::CancelMove { step },
            Kind::SwitchStorage(generation) => Command::SwitchStorage { generation },
            Kind::CorrectTime(to) => Command::CorrectTime { to: LogTime(to) },
            Kind::RaiseFormatInTime(to) => Command::RaiseFormatInTime { to },
            Kind::RemoveGoneGateway(node) => Command::RemoveGoneGateway {
                gateway: NodeId(node),
            },
            Kind::ReplaceVoter(replace) => Command::ReplaceVoter {
                dead: NodeId(replace.dead),
                spare: NodeId(replace.spare),
            },
            Kind::AddAuthority(add) => Command::AddAuthority {
                certificate: add.certificate,
                sealed_key: add.sealed_key,
            },
            Kind::NoteTrust(note) => Command::NoteTrust {
                node: NodeId(note.node),
                trust: required(note.trust, "what a node trusts")?.into(),
            },
            Kind::SignWithNextAuthority(pb::Empty {}) => Command::SignWithNextAuthority,
            Kind::DropAuthority(pb::Empty {}) => Command::DropAuthority,
            Kind::AdoptBlobs(pb::Empty {}) => Command::AdoptBlobs,
            Kind::Access(command) => Command::Access(Box::new(command.try_into()?)),
            Kind::Asked(asked) => Command::Asked {
                asker: required(asked.asker, "who asked")?.try_into()?,
                command: Box::new(asked_from(asked.command)?),
            },
            Kind::SetLabel(label) => Command::SetLabel { label },
        };
        known_format(command.format(), "a command")?;
        Ok(command)
    }
}

/// What somebody asked for was never asked for once more: nothing nests deeper.
fn asked_from(command: Option<Box<pb::Command>>) -> Result<Command, DecodeError> {
    let command = required(command, "what somebody asked for")?;
    match command.kind {
        Some(Kind::Asked(_)) => Err(DecodeError::new("a command", "it is asked for twice")),
        _ => (*command).try_into(),
    }
}

impl From<&CreateUpload> for pb::CreateUpload {
    fn from(create: &CreateUpload) -> Self {
        pb::CreateUpload {
            upload: upload_to(create.upload),
            repository: create.repository.as_str().to_owned(),
            algorithm: algorithm_to(create.algorithm),
            part_size: create.part_size,
            write: create.write,
            principal: create.principal.to_string(),
        }
    }
}

impl TryFrom<pb::CreateUpload> for CreateUpload {
    type Error = DecodeError;

    fn try_from(create: pb::CreateUpload) -> Result<Self, DecodeError> {
        Ok(CreateUpload {
            upload: upload_from(&create.upload)?,
            repository: repository_from(&create.repository)?,
            algorithm: algorithm_from(create.algorithm)?,
            part_size: create.part_size,
            write: create.write,
            principal: principal_from(create.principal),
        })
    }
}

impl From<&BeginWrite> for pb::BeginWrite {
    fn from(begin: &BeginWrite) -> Self {
        use pb::begin_write::From;
        let from = match begin.from {
            WriteFrom::Exactly(offset) => From::Exactly(offset),
            WriteFrom::Location(offset) => From::Location(offset),
            WriteFrom::Acknowledged => From::Acknowledged(pb::Empty {}),
        };
        pb::BeginWrite {
            path: Some(path_to(&begin.repository, begin.upload)),
            from: Some(from),
            after: begin.after.map(|after| after.0),
        }
    }
}

impl TryFrom<pb::BeginWrite> for BeginWrite {
    type Error = DecodeError;

    fn try_from(begin: pb::BeginWrite) -> Result<Self, DecodeError> {
        use pb::begin_write::From;
        let (repository, upload) = path_from(begin.path)?;
        let from = match required(begin.from, "where a write starts")? {
            From::Exactly(offset) => WriteFrom::Exactly(offset),
            From::Location(offset) => WriteFrom::Location(offset),
            From::Acknowledged(pb::Empty {}) => WriteFrom::Acknowledged,
        };
        Ok(BeginWrite {
            repository,
            upload,
            from,
            after: begin.after.map(Epoch),
        })
    }
}

impl From<&Checkpoint> for pb::Checkpoint {
    fn from(checkpoint: &Checkpoint) -> Self {
        pb::Checkpoint {
            path: Some(path_to(&checkpoint.repository, checkpoint.upload)),
            epoch: checkpoint.epoch.0,
            progress: Some((&checkpoint.progress).into()),
            parts: parts_to(&checkpoint.parts),
            multipart: multipart_to(&checkpoint.multipart),
            reserve: checkpoint.reserve,
        }
    }
}

impl TryFrom<pb::Checkpoint> for Checkpoint {
    type Error = DecodeError;

    fn try_from(checkpoint: pb::Checkpoint) -> Result<Self, DecodeError> {
        let (repository, upload) = path_from(checkpoint.path)?;
        Ok(Checkpoint {
            repository,
            upload,
            epoch: Epoch(checkpoint.epoch),
            progress: progress_from(checkpoint.progress)?,
            parts: parts_from(checkpoint.parts),
            multipart: multipart_from(checkpoint.multipart),
            reserve: checkpoint.reserve,
        })
    }
}

impl From<&Acknowledge> for pb::Acknowledge {
    fn from(acknowledge: &Acknowledge) -> Self {
        pb::Acknowledge {
            path: Some(path_to(&acknowledge.repository, acknowledge.upload)),
            epoch: acknowledge.epoch.0,
            progress: Some((&acknowledge.progress).into()),
            parts: parts_to(&acknowledge.parts),
            multipart: multipart_to(&acknowledge.multipart),
        }
    }
}

impl TryFrom<pb::Acknowledge> for Acknowledge {
    type Error = DecodeError;

    fn try_from(acknowledge: pb::Acknowledge) -> Result<Self, DecodeError> {
        let (repository, upload) = path_from(acknowledge.path)?;
        Ok(Acknowledge {
            repository,
            upload,
            epoch: Epoch(acknowledge.epoch),
            progress: progress_from(acknowledge.progress)?,
            parts: parts_from(acknowledge.parts),
            multipart: multipart_from(acknowledge.multipart),
        })
    }
}

impl From<&SealUpload> for pb::SealUpload {
    fn from(seal: &SealUpload) -> Self {
        pb::SealUpload {
            path: Some(path_to(&seal.repository, seal.upload)),
            digest: digest_to(&seal.digest),
            end: Some((&seal.end).into()),
            unverified: seal.unverified,
        }
    }
}

impl TryFrom<pb::SealUpload> for SealUpload {
    type Error = DecodeError;

    fn try_from(seal: pb::SealUpload) -> Result<Self, DecodeError> {
        let (repository, upload) = path_from(seal.path)?;
        Ok(SealUpload {
            repository,
            upload,
            digest: digest_from(&seal.digest)?,
            end: required(seal.end, "the end of an upload")?.try_into()?,
            unverified: seal.unverified,
        })
    }
}

impl From<&FinishUpload> for pb::FinishUpload {
    fn from(finish: &FinishUpload) -> Self {
        pb::FinishUpload {
            path: Some(path_to(&finish.repository, finish.upload)),
            digest: digest_to(&finish.digest),
            end: finish.end.as_ref().map(pb::UploadEnd::from),
            principal: finish.principal.to_string(),
        }
    }
}

impl TryFrom<pb::FinishUpload> for FinishUpload {
    type Error = DecodeError;

    fn try_from(finish: pb::FinishUpload) -> Result<Self, DecodeError> {
        let (repository, upload) = path_from(finish.path)?;
        Ok(FinishUpload {
            repository,
            upload,
            digest: digest_from(&finish.digest)?,
            end: finish.end.map(UploadEnd::try_from).transpose()?,
            principal: principal_from(finish.principal),
        })
    }
}

impl From<&Mount> for pb::Mount {
    fn from(mount: &Mount) -> Self {
        pb::Mount {
            repository: mount.repository.as_str().to_owned(),
            digest: digest_to(&mount.digest),
            from: mount.from.as_ref().map(|name| name.as_str().to_owned()),
            principal: mount.principal.to_string(),
        }
    }
}

impl TryFrom<pb::Mount> for Mount {
    type Error = DecodeError;

    fn try_from(mount: pb::Mount) -> Result<Self, DecodeError> {
        Ok(Mount {
            repository: repository_from(&mount.repository)?,
            digest: digest_from(&mount.digest)?,
            from: mount.from.map(|name| repository_from(&name)).transpose()?,
            principal: principal_from(mount.principal),
        })
    }
}

impl From<&Precondition> for pb::Precondition {
    fn from(precondition: &Precondition) -> Self {
        use pb::precondition::Kind;
        let kind = match precondition {
            Precondition::Matches(digests) => Kind::Matches(pb::Digests {
                digests: digests_to(digests),
            }),
            Precondition::Exists => Kind::Exists(pb::Empty {}),
            Precondition::Absent => Kind::Absent(pb::Empty {}),
            Precondition::MatchesNone(digests) => Kind::MatchesNone(pb::Digests {
                digests: digests_to(digests),
            }),
        };
        pb::Precondition { kind: Some(kind) }
    }
}

impl TryFrom<pb::Precondition> for Precondition {
    type Error = DecodeError;

    fn try_from(precondition: pb::Precondition) -> Result<Self, DecodeError> {
        use pb::precondition::Kind;
        Ok(
            match required(precondition.kind, "the kind of a precondition")? {
                Kind::Matches(digests) => Precondition::Matches(digests_from(&digests.digests)?),
                Kind::Exists(pb::Empty {}) => Precondition::Exists,
                Kind::Absent(pb::Empty {}) => Precondition::Absent,
                Kind::MatchesNone(digests) => {
                    Precondition::MatchesNone(digests_from(&digests.digests)?)
                }
            },
        )
    }
}

impl From<&PutManifest> for pb::PutManifest {
    fn from(put: &PutManifest) -> Self {
        pb::PutManifest {
            repository: put.repository.as_str().to_owned(),
            digest: digest_to(&put.digest),
            media_type: put.media_type.as_str().to_owned(),
            size: put.size,
            payload: Some((&put.payload).into()),
            references: put
                .references
                .iter()
                .map(pb::ManifestReference::from)
                .collect(),
            config: put.config.as_ref().map(digest_to),
            subject: put.subject.as_ref().map(digest_to),
            referrer: put.referrer.as_deref().map(pb::Descriptor::from),
            tags: put.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
            precondition: put.precondition.as_ref().map(pb::Precondition::from),
            idempotency_key: put.idempotency_key.clone(),
            principal: put.principal.to_string(),
            sparse: put.sparse,
        }
    }
}

impl TryFrom<pb::PutManifest> for PutManifest {
    type Error = DecodeError;

    fn try_from(put: pb::PutManifest) -> Result<Self, DecodeError> {
        let references = put.references.into_iter().map(ManifestReference::try_from);
        let tags = put.tags.iter().map(|tag| tag_from(tag));
        Ok(PutManifest {
            repository: repository_from(&put.repository)?,
            digest: digest_from(&put.digest)?,
            media_type: media_type_from(&put.media_type)?,
            size: put.size,
            payload: required(put.payload, "the payload of a manifest")?.try_into()?,
            references: references.collect::<Result<_, _>>()?,
            config: digest_option_from(put.config)?,
            subject: digest_option_from(put.subject)?,
            referrer: put
                .referrer
                .map(|d| d.try_into().map(Box::new))
                .transpose()?,
            tags: tags.collect::<Result<Vec<Tag>, _>>()?,
            precondition: put.precondition.map(Precondition::try_from).transpose()?,
            idempotency_key: put.idempotency_key,
            sparse: put.sparse,
            principal: principal_from(put.principal),
        })
    }
}
