//! Bodies that are larger than any buffer.

use std::sync::Arc;

use futures::StreamExt as _;

use crate::{Kind, SOON, UPLOAD, bytes_of, cluster};

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
