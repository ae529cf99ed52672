//! One value of every persisted kind, as full as it can be. What they encode to is in `golden/`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use metadata::{
    Acknowledge, BeginWrite, Checkpoint, ClusterId, Command, CommandId, CreateUpload, Entry, Epoch,
    FinishUpload, LogIndex, LogTime, ManifestReference, Mount, MultipartId, NodeId, NodeRole,
    ObjectKey, Part, Payload, Precondition, PrincipalName, Progress, PutManifest, Refusal, Reply,
    SealUpload, SealedObject, TailObject, UploadEnd, WriteFrom, WriteGrant,
};
use oci::{Algorithm, Descriptor, Digest, MediaType, OpaqueJson, RepositoryName, Tag, UploadId};

pub fn repository() -> RepositoryName {
    RepositoryName::parse("team/app").unwrap()
}

pub fn upload() -> UploadId {
    UploadId::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10)
}

pub fn cluster() -> ClusterId {
    ClusterId(0xf0e0_d0c0_b0a0_9080_7060_5040_3020_1000)
}

pub fn digest(n: u8) -> Digest {
    Digest::from_bytes(Algorithm::Sha256, &[n; 32]).unwrap()
}

fn long_digest(n: u8) -> Digest {
    Digest::from_bytes(Algorithm::Sha512, &[n; 64]).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

pub fn principal() -> PrincipalName {
    PrincipalName(Arc::from("robot$ci"))
}

pub fn multipart() -> Option<MultipartId> {
    Some(MultipartId(Arc::from("2~multipart")))
}

fn part(number: u32) -> Part {
    Part {
        number,
        etag: format!("\"etag-{number}\""),
        size: 8 << 20,
    }
}

pub fn data_key() -> ObjectKey {
    ObjectKey::data(cluster(), upload(), Epoch(3))
}

pub fn progress() -> Progress {
    let key = ObjectKey::tail(cluster(), upload(), Epoch(3), 16 << 20);
    Progress {
        offset: (16 << 20) + 5,
        midstate: Bytes::from_static(b"\x01midstate"),
        last_part: 2,
        tail: Some(TailObject {
            key,
            size: 5,
            part: Some(Part {
                number: 3,
                etag: "\"tail\"".into(),
                size: 5,
            }),
        }),
    }
}

pub fn sealed() -> SealedObject {
    SealedObject {
        digest: long_digest(9),
        size: (16 << 20) + 5,
        key: data_key(),
        multipart: MultipartId(Arc::from("2~multipart")),
        parts: vec![part(1), part(2)],
        unverified: true,
    }
}

fn grant() -> WriteGrant {
    WriteGrant {
        epoch: Epoch(4),
        progress: progress(),
        algorithm: Algorithm::Sha512,
        part_size: 8 << 20,
        parts_count: 2,
        multipart: multipart(),
        key: data_key(),
        next_part: 33,
        reserved_until: 64,
    }
}

pub fn descriptor() -> Descriptor {
    let mut descriptor = Descriptor::new(MediaType::OCI_MANIFEST, digest(7), 1234);
    descriptor.urls = vec!["https://example.com/layer".to_owned()];
    descriptor.annotations = BTreeMap::from([
        ("a".to_owned(), "1".to_owned()),
        ("b".to_owned(), String::new()),
    ]);
    descriptor.data = Some("e30=".to_owned());
    descriptor.artifact_type = Some("application/vnd.example.signature".to_owned());
    descriptor.platform =
        Some(OpaqueJson::parse(r#"{"os":"linux","architecture":"amd64"}"#).unwrap());
    descriptor
}

pub fn references() -> Vec<ManifestReference> {
    vec![
        ManifestReference::RequiredBlob(digest(1)),
        ManifestReference::OptionalBlob(digest(2)),
        ManifestReference::Child(long_digest(3)),
    ]
}

fn writer_end() -> UploadEnd {
    UploadEnd::Writer {
        epoch: Epoch(3),
        progress: progress(),
        parts: vec![part(2)],
        multipart: multipart(),
    }
}

/// Commands, at least one of every kind.
pub fn commands() -> Vec<(&'static str, Command)> {
    let mut commands = upload_commands();
    commands.extend(upload_end_commands());
    commands.extend(put_manifest_commands());
    commands.extend(other_commands());
    commands.extend(crate::node_samples::commands());
    commands.extend(crate::access_samples::commands());
    commands
}

fn upload_commands() -> Vec<(&'static str, Command)> {
    let begin = |from| {
        Command::BeginWrite(BeginWrite {
            repository: repository(),
            upload: upload(),
            from,
            after: None,
        })
    };
    let create = CreateUpload {
        upload: upload(),
        repository: repository(),
        algorithm: Algorithm::Sha512,
        part_size: 8 << 20,
        write: true,
        principal: principal(),
    };
    let checkpoint = Checkpoint {
        repository: repository(),
        upload: upload(),
        epoch: Epoch(3),
        progress: Progress {
            tail: None,
            ..progress()
        },
        parts: vec![part(1), part(2)],
        multipart: multipart(),
        reserve: 100,
    };
    let acknowledge = Acknowledge {
        repository: repository(),
        upload: upload(),
        epoch: Epoch(3),
        progress: progress(),
        parts: vec![part(2)],
        multipart: None,
    };
    vec![
        ("", Command::CreateUpload(create)),
        ("exactly", begin(WriteFrom::Exactly(42))),
        ("location", begin(WriteFrom::Location(0))),
        ("acknowledged", begin(WriteFrom::Acknowledged)),
        ("", Command::Checkpoint(checkpoint)),
        ("", Command::Acknowledge(acknowledge)),
        (
            "",
            Command::AcknowledgeCheckpoint {
                repository: repository(),
                upload: upload(),
            },
        ),
    ]
}

fn upload_end_commands() -> Vec<(&'static str, Command)> {
    let finish = |end| {
        Command::FinishUpload(FinishUpload {
            repository: repository(),
            upload: upload(),
            digest: digest(4),
            end,
            principal: principal(),
        })
    };
    let seal = SealUpload {
        repository: repository(),
        upload: upload(),
        digest: long_digest(4),
        end: writer_end(),
        unverified: true,
    };
    vec![
        ("", Command::SealUpload(seal)),
        ("writer", finish(Some(writer_end()))),
        (
            "acknowledged",
            finish(Some(UploadEnd::Acknowledged { offset: Some(0) })),
        ),
        ("sealed", finish(None)),
        (
            "",
            Command::CancelUpload {
                repository: repository(),
                upload: upload(),
            },
        ),
    ]
}

fn put_manifest_commands() -> Vec<(&'static str, Command)> {
    let put = PutManifest {
        repository: repository(),
        digest: digest(5),
        media_type: MediaType::OCI_MANIFEST,
        size: 17,
        payload: Payload::Inline(Bytes::from_static(b"{\"schemaVersion\":2}")),
        references: references(),
        config: Some(digest(1)),
        subject: Some(digest(6)),
        referrer: Some(Box::new(descriptor())),
        tags: vec![tag("latest"), tag("v1")],
        precondition: Some(Precondition::Matches(vec![digest(8), digest(9)])),
        idempotency_key: Some("key-1".to_owned()),
        sparse: true,
        principal: principal(),
    };
    let large = PutManifest {
        payload: Payload::Object(ObjectKey::manifest(cluster(), 77)),
        references: Vec::new(),
        config: None,
        subject: None,
        referrer: None,
        tags: Vec::new(),
        precondition: None,
        idempotency_key: None,
        sparse: false,
        ..put.clone()
    };
    vec![
        ("inline", Command::PutManifest(put)),
        ("object", Command::PutManifest(large)),
    ]
}

fn other_commands() -> Vec<(&'static str, Command)> {
    let delete_tag = |precondition| Command::DeleteTag {
        repository: repository(),
        tag: tag("v1"),
        precondition,
        principal: principal(),
    };
    let mount = Mount {
        repository: repository(),
        digest: digest(4),
        from: Some(RepositoryName::parse("base").unwrap()),
        principal: principal(),
    };
    vec![
        ("", Command::InitializeCluster { cluster: cluster() }),
        ("", Command::Mount(mount)),
        ("", delete_tag(None)),
        ("exists", delete_tag(Some(Precondition::Exists))),
        ("absent", delete_tag(Some(Precondition::Absent))),
        (
            "matches-none",
            delete_tag(Some(Precondition::MatchesNone(vec![long_digest(1)]))),
        ),
        (
            "",
            Command::DeleteManifest {
                repository: repository(),
                digest: digest(5),
                principal: principal(),
            },
        ),
        (
            "",
            Command::DeleteBlob {
                repository: repository(),
                digest: digest(5),
                principal: principal(),
            },
        ),
        (
            "",
            Command::RenewBlob {
                repository: repository(),
                digest: digest(5),
            },
        ),
        (
            "",
            Command::ObjectsDeleted {
                keys: vec![data_key(), ObjectKey::manifest(cluster(), 1)],
            },
        ),
    ]
}

/// The entry around a command.
pub fn entry(command: Command) -> Entry {
    let id = CommandId {
        incarnation: 0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00,
        sequence: 12,
    };
    Entry {
        id,
        seen: LogIndex(34),
        stamped: LogTime(1_700_000_000_123),
        command,
    }
}

/// The entry that every log begins with.
pub fn first_entry() -> Entry {
    entry(Command::InitializeCluster { cluster: cluster() })
}

/// Refusals, one of every kind.
pub fn refusals() -> Vec<Refusal> {
    let mut refusals = vec![
        Refusal::OutcomeUnknown,
        Refusal::AlreadyInitialized { cluster: cluster() },
        Refusal::NotInitialized,
        Refusal::RepositoryUnknown,
        Refusal::UploadUnknown,
        Refusal::OffsetMismatch { acknowledged: 4096 },
        Refusal::Fenced { acknowledged: 0 },
        Refusal::Sealed { digest: digest(1) },
        Refusal::WrongEnd,
        Refusal::TooManyParts,
        Refusal::BlobUnknown,
        Refusal::BlobInUse { manifests: 3 },
        Refusal::ManifestUnknown,
        Refusal::BlobsUnknown {
            digests: vec![digest(1), long_digest(2)],
        },
        Refusal::TagUnknown,
        Refusal::PreconditionFailed {
            tag: Some(tag("v1")),
            current: Some(digest(2)),
        },
        Refusal::DeletionInProgress,
        Refusal::Invalid {
            reason: "too many references".to_owned(),
        },
        Refusal::IdempotencyKeyReused {
            repository: repository(),
        },
        Refusal::NotFounded,
        Refusal::AlreadyFounded,
        Refusal::TokenUnknown,
        Refusal::TokenUsed { node: NodeId(5) },
        Refusal::TokenExpired,
        Refusal::TokenRole {
            role: NodeRole::Gateway,
        },
        Refusal::NodeUnknown,
        Refusal::NodeRemoved,
        Refusal::LastMember,
        Refusal::FormatTooOld { needed: 2 },
        Refusal::FormatTooLow {
            needed: 2,
            current: 1,
        },
        Refusal::FormatUnsupported {
            nodes: vec![NodeId(2), NodeId(300)],
        },
        Refusal::NodesBehind {
            nodes: vec![NodeId(2), NodeId(300)],
        },
        Refusal::TooEarly {
            until: LogTime(1_700_000_000_123),
        },
    ];
    refusals.extend(crate::access_samples::refusals());
    refusals
}

/// Replies, one of every kind; refusals apart.
pub fn replies() -> Vec<Reply> {
    vec![
        Reply::Done,
        Reply::Initialized { cluster: cluster() },
        Reply::UploadCreated {
            grant: Some(Box::new(grant())),
        },
        Reply::WriteGranted(Box::new(grant())),
        Reply::Checkpointed { reserved_until: 64 },
        Reply::Acknowledged { offset: 4096 },
        Reply::Sealed(Box::new(sealed())),
        Reply::BlobFinished {
            digest: digest(4),
            size: 99,
        },
        Reply::Mounted { size: 99 },
        Reply::MountMissed,
        Reply::ManifestPut {
            created: true,
            absent: 2,
        },
        Reply::DeletionContinues,
        Reply::Founded { node: NodeId(1) },
        Reply::NodeJoined { node: NodeId(0) },
        Reply::Refused(Refusal::TagUnknown),
    ]
}

/// A membership in the middle of a change.
pub fn membership() -> wire::Membership {
    wire::Membership {
        configs: vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 2, 4])],
        nodes: BTreeMap::from([
            (1, "a:1".to_owned()),
            (2, String::new()),
            (3, "c:3".to_owned()),
            (4, "d".to_owned()),
        ]),
    }
}

/// Somewhere in the log.
pub fn log_id() -> wire::LogId {
    wire::LogId {
        term: 3,
        node: 2,
        index: 70_000,
    }
}

/// How far some tables have come.
pub fn applied_state() -> wire::AppliedState {
    let membership = wire::StoredMembership {
        id: Some(log_id()),
        membership: membership(),
    };
    wire::AppliedState {
        applied: Some(log_id()),
        membership,
    }
}

/// A start of a member.
pub fn identity() -> wire::MemberIdentity {
    wire::MemberIdentity {
        node: 1,
        starts: 9,
        nonce: 0xabc,
        previous_nonce: u128::MAX,
        unconfirmed_nonces: vec![1, 2],
        confirmed: true,
    }
}
