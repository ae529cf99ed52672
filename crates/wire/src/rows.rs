//! Conversions of rows. A stored row is the bare message of its table: the table says which one it is.

use metadata::{
    BlobLinkRow, BlobRow, BlobState, ClusterId, ClusterRow, DeletionRow, Epoch, LogIndex, LogTime,
    ManifestLinkRow, ManifestReference, ManifestRow, Progress, ReferrerRow, ReplyRow,
    RepositoryRow, Row, SealedObject, StorageRow, TableId, TagRow, UploadRow, UploadState,
};
use prost::Message;

use crate::error::{DecodeError, known_format, required};
use crate::pb;
use crate::strict;
use crate::upkeep::{clusters_from, clusters_to, upkeep_from, upkeep_to};
use crate::upload::progress_from;
use crate::words::{
    algorithm_from, algorithm_to, bits_to, cluster_from, digest_from, digest_option_from,
    digest_to, key_from, media_type_from, multipart_from, multipart_to, principal_from,
    repository_from, upload_from, upload_to,
};

/// Encodes a row as the store keeps it.
#[must_use]
pub fn encode_row(row: &Row) -> Vec<u8> {
    match row {
        Row::Cluster(row) => pb::ClusterRow::from(row).encode_to_vec(),
        Row::Repository(row) => pb::RepositoryRow::from(row).encode_to_vec(),
        Row::Tag(row) => pb::TagRow::from(row).encode_to_vec(),
        Row::Manifest(row) => pb::ManifestRow::from(row).encode_to_vec(),
        Row::ManifestLink(row) => pb::ManifestLinkRow::from(row).encode_to_vec(),
        Row::Referrer(row) => pb::ReferrerRow {
            descriptor: Some((&row.descriptor).into()),
        }
        .encode_to_vec(),
        Row::Blob(row) => pb::BlobRow::from(row).encode_to_vec(),
        Row::BlobLink(row) => pb::BlobLinkRow::from(row).encode_to_vec(),
        Row::Count(count) => pb::CountRow { count: *count }.encode_to_vec(),
        Row::Upload(row) => pb::UploadRow::from(row).encode_to_vec(),
        Row::UploadPart { etag, size } => pb::UploadPartRow {
            etag: etag.clone(),
            size: *size,
        }
        .encode_to_vec(),
        Row::Deletion(row) => pb::DeletionRow {
            key: row.key.to_string(),
            multipart: multipart_to(&row.multipart),
        }
        .encode_to_vec(),
        Row::Reply(row) => pb::ReplyRow {
            index: row.index.0,
            time: row.time.0,
            reply: Some((&row.reply).into()),
        }
        .encode_to_vec(),
        Row::CommandId(id) => pb::CommandId::from(id).encode_to_vec(),
        Row::UploadId(upload) => pb::UploadIdRow {
            upload: upload_to(*upload),
        }
        .encode_to_vec(),
        Row::FirstAnswer {
            time,
            repository,
            digest,
            request,
            reply,
        } => pb::FirstAnswerRow {
            time: time.0,
            repository: repository.as_str().to_owned(),
            digest: digest_to(digest),
            reply: Some(reply.into()),
            request: digest_to(request),
        }
        .encode_to_vec(),
        Row::Node(row) => pb::NodeRow::from(row).encode_to_vec(),
        Row::JoinToken(row) => pb::JoinTokenRow::from(row).encode_to_vec(),
        Row::Authority(row) => pb::AuthorityRow::from(row).encode_to_vec(),
        Row::Access(row) => pb::AccessRow::from(row).encode_to_vec(),
        Row::Account(row) => pb::AccountRow::from(&**row).encode_to_vec(),
        Row::Group(row) => pb::GroupRow::from(row).encode_to_vec(),
        Row::Project(row) => pb::ProjectRow::from(row).encode_to_vec(),
        Row::Member(row) => pb::MemberRow::from(row).encode_to_vec(),
        Row::AccessToken(row) => pb::TokenRow::from(row).encode_to_vec(),
        Row::TokenKey(row) => pb::TokenKeyRow::from(row).encode_to_vec(),
        Row::Audit(row) => pb::AuditRow::from(row).encode_to_vec(),
        Row::Present => Vec::new(),
    }
}

