//! An object store of whose answers 5 % are 500, before or after the request was carried out, and as many late: pushes and
//! pulls go on, and none takes much longer than the store itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use cluster_suite::Load;
use faults::Content;
use harness::client::with_query;
use harness::poor_store::Poverty;
use harness::{Client, Cluster};

use crate::shared_uploads::chunks;

const REPOSITORY: &str = "cluster/poor-store";

/// Two parts and a tail.
const SIZE: usize = 17 * (1 << 20) + 3;

const PUSHERS: usize = 2;

/// How long clients go on.
const LENGTH: Duration = Duration::from_secs(12);

const POVERTY: Poverty = Poverty {
    failing_percent: 5,
    slow_percent: 5,
    slow_by: Duration::from_millis(1500),
};

/// A request costs a few calls of the store, of which now and then one is late and another is repeated; in a debug build.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// Calls that a run must have made, so that each kind of trouble has come up.
const CALLS_MIN: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_and_pulls_do_not_notice_a_poor_store() -> anyhow::Result<()> {
    let cluster = Cluster::with().members(3).poor_store(POVERTY).start()?;
    let load = Load::start(cluster.address(), 4, 4)?;
    let ended = Arc::new(AtomicBool::new(false));
    let large: Vec<_> = (0..PUSHERS)
        .map(|number| tokio::spawn(push_and_pull(cluster.client(), number, ended.clone())))
        .collect();
    tokio::time::sleep(LENGTH).await;
    ended.store(true, Ordering::Relaxed);
    let mut longest = Duration::ZERO;
    for large in large {
        longest = longest.max(large.await??);
    }
    let report = load.end()?;
    let [calls, failed, slowed] = cluster.poor_store()?.counts();
    println!("{}", report.line());
    println!(
        "{calls} calls, {failed} failed, {slowed} late; the longest large request took {longest:?}"
    );
    report.ensure_unnoticed()?;
    let slowest = report.writes.max_ms.max(report.reads.max_ms);
    ensure!(slowest < REQUEST_MAX.as_secs_f64() * 1000.0, "{slowest} ms");
    ensure!(longest < REQUEST_MAX, "{longest:?}");
    ensure!(calls > CALLS_MIN && failed > calls / 25 && slowed > calls / 25);
    cluster.passed();
    Ok(())
}

/// Pushes blobs as docker does and pulls them, until it is told to end; each request must succeed at once. Gives the longest
/// that one took.
async fn push_and_pull(
    client: Client,
    number: usize,
    ended: Arc<AtomicBool>,
) -> anyhow::Result<Duration> {
    let mut longest = Duration::ZERO;
    let mut seed = 1_000 * (number as u64 + 1);
    while !ended.load(Ordering::Relaxed) {
        seed += 1;
        let content = Content::new(seed, SIZE);
        let whole = Bytes::from(content.bytes());
        let opened = client.post(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
        let opened = opened.send().await?.expect(202)?;
        let pieces = chunks(&whole, 0, whole.len()).into_iter().map(Ok);
        let began = Instant::now();
        let patch = client.patch(opened.location()?);
        let patch = patch.stream(futures::stream::iter(pieces));
        let patched = patch.send().await?.expect(202)?;
        longest = longest.max(began.elapsed());
        let put = with_query(patched.location()?, "digest", &content.digest());
        let began = Instant::now();
        client.put(&put).send().await?.expect(201)?;
        longest = longest.max(began.elapsed());
        let began = Instant::now();
        let get = client.get(&format!("/v2/{REPOSITORY}/blobs/{}", content.digest()));
        let reply = get.send().await?.expect(200)?;
        longest = longest.max(began.elapsed());
        ensure!(reply.body == whole, "{content:?} has other bytes");
    }
    Ok(longest)
}
