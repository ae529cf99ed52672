//! Members whose connections are proven: they work as a group, and whoever does not belong to it gets nowhere.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use identity::{
    ALPN_JOIN, Authority, CERTIFICATE_LIFE_DEFAULT, Credentials, NodeId, NodeIdentity, NodeKey,
    Revoked, Role, joining_client_config, server_name,
};
use mesh::Mesh;
use metadata::{
    ClusterId, Command, CommandId, Entry, FoundCluster, JoinNode, JoinProof, JoinTokenId, LogIndex,
    LogTime, NodeAnnouncement, Query, Reply,
};
use metadata_raft::{FirstStart, Member, MemberConfig};
use peers::{Code, Connections, PeerTransport};
use ports::{Deadline, MetadataStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wire::peer::{AskRequest, ProposeReply, ProposeRequest, VoteRequest};

const CLUSTER: ClusterId = ClusterId(77);

fn soon() -> Deadline {
    Deadline::now() + Duration::from_secs(30)
}

fn authority() -> Authority {
    Authority::create(CLUSTER, SystemTime::now().into()).unwrap()
}

fn credentials(authority: &Authority, node: u64, role: Role) -> Credentials {
    let key = NodeKey::generate();
    let certificate = authority
        .sign(
            &key.signing_request(),
            NodeId(node),
            role,
            SystemTime::now().into(),
            CERTIFICATE_LIFE_DEFAULT,
        )
        .unwrap();
    let authorities = vec![authority.certificate().clone()];
    let identity = NodeIdentity::new(key, certificate, authorities).unwrap();
    Credentials::new(identity, Revoked::default()).unwrap()
}

struct Node {
    member: Arc<Member>,
    address: String,
    credentials: Credentials,
    _folder: tempfile::TempDir,
}

impl Node {
    async fn start(authority: &Authority, node: u64) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let credentials = credentials(authority, node, Role::Member);
        let config = MemberConfig {
            segment_bytes: 256 * 1024,
            free_bytes_min: 0,
            start: match node {
                1 => FirstStart::FormGroup,
                _ => FirstStart::AwaitGroup,
            },
            address: address.clone(),
            transport: Arc::new(Mesh::new(credentials.clone())),
            ..MemberConfig::new(folder.path().to_owned(), node)
        };
        let member = Member::open(config).await.unwrap();
        let door = mesh::listen(listener, credentials.clone());
        let served = Arc::clone(&member);
        tokio::spawn(async move {
            let (peers, mut joiners, _open) = door.split();
            let greeted = async {
                while let Some(mut joiner) = joiners.recv().await {
                    joiner.stream.write_all(b"hello joiner").await.unwrap();
                }
            };
            let (served, ()) = tokio::join!(served.serve_peers(peers), greeted);
            served.unwrap();
        });
        Node {
            member,
            address,
            credentials,
            _folder: folder,
        }
    }

    /// Asks as a node with these credentials.
    async fn asked_by(&self, credentials: &Credentials) -> Result<(), Code> {
        self.asked(credentials, &Query::Cluster).await
    }

    async fn asked(&self, credentials: &Credentials, query: &Query) -> Result<(), Code> {
        let request = AskRequest {
            query: wire::encode_query(query).into(),
            patience_ms: 5_000,
            may_be_stale: false,
        };
        let connections = Connections::new(Arc::new(Mesh::new(credentials.clone())));
        let mut client = connections.client(1, &self.address);
        client
            .ask(request)
            .await
            .map(drop)
            .map_err(|status| status.code())
    }

    /// Proposes as a node with these credentials.
    async fn proposed(
        &self,
        credentials: &Credentials,
        sequence: u64,
        command: &Command,
    ) -> Result<Reply, Code> {
        let entry = Entry {
            id: CommandId {
                incarnation: 7,
                sequence,
            },
            seen: LogIndex(1),
            stamped: LogTime(0),
            command: command.clone(),
        };
        let request = ProposeRequest {
            entry: wire::encode_entry(&entry).into(),
            patience_ms: 5_000,
        };
        let connections = Connections::new(Arc::new(Mesh::new(credentials.clone())));
        let mut client = connections.client(1, &self.address);
        match client.propose(request).await {
            Ok(reply) => match reply.into_inner() {
                ProposeReply::Reply(bytes) => Ok(wire::decode_reply(&bytes).unwrap()),
                other => panic!("{other:?}"),
            },
            Err(status) => Err(status.code()),
        }
    }
}

/// A node that says something of itself.
fn announcement(name: &str) -> NodeAnnouncement {
    NodeAnnouncement {
        name: name.to_owned(),
        peer_address: "127.0.0.1:7070".to_owned(),
        client_address: String::new(),
        version: "0.1.0".to_owned(),
        format_max: metadata::FORMAT_MAX,
    }
}

