//! The object store goes away for 10 s in the middle of pushes: they wait, and are answered as if nothing had been.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cluster_suite::Length;
use faults::Content;
use harness::client::with_query;
use harness::{Client, Cluster};

use crate::shared_uploads::chunks;

const REPOSITORY: &str = "cluster/store";

const PUSHERS: usize = 4;

/// Two parts and a tail.
const SIZE: usize = 19 * (1 << 20) + 3;

/// The scenario.
const AWAY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_outlast_the_object_store() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).start()?;
    let ended = Arc::new(AtomicBool::new(false));
    let pushed = Arc::new(AtomicUsize::new(0));
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|number| {
            tokio::spawn(push(
                cluster.client(),
                number,
                ended.clone(),
                pushed.clone(),
            ))
        })
        .collect();
    for _ in 0..Length::of_this_run().store_losses {
        more(&pushed, PUSHERS).await?;
        cluster.garage().kill();
        tokio::time::sleep(AWAY).await;
        cluster.garage().restart()?;
        more(&pushed, 2 * PUSHERS).await?;
    }
    ended.store(true, Ordering::Relaxed);
    for pusher in pushers {
        let contents = pusher.await??;
        for content in contents {
            let get = cluster.client();
            let get = get.get(&format!("/v2/{REPOSITORY}/blobs/{}", content.digest()));
            let reply = get.send().await?.expect(200)?;
            ensure!(reply.body == content.bytes(), "{content:?} has other bytes");
        }
    }
    cluster.wait_in_order()?;
    cluster.passed();
    Ok(())
}

/// Waits until so many more pushes are acknowledged.
async fn more(pushed: &AtomicUsize, count: usize) -> anyhow::Result<()> {
    let wanted = pushed.load(Ordering::Relaxed) + count;
    let wait = async {
        while pushed.load(Ordering::Relaxed) < wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(90), wait).await;
    waited.context("no push is acknowledged any more")
}

/// Pushes blobs as docker does until it is told to end; each request must succeed at once.
async fn push(
    client: Client,
    number: usize,
    ended: Arc<AtomicBool>,
    pushed: Arc<AtomicUsize>,
) -> anyhow::Result<Vec<Content>> {
    let mut contents = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let seed = 100_000 * (number + 1) + contents.len();
        let content = Content::new(seed as u64, SIZE);
        let whole = Bytes::from(content.bytes());
        let opened = client.post(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
        let opened = opened.send().await?.expect(202)?;
        let pieces = chunks(&whole, 0, whole.len()).into_iter().map(Ok);
        let patch = client.patch(opened.location()?);
        let patch = patch.stream(futures::stream::iter(pieces));
        let patched = patch.send().await?.expect(202)?;
        let put = client.put(&with_query(
            patched.location()?,
            "digest",
            &content.digest(),
        ));
        put.send().await?.expect(201)?;
        contents.push(content);
        pushed.fetch_add(1, Ordering::Relaxed);
    }
    Ok(contents)
}