/// Decodes a row of `table`.
///
/// # Errors
/// When the bytes are not a row of that table that this build understands.
pub fn decode_row(table: TableId, bytes: &[u8]) -> Result<Row, DecodeError> {
    Ok(match table {
        TableId::Cluster => {
            Row::Cluster(strict::<pb::ClusterRow>(bytes, "the cluster's row")?.try_into()?)
        }
        TableId::Repository => {
            Row::Repository(strict::<pb::RepositoryRow>(bytes, "a repository's row")?.into())
        }
        TableId::Tag => Row::Tag(strict::<pb::TagRow>(bytes, "a tag's row")?.try_into()?),
        TableId::Manifest => {
            Row::Manifest(strict::<pb::ManifestRow>(bytes, "a manifest's row")?.try_into()?)
        }
        TableId::ManifestLink => {
            Row::ManifestLink(strict::<pb::ManifestLinkRow>(bytes, "a manifest link's row")?.into())
        }
        TableId::Referrer => {
            let row = strict::<pb::ReferrerRow>(bytes, "a referrer's row")?;
            Row::Referrer(ReferrerRow {
                descriptor: required(row.descriptor, "a referrer's descriptor")?.try_into()?,
            })
        }
        TableId::Blob => Row::Blob(strict::<pb::BlobRow>(bytes, "a blob's row")?.try_into()?),
        TableId::BlobLink => {
            Row::BlobLink(strict::<pb::BlobLinkRow>(bytes, "a blob link's row")?.try_into()?)
        }
        TableId::ProjectCount | TableId::AwaitedBlob | TableId::UserGroup => {
            Row::Count(strict::<pb::CountRow>(bytes, "a count's row")?.count)
        }
        TableId::Upload => {
            Row::Upload(strict::<pb::UploadRow>(bytes, "an upload's row")?.try_into()?)
        }
        TableId::UploadPart => {
            let row = strict::<pb::UploadPartRow>(bytes, "a part's row")?;
            Row::UploadPart {
                etag: row.etag,
                size: row.size,
            }
        }
        TableId::Deletion => {
            Row::Deletion(strict::<pb::DeletionRow>(bytes, "a deletion's row")?.try_into()?)
        }
        TableId::Reply => Row::Reply(strict::<pb::ReplyRow>(bytes, "a reply's row")?.try_into()?),
        TableId::ReplyOrder => {
            Row::CommandId(strict::<pb::CommandId>(bytes, "a command id's row")?.try_into()?)
        }
        TableId::FinishedUpload => {
            let row = strict::<pb::UploadIdRow>(bytes, "a finished upload's row")?;
            Row::UploadId(upload_from(&row.upload)?)
        }
        TableId::RecentPut | TableId::IdempotencyKey => {
            let row = strict::<pb::FirstAnswerRow>(bytes, "a first answer's row")?;
            Row::FirstAnswer {
                time: LogTime(row.time),
                repository: repository_from(&row.repository)?,
                digest: digest_from(&row.digest)?,
                request: digest_from(&row.request)?,
                reply: required(row.reply, "a first answer's reply")?.try_into()?,
            }
        }
        TableId::Node => Row::Node(strict::<pb::NodeRow>(bytes, "a node's row")?.try_into()?),
        TableId::JoinToken => {
            Row::JoinToken(strict::<pb::JoinTokenRow>(bytes, "a join token's row")?.try_into()?)
        }
        TableId::Authority => {
            Row::Authority(strict::<pb::AuthorityRow>(bytes, "an authority's row")?.into())
        }
        TableId::Access => {
            Row::Access(strict::<pb::AccessRow>(bytes, "the row about access")?.try_into()?)
        }
        TableId::Account => {
            let row = strict::<pb::AccountRow>(bytes, "an account's row")?;
            Row::Account(Box::new(row.try_into()?))
        }
        TableId::Group => Row::Group(strict::<pb::GroupRow>(bytes, "a group's row")?.into()),
        TableId::Project => {
            Row::Project(strict::<pb::ProjectRow>(bytes, "a project's row")?.try_into()?)
        }
        TableId::Member => {
            Row::Member(strict::<pb::MemberRow>(bytes, "a member's row")?.try_into()?)
        }
        TableId::AccessToken => {
            Row::AccessToken(strict::<pb::TokenRow>(bytes, "a token's row")?.try_into()?)
        }
        TableId::TokenKey => {
            Row::TokenKey(strict::<pb::TokenKeyRow>(bytes, "a token key's row")?.into())
        }
        TableId::Audit => {
            Row::Audit(strict::<pb::AuditRow>(bytes, "a row of the audit")?.try_into()?)
        }
        TableId::ManifestTag
        | TableId::Parent
        | TableId::BlobHolder
        | TableId::FirstAnswerOrder
        | TableId::GroupMember
        | TableId::Membership
        | TableId::AccountToken => {
            strict::<pb::Empty>(bytes, "a row without a value")?;
            Row::Present
        }
    })
}

