//! What balancers wait for, and what they do not: pauses in bodies and before answers, nodes that fall silent.

use std::time::Duration;

use balancers::{Fault, Nodes};
use futures::StreamExt as _;

use crate::{Kind, MANIFEST, UPLOAD, bytes_of, cluster};

/// All at once, since they do nothing but wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pauses_are_endured_and_silence_is_not() -> anyhow::Result<()> {
    tokio::try_join!(
        pauses_are_endured(Kind::Haproxy),
        pauses_are_endured(Kind::Nginx),
        pauses_are_endured(Kind::Own),
        silence_is_not_endured(Kind::Haproxy),
        silence_is_not_endured(Kind::Nginx),
        silence_is_not_endured(Kind::Own),
    )?;
    Ok(())
}

/// Pauses of some seconds in a body and before an answer harm nobody.
async fn pauses_are_endured(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    let (client, other) = (balancer.client(), balancer.client());
    let pieces = futures::stream::iter(0..3).then(|sent| async move {
        tokio::time::sleep(Duration::from_secs(if sent == 0 { 0 } else { 3 })).await;
        Ok(bytes_of(1000))
    });
    let patch = client.patch(UPLOAD).stream(Box::pin(pieces)).send();
    let late = answered_late(&nodes, &other);
    let (patch, late) = tokio::join!(patch, late);
    patch?.expect(202)?;
    late?;
    times_are_long(kind);
    Ok(())
}

/// What no test waits for is looked up in the file.
fn times_are_long(kind: Kind) {
    let text = match kind {
        Kind::Haproxy => include_str!("../../../../deploy/haproxy/haproxy.cfg"),
        Kind::Nginx => include_str!("../../../../deploy/nginx/nginx.conf"),
        Kind::Own => include_str!("../../../../crates/balancer/src/settings.rs"),
    };
    let times: &[&str] = match kind {
        Kind::Haproxy => &["timeout client 15m", "timeout server 15m"],
        Kind::Own => &["quiet_timeout: Duration::from_secs(15 * 60),"],
        Kind::Nginx => &[
            "client_body_timeout 15m;",
            "send_timeout 15m;",
            "proxy_read_timeout 15m;",
            "proxy_send_timeout 15m;",
        ],
    };
    for time in times {
        assert!(text.lines().any(|line| line.trim() == *time), "{time}");
    }
}

async fn answered_late(nodes: &Nodes, client: &harness::Client) -> anyhow::Result<()> {
    nodes.order(Fault::Slow(Duration::from_secs(6)));
    client.get(MANIFEST).send().await?.expect(200)?;
    Ok(())
}

/// A host that vanishes ends no connection. Its node's silence is noticed before a client's patience ends.
async fn silence_is_not_endured(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    nodes.order(Fault::Slow(Duration::from_secs(600)));
    let client = balancer.client();
    let put = client.put(MANIFEST).body(bytes_of(60_000)).send();
    nodes.order(Fault::Slow(Duration::from_secs(600)));
    let get = client.get(MANIFEST).send();
    let (put, get) = tokio::join!(put, get);
    put?.expect(201)?;
    get?.expect(200)?;
    assert_eq!(nodes.take_seen().len(), 4);
    Ok(())
}
