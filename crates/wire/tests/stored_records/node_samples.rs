//! Commands and rows about nodes, join tokens and authorities, as full as they can be.

use bytes::Bytes;
use metadata::{
    AuthorityRow, ClusterId, ClusterRow, Command, FORMAT_MAX, FoundCluster, JoinNode, JoinProof,
    JoinTokenId, JoinTokenRow, LogIndex, LogTime, NodeAnnouncement, NodeId, NodeRole, NodeRow,
    NodeTrust, Replacement, Row, StorageRow, StorageWord, TableId, UpkeepRow,
};

use crate::samples::cluster;

pub fn announcement() -> NodeAnnouncement {
    NodeAnnouncement {
        name: "rack-1.node_a".to_owned(),
        peer_address: "[fd00::1]:7070".to_owned(),
        client_address: "registry.example:5000".to_owned(),
        version: "0.1.0+abc".to_owned(),
        format_max: 3,
    }
}

fn token() -> JoinTokenId {
    JoinTokenId(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100)
}

/// Commands, every variant; the second is for those with more than one form.
pub fn commands() -> Vec<(&'static str, Command)> {
    let join = |proof, role| {
        Command::JoinNode(Box::new(JoinNode {
            proof,
            role,
            key_hash: [7; 32],
            announcement: announcement(),
        }))
    };
    let hash = [8; 32];
    let token = token();
    let mut commands = vec![
        (
            "",
            Command::FoundCluster(Box::new(FoundCluster {
                node: NodeId(1),
                key_hash: [7; 32],
                announcement: announcement(),
                authority_certificate: Bytes::from_static(b"certificate"),
                sealed_authority_key: Bytes::from_static(b"sealed key"),
            })),
        ),
        (
            "",
            Command::IssueJoinToken {
                token,
                hash,
                role: NodeRole::Gateway,
                expires: LogTime(1_700_000_900_000),
            },
        ),
        (
            "token",
            join(JoinProof::Token { token, hash }, NodeRole::Gateway),
        ),
        (
            "bootstrap-secret",
            join(JoinProof::BootstrapSecret, NodeRole::Member),
        ),
        (
            "",
            Command::AnnounceNode {
                node: NodeId(5),
                announcement: announcement(),
            },
        ),
        ("", Command::RemoveNode { node: NodeId(5) }),
        ("", Command::RaiseFormat { to: 2 }),
        (
            "",
            Command::MoveStorage {
                to: "s3://images/registry?region=eu-west-1".to_owned(),
                uploads_idle_ms: 3_600_000,
            },
        ),
        (
            "",
            Command::ConfirmStorage {
                node: NodeId(5),
                step: 3,
                problem: None,
            },
        ),
        (
            "problem",
            Command::ConfirmStorage {
                node: NodeId(5),
                step: 3,
                problem: Some("no credentials".to_owned()),
            },
        ),
        ("", Command::FillStorage { step: 3 }),
        ("", Command::CancelMove { step: 3 }),
        ("", Command::SwitchStorage { generation: 2 }),
        (
            "",
            Command::CorrectTime {
                to: LogTime(1_700_000_900_000),
            },
        ),
        ("", Command::RaiseFormatInTime { to: 2 }),
        ("", Command::RemoveGoneGateway { gateway: NodeId(6) }),
        (
            "",
            Command::ReplaceVoter {
                dead: NodeId(2),
                spare: NodeId(4),
            },
        ),
        ("", Command::AdoptBlobs),
        (
            "",
            Command::AddAuthority {
                certificate: Bytes::from_static(b"certificate"),
                sealed_key: Bytes::from_static(b"sealed key"),
            },
        ),
        (
            "",
            Command::NoteTrust {
                node: NodeId(5),
                trust: NodeTrust {
                    believes: 2,
                    signed_by: 1,
                },
            },
        ),
        ("", Command::SignWithNextAuthority),
        ("", Command::DropAuthority),
    ];
    commands.extend(later_commands().into_iter().map(|command| ("", command)));
    commands.retain(|(_, command)| command.format() <= FORMAT_MAX);
    commands
}

/// Commands of formats that not every build knows.
pub fn later_commands() -> Vec<Command> {
    vec![Command::SetLabel {
        label: "Blue cluster".to_owned(),
    }]
}

/// The cluster's row of a cluster that was founded, and of one whose format not every build knows.
pub fn cluster_row(format: u32) -> Row {
    Row::Cluster(ClusterRow {
        cluster: Some(cluster()),
        time: LogTime(1_700_000_000_123),
        format,
        repositories: 2,
        replies: 3,
        replies_floor: LogIndex(4),
        last_node: 5,
        upkeep: UpkeepRow::default(),
        adopted_from: Vec::new(),
        next_authority_signs: false,
        label: (format > 1).then(|| "Blue cluster".to_owned()),
        storage: StorageRow::default(),
    })
}

