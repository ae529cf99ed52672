//! Uploads that go from node to node: begun on one, continued on a second that dies in the middle of a chunk, finished on a
//! third; and two clients that write to one.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cluster_suite::Length;
use faults::Content;
use faults::ledger::{Upload, status_of};
use futures::SinkExt as _;
use futures::channel::mpsc;
use harness::client::{sha256, with_query};
use harness::cluster::Role;
use harness::{Client, Cluster};

const REPOSITORY: &str = "cluster/uploads";

const MIB: usize = 1 << 20;

/// Several parts of 8 MiB, and a tail.
const SIZE: usize = 29 * MIB + 4321;

/// Acknowledged before the trouble begins.
const FIRST: usize = 10 * MIB + 77;

/// What is on its way when it begins.
const CUT_AT: usize = FIRST + 11 * MIB;

const PIECE: usize = 64 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_goes_over_three_nodes_with_a_kill_in_a_chunk() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).gateways(1).start()?;
    for kill in 0..Length::of_this_run().upload_kills {
        let leader = cluster.leader()?;
        let gateway = cluster.running(Role::Gateway)[0];
        let mut others = cluster.running(Role::Member);
        others.retain(|place| *place != leader);
        // Who begins, who dies, who finishes.
        let places = match kill % 3 {
            0 => [others[0], leader, gateway],
            1 => [gateway, others[0], leader],
            _ => [leader, gateway, others[0]],
        };
        kill_in_a_chunk(&mut cluster, kill as u64, places)
            .await
            .with_context(|| format!("upload {kill} over {places:?}"))?;
    }
    cluster.passed();
    Ok(())
}

async fn kill_in_a_chunk(
    cluster: &mut Cluster,
    seed: u64,
    [begins, dies, finishes]: [usize; 3],
) -> anyhow::Result<()> {
    let content = Content::new(1000 + seed, SIZE);
    let whole = Bytes::from(content.bytes());
    let opened = cluster.client_of(begins);
    let opened = opened.post(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
    let opened = opened.send().await?.expect(202)?;
    let second = cluster.client_of(dies);
    let patch = second.patch(opened.location()?).body(whole.slice(..FIRST));
    let patched = patch.send().await?.expect(202)?;
    let location = patched.location()?.to_owned();
    // The rest begins to flow, and its node dies.
    let (mut sender, pieces) = mpsc::channel(0);
    let request = second.patch(&location).stream(pieces);
    let body = whole.clone();
    let cut = async {
        for piece in chunks(&body, FIRST, CUT_AT) {
            sender.send(Ok(piece)).await?;
        }
        cluster.kill(dies);
        drop(sender);
        anyhow::Ok(())
    };
    let (answer, sent) = tokio::join!(request.send(), cut);
    sent?;
    ensure!(answer.is_err(), "a dead node answered {answer:?}");
    let third = cluster.client_of(finishes);
    let upload = Upload {
        repository: REPOSITORY.to_owned(),
        location,
        content,
        offset: FIRST,
    };
    let (offset, location) = status_of(&third, &upload).await?;
    ensure!(
        (FIRST..=CUT_AT).contains(&offset),
        "{FIRST} bytes were acknowledged and at most {CUT_AT} sent, the upload has {offset}"
    );
    let digest = content.digest();
    let range = format!("{offset}-{}", SIZE - 1);
    let patch = third.patch(&location).header("Content-Range", &range);
    let patched = patch
        .body(whole.slice(offset..))
        .send()
        .await?
        .expect(202)?;
    let put = third.put(&with_query(patched.location()?, "digest", &digest));
    put.send().await?.expect(201)?;
    cluster.restart(dies)?;
    cluster.wait_in_order()?;
    for place in [begins, dies, finishes] {
        is_there(&cluster.client_of(place), &digest, &whole).await?;
    }
    Ok(())
}

/// Pieces of this range.
pub fn chunks(whole: &Bytes, from: usize, to: usize) -> Vec<Bytes> {
    let part = whole.slice(from..to);
    let starts = (0..part.len()).step_by(PIECE);
    starts
        .map(|start| part.slice(start..part.len().min(start + PIECE)))
        .collect()
}

/// That the blob is there with these bytes.
pub async fn is_there(client: &Client, digest: &str, whole: &Bytes) -> anyhow::Result<()> {
    let get = client.get(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
    let reply = get.send().await?.expect(200)?;
    ensure!(reply.body == whole, "{digest} has other bytes");
    Ok(())
}

/// Two clients send different bytes to one upload by two nodes at once. One upload ends once, with the bytes of its digest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_on_one_upload_never_mix() -> anyhow::Result<()> {
    let cluster = Cluster::with().members(3).start()?;
    let mut finished = 0;
    for round in 0..8_u64 {
        let opened = cluster.client_of(0);
        let opened = opened.post(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
        let location = opened.send().await?.expect(202)?.location()?.to_owned();
        let contents = [0, 1].map(|who| Content::new(7000 + 2 * round + who, 9 * MIB + 5));
        let [one, other] = [1, 2].map(|place| cluster.client_of(place));
        let outcomes = tokio::join!(
            write_whole(&one, &location, contents[0]),
            write_whole(&other, &location, contents[1]),
        );
        let done = [outcomes.0?, outcomes.1?];
        ensure!(done != [true, true], "one upload was finished twice");
        for (content, done) in contents.into_iter().zip(done) {
            let get = one.get(&format!("/v2/{REPOSITORY}/blobs/{}", content.digest()));
            let reply = get.send().await?.expect(if done { 200 } else { 404 })?;
            let served = sha256(&reply.body);
            ensure!(!done || served == content.digest(), "{served}");
            finished += usize::from(done);
        }
    }
    println!("{finished} of 8 uploads were finished by one of two clients");
    cluster.passed();
    Ok(())
}

/// As docker does: a stream without a range, then the digest. Says whether it was finished; a refusal is one of 4xx.
async fn write_whole(client: &Client, location: &str, content: Content) -> anyhow::Result<bool> {
    let whole = Bytes::from(content.bytes());
    let pieces = chunks(&whole, 0, whole.len()).into_iter().map(Ok);
    let patch = client.patch(location).stream(futures::stream::iter(pieces));
    let patched = patch.send().await?;
    if !patched.status.is_success() {
        ensure!(patched.status.is_client_error(), "{patched:?}");
        return Ok(false);
    }
    let put = client.put(&with_query(
        patched.location()?,
        "digest",
        &content.digest(),
    ));
    let closed = put.send().await?;
    ensure!(
        closed.status == 201 || closed.status.is_client_error(),
        "{closed:?}"
    );
    Ok(closed.status == 201)
}
