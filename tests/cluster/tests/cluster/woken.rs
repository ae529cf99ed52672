//! A leader that stood still does not know that another one leads when it wakes, and answers to questions of its time are
//! on their way to it. What it is asked then it must not answer from what it knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cluster_suite::Length;
use faults::Content;
use faults::operation::{MANIFEST, manifest};
use harness::cluster::Role;
use harness::{Client, Cluster};

const REPOSITORY: &str = "cluster/woken";

/// Who asks the leader when it wakes.
const READERS: usize = 24;

/// Who keeps it busy, so that answers of the others are on their way to it whenever it stops.
const BUSY: usize = 12;

/// Longer than elections take.
const PAUSE: Duration = Duration::from_millis(1200);

/// So long it is asked after it woke.
const AWAKE: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn woken_leader_answers_nothing_old() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).start()?;
    let client = cluster.client();
    let [config, layer] = [Content::new(1, 200), Content::new(2, 3000)];
    for content in [config, layer] {
        client.push_blob(REPOSITORY, content.bytes()).await?;
    }
    let payload: Arc<dyn Fn(u64) -> String + Send + Sync> =
        Arc::new(move |version| manifest(&config, &layer, &format!("version {version};")));
    let acknowledged = Arc::new(AtomicU64::new(0));
    for round in 0..Length::of_this_run().wakings {
        let leader = cluster.leader()?;
        let others: Vec<Client> = cluster
            .running(Role::Member)
            .into_iter()
            .filter(|place| *place != leader)
            .map(|place| cluster.client_of(place))
            .collect();
        let ended = Arc::new(AtomicBool::new(false));
        let writer = write(others, payload.clone(), acknowledged.clone(), ended.clone());
        let writer = tokio::spawn(writer);
        let busy: Vec<_> = (0..BUSY)
            .map(|number| {
                let client = cluster.client_of(number % 3);
                tokio::spawn(keep_busy(client, number, payload.clone(), ended.clone()))
            })
            .collect();
        // The leader has much on its way when it stops.
        more(&acknowledged, 10).await?;
        cluster.node(leader).pause()?;
        tokio::time::sleep(PAUSE).await;
        more(&acknowledged, 10).await?;
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                let client = cluster.client_of(leader);
                tokio::spawn(read(client, acknowledged.clone(), ended.clone()))
            })
            .collect();
        cluster.node(leader).resume()?;
        tokio::time::sleep(AWAKE).await;
        ended.store(true, Ordering::SeqCst);
        writer.await??;
        for busy in busy {
            busy.await?;
        }
        let mut reads = 0;
        for reader in readers {
            reads += reader.await?.with_context(|| format!("round {round}"))?;
        }
        ensure!(reads > 0, "nothing was read");
        cluster.wait_in_order()?;
    }
    cluster.passed();
    Ok(())
}

/// Waits until so many more versions are acknowledged.
async fn more(acknowledged: &AtomicU64, count: u64) -> anyhow::Result<()> {
    let wanted = acknowledged.load(Ordering::SeqCst) + count;
    let wait = async {
        while acknowledged.load(Ordering::SeqCst) < wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    waited.context("nothing is acknowledged")
}

/// Moves the tag to one version after another, by the nodes that do not stand still.
async fn write(
    clients: Vec<Client>,
    payload: Arc<dyn Fn(u64) -> String + Send + Sync>,
    acknowledged: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let mut version = acknowledged.load(Ordering::SeqCst);
    while !ended.load(Ordering::SeqCst) {
        version += 1;
        let client = &clients[usize::try_from(version)? % clients.len()];
        let put = client.put(&format!("/v2/{REPOSITORY}/manifests/latest"));
        let put = put.header("Content-Type", MANIFEST).body(payload(version));
        put.send().await?.expect(201)?;
        acknowledged.store(version, Ordering::SeqCst);
    }
    Ok(())
}

/// Moves a tag of its own, whatever comes of it.
async fn keep_busy(
    client: Client,
    number: usize,
    payload: Arc<dyn Fn(u64) -> String + Send + Sync>,
    ended: Arc<AtomicBool>,
) {
    let mut version = 0;
    while !ended.load(Ordering::SeqCst) {
        version += 1;
        let put = client.put(&format!("/v2/{REPOSITORY}/manifests/busy-{number}"));
        let put = put.header("Content-Type", MANIFEST).body(payload(version));
        // Its node may stand still or be in an election: that is what it is for.
        let _ = put.send().await;
    }
}

/// Reads the tag again and again; each answer is as new as what was acknowledged before it was asked for, or says that it may
/// not be.
async fn read(
    client: Client,
    acknowledged: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
) -> anyhow::Result<u64> {
    let mut reads = 0;
    while !ended.load(Ordering::SeqCst) {
        let known = acknowledged.load(Ordering::SeqCst);
        let get = client.get(&format!("/v2/{REPOSITORY}/manifests/latest"));
        let reply = get.header("Accept", MANIFEST).send().await?.expect(200)?;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let version = text.split("version ").nth(1);
        let version = version.and_then(|rest| rest.split(';').next());
        let version: u64 = version.context("no version")?.parse()?;
        ensure!(
            version >= known || reply.header("Warning").is_some(),
            "version {version} was read after {known} was acknowledged"
        );
        reads += 1;
    }
    Ok(reads)
}
