//! Questions and answers between a gateway and members: what is encoded is decoded, and garbage is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use metadata::{
    Answer, BlobObject, BlobView, ClusterId, ClusterView, DeletionRow, Epoch, LogTime,
    ManifestView, MultipartId, NodeAnnouncement, NodeId, NodeRole, NodeTrust, NodeView, ObjectKey,
    Page, Part, Payload, PrincipalName, Query, ReferrerView, RepositoryView, SealedObject,
    StorageRow, TagView, UpkeepRow, UploadListed, UploadView,
};
use oci::{Algorithm, Descriptor, Digest, MediaType, Reference, RepositoryName, Tag, UploadId};
use wire::{decode_answer, decode_query, encode_answer, encode_query};

fn repository() -> RepositoryName {
    RepositoryName::parse("library/app").unwrap()
}

fn tag() -> Tag {
    Tag::parse("v1").unwrap()
}

fn digest() -> Digest {
    Digest::of(Algorithm::Sha512, b"content")
}

fn key() -> ObjectKey {
    ObjectKey::data(ClusterId(7), UploadId::from_u128(9), Epoch(3))
}

#[test]
fn queries_come_back_as_they_were() {
    let upload = UploadId::from_u128(u128::MAX);
    let queries = [
        Query::Cluster,
        Query::Manifest {
            repository: repository(),
            reference: Reference::Tag(tag()),
        },
        Query::Manifest {
            repository: repository(),
            reference: Reference::Digest(digest()),
        },
        Query::Blob {
            repository: repository(),
            digest: digest(),
        },
        Query::Upload {
            repository: repository(),
            upload,
        },
        Query::Uploads(Page {
            after: Some(upload),
            limit: 5,
        }),
        Query::BlobObjects(Page {
            after: Some(digest()),
            limit: 7,
        }),
        Query::Repositories(Page {
            after: Some(repository()),
            limit: usize::MAX,
        }),
        Query::Tags {
            repository: repository(),
            page: Page {
                after: None,
                limit: 0,
            },
        },
        Query::Referrers {
            repository: repository(),
            subject: digest(),
            artifact_type: Some("application/spdx+json".to_owned()),
            page: Page {
                after: Some(digest()),
                limit: 100,
            },
        },
        Query::DueDeletions {
            limit: 1_000,
            now: LogTime(u64::MAX),
        },
        Query::Nodes,
        Query::Authority,
        Query::Authorities,
    ];
    for query in queries {
        let bytes = encode_query(&query);
        assert_eq!(decode_query(&bytes).unwrap(), query);
        assert!(decode_query(&[&bytes[..], &[0xf8, 0x7f, 0x01]].concat()).is_err());
    }
}

fn upload_view() -> UploadView {
    let part = Part {
        number: 2,
        etag: "\"e\"".to_owned(),
        size: 1 << 23,
    };
    UploadView {
        acknowledged: 12,
        checkpointed: Some(0),
        epoch: Epoch(4),
        algorithm: Algorithm::Sha256,
        midstate: Bytes::from_static(b"state"),
        has_parts: true,
        plain: Some(key()),
        sealed: Some(Box::new(SealedObject {
            digest: digest(),
            size: 99,
            key: key(),
            multipart: MultipartId("m".into()),
            parts: vec![part.clone()],
            unverified: true,
        })),
        finished: Some(digest()),
        parts: vec![part],
    }
}

fn node_view() -> NodeView {
    NodeView {
        node: NodeId(7),
        role: NodeRole::Gateway,
        key_hash: [9; 32],
        announcement: NodeAnnouncement {
            name: "gateway-7".to_owned(),
            peer_address: "10.0.0.7:7070".to_owned(),
            client_address: String::new(),
            version: "1.0.0".to_owned(),
            format_max: 1,
        },
        joined: LogTime(1),
        announced: LogTime(2),
        removed: Some(LogTime(3)),
        trust: NodeTrust {
            believes: 2,
            signed_by: 1,
        },
        storage: metadata::StorageWord {
            step: 4,
            problem: Some("no credentials".to_owned()),
        },
    }
}

#[test]
fn answers_come_back_as_they_were() {
    let answers = [
        Answer::Cluster(ClusterView {
            cluster: None,
            time: LogTime(1),
            format: 1,
            repositories: 3,
            label: Some("Blue".to_owned()),
            storage: StorageRow {
                generation: 3,
                place: Some("s3://a".to_owned()),
                moving_to: Some("s3://b".to_owned()),
                writes_to_new: true,
                uploads_idle_ms: 5,
                step: 9,
                borrowed: vec![ClusterId(7)],
            },
            upkeep: UpkeepRow {
                next_format_since: Some(LogTime(9)),
                ..UpkeepRow::default()
            },
            adopted_from: vec![ClusterId(6)],
        }),
        Answer::Nodes {
            nodes: vec![node_view(), node_view()],
        },
        Answer::Authority {
            certificate: Bytes::from_static(b"certificate"),
            sealed_key: Bytes::from_static(b"sealed"),
            others: vec![Bytes::from_static(b"another")],
        },
        Answer::Authorities {
            authorities: vec![
                (1, Bytes::from_static(b"one")),
                (2, Bytes::from_static(b"two")),
            ],
            signing: 1,
        },
        Answer::Manifest(Box::new(ManifestView {
            digest: digest(),
            media_type: MediaType::OCI_INDEX,
            size: 2,
            payload: Payload::Inline(Bytes::from_static(b"{}")),
            absent: 1,
        })),
        Answer::Blob(BlobView {
            key: key(),
            size: 0,
            unreferenced_since: Some(LogTime(0)),
            now: LogTime(5),
        }),
        Answer::Upload(Box::new(upload_view())),
        Answer::Uploads {
            uploads: vec![UploadListed {
                upload: UploadId::from_u128(1),
                repository: repository(),
                last_activity: LogTime(8),
                by: PrincipalName::anonymous(),
                finished: true,
            }],
            more: true,
        },
        Answer::BlobObjects {
            blobs: vec![BlobObject {
                digest: digest(),
                key: key(),
                size: 3,
            }],
            more: true,
        },
        Answer::Repositories {
            repositories: vec![RepositoryView {
                name: repository(),
                manifests: 1,
                tags: 2,
            }],
            more: false,
        },
        Answer::Tags {
            tags: vec![TagView {
                tag: tag(),
                digest: digest(),
            }],
            more: true,
        },
        Answer::Referrers {
            referrers: vec![ReferrerView {
                descriptor: Descriptor::new(MediaType::OCI_MANIFEST, digest(), 7),
            }],
            next: Some(digest()),
        },
        Answer::Deletions {
            objects: vec![DeletionRow {
                key: key(),
                multipart: Some(MultipartId("m".into())),
            }],
        },
        Answer::RepositoryUnknown,
        Answer::Absent,
    ];
    for answer in answers {
        let bytes = encode_answer(&answer);
        assert_eq!(decode_answer(&bytes).unwrap(), answer);
        assert!(decode_answer(&[&bytes[..], &[0xf8, 0x7f, 0x01]].concat()).is_err());
    }
}
