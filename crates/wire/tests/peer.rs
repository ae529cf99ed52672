//! Messages between members: what is encoded is decoded, and what is not a message is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use wire::peer::{
    AppendReply, AppendRequest, AskRequest, ConfirmReply, ConfirmRequest, PeerMessage,
    ProposeReply, ProposeRequest, SnapshotName, SnapshotPiece, SnapshotReceived, SnapshotTaken,
    TransferLeaderReply, TransferLeaderRequest, VoteReply, VoteRequest,
};
use wire::{AppliedState, LogId, Membership, StoredMembership, Vote};

const LOG_ID: LogId = LogId {
    term: 3,
    node: 1,
    index: 77,
};
const VOTE: Vote = Vote {
    term: 4,
    node: 2,
    committed: true,
};

fn same<M: PeerMessage + PartialEq + std::fmt::Debug>(messages: impl IntoIterator<Item = M>) {
    for message in messages {
        let bytes = message.encode();
        assert_eq!(M::decode(&bytes).unwrap(), message);
        let unknown_field = [&bytes[..], &[0xf8, 0x7f, 0x01]].concat();
        assert!(M::decode(&unknown_field).is_err(), "{message:?}");
    }
}

fn name() -> SnapshotName {
    let membership = Membership {
        configs: vec![BTreeSet::from([1, 2])],
        nodes: BTreeMap::from([(1, "a:1".to_owned()), (2, "b:2".to_owned())]),
    };
    SnapshotName {
        sender: 1,
        state: AppliedState {
            applied: Some(LOG_ID),
            membership: StoredMembership {
                id: Some(LOG_ID),
                membership,
            },
        },
        size: 1 << 40,
        crc32: u32::MAX,
    }
}

#[test]
fn messages_of_the_log_come_back_as_they_were() {
    let request = AppendRequest {
        vote: VOTE,
        previous: Some(LOG_ID),
        entries: vec![Bytes::from_static(b"entry"), Bytes::from_static(b"next")],
        commit: None,
    };
    let heartbeat = AppendRequest {
        previous: None,
        entries: Vec::new(),
        commit: Some(LOG_ID),
        ..request.clone()
    };
    same([request, heartbeat]);
    same([
        AppendReply::Flushed(None),
        AppendReply::Flushed(Some(LOG_ID)),
        AppendReply::Conflict(LOG_ID),
        AppendReply::HigherVote(VOTE),
    ]);
    let question = VoteRequest {
        vote: VOTE,
        last_log: Some(LOG_ID),
        leadership_transfer: true,
        only_asks: false,
    };
    same([
        question,
        VoteRequest {
            last_log: None,
            leadership_transfer: false,
            only_asks: true,
            ..question
        },
    ]);
    same([VoteReply {
        vote: VOTE,
        granted: true,
        last_log: Some(LOG_ID),
    }]);
    same([TransferLeaderRequest {
        from: VOTE,
        to: 3,
        last_log: Some(LOG_ID),
    }]);
    same([
        TransferLeaderReply { refusal: None },
        TransferLeaderReply {
            refusal: Some("another leads".to_owned()),
        },
    ]);
}

#[test]
fn messages_of_snapshots_come_back_as_they_were() {
    same([name()]);
    same([SnapshotReceived { bytes: 12 }]);
    same([
        SnapshotPiece::Start {
            vote: VOTE,
            name: name(),
            offset: 4096,
        },
        SnapshotPiece::Data(Bytes::from_static(b"data")),
    ]);
    same([SnapshotTaken { vote: VOTE }]);
}

#[test]
fn messages_of_commands_and_reads_come_back_as_they_were() {
    same([false, true].map(|may_be_stale| AskRequest {
        query: Bytes::from_static(b"query"),
        patience_ms: 700,
        may_be_stale,
    }));
    same([ProposeRequest {
        entry: Bytes::from_static(b"entry"),
        patience_ms: 10_000,
    }]);
    same([
        ProposeReply::Reply(Bytes::from_static(b"reply")),
        ProposeReply::NotLeader(None),
        ProposeReply::NotLeader(Some(0)),
        ProposeReply::Unavailable("full".to_owned()),
        ProposeReply::Unknown("late".to_owned()),
    ]);
    same([ConfirmRequest]);
    same([
        ConfirmReply::Index(0),
        ConfirmReply::Index(9),
        ConfirmReply::NotLeader(Some(7)),
        ConfirmReply::Unavailable("no quorum".to_owned()),
    ]);
}

#[test]
fn message_without_its_parts_is_refused() {
    assert!(AppendRequest::decode(b"").is_err());
    assert!(AppendReply::decode(b"").is_err());
    assert!(VoteRequest::decode(b"").is_err());
    assert!(SnapshotName::decode(b"").is_err());
    assert!(SnapshotPiece::decode(b"").is_err());
    assert!(ProposeReply::decode(b"").is_err());
    assert!(ConfirmReply::decode(b"").is_err());
}
