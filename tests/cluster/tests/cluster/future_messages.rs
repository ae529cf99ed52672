//! A node of the cluster, with its own certificate, that says what this build does not know, as a newer one would: each
//! message is refused with a reason, told in one line, and changes nothing.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cluster_suite::Load;
use futures::StreamExt as _;
use harness::Cluster;
use harness::cluster::Role;
use identity::{Credentials, NodeIdentity, Revoked};
use mesh::Mesh;
use metadata::{Command, CommandId, Entry, LogIndex, LogTime, NodeAnnouncement, NodeId};
use peers::{Connections, Response, Status};
use wire::peer::{AppendRequest, AskRequest, ProposeReply, ProposeRequest};

/// A field that no message has, with a few bytes in it: what a newer build's new kind looks like.
const UNKNOWN: &[u8] = &[0xFA, 0x3F, 0x03, b'n', b'e', b'w'];

const ANSWER_MAX: Duration = Duration::from_secs(10);

const LINE: &str = "a message of another node is not understood";

/// A format that is far ahead.
const FAR: u32 = 99;

/// The calls of the node of a data folder.
fn connections_of(data: &std::path::Path) -> anyhow::Result<Connections> {
    let identity = NodeIdentity::load(&data.join("node"))?.context("no identity")?;
    let credentials = Credentials::new(identity, Revoked::default())?;
    Ok(Connections::new(Arc::new(Mesh::new(credentials))))
}

async fn refused<T>(
    what: &str,
    call: impl Future<Output = Result<T, Status>>,
) -> anyhow::Result<()> {
    let answer = tokio::time::timeout(ANSWER_MAX, call).await?;
    let status = answer.err().with_context(|| format!("{what} was taken"))?;
    println!("{what}: {status}");
    ensure!(status.message().len() > 10, "no reason: {status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_a_later_build_do_no_harm() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).gateways(1).start()?;
    let load = Load::start(cluster.address(), 2, 2)?;
    let leader = cluster.leader()?;
    let before = cluster.metric_of(leader, "holdfast_metadata_term")?;
    let followers = cluster.running(Role::Member);
    let followers: Vec<usize> = followers
        .into_iter()
        .filter(|place| *place != leader)
        .collect();
    let as_member = connections_of(&cluster.node(followers[0]).data())?;
    for place in [leader, followers[1]] {
        let (id, address) = (
            cluster.id_of(place)?,
            cluster.node(place).peer_address().to_owned(),
        );
        say_new_things(&as_member, id, &address).await?;
        let said = cluster.said(place);
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(LINE)).collect();
        ensure!(lines.len() == 1, "{lines:?}");
        println!("{}", lines[0]);
    }
    let gateway = cluster.running(Role::Gateway)[0];
    announce_a_later_build(&mut cluster, gateway, leader).await?;
    load.end()?.ensure_unnoticed()?;
    cluster.wait_in_order()?;
    ensure!(cluster.leader()? == leader, "the leader has changed");
    ensure!(cluster.metric_of(leader, "holdfast_metadata_term")? == before);
    cluster.passed();
    Ok(())
}

async fn say_new_things(connections: &Connections, id: u64, address: &str) -> anyhow::Result<()> {
    let mut client = connections.client(id, address);
    let unknown = Bytes::from_static(UNKNOWN);
    let append = AppendRequest {
        vote: wire::Vote {
            term: 1,
            node: id,
            committed: true,
        },
        previous: None,
        entries: vec![unknown.clone()],
        commit: None,
    };
    let mut appending = client.clone();
    let appended = async {
        let replies = appending.append(futures::stream::iter([append])).await?;
        let mut replies = replies.into_inner();
        match replies.next().await {
            Some(reply) => reply.map(drop),
            None => Ok(()),
        }
    };
    refused("an entry of an unknown kind", appended).await?;
    let request = ProposeRequest {
        entry: unknown.clone(),
        patience_ms: 1000,
    };
    refused("an unknown command", client.propose(request)).await?;
    let request = AskRequest {
        query: unknown,
        patience_ms: 1000,
        may_be_stale: true,
    };
    refused("an unknown question", client.ask(request)).await?;
    let mut client = client.max_encoding_message_size(2 * peers::MESSAGE_BYTES_MAX);
    let request = ProposeRequest {
        entry: vec![0; peers::MESSAGE_BYTES_MAX].into(),
        patience_ms: 1000,
    };
    refused("a message without end", client.propose(request)).await
}

/// A gateway that knows formats which nobody else knows joins in as any other; the log's format stays.
async fn announce_a_later_build(
    cluster: &mut Cluster,
    gateway: usize,
    leader: usize,
) -> anyhow::Result<()> {
    let connections = connections_of(&cluster.node(gateway).data())?;
    let (id, node) = (cluster.id_of(leader)?, cluster.id_of(gateway)?);
    let (peer_address, client_address) = {
        let gateway = cluster.node(gateway);
        (
            gateway.peer_address().to_owned(),
            gateway.address().to_owned(),
        )
    };
    let entry = Entry {
        id: CommandId {
            incarnation: 0x00F0_0BA5,
            sequence: 0,
        },
        seen: LogIndex(0),
        stamped: LogTime(0),
        command: Command::AnnounceNode {
            node: NodeId(node),
            announcement: NodeAnnouncement {
                name: "later".to_owned(),
                peer_address,
                client_address,
                version: "99.0.0".to_owned(),
                format_max: FAR,
            },
        },
    };
    let mut client = connections.client(id, cluster.node(leader).peer_address());
    let request = ProposeRequest {
        entry: wire::encode_entry(&entry).into(),
        patience_ms: 5000,
    };
    let reply = client.propose(request).await.map(Response::into_inner)?;
    ensure!(matches!(reply, ProposeReply::Reply(_)), "{reply:?}");
    let status: serde_json::Value = serde_json::from_str(&cluster.command(&["status", "--json"])?)?;
    ensure!(status["format"] == 1, "{status}");
    Ok(())
}
