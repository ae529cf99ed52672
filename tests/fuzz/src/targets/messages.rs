//! Every message between nodes: decoded, converted, and encoded again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use bytes::Bytes;
use metadata::{Answer, JoinTokenId, LogTime, NodeAnnouncement, NodeId, NodeRole, Page, Query};
use oci::{Algorithm, Digest, Reference, RepositoryName, Tag, UploadId};
use wire::nodes::{
    Certificates, JoinReply, JoinRequest, Joined, JoinerProof, LogCopyStatus, NodeStatus,
    OrderReply, OrderRequest, RenewReply, RenewRequest, StartNote, StartNoted, StatusRequest,
};
use wire::peer::{
    AppendReply, AppendRequest, AskReply, AskRequest, ConfirmReply, ConfirmRequest, PeerMessage,
    ProposeReply, ProposeRequest, SnapshotName, SnapshotPiece, SnapshotReceived, SnapshotTaken,
    TransferLeaderReply, TransferLeaderRequest, VoteReply, VoteRequest,
};
use wire::{AppliedState, LogId, Membership, StoredMembership, Vote};

use super::nothing_to_forget;
use crate::target::{Shape, Target, Verdict};

/// Checks that a message that is decoded is encoded as what is decoded the same.
fn same<M: PeerMessage + PartialEq + Debug>(input: &[u8]) -> Verdict {
    match M::decode(input) {
        Ok(message) => {
            let bytes = message.encode();
            assert_eq!(bytes.len(), input.len(), "{message:?}");
            assert_eq!(M::decode(&bytes).as_ref(), Ok(&message));
            Verdict::accepted()
        }
        Err(error) => Verdict::refused(&error.to_string()),
    }
}

const ID: LogId = LogId {
    term: 3,
    node: 1,
    index: 77,
};
const VOTE: Vote = Vote {
    term: 4,
    node: 2,
    committed: true,
};

fn name() -> SnapshotName {
    let membership = Membership {
        configs: vec![BTreeSet::from([1, 2]), BTreeSet::from([2])],
        nodes: BTreeMap::from([(1, "a:1".to_owned()), (2, "b:2".to_owned())]),
    };
    SnapshotName {
        sender: 1,
        state: AppliedState {
            applied: Some(ID),
            membership: StoredMembership {
                id: Some(ID),
                membership,
            },
        },
        size: 1 << 40,
        crc32: u32::MAX,
    }
}

fn announcement() -> NodeAnnouncement {
    NodeAnnouncement {
        name: "node-7".to_owned(),
        peer_address: "10.0.0.7:5050".to_owned(),
        client_address: "10.0.0.7:5000".to_owned(),
        version: "1.0.0".to_owned(),
        format_max: 1,
    }
}

fn certificates() -> Certificates {
    Certificates {
        certificate: Bytes::from_static(b"certificate"),
        authorities: vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")],
    }
}

fn status() -> NodeStatus {
    NodeStatus {
        node: NodeId(7),
        pid: 4_321,
        version: "1.0.0+abc".to_owned(),
        format_max: 2,
        role: NodeRole::Member,
        leader: Some(NodeId(3)),
        term: 9,
        last_log: 1_000,
        applied: 999,
        can_confirm: true,
        votes: true,
        disk_free: 1 << 40,
        disk_size: 1 << 41,
        uptime_ms: 60_000,
        draining: true,
        disk_full: true,
        clock: LogTime(1_700_000_000_123),
        log_copy: Some(LogCopyStatus {
            index: 990,
            lag_entries: 9,
            lag_ms: 1_500,
            problem: Some("the store does not answer".to_owned()),
        }),
        storage_move: None,
    }
}

fn joined() -> JoinReply {
    JoinReply::Joined(Box::new(Joined {
        node: NodeId(7),
        certificates: certificates(),
        members: vec![(NodeId(1), "a:1".to_owned())],
        cluster_key: Some([8; 32]),
        proof: Some([9; 32]),
    }))
}