/// What is said of nodes: that a cluster is founded, and everything that only a founded one takes.
fn commands_for_members() -> Vec<Command> {
    let found = FoundCluster {
        node: NodeId(1),
        key_hash: [1; 32],
        announcement: announcement("one"),
        authority_certificate: Bytes::from_static(b"certificate"),
        sealed_authority_key: Bytes::from_static(b"sealed"),
    };
    let join = JoinNode {
        proof: JoinProof::BootstrapSecret,
        role: Role::Member,
        key_hash: [2; 32],
        announcement: announcement("two"),
    };
    vec![
        Command::FoundCluster(Box::new(found)),
        Command::IssueJoinToken {
            token: JoinTokenId(5),
            hash: [3; 32],
            role: Role::Gateway,
            expires: LogTime(unix_ms() + 60_000),
        },
        Command::JoinNode(Box::new(join)),
        Command::RaiseFormat {
            to: metadata::FORMAT,
        },
        Command::RemoveNode { node: NodeId(2) },
    ]
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_decides_nothing_about_nodes_and_gets_no_secret() {
    let authority = authority();
    let node = Node::start(&authority, 1).await;
    let gateway = credentials(&authority, 3, Role::Gateway);
    let member = credentials(&authority, 2, Role::Member);
    let mut sequence = 0;
    for command in commands_for_members() {
        sequence += 1;
        let refused = node.proposed(&gateway, sequence, &command).await;
        assert_eq!(refused, Err(Code::PermissionDenied), "{command:?}");
        // Nothing of it was in the log: a member is the first to propose it.
        let reply = node.proposed(&member, 100 + sequence, &command).await;
        assert!(
            !matches!(reply, Ok(Reply::Refused(_)) | Err(_)),
            "{command:?}: {reply:?}"
        );
    }
    let refused = node.asked(&gateway, &Query::Authority).await;
    assert_eq!(refused, Err(Code::PermissionDenied));
    node.asked(&member, &Query::Authority).await.unwrap();
    node.asked(&gateway, &Query::Nodes).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_speaks_for_itself_only() {
    let authority = authority();
    let node = Node::start(&authority, 1).await;
    let member = credentials(&authority, 1, Role::Member);
    let mut commands = commands_for_members();
    node.proposed(&member, 1, &commands.remove(0))
        .await
        .unwrap();
    let Command::JoinNode(mut join) = commands.remove(1) else {
        panic!("it is the third");
    };
    join.role = Role::Gateway;
    let joined = node.proposed(&member, 2, &Command::JoinNode(join)).await;
    let id = NodeId(2);
    assert_eq!(joined, Ok(Reply::NodeJoined { node: id }));
    let gateway = credentials(&authority, id.0, Role::Gateway);
    let announce = |node| Command::AnnounceNode {
        node,
        announcement: announcement("renamed"),
    };
    let said = node.proposed(&gateway, 3, &announce(id)).await;
    assert_eq!(said, Ok(Reply::Done));
    let refused = node.proposed(&gateway, 4, &announce(NodeId(1))).await;
    assert_eq!(refused, Err(Code::PermissionDenied));
    let said = node.proposed(&member, 5, &announce(id)).await;
    assert_eq!(said, Ok(Reply::Done), "a member may pass it on");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_agree() {
    let authority = authority();
    let mut nodes = Vec::new();
    for node in 1..=3 {
        nodes.push(Node::start(&authority, node).await);
    }
    let first = &nodes[0].member;
    for (node, other) in (2..).zip(&nodes[1..]) {
        first
            .add_learner(node, &other.address, soon())
            .await
            .unwrap();
    }
    first
        .set_voters(BTreeSet::from([1, 2, 3]), soon())
        .await
        .unwrap();
    let mut answers = Vec::new();
    for node in &nodes {
        let answered = node.member.read(Query::Cluster, soon()).await.unwrap();
        answers.push(format!("{:?}", answered.answer));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_may_ask_and_has_no_part_in_the_log() {
    let authority = authority();
    let node = Node::start(&authority, 1).await;
    let gateway = credentials(&authority, 9, Role::Gateway);
    node.asked_by(&gateway).await.unwrap();
    let connections = Connections::new(Arc::new(Mesh::new(gateway)));
    let vote = VoteRequest {
        vote: wire::Vote {
            term: 99,
            node: 9,
            committed: false,
        },
        last_log: None,
        leadership_transfer: true,
        only_asks: false,
    };
    let refused = connections.client(1, &node.address).ask_vote(vote).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    assert!(node.member.group().term < 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_belong_gets_nowhere() {
    let ours = authority();
    let node = Node::start(&ours, 1).await;
    let theirs = Authority::create(CLUSTER, SystemTime::now().into()).unwrap();
    let foreign = credentials(&theirs, 2, Role::Member);
    assert!(node.asked_by(&foreign).await.is_err());
    // The right cluster, and another node than was meant.
    let ours = credentials(&ours, 2, Role::Member);
    let other = Mesh::new(ours.clone()).connect(3, &node.address).await;
    let error = other.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    // One that was removed.
    node.credentials
        .replace_revoked([NodeId(2)].into_iter().collect());
    assert!(node.asked_by(&ours).await.is_err());
    let told = Mesh::new(ours.clone());
    let connections = Connections::new(Arc::new(told.clone()));
    let request = AskRequest {
        query: wire::encode_query(&Query::Cluster).into(),
        patience_ms: 5_000,
        may_be_stale: false,
    };
    assert!(
        connections
            .client(1, &node.address)
            .ask(request)
            .await
            .is_err()
    );
    tokio::time::timeout(Duration::from_secs(10), told.removed())
        .await
        .unwrap();
    node.credentials.replace_revoked(Revoked::default());
    node.asked_by(&ours).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_silence_harm_nobody() {
    let authority = authority();
    let node = Node::start(&authority, 1).await;
    let mut silent = Vec::new();
    for n in 0..40 {
        let mut stream = TcpStream::connect(&node.address).await.unwrap();
        if n % 2 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut end = Vec::new();
            // An alert, or a reset: in any case an end.
            drop(stream.read_to_end(&mut end).await);
        } else {
            silent.push(stream);
        }
    }
    let member = credentials(&authority, 2, Role::Member);
    node.asked_by(&member).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn node_without_a_certificate_comes_as_far_as_the_joiners() {
    let authority = authority();
    let node = Node::start(&authority, 1).await;
    let config = joining_client_config(authority.fingerprint());
    let stream = TcpStream::connect(&node.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(config);
    let name = server_name(CLUSTER, NodeId(1));
    let mut stream = connector.connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(ALPN_JOIN));
    let mut greeting = [0; 12];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"hello joiner");
}
