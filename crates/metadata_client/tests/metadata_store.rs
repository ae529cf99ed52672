//! A gateway's client runs the suite of its port, with a group of three members behind it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use metadata::{Command, NodeId, Query, Refusal, Reply};
use metadata_client::{Client, MemberAddress};
use metadata_raft::{FirstStart, Member, MemberConfig};
use peers::{Caller, PeerConnection, PeerTransport, async_trait};
use ports::metadata_store::suite::Subject;
use ports::{Deadline, MetadataFailure, MetadataStore, RandomIds};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;

/// These connections prove nothing.
const SOMEBODY: Caller = Caller {
    node: 0,
    is_member: true,
};

struct Tcp;

#[async_trait]
impl PeerTransport for Tcp {
    async fn connect(&self, _node: u64, address: &str) -> io::Result<PeerConnection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(PeerConnection::to_peer(Box::new(stream)))
    }
}

/// Three members, all voting.
struct Group {
    members: Vec<(Arc<Member>, tokio::task::JoinHandle<()>)>,
    addresses: Vec<MemberAddress>,
    _folder: tempfile::TempDir,
}

fn soon() -> Deadline {
    Deadline::now() + Duration::from_secs(30)
}

/// A member that takes every caller for this one.
async fn member(
    folder: &Path,
    node: u64,
    caller: Caller,
) -> (Arc<Member>, MemberAddress, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = MemberConfig {
        segment_bytes: 256 * 1024,
        free_bytes_min: 0,
        start: match node {
            1 => FirstStart::FormGroup,
            _ => FirstStart::AwaitGroup,
        },
        address: address.clone(),
        transport: Arc::new(Tcp),
        ..MemberConfig::new(folder.join(node.to_string()), node)
    };
    let member = Member::open(config).await.unwrap();
    let served = Arc::clone(&member);
    let serving = tokio::spawn(async move {
        let connections = TcpListenerStream::new(listener).map(move |stream| {
            let stream = stream?;
            stream.set_nodelay(true)?;
            Ok(PeerConnection::from_peer(Box::new(stream), caller))
        });
        served.serve_peers(connections).await.unwrap();
    });
    (member, MemberAddress { node, address }, serving)
}

impl Group {
    async fn of_three() -> Group {
        let folder = tempfile::tempdir().unwrap();
        let (mut members, mut addresses) = (Vec::new(), Vec::new());
        for node in 1..=3_u64 {
            let (member, address, serving) = member(folder.path(), node, SOMEBODY).await;
            members.push((member, serving));
            addresses.push(address);
        }
        let first = Arc::clone(&members[0].0);
        for other in &addresses[1..] {
            first
                .add_learner(other.node, &other.address, soon())
                .await
                .unwrap();
        }
        first
            .set_voters(BTreeSet::from([1, 2, 3]), soon())
            .await
            .unwrap();
        Group {
            members,
            addresses,
            _folder: folder,
        }
    }

    fn client(&self) -> Client {
        Client::new(self.addresses.clone(), Arc::new(Tcp), &RandomIds)
    }
}

async fn gateway() -> Subject {
    let group = Group::of_three().await;
    let client = Arc::new(group.client());
    // A gateway keeps nothing: a new one has all that the old one had.
    let addresses = group.addresses.clone();
    let restart = move || {
        let addresses = addresses.clone();
        async move {
            let client: Arc<dyn MetadataStore> =
                Arc::new(Client::new(addresses, Arc::new(Tcp), &RandomIds));
            client
        }
    };
    let subject = Subject::new(client, restart).keeping(group);
    subject.that_never_leads()
}

ports::metadata_store_suite!(gateway);

#[tokio::test(flavor = "multi_thread")]
async fn member_that_dies_is_not_noticed() {
    let group = Group::of_three().await;
    let client = group.client();
    for (member, serving) in &group.members[..1] {
        client.read(Query::Cluster, soon()).await.unwrap();
        serving.abort();
        member.shutdown().await;
    }
    let deadline = Deadline::now() + Duration::from_secs(5);
    for _ in 0..10 {
        client.read(Query::Cluster, deadline).await.unwrap();
    }
    let cluster = metadata::ClusterId(7);
    let command = metadata::Command::InitializeCluster { cluster };
    client.propose(command, deadline).await.unwrap();
    assert!(client.health().can_confirm);
}