impl From<&ClusterRow> for pb::ClusterRow {
    fn from(row: &ClusterRow) -> Self {
        pb::ClusterRow {
            cluster: row.cluster.map(|ClusterId(bits)| bits_to(bits)),
            time: row.time.0,
            format: row.format,
            repositories: row.repositories,
            replies: row.replies,
            replies_floor: row.replies_floor.0,
            last_node: row.last_node,
            label: row.label.clone(),
            storage: storage_to(&row.storage),
            upkeep: upkeep_to(&row.upkeep),
            adopted_from: clusters_to(&row.adopted_from),
            next_authority_signs: row.next_authority_signs,
        }
    }
}

/// A cluster whose blobs were never moved and are its own stores nothing about it.
pub(crate) fn storage_to(row: &StorageRow) -> Option<pb::StorageRow> {
    (*row != StorageRow::default()).then(|| pb::StorageRow {
        generation: row.generation,
        place: row.place.clone(),
        moving_to: row.moving_to.clone(),
        writes_to_new: row.writes_to_new,
        uploads_idle_ms: row.uploads_idle_ms,
        step: row.step,
        borrowed: row.borrowed.iter().map(|id| bits_to(id.0)).collect(),
    })
}

pub(crate) fn storage_from(row: Option<pb::StorageRow>) -> Result<StorageRow, DecodeError> {
    let Some(row) = row else {
        return Ok(StorageRow::default());
    };
    let borrowed = row.borrowed.iter().map(|bytes| cluster_from(bytes));
    Ok(StorageRow {
        generation: row.generation,
        place: row.place,
        moving_to: row.moving_to,
        writes_to_new: row.writes_to_new,
        uploads_idle_ms: row.uploads_idle_ms,
        step: row.step,
        borrowed: borrowed.collect::<Result<_, _>>()?,
    })
}

impl TryFrom<pb::ClusterRow> for ClusterRow {
    type Error = DecodeError;

    fn try_from(row: pb::ClusterRow) -> Result<Self, DecodeError> {
        known_format(row.format, "the cluster's row")?;
        Ok(ClusterRow {
            cluster: row.cluster.map(|bytes| cluster_from(&bytes)).transpose()?,
            time: LogTime(row.time),
            format: row.format,
            repositories: row.repositories,
            replies: row.replies,
            replies_floor: LogIndex(row.replies_floor),
            last_node: row.last_node,
            label: row.label,
            storage: storage_from(row.storage)?,
            upkeep: upkeep_from(row.upkeep)?,
            adopted_from: clusters_from(&row.adopted_from)?,
            next_authority_signs: row.next_authority_signs,
        })
    }
}

impl From<&RepositoryRow> for pb::RepositoryRow {
    fn from(row: &RepositoryRow) -> Self {
        pb::RepositoryRow {
            created: row.created.0,
            manifests: row.manifests,
            tags: row.tags,
            blobs: row.blobs,
            bytes: row.bytes,
            ending: row.ending,
        }
    }
}

impl From<pb::RepositoryRow> for RepositoryRow {
    fn from(row: pb::RepositoryRow) -> Self {
        RepositoryRow {
            created: LogTime(row.created),
            manifests: row.manifests,
            tags: row.tags,
            blobs: row.blobs,
            bytes: row.bytes,
            ending: row.ending,
        }
    }
}