macro_rules! messages {
    ($($target:ident, $name:literal, $message:ty, [$($seed:expr),* $(,)?];)*) => {
        $(
            /// A message of this name.
            static $target: Target = Target {
                name: $name,
                seeds: || vec![$(<$message as PeerMessage>::encode(&$seed)),*],
                generate: None,
                shape: Shape::Fields(0),
                repair: None,
                fresh: nothing_to_forget,
                check: |input| same::<$message>(input),
            };
        )*
        /// All messages.
        pub static MESSAGES: &[&Target] = &[$(&$target),*];
    };
}

messages! {
    APPEND_REQUEST, "append-request", AppendRequest, [AppendRequest {
        vote: VOTE,
        previous: Some(ID),
        entries: vec![Bytes::from_static(b"entry"), Bytes::from_static(b"next")],
        commit: Some(ID),
    }];
    APPEND_REPLY, "append-reply", AppendReply, [
        AppendReply::Flushed(None), AppendReply::Flushed(Some(ID)), AppendReply::Conflict(ID), AppendReply::HigherVote(VOTE),
    ];
    VOTE_REQUEST, "vote-request", VoteRequest, [VoteRequest {
        vote: VOTE, last_log: Some(ID), leadership_transfer: true, only_asks: true,
    }];
    VOTE_REPLY, "vote-reply", VoteReply, [VoteReply { vote: VOTE, granted: true, last_log: Some(ID) }];
    TRANSFER_REQUEST, "transfer-leader-request", TransferLeaderRequest, [
        TransferLeaderRequest { from: VOTE, to: 3, last_log: Some(ID) },
    ];
    TRANSFER_REPLY, "transfer-leader-reply", TransferLeaderReply, [
        TransferLeaderReply { refusal: None }, TransferLeaderReply { refusal: Some("another leads".to_owned()) },
    ];
    SNAPSHOT_NAME, "snapshot-name", SnapshotName, [name()];
    SNAPSHOT_RECEIVED, "snapshot-received", SnapshotReceived, [SnapshotReceived { bytes: 12 }];
    SNAPSHOT_PIECE, "snapshot-piece", SnapshotPiece, [
        SnapshotPiece::Start { vote: VOTE, name: name(), offset: 4096 }, SnapshotPiece::Data(Bytes::from_static(b"data")),
    ];
    SNAPSHOT_TAKEN, "snapshot-taken", SnapshotTaken, [SnapshotTaken { vote: VOTE }];
    PROPOSE_REQUEST, "propose-request", ProposeRequest, [
        ProposeRequest { entry: Bytes::from_static(b"entry"), patience_ms: 10_000 },
    ];
    PROPOSE_REPLY, "propose-reply", ProposeReply, [
        ProposeReply::Reply(Bytes::from_static(b"reply")), ProposeReply::NotLeader(Some(2)),
        ProposeReply::Unavailable("full".to_owned()), ProposeReply::Unknown("late".to_owned()),
    ];
    CONFIRM_REQUEST, "confirm-request", ConfirmRequest, [ConfirmRequest];
    CONFIRM_REPLY, "confirm-reply", ConfirmReply, [
        ConfirmReply::Index(9), ConfirmReply::NotLeader(Some(7)), ConfirmReply::Unavailable("no quorum".to_owned()),
    ];
    ASK_REQUEST, "ask-request", AskRequest, [
        AskRequest { query: Bytes::from_static(b"query"), patience_ms: 700, may_be_stale: true },
    ];
    ASK_REPLY, "ask-reply", AskReply, [
        AskReply::Answer { answer: Bytes::from_static(b"answer"), stale: true }, AskReply::Unavailable("late".to_owned()),
    ];
    STATUS_REQUEST, "status-request", StatusRequest, [StatusRequest];
    NODE_STATUS, "node-status", NodeStatus, [status()];
    START_NOTE, "start-note", StartNote, [StartNote { starts: 3, nonce: 13, before: vec![12, 1 << 100] }];
    START_NOTED, "start-noted", StartNoted, [StartNoted { refusal: Some("an old disk".to_owned()), clock: LogTime(5) }];
    RENEW_REQUEST, "renew-request", RenewRequest, [RenewRequest { signing_request: Bytes::from_static(b"request") }];
    RENEW_REPLY, "renew-reply", RenewReply, [
        RenewReply::Renewed(certificates()), RenewReply::Refused("removed".to_owned()),
    ];
    ORDER_REQUEST, "order-request", OrderRequest, [
        OrderRequest::TransferLeader(None), OrderRequest::TransferLeader(Some(NodeId(2))), OrderRequest::Promote(NodeId(3)),
    ];
    ORDER_REPLY, "order-reply", OrderReply, [
        OrderReply::Done, OrderReply::NotLeader(Some(NodeId(1))), OrderReply::Refused("gone".to_owned()),
    ];
    JOIN_REQUEST, "join-request", JoinRequest, [
        JoinRequest {
            proof: JoinerProof::Token { token: JoinTokenId(u128::MAX - 5), secret: [6; 32] },
            role: NodeRole::Member,
            signing_request: Bytes::from_static(b"request"),
            announcement: announcement(),
        },
        JoinRequest {
            proof: JoinerProof::Bootstrap([7; 32]),
            role: NodeRole::Gateway,
            signing_request: Bytes::new(),
            announcement: announcement(),
        },
    ];
    JOIN_REPLY, "join-reply", JoinReply, [
        joined(), JoinReply::Refused("expired".to_owned()), JoinReply::Later("nobody leads".to_owned()),
        JoinReply::Fresh { id: 5, proof: [9; 32] },
    ];
}

