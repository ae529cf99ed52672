//! Bodies that are larger than any buffer and slower than any usual deadline.

use std::sync::Arc;
use std::time::Duration;

use balancers::{Fault, Nodes};
use futures::StreamExt as _;

use crate::{Kind, MANIFEST, SOON, UPLOAD, bytes_of, cluster};

const PIECE: usize = 1 << 20;
const PIECES: usize = 256;

/// How far the nodes may be behind the client. Sockets between them hold a few megabytes.
const BEHIND_MAX: usize = 32 * PIECE;

/// What a balancer may have resident, whatever passes through it.
const MEMORY_MAX: u64 = 64 << 20;

/// Bytes reach a node while the client is still sending, and the balancer keeps none of them, in memory or elsewhere.
pub async fn upload_of_256_mib_is_not_buffered(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    let nodes = Arc::new(nodes);
    let watched = Arc::clone(&nodes);
    let piece = bytes_of(PIECE);
    let pieces = futures::stream::iter(0..PIECES).then(move |sent| {
        let (nodes, piece) = (Arc::clone(&watched), piece.clone());
        async move {
            let due = (sent * PIECE).saturating_sub(BEHIND_MAX) as u64;
            let arrived = nodes.wait_for_body_bytes(due, SOON).await;
            arrived.map(|()| piece).map_err(std::io::Error::other)
        }
    });
    let patch = balancer
        .client()
        .patch(UPLOAD)
        .stream(Box::pin(pieces))
        .send()
        .await?;
    patch.expect(202)?;
    assert_eq!(nodes.body_bytes(), (PIECES * PIECE) as u64);
    let peak = balancer.memory_peak_bytes()?;
    println!("memory peak: {} KiB", peak >> 10);
    assert!(peak < MEMORY_MAX, "{peak} bytes");
    Ok(())
}

/// Pauses of some seconds in a body and before an answer harm nobody, and the rest of the time is in the file.
pub async fn slow_bodies_and_answers_are_not_cut(kind: Kind) -> anyhow::Result<()> {
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
    let text = match kind {
        Kind::Haproxy => include_str!("../../../../deploy/haproxy/haproxy.cfg"),
        Kind::Nginx => include_str!("../../../../deploy/nginx/nginx.conf"),
    };
    let times: &[&str] = match kind {
        Kind::Haproxy => &["timeout client 15m", "timeout server 15m"],
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
    Ok(())
}

async fn answered_late(nodes: &Nodes, client: &harness::Client) -> anyhow::Result<()> {
    nodes.order(Fault::Slow(Duration::from_secs(6)));
    client.get(MANIFEST).send().await?.expect(200)?;
    Ok(())
}
