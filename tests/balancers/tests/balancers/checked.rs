//! What HAProxy and our own balancer do, and nginx does not: they know which nodes are ready, and repeat no `DELETE`.

use std::time::{Duration, Instant};

use balancers::{Fault, Nodes};
use harness::Client;

use crate::repeated::is_not_repeated;
use crate::{BEFORE_THE_ANSWER, Kind, MANIFEST, SOON, UPLOAD, bytes_of, cluster};

/// How soon a node that is not ready is left alone: less than the five seconds for which a node that stops goes on
/// accepting.
const NOTICED_MAX: Duration = Duration::from_secs(3);

/// More requests than there are nodes, so that each had its turn.
const ROUND: usize = 9;

/// The nodes that answer a round of requests.
async fn round(nodes: &Nodes, client: &Client) -> anyhow::Result<Vec<usize>> {
    nodes.take_seen();
    for _ in 0..ROUND {
        client.get(MANIFEST).send().await?.expect(200)?;
    }
    let mut answered: Vec<usize> = nodes.take_seen().iter().map(|seen| seen.node).collect();
    answered.sort_unstable();
    answered.dedup();
    Ok(answered)
}

/// Waits until just these nodes answer, and returns how long it took. No request fails on the way.
async fn until_answered_by(
    nodes: &Nodes,
    client: &Client,
    wanted: &[usize],
) -> anyhow::Result<Duration> {
    let start = Instant::now();
    loop {
        let answered = round(nodes, client).await?;
        if answered == wanted {
            return Ok(start.elapsed());
        }
        anyhow::ensure!(
            start.elapsed() < SOON,
            "{answered:?} answer, not {wanted:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn unready_node_is_left_alone_until_no_node_is_ready(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    let client = balancer.client();
    assert_eq!(round(&nodes, &client).await?, [0, 1, 2]);

    nodes.set_ready(0, false);
    let took = until_answered_by(&nodes, &client, &[1, 2]).await?;
    println!("a node that is not ready is left alone after {took:?}");
    assert!(took < NOTICED_MAX, "{took:?}");

    // No node is ready, one is not even healthy: the healthy two serve.
    nodes.set_healthy(2, false);
    nodes.set_ready(1, false);
    nodes.set_ready(2, false);
    let took = until_answered_by(&nodes, &client, &[0, 1]).await?;
    println!("when none is ready, the healthy ones alone serve after {took:?}");

    nodes.set_ready(2, true);
    let took = until_answered_by(&nodes, &client, &[2]).await?;
    println!("a node that is ready again serves alone after {took:?}");
    assert!(took < NOTICED_MAX, "{took:?}");
    Ok(())
}

pub async fn manifest_whose_node_fails_is_201_of_another_node_200_times(
    kind: Kind,
) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    let client = balancer.client();
    for turn in 0..200 {
        nodes.order(BEFORE_THE_ANSWER[turn % BEFORE_THE_ANSWER.len()]);
        let put = client.put(MANIFEST).body(bytes_of(60_000));
        put.send().await?.expect(201)?;
        nodes.revive().await?;
    }
    assert_eq!(nodes.orders_left(), 0);
    let seen = nodes.take_seen();
    assert_eq!(seen.iter().filter(|seen| seen.fault.is_some()).count(), 200);
    assert_eq!(seen.len(), 400);
    Ok(())
}

pub async fn small_blob_is_repeated_and_large_manifest_is_not(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    for fault in BEFORE_THE_ANSWER {
        nodes.order(fault);
        let client = balancer.client();
        let put = client.put(UPLOAD).body(bytes_of(96 << 10));
        put.send().await?.expect(201)?;
        nodes.revive().await?;
    }
    for fault in [Fault::ResetAfterBody, Fault::CloseAfterBody, Fault::Die] {
        let client = balancer.client();
        let put = client.put(MANIFEST).body(bytes_of(400_000));
        is_not_repeated(&nodes, fault, put).await?;
    }
    Ok(())
}

pub async fn delete_is_not_repeated(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    for fault in BEFORE_THE_ANSWER {
        let client = balancer.client();
        is_not_repeated(&nodes, fault, client.delete(MANIFEST)).await?;
    }
    Ok(())
}