/// The cluster's row while what is new goes to the new store.
fn filling_row() -> Row {
    match moving_row() {
        Row::Cluster(row) => Row::Cluster(ClusterRow {
            last_node: 5,
            storage: StorageRow {
                writes_to_new: true,
                uploads_idle_ms: 3_600_000,
                step: 5,
                ..row.storage
            },
            ..row
        }),
        row => row,
    }
}

/// The cluster's row of a node that was restored from two clusters.
fn restored_row() -> Row {
    match cluster_row(1) {
        Row::Cluster(row) => Row::Cluster(ClusterRow {
            storage: StorageRow {
                borrowed: vec![metadata::ClusterId(0x77), metadata::ClusterId(0x78)],
                ..StorageRow::default()
            },
            ..row
        }),
        row => row,
    }
}

/// The cluster's row of a node whose blobs were moved, and are being moved again.
fn moving_row() -> Row {
    Row::Cluster(ClusterRow {
        cluster: Some(cluster()),
        time: LogTime(1_700_000_000_123),
        format: 1,
        repositories: 2,
        replies: 3,
        replies_floor: LogIndex(4),
        last_node: 0,
        label: None,
        storage: StorageRow {
            generation: 1,
            place: Some("s3://images/old".to_owned()),
            moving_to: Some("http://127.0.0.1:3900/images/new".to_owned()),
            ..StorageRow::default()
        },
        upkeep: UpkeepRow::default(),
        adopted_from: Vec::new(),
        next_authority_signs: false,
    })
}

/// The cluster's row of a restored cluster in which much happened.
fn eventful_cluster_row() -> Row {
    let Row::Cluster(row) = cluster_row(1) else {
        unreachable!("it is the cluster's row");
    };
    Row::Cluster(ClusterRow {
        upkeep: UpkeepRow {
            corrected: Some(LogTime(0)),
            next_format_since: Some(LogTime(1_700_000_000_001)),
            replacement: Some(Replacement {
                dead: NodeId(2),
                spare: NodeId(4),
                at: LogTime(1_700_000_000_002),
            }),
        },
        adopted_from: vec![ClusterId(8), ClusterId(u128::MAX)],
        ..row
    })
}

/// Rows of the three tables, and of a founded cluster.
pub fn rows() -> Vec<(TableId, &'static str, Row)> {
    let node = NodeRow {
        role: NodeRole::Member,
        key_hash: [7; 32],
        announcement: announcement(),
        joined: LogTime(5),
        announced: LogTime(6),
        removed: None,
        storage: StorageWord::default(),
        trust: NodeTrust::default(),
    };
    let trusting = NodeRow {
        trust: NodeTrust {
            believes: 2,
            signed_by: 1,
        },
        ..node.clone()
    };
    let rotating = match cluster_row(1) {
        Row::Cluster(row) => Row::Cluster(ClusterRow {
            next_authority_signs: true,
            ..row
        }),
        row => row,
    };
    let removed = NodeRow {
        role: NodeRole::Gateway,
        removed: Some(LogTime(7)),
        ..node.clone()
    };
    let moving = NodeRow {
        storage: StorageWord {
            step: 3,
            problem: Some("no credentials".to_owned()),
        },
        ..node.clone()
    };
    let token = JoinTokenRow {
        hash: [8; 32],
        role: NodeRole::Gateway,
        expires: LogTime(9),
        used: Some(NodeId(5)),
    };
    let authority = AuthorityRow {
        certificate: Bytes::from_static(b"certificate"),
        sealed_key: Bytes::from_static(b"sealed key"),
        created: LogTime(5),
    };
    let mut rows = vec![
        (TableId::Cluster, "founded", cluster_row(1)),
        (TableId::Cluster, "moving", moving_row()),
        (TableId::Cluster, "restored", restored_row()),
        (TableId::Cluster, "eventful", eventful_cluster_row()),
        (TableId::Cluster, "filling", filling_row()),
        (TableId::Node, "", Row::Node(node)),
        (TableId::Cluster, "rotating", rotating),
        (TableId::Node, "trusting", Row::Node(trusting)),
        (TableId::Node, "removed", Row::Node(removed)),
        (TableId::Node, "moving", Row::Node(moving)),
        (TableId::JoinToken, "", Row::JoinToken(token)),
        (TableId::Authority, "", Row::Authority(authority)),
    ];
    if FORMAT_MAX > 1 {
        rows.push((TableId::Cluster, "format-2", cluster_row(2)));
    }
    rows
}