fn repository() -> RepositoryName {
    RepositoryName::parse("team/app").expect("a name")
}

fn queries() -> Vec<Query> {
    let digest = Digest::of(Algorithm::Sha512, b"content");
    let (tag, upload) = (Tag::parse("v1").expect("a tag"), UploadId::from_u128(9));
    let repository = repository();
    vec![
        Query::Cluster,
        Query::Manifest {
            repository: repository.clone(),
            reference: Reference::Tag(tag.clone()),
        },
        Query::Manifest {
            repository: repository.clone(),
            reference: Reference::Digest(digest),
        },
        Query::Blob {
            repository: repository.clone(),
            digest,
        },
        Query::Upload {
            repository: repository.clone(),
            upload,
        },
        Query::Uploads(Page {
            after: Some(upload),
            limit: 5,
        }),
        Query::BlobObjects(Page {
            after: Some(digest),
            limit: 7,
        }),
        Query::Repositories(Page {
            after: Some(repository.clone()),
            limit: usize::MAX,
        }),
        Query::Tags {
            repository: repository.clone(),
            page: Page {
                after: Some(tag),
                limit: 3,
            },
        },
        Query::Referrers {
            repository,
            subject: digest,
            artifact_type: Some("application/spdx+json".to_owned()),
            page: Page {
                after: Some(digest),
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
    ]
}

/// A question to the tables.
pub static QUERY: Target = Target {
    name: "query",
    seeds: || queries().iter().map(wire::encode_query).collect(),
    generate: None,
    shape: Shape::Fields(0),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| match wire::decode_query(input) {
        Ok(query) => {
            assert_eq!(wire::decode_query(&wire::encode_query(&query)), Ok(query));
            Verdict::accepted()
        }
        Err(error) => Verdict::refused(&error.to_string()),
    },
};

/// What the tables answer.
pub static ANSWER: Target = Target {
    name: "answer",
    seeds: || {
        let tables = super::http::tables_of_a_world();
        let asked = super::http::queries_of_a_world();
        let answer =
            |query: &Query| metadata::answer(&tables, query).expect("tables in memory answer");
        let mut answers: Vec<Answer> = asked.iter().map(answer).collect();
        answers.extend([Answer::Absent, Answer::RepositoryUnknown]);
        answers.iter().map(wire::encode_answer).collect()
    },
    generate: None,
    shape: Shape::Fields(0),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| match wire::decode_answer(input) {
        Ok(answer) => {
            assert_eq!(
                wire::decode_answer(&wire::encode_answer(&answer)),
                Ok(answer)
            );
            Verdict::accepted()
        }
        Err(error) => Verdict::refused(&error.to_string()),
    },
};