impl From<&TagRow> for pb::TagRow {
    fn from(row: &TagRow) -> Self {
        pb::TagRow {
            digest: digest_to(&row.digest),
            media_type: row.media_type.as_str().to_owned(),
            size: row.size,
            version: row.version,
            moved: row.moved.0,
            by: row.by.to_string(),
            link: row.link.0,
        }
    }
}

impl TryFrom<pb::TagRow> for TagRow {
    type Error = DecodeError;

    fn try_from(row: pb::TagRow) -> Result<Self, DecodeError> {
        Ok(TagRow {
            digest: digest_from(&row.digest)?,
            media_type: media_type_from(&row.media_type)?,
            size: row.size,
            version: row.version,
            moved: LogTime(row.moved),
            by: principal_from(row.by),
            link: LogIndex(row.link),
        })
    }
}

impl From<&ManifestRow> for pb::ManifestRow {
    fn from(row: &ManifestRow) -> Self {
        pb::ManifestRow {
            media_type: row.media_type.as_str().to_owned(),
            size: row.size,
            payload: Some((&row.payload).into()),
            config: row.config.as_ref().map(digest_to),
            subject: row.subject.as_ref().map(digest_to),
            referrer: row.referrer.as_deref().map(pb::Descriptor::from),
            references: row
                .references
                .iter()
                .map(pb::ManifestReference::from)
                .collect(),
            count: row.count,
        }
    }
}

impl TryFrom<pb::ManifestRow> for ManifestRow {
    type Error = DecodeError;

    fn try_from(row: pb::ManifestRow) -> Result<Self, DecodeError> {
        Ok(ManifestRow {
            media_type: media_type_from(&row.media_type)?,
            size: row.size,
            payload: required(row.payload, "the payload of a manifest")?.try_into()?,
            config: digest_option_from(row.config)?,
            subject: digest_option_from(row.subject)?,
            referrer: row
                .referrer
                .map(|d| d.try_into().map(Box::new))
                .transpose()?,
            references: row
                .references
                .into_iter()
                .map(ManifestReference::try_from)
                .collect::<Result<_, _>>()?,
            count: row.count,
        })
    }
}

impl From<&ManifestLinkRow> for pb::ManifestLinkRow {
    fn from(row: &ManifestLinkRow) -> Self {
        pb::ManifestLinkRow {
            created_at: row.created_at.0,
            created: row.created.0,
            by: row.by.to_string(),
            ending: row.ending,
            sparse: row.sparse,
        }
    }
}

impl From<pb::ManifestLinkRow> for ManifestLinkRow {
    fn from(row: pb::ManifestLinkRow) -> Self {
        ManifestLinkRow {
            created_at: LogIndex(row.created_at),
            created: LogTime(row.created),
            by: principal_from(row.by),
            ending: row.ending,
            sparse: row.sparse,
        }
    }
}

impl From<&BlobRow> for pb::BlobRow {
    fn from(row: &BlobRow) -> Self {
        use pb::blob_row::State;
        let state = match row.state {
            BlobState::Referenced => State::Referenced(pb::Empty {}),
            BlobState::Unreferenced { since } => State::UnreferencedSince(since.0),
            BlobState::Condemned { since } => State::CondemnedSince(since.0),
        };
        pb::BlobRow {
            key: row.key.to_string(),
            size: row.size,
            count: row.count,
            state: Some(state),
        }
    }
}

impl TryFrom<pb::BlobRow> for BlobRow {
    type Error = DecodeError;

    fn try_from(row: pb::BlobRow) -> Result<Self, DecodeError> {
        use pb::blob_row::State;
        let state = match required(row.state, "the state of a blob")? {
            State::Referenced(pb::Empty {}) => BlobState::Referenced,
            State::UnreferencedSince(since) => BlobState::Unreferenced {
                since: LogTime(since),
            },
            State::CondemnedSince(since) => BlobState::Condemned {
                since: LogTime(since),
            },
        };
        Ok(BlobRow {
            key: key_from(&row.key)?,
            size: row.size,
            count: row.count,
            state,
        })
    }
}

