//! Messages between nodes about themselves, and of nodes that join: what is encoded is decoded, what is not a message is
//! refused, and the bytes stay what they are, so that nodes of two builds understand each other during an upgrade.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Debug;

use bytes::Bytes;
use metadata::{JoinTokenId, LogTime, NodeAnnouncement, NodeId, NodeRole};
use wire::nodes::{
    Certificates, JoinReply, JoinRequest, Joined, JoinerProof, LogCopyStatus, MoveProgress,
    NodeStatus, OrderReply, OrderRequest, RenewReply, RenewRequest, StartNote, StartNoted,
    StatusRequest,
};
use wire::peer::PeerMessage;

/// Each comes back as it was; no part of it, and nothing more than it, does.
fn same<M: PeerMessage + PartialEq + Debug>(messages: impl IntoIterator<Item = M>) {
    for message in messages {
        let bytes = message.encode();
        assert_eq!(M::decode(&bytes).unwrap(), message);
        let unknown_field = [&bytes[..], &[0xf8, 0x7f, 0x01]].concat();
        assert!(M::decode(&unknown_field).is_err(), "{message:?}");
        for end in 0..bytes.len() {
            let cut = M::decode(&bytes[..end]);
            assert!(cut.is_err() || cut.unwrap() != message, "cut at {end}");
        }
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
        disk_full: false,
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

fn gateway_status() -> NodeStatus {
    NodeStatus {
        node: NodeId(8),
        pid: 1,
        version: String::new(),
        format_max: 1,
        role: NodeRole::Gateway,
        leader: None,
        term: 0,
        last_log: 0,
        applied: 0,
        can_confirm: false,
        votes: false,
        disk_free: 0,
        disk_size: 0,
        uptime_ms: 0,
        draining: false,
        disk_full: false,
        clock: LogTime(0),
        log_copy: None,
        storage_move: None,
    }
}

fn certificates() -> Certificates {
    Certificates {
        certificate: Bytes::from_static(b"certificate"),
        authorities: vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")],
    }
}

fn announcement() -> NodeAnnouncement {
    NodeAnnouncement {
        name: "node-7".to_owned(),
        peer_address: "10.0.0.7:5050".to_owned(),
        client_address: String::new(),
        version: "1.0.0".to_owned(),
        format_max: 1,
    }
}

fn join_requests() -> [JoinRequest; 2] {
    let request = |proof, role| JoinRequest {
        proof,
        role,
        signing_request: Bytes::from_static(b"request"),
        announcement: announcement(),
    };
    let by_token = JoinerProof::Token {
        token: JoinTokenId(u128::MAX - 5),
        secret: [6; 32],
    };
    [
        request(by_token, NodeRole::Member),
        request(JoinerProof::Bootstrap([7; 32]), NodeRole::Gateway),
    ]
}

fn join_replies() -> [JoinReply; 5] {
    let joined = |cluster_key, proof| {
        JoinReply::Joined(Box::new(Joined {
            node: NodeId(7),
            certificates: certificates(),
            members: vec![(NodeId(1), "a:1".to_owned()), (NodeId(2), "b:2".to_owned())],
            cluster_key,
            proof,
        }))
    };
    [
        joined(Some([8; 32]), Some([9; 32])),
        joined(None, None),
        JoinReply::Refused("its join token has expired".to_owned()),
        JoinReply::Later("nobody leads".to_owned()),
        JoinReply::Fresh {
            id: 5,
            proof: [9; 32],
        },
    ]
}

#[test]
fn accounts_of_nodes_come_back_as_they_were() {
    same([StatusRequest]);
    let healthy_copy = NodeStatus {
        log_copy: Some(LogCopyStatus {
            index: 0,
            lag_entries: 0,
            lag_ms: 0,
            problem: None,
        }),
        storage_move: Some(MoveProgress {
            objects_done: 1,
            objects_total: 2,
            bytes_done: 3,
            bytes_total: 4,
            uploads_waited_for: 5,
            nodes_waited_for: 6,
            trouble: Some("the store is full".to_owned()),
        }),
        ..status()
    };
    let without_room = NodeStatus {
        disk_full: true,
        ..gateway_status()
    };
    same([status(), gateway_status(), healthy_copy, without_room]);
}

#[test]
fn notes_of_starts_come_back_as_they_were() {
    same([
        StartNote {
            starts: 1,
            nonce: 1,
            before: Vec::new(),
        },
        StartNote {
            starts: u64::MAX,
            nonce: u128::MAX,
            before: vec![2, 3],
        },
    ]);
    same([
        StartNoted {
            refusal: None,
            clock: LogTime(1_700_000_000_123),
        },
        StartNoted {
            refusal: Some("another start is known".to_owned()),
            clock: LogTime(0),
        },
    ]);
}

#[test]
fn certificates_that_are_asked_for_come_back_as_they_were() {
    same([RenewRequest {
        signing_request: Bytes::from_static(b"request"),
    }]);
    same([
        RenewReply::Renewed(certificates()),
        RenewReply::Refused("the log knows of no such node".to_owned()),
    ]);
}

#[test]
fn orders_come_back_as_they_were() {
    same([
        OrderRequest::TransferLeader(None),
        OrderRequest::TransferLeader(Some(NodeId(4))),
        OrderRequest::Promote(NodeId(4)),
    ]);
    same([
        OrderReply::Done,
        OrderReply::NotLeader(None),
        OrderReply::NotLeader(Some(NodeId(2))),
        OrderReply::Refused("it has not caught up".to_owned()),
    ]);
}

#[test]
fn joins_come_back_as_they_were() {
    same(join_requests());
    same(join_replies());
}

/// A node of an older or newer build reads them, too: what is here never changes.
#[test]
fn messages_are_written_as_ever() {
    let expected = expect_test::expect_file!["nodes.bytes"];
    let mut lines = String::new();
    let mut line = |name: &str, bytes: Vec<u8>| {
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push_str(&format!("{name} {}\n", bytes.concat()));
    };
    line("status", status().encode());
    line("status of a gateway", gateway_status().encode());
    let without_room = NodeStatus {
        disk_full: true,
        ..gateway_status()
    };
    line("status without room", without_room.encode());
    let note = StartNote {
        starts: 300,
        nonce: 5,
        before: vec![2, 3],
    };
    line("start", note.encode());
    let noted = StartNoted {
        refusal: Some("no".to_owned()),
        clock: LogTime(1_700_000_000_123),
    };
    line("start noted", noted.encode());
    let renew = RenewRequest {
        signing_request: Bytes::from_static(b"request"),
    };
    line("renew", renew.encode());
    line("renewed", RenewReply::Renewed(certificates()).encode());
    line("not renewed", RenewReply::Refused("no".to_owned()).encode());
    let transfer = OrderRequest::TransferLeader(Some(NodeId(4)));
    line("transfer leader", transfer.encode());
    line("promote", OrderRequest::Promote(NodeId(4)).encode());
    line("done", OrderReply::Done.encode());
    line(
        "not leader",
        OrderReply::NotLeader(Some(NodeId(2))).encode(),
    );
    line(
        "order refused",
        OrderReply::Refused("no".to_owned()).encode(),
    );
    for request in join_requests() {
        line("join", request.encode());
    }
    for reply in join_replies() {
        line("join reply", reply.encode());
    }
    expected.assert_eq(&lines);
}

#[test]
fn secrets_are_not_shown() {
    let [by_token, by_secret] = join_requests();
    let [joined, ..] = join_replies();
    for shown in [
        format!("{by_token:?}"),
        format!("{by_secret:?}"),
        format!("{joined:?}"),
    ] {
        for secret in ["6, 6", "7, 7", "8, 8", "9, 9"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn garbage_and_messages_without_a_kind_are_refused() {
    assert!(NodeStatus::decode(&[]).is_err(), "it has no role");
    assert!(RenewReply::decode(&[]).is_err());
    assert!(OrderRequest::decode(&[]).is_err());
    assert!(OrderReply::decode(&[]).is_err());
    assert!(JoinRequest::decode(&[]).is_err());
    assert!(JoinReply::decode(&[]).is_err());
    assert!(StartNote::decode(&[]).is_err(), "it has no nonce");
    // A secret or a nonce of another length: field 2, two bytes.
    assert!(StartNote::decode(&[0x12, 2, 1, 1]).is_err());
    let short_proof = [0x12, 2, 1, 1, 0x18, 1, 0x22, 0, 0x2a, 0];
    assert!(JoinRequest::decode(&short_proof).is_err());
    for bytes in [&[0xff_u8][..], &[0x08], &[0x0a, 0x7f, 0x00]] {
        assert!(JoinRequest::decode(bytes).is_err(), "{bytes:?}");
        assert!(JoinReply::decode(bytes).is_err(), "{bytes:?}");
        assert!(NodeStatus::decode(bytes).is_err(), "{bytes:?}");
    }
}