/// Members of an older build would not understand it, and it would stop them in their log.
#[tokio::test(flavor = "multi_thread")]
async fn command_of_a_later_format_is_not_sent() {
    let group = Group::of_three().await;
    let client = group.client();
    let label = "Blue".to_owned();
    let reply = client.propose(Command::SetLabel { label }, soon()).await;
    let (needed, current) = (2, metadata::FORMAT);
    let refused = Reply::Refused(Refusal::FormatTooLow { needed, current });
    assert_eq!(reply.unwrap(), refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_that_is_denied_something_hears_it_at_once() {
    let gateway = Caller {
        node: 9,
        is_member: false,
    };
    let folder = tempfile::tempdir().unwrap();
    let (member, address, serving) = member(folder.path(), 1, gateway).await;
    let client = Client::new(vec![address], Arc::new(Tcp), &RandomIds);
    let node = NodeId(1);
    let far = Deadline::now() + Duration::from_secs(3_600);
    let denied = client.propose(Command::RemoveNode { node }, far).await;
    assert!(
        matches!(denied, Err(MetadataFailure::Unavailable { .. })),
        "{denied:?}"
    );
    let denied = client.read(Query::Authority, far).await;
    assert!(
        matches!(denied, Err(MetadataFailure::Unavailable { .. })),
        "{denied:?}"
    );
    serving.abort();
    member.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_hands_over_is_hardly_noticed() {
    let group = Group::of_three().await;
    let client = group.client();
    let done = std::sync::atomic::AtomicBool::new(false);
    let load = async |writes: bool| {
        let mut longest = Duration::ZERO;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let began = Deadline::now();
            if writes {
                let cluster = metadata::ClusterId(7);
                let command = metadata::Command::InitializeCluster { cluster };
                client.propose(command, soon()).await.unwrap();
            } else {
                client.read(Query::Cluster, soon()).await.unwrap();
            }
            longest = longest.max(began.elapsed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        longest
    };
    let hand_over = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let leader = group.members.iter().find(|(member, _)| member.leads());
            if let Some((leader, _)) = leader {
                leader.step_down(soon()).await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (write, read, ()) = futures::join!(load(true), load(false), hand_over);
    println!("the longest write took {write:?}, the longest read {read:?}");
    assert!(write < Duration::from_secs(1), "{write:?}");
    assert!(read < Duration::from_secs(1), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_pulls_get_the_last_state_of_a_member() {
    let group = Group::of_three().await;
    let client = group.client();
    client.read(Query::Cluster, soon()).await.unwrap();
    assert!(client.health().can_confirm);
    for (member, serving) in &group.members[..2] {
        serving.abort();
        member.shutdown().await;
    }
    let look = || client.read_even_stale(Query::Cluster, soon());
    let began = Deadline::now();
    let first = look().await.unwrap();
    assert!(first.stale, "{first:?}");
    let took = began.elapsed();
    assert!(Duration::from_secs(4) < took, "{took:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(!client.health().can_confirm);
    for _ in 0..5 {
        let began = Deadline::now();
        let next = look().await.unwrap();
        assert!(next.stale && next.answer == first.answer, "{next:?}");
        // Members that are gone may be tried before the one that is left.
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
    }
    let deadline = Deadline::now() + Duration::from_millis(500);
    let read = client.read(Query::Cluster, deadline).await;
    assert!(
        matches!(read, Err(MetadataFailure::Unavailable { .. })),
        "{read:?}"
    );
    // Nobody is left who knows anything.
    let (member, serving) = &group.members[2];
    serving.abort();
    member.shutdown().await;
    let deadline = Deadline::now() + Duration::from_millis(500);
    let read = client.read_even_stale(Query::Cluster, deadline).await;
    assert!(
        matches!(read, Err(MetadataFailure::Unavailable { .. })),
        "{read:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_members_nothing_was_done() {
    let nobody = MemberAddress {
        node: 1,
        address: "127.0.0.1:1".to_owned(),
    };
    let client = Client::new(vec![nobody], Arc::new(Tcp), &RandomIds);
    let deadline = Deadline::now() + Duration::from_millis(300);
    let read = client.read(Query::Cluster, deadline).await;
    assert!(
        matches!(read, Err(MetadataFailure::Unavailable { .. })),
        "{read:?}"
    );
    let deadline = Deadline::now() + Duration::from_millis(300);
    let cluster = metadata::ClusterId(7);
    let proposed = client
        .propose(metadata::Command::InitializeCluster { cluster }, deadline)
        .await;
    assert!(
        matches!(proposed, Err(MetadataFailure::Unavailable { .. })),
        "{proposed:?}"
    );
    assert!(!client.health().can_confirm);
}
