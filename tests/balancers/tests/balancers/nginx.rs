//! What nginx does otherwise than HAProxy, the weaker promise that the documentation tells included.

use std::time::{Duration, Instant};

use balancers::Fault;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{BEFORE_THE_ANSWER, Kind, MANIFEST, SOON, bytes_of, cluster, is_balancers_error};

/// Twenty failures within a second, and nginx takes a node for dead (`max_fails`): each twenty have nodes of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifest_whose_node_fails_is_201_of_another_node_200_times() -> anyhow::Result<()> {
    for _ in 0..10 {
        let (nodes, balancer) = cluster(Kind::Nginx).await?;
        let client = balancer.client();
        for turn in 0..20 {
            nodes.order(BEFORE_THE_ANSWER[turn % BEFORE_THE_ANSWER.len()]);
            let put = client.put(MANIFEST).body(bytes_of(60_000));
            put.send().await?.expect(201)?;
            nodes.revive().await?;
        }
        assert_eq!(nodes.orders_left(), 0);
        assert_eq!(nodes.take_seen().len(), 40);
    }
    Ok(())
}

/// The weaker promise: a node that has failed twenty times is left alone for a second, back or not; when the others are,
/// the failure of the last one reaches the client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_failed_often_are_left_alone_for_a_second() -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(Kind::Nginx).await?;
    let client = balancer.client();
    let mut failures = 0;
    let failed = loop {
        nodes.order(Fault::CloseAfterBody);
        let reply = client.get(MANIFEST).send().await?;
        failures += 1;
        if reply.status != 200 {
            break reply;
        }
        anyhow::ensure!(failures < 200, "no node was taken for dead");
    };
    println!("nobody is left to ask after {failures} failures");
    is_balancers_error(&failed, 503, "UNAVAILABLE");
    let start = Instant::now();
    nodes.order(Fault::CloseAfterBody);
    while client.get(MANIFEST).send().await?.status != 200 || nodes.orders_left() > 0 {
        anyhow::ensure!(start.elapsed() < SOON, "nodes are left alone for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
        if nodes.orders_left() == 0 {
            nodes.order(Fault::CloseAfterBody);
        }
    }
    println!("failures are made good again after {:?}", start.elapsed());
    Ok(())
}

/// It keeps manifests in a file, so their size does not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn largest_manifest_is_repeated_and_more_is_413() -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(Kind::Nginx).await?;
    let client = balancer.client();
    for fault in [Fault::ResetAfterBody, Fault::CloseAfterBody, Fault::Die] {
        nodes.order(fault);
        let put = client.put(MANIFEST).body(bytes_of(4 << 20));
        put.send().await?.expect(201)?;
        nodes.revive().await?;
    }
    let put = client.put(MANIFEST).body(bytes_of(6 << 20));
    is_balancers_error(&put.send().await?, 413, "MANIFEST_INVALID");
    Ok(())
}

/// The free build asks no node whether it is ready: one that says no is sent requests as long as it accepts them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unready_node_is_asked_all_the_same() -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(Kind::Nginx).await?;
    nodes.set_ready(0, false);
    nodes.set_healthy(0, false);
    let client = balancer.client();
    for _ in 0..9 {
        client.get(MANIFEST).send().await?.expect(200)?;
    }
    let seen = nodes.take_seen();
    assert_eq!(seen.iter().filter(|seen| seen.node == 0).count(), 3);
    Ok(())
}

/// nginx counts `DELETE` among what may be repeated, and cannot be told otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delete_is_repeated() -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(Kind::Nginx).await?;
    for fault in BEFORE_THE_ANSWER {
        nodes.order(fault);
        let client = balancer.client();
        client.delete(MANIFEST).send().await?.expect(202)?;
        nodes.revive().await?;
    }
    Ok(())
}

/// What is no HTTP is answered by nginx itself, in JSON. HAProxy 2.6 cannot be told what to say before it has read a head.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_request_is_a_400_in_oci_json() -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(Kind::Nginx).await?;
    let mut stream = TcpStream::connect(balancer.address()).await?;
    let request = "GET /v2/ HTTP/1.1\r\nHost: registry\r\nContent-Length: x\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("content-type: application/json\r\n"),
        "{answer}"
    );
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(body)?;
    assert_eq!(body["errors"][0]["code"], "UNSUPPORTED");
    assert!(nodes.take_seen().is_empty());
    Ok(())
}
