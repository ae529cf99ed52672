//! One row of every table and every state, as full as it can be.

use bytes::Bytes;
use metadata::{
    BlobLinkRow, BlobRow, BlobState, ClusterRow, CommandId, DeletionRow, Epoch, LogIndex, LogTime,
    ManifestLinkRow, ManifestRow, Payload, Progress, ReferrerRow, Reply, ReplyRow, RepositoryRow,
    Row, StorageRow, TableId, TagRow, UpkeepRow, UploadRow, UploadState,
};
use oci::{Algorithm, MediaType, RepositoryName};

use crate::samples::{
    cluster, data_key, descriptor, digest, multipart, principal, progress, references, repository,
    sealed, upload,
};

/// Rows, at least one of every table and of every state.
pub fn rows() -> Vec<(TableId, &'static str, Row)> {
    let mut rows = repository_rows();
    rows.extend(manifest_rows());
    rows.extend(blob_rows());
    rows.extend(upload_rows());
    rows.extend(reply_rows());
    rows.extend(crate::node_samples::rows());
    rows.extend(crate::access_samples::rows());
    rows
}

fn repository_rows() -> Vec<(TableId, &'static str, Row)> {
    let cluster = ClusterRow {
        cluster: Some(cluster()),
        time: LogTime(1_700_000_000_123),
        format: 1,
        repositories: 2,
        replies: 3,
        replies_floor: LogIndex(4),
        last_node: 0,
        label: None,
        storage: StorageRow::default(),
        upkeep: UpkeepRow::default(),
        adopted_from: Vec::new(),
        next_authority_signs: false,
    };
    let repository = RepositoryRow {
        created: LogTime(5),
        manifests: 6,
        tags: 7,
        blobs: 8,
        bytes: 9,
        ending: 10,
    };
    let tag = TagRow {
        digest: digest(5),
        media_type: MediaType::OCI_INDEX,
        size: 17,
        version: 3,
        moved: LogTime(5),
        by: principal(),
        link: LogIndex(12),
    };
    vec![
        (TableId::Cluster, "", Row::Cluster(cluster)),
        (TableId::Repository, "", Row::Repository(repository)),
        (TableId::Tag, "", Row::Tag(tag)),
    ]
}

fn manifest_rows() -> Vec<(TableId, &'static str, Row)> {
    let manifest = ManifestRow {
        media_type: MediaType::OCI_MANIFEST,
        size: 17,
        payload: Payload::Inline(Bytes::from_static(b"{\"schemaVersion\":2}")),
        config: Some(digest(1)),
        subject: Some(digest(6)),
        referrer: Some(Box::new(descriptor())),
        references: references(),
        count: 2,
    };
    let link = ManifestLinkRow {
        created_at: LogIndex(12),
        created: LogTime(5),
        by: principal(),
        ending: true,
        sparse: true,
    };
    vec![
        (TableId::Manifest, "", Row::Manifest(manifest)),
        (TableId::ManifestLink, "", Row::ManifestLink(link)),
        (TableId::ManifestTag, "", Row::Present),
        (
            TableId::Referrer,
            "",
            Row::Referrer(ReferrerRow {
                descriptor: descriptor(),
            }),
        ),
        (TableId::Parent, "", Row::Present),
    ]
}

fn blob_rows() -> Vec<(TableId, &'static str, Row)> {
    let blob = |state| {
        Row::Blob(BlobRow {
            key: data_key(),
            size: 99,
            count: 2,
            state,
        })
    };
    let link = BlobLinkRow {
        created: LogTime(5),
        by: principal(),
        mounted_from: Some(RepositoryName::parse("base").unwrap()),
        manifests: 2,
    };
    vec![
        (TableId::Blob, "referenced", blob(BlobState::Referenced)),
        (
            TableId::Blob,
            "unreferenced",
            blob(BlobState::Unreferenced { since: LogTime(5) }),
        ),
        (
            TableId::Blob,
            "condemned",
            blob(BlobState::Condemned { since: LogTime(6) }),
        ),
        (TableId::BlobLink, "", Row::BlobLink(link)),
        (TableId::BlobHolder, "", Row::Present),
        (TableId::ProjectCount, "", Row::Count(3)),
        (TableId::AwaitedBlob, "", Row::Count(3)),
        (
            TableId::Deletion,
            "",
            Row::Deletion(DeletionRow {
                key: data_key(),
                multipart: multipart(),
            }),
        ),
    ]
}

fn upload_rows() -> Vec<(TableId, &'static str, Row)> {
    let upload_row = |state| {
        Row::Upload(UploadRow {
            repository: repository(),
            algorithm: Algorithm::Sha256,
            part_size: 8 << 20,
            epoch: Epoch(3),
            key: Some(data_key()),
            multipart: multipart(),
            acknowledged: progress(),
            started: Some(Progress::default()),
            checkpoint: Some(Progress {
                tail: None,
                ..progress()
            }),
            granted_from: 33,
            reserved_until: 64,
            state,
            last_activity: LogTime(1_700_000_000_123),
            by: principal(),
        })
    };
    vec![
        (TableId::Upload, "open", upload_row(UploadState::Open)),
        (
            TableId::Upload,
            "sealed",
            upload_row(UploadState::Sealed(Box::new(sealed()))),
        ),
        (
            TableId::Upload,
            "finished",
            upload_row(UploadState::Finished {
                digest: digest(4),
                size: 99,
            }),
        ),
        (
            TableId::UploadPart,
            "",
            Row::UploadPart {
                etag: "\"etag\"".to_owned(),
                size: 8 << 20,
            },
        ),
        (TableId::FinishedUpload, "", Row::UploadId(upload())),
    ]
}

fn reply_rows() -> Vec<(TableId, &'static str, Row)> {
    let first_answer = || Row::FirstAnswer {
        time: LogTime(5),
        repository: repository(),
        digest: digest(5),
        request: digest(6),
        reply: Reply::ManifestPut {
            created: false,
            absent: 0,
        },
    };
    let reply = ReplyRow {
        index: LogIndex(12),
        time: LogTime(5),
        reply: Reply::Acknowledged { offset: 1 },
    };
    vec![
        (TableId::Reply, "", Row::Reply(reply)),
        (
            TableId::ReplyOrder,
            "",
            Row::CommandId(CommandId {
                incarnation: 7,
                sequence: 8,
            }),
        ),
        (TableId::RecentPut, "", first_answer()),
        (TableId::IdempotencyKey, "", first_answer()),
        (TableId::FirstAnswerOrder, "", Row::Present),
    ]
}