impl From<&BlobLinkRow> for pb::BlobLinkRow {
    fn from(row: &BlobLinkRow) -> Self {
        pb::BlobLinkRow {
            created: row.created.0,
            by: row.by.to_string(),
            mounted_from: row
                .mounted_from
                .as_ref()
                .map(|name| name.as_str().to_owned()),
            manifests: row.manifests,
        }
    }
}

impl TryFrom<pb::BlobLinkRow> for BlobLinkRow {
    type Error = DecodeError;

    fn try_from(row: pb::BlobLinkRow) -> Result<Self, DecodeError> {
        Ok(BlobLinkRow {
            created: LogTime(row.created),
            by: principal_from(row.by),
            mounted_from: row
                .mounted_from
                .map(|name| repository_from(&name))
                .transpose()?,
            manifests: row.manifests,
        })
    }
}

impl From<&UploadRow> for pb::UploadRow {
    fn from(row: &UploadRow) -> Self {
        use pb::upload_row::State;
        let state = match &row.state {
            UploadState::Open => State::Open(pb::Empty {}),
            UploadState::Sealed(sealed) => State::Sealed(sealed.as_ref().into()),
            UploadState::Finished { digest, size } => State::Finished(pb::FinishedState {
                digest: digest_to(digest),
                size: *size,
            }),
        };
        pb::UploadRow {
            repository: row.repository.as_str().to_owned(),
            algorithm: algorithm_to(row.algorithm),
            part_size: row.part_size,
            epoch: row.epoch.0,
            key: row.key.as_ref().map(ToString::to_string),
            multipart: multipart_to(&row.multipart),
            acknowledged: Some((&row.acknowledged).into()),
            started: row.started.as_ref().map(pb::Progress::from),
            checkpoint: row.checkpoint.as_ref().map(pb::Progress::from),
            reserved_until: row.reserved_until,
            last_activity: row.last_activity.0,
            by: row.by.to_string(),
            granted_from: row.granted_from,
            state: Some(state),
        }
    }
}

impl TryFrom<pb::UploadRow> for UploadRow {
    type Error = DecodeError;

    fn try_from(row: pb::UploadRow) -> Result<Self, DecodeError> {
        use pb::upload_row::State;
        let state = match required(row.state, "the state of an upload")? {
            State::Open(pb::Empty {}) => UploadState::Open,
            State::Sealed(sealed) => UploadState::Sealed(Box::new(SealedObject::try_from(sealed)?)),
            State::Finished(finished) => UploadState::Finished {
                digest: digest_from(&finished.digest)?,
                size: finished.size,
            },
        };
        Ok(UploadRow {
            repository: repository_from(&row.repository)?,
            algorithm: algorithm_from(row.algorithm)?,
            part_size: row.part_size,
            epoch: Epoch(row.epoch),
            key: row.key.map(|key| key_from(&key)).transpose()?,
            multipart: multipart_from(row.multipart),
            acknowledged: progress_from(row.acknowledged)?,
            started: row.started.map(Progress::try_from).transpose()?,
            checkpoint: row.checkpoint.map(Progress::try_from).transpose()?,
            granted_from: row.granted_from,
            reserved_until: row.reserved_until,
            state,
            last_activity: LogTime(row.last_activity),
            by: principal_from(row.by),
        })
    }
}

impl TryFrom<pb::DeletionRow> for DeletionRow {
    type Error = DecodeError;

    fn try_from(row: pb::DeletionRow) -> Result<Self, DecodeError> {
        Ok(DeletionRow {
            key: key_from(&row.key)?,
            multipart: multipart_from(row.multipart),
        })
    }
}

impl TryFrom<pb::ReplyRow> for ReplyRow {
    type Error = DecodeError;

    fn try_from(row: pb::ReplyRow) -> Result<Self, DecodeError> {
        Ok(ReplyRow {
            index: LogIndex(row.index),
            time: LogTime(row.time),
            reply: required(row.reply, "a remembered reply")?.try_into()?,
        })
    }
}
