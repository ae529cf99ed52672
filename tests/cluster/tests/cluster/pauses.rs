//! Nodes that stand still for 20 s and are let go (SIGSTOP, SIGCONT), as hosts do: what they were in the middle of is no
//! longer theirs when they wake.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cluster_suite::{Length, Load};
use faults::Content;
use faults::ledger::{Upload, status_of};
use futures::SinkExt as _;
use futures::channel::mpsc;
use harness::Cluster;
use harness::client::with_query;
use harness::cluster::Role;

use crate::shared_uploads::{chunks, is_there};

const REPOSITORY: &str = "cluster/uploads";

const MIB: usize = 1 << 20;

/// The scenario: longer than any lease, timeout of a check, or hold time.
const PAUSE: Duration = Duration::from_secs(20);

/// The leader is in the middle of an upload when it stops; another node finishes that upload with other bytes, and clients
/// go on meanwhile. Awake, the old leader writes what nobody will read, and nobody has noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_writer_wakes_after_its_upload_was_finished() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).gateways(1).start()?;
    for pause in 0..Length::of_this_run().pauses {
        for which in 0..if pause == 0 { 1 } else { 3 } {
            let place = match which {
                0 => cluster.leader()?,
                1 => cluster.follower()?,
                _ => cluster.running(Role::Gateway)[0],
            };
            let load = Load::start(cluster.address(), 2, 2)?;
            pause_a_writer(&mut cluster, (10 * pause + which) as u64, place)
                .await
                .with_context(|| format!("pause {pause} of node {place}"))?;
            let report = load.end()?;
            println!("a pause of {PAUSE:?}: {}", report.line());
            report.ensure_harmless()?;
            cluster.wait_in_order()?;
        }
    }
    cluster.passed();
    Ok(())
}

async fn pause_a_writer(cluster: &mut Cluster, seed: u64, place: usize) -> anyhow::Result<()> {
    let mut members = cluster.running(Role::Member);
    members.retain(|member| *member != place);
    let other = cluster.client_of(members[0]);
    let size = 21 * MIB + 9;
    let [theirs, ours] = [0, 1].map(|who| Content::new(9000 + 2 * seed + who, size));
    let opened = other.post(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
    let opened = opened.send().await?.expect(202)?;
    let location = opened.location()?.to_owned();
    let writer = cluster.client_of(place);
    let (mut sender, pieces) = mpsc::channel(0);
    let request = writer.patch(&location).stream(pieces);
    let body = Bytes::from(theirs.bytes());
    let scenario = async {
        for piece in chunks(&body, 0, 12 * MIB) {
            sender.send(Ok(piece)).await?;
        }
        cluster.node(place).pause()?;
        let since = Instant::now();
        finish_elsewhere(cluster, members[1], &location, ours).await?;
        tokio::time::sleep(PAUSE.saturating_sub(since.elapsed())).await;
        cluster.node(place).resume()?;
        for piece in chunks(&body, 12 * MIB, size) {
            // It may refuse at any point.
            if sender.send(Ok(piece)).await.is_err() {
                break;
            }
        }
        drop(sender);
        anyhow::Ok(())
    };
    let (answer, done) = tokio::join!(request.send(), scenario);
    done?;
    if let Ok(reply) = answer {
        ensure!(
            reply.status.is_client_error(),
            "a finished upload was written to: {reply:?}"
        );
    }
    cluster.wait_in_order()?;
    let whole = Bytes::from(ours.bytes());
    for place in cluster.running(Role::Member) {
        let client = cluster.client_of(place);
        is_there(&client, &ours.digest(), &whole).await?;
        let absent = client.head(&format!("/v2/{REPOSITORY}/blobs/{}", theirs.digest()));
        absent.send().await?.expect(404)?;
    }
    Ok(())
}

/// Writes all of the upload anew by another node, and closes it.
async fn finish_elsewhere(
    cluster: &Cluster,
    place: usize,
    location: &str,
    content: Content,
) -> anyhow::Result<()> {
    let client = cluster.client_of(place);
    let upload = Upload {
        repository: REPOSITORY.to_owned(),
        location: location.to_owned(),
        content,
        offset: 0,
    };
    // What the paused node had checkpointed is not ours: the location that was given first starts at 0.
    let (checkpointed, _) = status_of(&client, &upload).await?;
    println!("the paused node had checkpointed {checkpointed} bytes");
    let pieces = chunks(&content.bytes().into(), 0, content.size());
    let patch = client.patch(location);
    let patch = patch.stream(futures::stream::iter(pieces.into_iter().map(Ok)));
    let patched = patch.send().await?.expect(202)?;
    let put = client.put(&with_query(
        patched.location()?,
        "digest",
        &content.digest(),
    ));
    put.send().await?.expect(201)?;
    Ok(())
}
