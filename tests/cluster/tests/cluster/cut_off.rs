//! The leader is cut off from its peers but not from its clients: in both directions, and in either one. The others elect at
//! once and clients go on; the cut off node writes nothing, tells nothing old without saying so, and follows when it
//! is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cluster_suite::Load;
use faults::Content;
use faults::operation::{MANIFEST, manifest};
use harness::cluster::Role;
use harness::{Client, Cluster};

const REPOSITORY: &str = "cluster/cut-off";

/// The figure of a release build is 1 s; with room for a debug build on a machine that does other things.
const ELECTED_MAX: Duration = Duration::from_secs(2);

/// Longer than a request is held, so that those that the cut off node holds do not just outlast the cut.
const LONG_CUT: Duration = Duration::from_secs(13);

/// Longer than it takes until pulls may be answered from the last state.
const SHORT_CUT: Duration = Duration::from_secs(7);

/// An election may need a second round.
const TERMS_MAX: f64 = 3.0;

/// What does not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Both,
    /// What the others say.
    Deaf,
    /// What it says itself.
    Mute,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_cut_off_in_both_directions() -> anyhow::Result<()> {
    scenario(&[(Cut::Both, LONG_CUT)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_cut_off_in_one_direction() -> anyhow::Result<()> {
    scenario(&[(Cut::Deaf, SHORT_CUT), (Cut::Mute, SHORT_CUT)]).await
}

async fn scenario(cuts: &[(Cut, Duration)]) -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).links().start()?;
    let client = cluster.client();
    let blobs = [Content::new(1, 200), Content::new(2, 3000)];
    for content in blobs {
        client.push_blob(REPOSITORY, content.bytes()).await?;
    }
    let versions = Versions {
        blobs,
        acknowledged: Arc::default(),
        ended: Arc::default(),
    };
    for (cut, length) in cuts {
        let load = Load::start(cluster.address(), 4, 4)?;
        let done = cut_off(&mut cluster, &versions, *cut, *length).await;
        let report = load.end()?;
        println!("{cut:?} for {length:?}: {}", report.line());
        done.with_context(|| format!("{cut:?}"))?;
        report.ensure_harmless()?;
    }
    cluster.passed();
    Ok(())
}

async fn cut_off(
    cluster: &mut Cluster,
    versions: &Versions,
    cut: Cut,
    length: Duration,
) -> anyhow::Result<()> {
    let leader = cluster.leader()?;
    let mut others = cluster.running(Role::Member);
    others.retain(|place| *place != leader);
    let before = term(cluster, others[0])?;
    versions.ended.store(false, Ordering::SeqCst);
    let clients = others.iter().map(|place| cluster.client_of(*place));
    let writer = tokio::spawn(versions.clone().write(clients.collect()));
    versions.more(5).await?;
    let lonely = cluster.client_of(leader);
    let opened = lonely.post(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
    let upload = opened.send().await?.expect(202)?.location()?.to_owned();

    let began = Instant::now();
    for other in &others {
        if cut != Cut::Mute {
            cluster.links()?.cut(*other, leader);
        }
        if cut != Cut::Deaf {
            cluster.links()?.cut(leader, *other);
        }
    }
    let reader = tokio::spawn(versions.clone().read(lonely.clone()));
    let elected = elected(cluster, others[0], before).await?;
    versions.more(1).await?;
    println!(
        "{cut:?}: another leads after {elected:?}, and writes after {:?}",
        began.elapsed()
    );
    ensure!(began.elapsed() < ELECTED_MAX, "{:?}", began.elapsed());
    if cut == Cut::Both {
        nothing_is_written(&lonely, versions, &upload).await?;
    }
    tokio::time::sleep(length.saturating_sub(began.elapsed())).await;
    let (during, known) = (
        term(cluster, others[0])?,
        versions.acknowledged.load(Ordering::SeqCst),
    );
    cluster.links()?.heal();
    cluster.wait_in_order()?;
    versions.more(5).await?;
    versions.ended.store(true, Ordering::SeqCst);
    writer.await??;
    let [read, warned] = reader.await??;
    println!("{cut:?}: {read} answers of the cut off node, {warned} of them with a warning");
    ensure!(warned > 0, "no pull was answered from the last state");
    let reply = lonely
        .get(&manifest_of("latest"))
        .send()
        .await?
        .expect(200)?;
    ensure!(
        version(&reply.body)? > known && reply.header("Warning").is_none(),
        "{reply:?}"
    );
    let after = term(cluster, others[0])?;
    println!("{cut:?}: terms {before}, {during}, {after}");
    ensure!(
        before < during && during <= before + TERMS_MAX,
        "{before} became {during}"
    );
    ensure!(
        after == during,
        "its return changed the term: {during} became {after}"
    );
    Ok(())
}

/// The term that a node is in: it rises with each election.
fn term(cluster: &mut Cluster, place: usize) -> anyhow::Result<f64> {
    cluster.node(place).metric("holdfast_metadata_term")
}

/// Waits until a node is in a later term, and tells how long it took.
async fn elected(cluster: &mut Cluster, place: usize, before: f64) -> anyhow::Result<Duration> {
    let began = Instant::now();
    while term(cluster, place)? <= before {
        ensure!(began.elapsed() < 10 * ELECTED_MAX, "nobody was elected");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(began.elapsed())
}

fn manifest_of(reference: &str) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

/// What has to be decided by the log is refused by a node that cannot reach it, whatever it remembers.
async fn nothing_is_written(
    lonely: &Client,
    versions: &Versions,
    upload: &str,
) -> anyhow::Result<()> {
    let payload = versions.payload(0);
    let put = |tag| {
        let put = lonely.put(&manifest_of(tag));
        put.header("Content-Type", MANIFEST).body(payload.clone())
    };
    let blob = Content::new(3, 5000);
    let (swap, create, opening, writing, asking, deleting) = tokio::join!(
        put("latest").header("If-Match", "\"sha256:0\"").send(),
        put("new").header("If-None-Match", "*").send(),
        lonely
            .post(&format!("/v2/{REPOSITORY}/blobs/uploads/"))
            .send(),
        lonely.patch(upload).body(blob.bytes()).send(),
        lonely.get(upload).send(),
        lonely.delete(&manifest_of("latest")).send(),
    );
    let all = [
        ("swap", swap?),
        ("creation", create?),
        ("opening", opening?),
        ("writing", writing?),
        ("question", asking?),
        ("deletion", deleting?),
    ];
    for (what, reply) in all {
        ensure!(
            reply.status.as_u16() == 503,
            "a {what} was answered: {reply:?}"
        );
        let text = String::from_utf8_lossy(&reply.body);
        ensure!(
            text.contains("\"errors\"") && reply.header("Retry-After").is_some(),
            "{reply:?}"
        );
    }
    Ok(())
}

/// A tag that goes from one version to the next.
#[derive(Clone)]
struct Versions {
    blobs: [Content; 2],
    acknowledged: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Versions {
    fn payload(&self, version: u64) -> String {
        manifest(
            &self.blobs[0],
            &self.blobs[1],
            &format!("version {version};"),
        )
    }

    /// Moves the tag, by these nodes in turn.
    async fn write(self, clients: Vec<Client>) -> anyhow::Result<()> {
        let mut version = self.acknowledged.load(Ordering::SeqCst);
        while !self.ended.load(Ordering::SeqCst) {
            version += 1;
            let client = &clients[usize::try_from(version)? % clients.len()];
            let put = client.put(&manifest_of("latest"));
            let put = put
                .header("Content-Type", MANIFEST)
                .body(self.payload(version));
            put.send().await?.expect(201)?;
            self.acknowledged.store(version, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Waits until so many more versions are acknowledged.
    async fn more(&self, count: u64) -> anyhow::Result<()> {
        let wanted = self.acknowledged.load(Ordering::SeqCst) + count;
        let wait = async {
            while self.acknowledged.load(Ordering::SeqCst) < wanted {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        waited.context("nothing is acknowledged")
    }

    /// Reads the tag again and again; each answer is as new as what was acknowledged before it was asked for, or says that it
    /// may not be. Gives how many there were, and how many said so.
    async fn read(self, client: Client) -> anyhow::Result<[u64; 2]> {
        let (mut read, mut warned) = (0, 0);
        while !self.ended.load(Ordering::SeqCst) {
            let known = self.acknowledged.load(Ordering::SeqCst);
            let get = client
                .get(&manifest_of("latest"))
                .header("Accept", MANIFEST);
            let reply = get.send().await?.expect(200)?;
            let version = version(&reply.body)?;
            let says_so = reply.header("Warning").is_some();
            ensure!(
                version >= known || says_so,
                "version {version} was read after {known} was acknowledged"
            );
            read += 1;
            warned += u64::from(says_so);
        }
        Ok([read, warned])
    }
}

/// Which version a manifest is.
fn version(payload: &[u8]) -> anyhow::Result<u64> {
    let text = String::from_utf8_lossy(payload);
    let version = text.split("version ").nth(1);
    let version = version.and_then(|rest| rest.split(';').next());
    Ok(version.context("no version")?.parse()?)
}
