//! `mixed`: writers and readers without pause, for what a cluster does when something is done to it.
//!
//! Each writer has a tag of its own. It pushes a small blob, then a manifest that names it and carries the next version,
//! and moves its tag there. A reader takes the version that a tag's writer knows to be acknowledged, reads the tag, and
//! wants that version or a later one (unless the answer carries `Warning: 299`), then reads the blob that it names.
//! After the run everything acknowledged is read back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, WARNING};
use http::{Method, Request, StatusCode};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::client::{Client, Target, full, get, location, request};
use crate::image::{Image, digest_of};
use crate::push::push_small;
use crate::watch::{Calendar, Failed, Failures, Side, StallMonitor, Stretch, Watch};

/// The config of all images.
const CONFIG: &[u8] = b"{}";

/// The annotation that carries the version.
const VERSION: &str = "holdfast-load.version";

/// After a failure a worker waits a moment, so that a dead registry is not hammered.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);

/// So many failures of reading back are told.
const LOST_SHOWN_MAX: usize = 20;

/// What is done where.
pub struct Plan {
    /// The registry.
    pub target: Arc<Target>,
    /// The repository.
    pub repository: String,
    /// How many write.
    pub writers: u32,
    /// How many read.
    pub readers: u32,
    /// Bytes of each blob.
    pub blob_size: u64,
    /// How long, unless SIGTERM or SIGINT ends it before.
    pub duration: Duration,
    /// Whether everything acknowledged is read back.
    pub read_back: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    name: &'static str,
    seconds: f64,
    /// Blobs and manifests that were acknowledged.
    writes: Side,
    /// Manifests and blobs that were read.
    reads: Side,
    /// Requests that failed, those of the next line excepted.
    failures: u64,
    failed: Vec<Failed>,
    /// Bodies of blobs that were cut, on their way in or out: the client sends or asks again.
    blob_body_failures: u64,
    blob_bodies_failed: Vec<Failed>,
    /// Answers that said themselves that they may be stale.
    warned: u64,
    /// Acknowledged things that were read back after the run.
    read_back: u64,
    /// Acknowledged things that were not there, or were others.
    lost: Vec<String>,
    /// Times in which the machine stood still.
    stalls: Vec<Stretch>,
}

impl Report {
    /// How many requests failed that may not, and how much was lost.
    pub fn failures(&self) -> u64 {
        self.failures + self.lost.len() as u64
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "mixed: {:.1} s, {} failed, {} bodies of blobs cut, {} warned, {} read back, {} lost, {} stalls\n{}\n{}",
            self.seconds,
            self.failures,
            self.blob_body_failures,
            self.warned,
            self.read_back,
            self.lost.len(),
            self.stalls.len(),
            self.writes.line("writes"),
            self.reads.line("reads"),
        );
        for failed in self.failed.iter().take(LOST_SHOWN_MAX) {
            text.push_str(&format!("\nfailed: {}", failed.message));
        }
        for lost in &self.lost {
            text.push_str(&format!("\nlost: {lost}"));
        }
        text
    }
}

/// What all workers share.
struct Run {
    plan: Plan,
    writes: Watch,
    reads: Watch,
    failures: Failures,
    blob_bodies: Failures,
    warned: AtomicU64,
    ended: AtomicBool,
    /// For each writer the last version that was acknowledged.
    versions: Vec<AtomicU64>,
    acknowledged: Mutex<Vec<Acknowledged>>,
}

/// A manifest that was acknowledged, and the blob that it names.
#[derive(Clone)]
struct Acknowledged {
    manifest: String,
    blob: String,
}

/// A failure, by what it means.
enum Failure {
    /// A body of a blob was on its way.
    BlobBody(anyhow::Error),
    Other(anyhow::Error),
}

type Outcome<T> = Result<T, Failure>;

/// What a reader reads of a manifest.
#[derive(Deserialize)]
struct Seen {
    annotations: std::collections::BTreeMap<String, String>,
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    digest: String,
}

/// Runs until the time is up or a signal comes. Says `running` on standard error once every tag is there.
pub async fn run(plan: Plan) -> anyhow::Result<Report> {
    let calendar = Calendar::now();
    let run = Arc::new(Run {
        writes: Watch::new(calendar),
        reads: Watch::new(calendar),
        failures: Failures::new(calendar),
        blob_bodies: Failures::new(calendar),
        warned: AtomicU64::new(0),
        ended: AtomicBool::new(false),
        versions: (0..plan.writers).map(|_| AtomicU64::new(0)).collect(),
        acknowledged: Mutex::default(),
        plan,
    });
    prepare(&run)
        .await
        .context("the first tags cannot be pushed")?;
    let monitor = StallMonitor::start(calendar);
    let began = Instant::now();
    let writers = (0..run.plan.writers).map(|number| tokio::spawn(write(run.clone(), number)));
    let mut workers: Vec<_> = writers.collect();
    workers.extend((0..run.plan.readers).map(|_| tokio::spawn(read(run.clone()))));
    eprintln!("running");
    wait(run.plan.duration).await?;
    run.ended.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await?;
    }
    run.writes.end();
    run.reads.end();
    let seconds = began.elapsed().as_secs_f64();
    let stalls = monitor.stop();
    let (read_back, lost) = match run.plan.read_back {
        true => read_back(&run).await,
        false => (0, Vec::new()),
    };
    let (failures, failed) = run.failures.all();
    let (blob_body_failures, blob_bodies_failed) = run.blob_bodies.all();
    Ok(Report {
        name: "mixed",
        seconds,
        writes: run.writes.side(seconds),
        reads: run.reads.side(seconds),
        failures,
        failed,
        blob_body_failures,
        blob_bodies_failed,
        warned: run.warned.load(Ordering::Relaxed),
        read_back,
        lost,
        stalls,
    })
}

async fn wait(duration: Duration) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = tokio::time::sleep(duration) => (),
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    Ok(())
}

/// Pushes the config and the first version of each tag.
async fn prepare(run: &Run) -> anyhow::Result<()> {
    let mut client = Client::new(run.plan.target.clone());
    let repository = &run.plan.repository;
    push_small(
        &mut client,
        repository,
        &Bytes::from_static(CONFIG),
        &digest_of(CONFIG),
    )
    .await?;
    for number in 0..run.plan.writers {
        let blob = blob(run, number, 1);
        push_small(&mut client, repository, &blob, &digest_of(&blob)).await?;
        let manifest = manifest(&blob, 1);
        client
            .call(
                put_manifest(run, number, &manifest)?,
                &[StatusCode::CREATED],
            )
            .await?;
        run.acknowledge(number, 1, &blob, &manifest);
    }
    Ok(())
}

impl Run {
    fn acknowledge(&self, number: u32, version: u64, blob: &Bytes, manifest: &Bytes) {
        self.versions[number as usize].store(version, Ordering::SeqCst);
        let mut list = self
            .acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        list.push(Acknowledged {
            manifest: digest_of(manifest),
            blob: digest_of(blob),
        });
    }

    async fn fail(&self, failure: Failure) {
        match failure {
            Failure::BlobBody(error) => self.blob_bodies.push(&error),
            Failure::Other(error) => self.failures.push(&error),
        }
        tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
    }
}

/// Bytes that no other version has. Small, so that making them costs the machine nothing.
fn blob(run: &Run, number: u32, version: u64) -> Bytes {
    let mut bytes = format!("{} {number} {version} ", run.plan.repository).into_bytes();
    let size = usize::try_from(run.plan.blob_size).unwrap_or(usize::MAX);
    let mut noise = vec![0; size.saturating_sub(bytes.len())];
    rand::rng().fill(noise.as_mut_slice());
    bytes.extend_from_slice(&noise);
    bytes.into()
}

fn manifest(blob: &Bytes, version: u64) -> Bytes {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": Image::media_type(),
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(CONFIG), "size": CONFIG.len() },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest_of(blob), "size": blob.len() }],
        "annotations": { VERSION: version.to_string() },
    });
    serde_json::to_vec(&manifest)
        .expect("a JSON value always serializes")
        .into()
}

fn put_manifest(
    run: &Run,
    number: u32,
    manifest: &Bytes,
) -> anyhow::Result<Request<crate::client::Outgoing>> {
    Ok(Request::builder()
        .method(Method::PUT)
        .uri(format!("/v2/{}/manifests/w{number}", run.plan.repository))
        .header(CONTENT_TYPE, Image::media_type())
        .body(full(manifest.clone()))?)
}

async fn write(run: Arc<Run>, number: u32) {
    let mut client = Client::new(run.plan.target.clone());
    let mut version = 1;
    while !run.ended.load(Ordering::Relaxed) {
        version += 1;
        if let Err(failure) = write_version(&run, &mut client, number, version).await {
            run.fail(failure).await;
        }
    }
}

async fn write_version(run: &Run, client: &mut Client, number: u32, version: u64) -> Outcome<()> {
    let blob = blob(run, number, version);
    push_blob(run, client, &blob).await?;
    let manifest = manifest(&blob, version);
    let began = Instant::now();
    let put = put_manifest(run, number, &manifest).map_err(Failure::Other)?;
    client
        .call(put, &[StatusCode::CREATED])
        .await
        .map_err(Failure::Other)?;
    run.writes.answered(began);
    run.acknowledge(number, version, &blob, &manifest);
    Ok(())
}

async fn push_blob(run: &Run, client: &mut Client, blob: &Bytes) -> Outcome<()> {
    let uploads = format!("/v2/{}/blobs/uploads/", run.plan.repository);
    let mut post = request(Method::POST, &uploads).map_err(Failure::Other)?;
    post.headers_mut().insert(CONTENT_LENGTH, 0.into());
    let opened = client
        .call(post, &[StatusCode::ACCEPTED])
        .await
        .map_err(Failure::Other)?;
    let began = Instant::now();
    let target = location(&opened, Some(&digest_of(blob))).map_err(Failure::Other)?;
    let put = Request::builder()
        .method(Method::PUT)
        .uri(target)
        .body(full(blob.clone()))
        .map_err(|error| Failure::Other(error.into()))?;
    client
        .call(put, &[StatusCode::CREATED])
        .await
        .map_err(Failure::BlobBody)?;
    run.writes.answered(began);
    Ok(())
}

async fn read(run: Arc<Run>) {
    let mut client = Client::new(run.plan.target.clone());
    while !run.ended.load(Ordering::Relaxed) {
        if let Err(failure) = read_tag(&run, &mut client).await {
            run.fail(failure).await;
        }
    }
}

async fn read_tag(run: &Run, client: &mut Client) -> Outcome<()> {
    let number = rand::rng().random_range(0..run.versions.len());
    // Before the request: what is acknowledged later need not be seen.
    let acknowledged = run.versions[number].load(Ordering::SeqCst);
    let repository = &run.plan.repository;
    let mut request =
        get(&format!("/v2/{repository}/manifests/w{number}")).map_err(Failure::Other)?;
    request
        .headers_mut()
        .insert(ACCEPT, HeaderValue::from_static(Image::media_type()));
    let began = Instant::now();
    let reply = client
        .call(request, &[StatusCode::OK])
        .await
        .map_err(Failure::Other)?;
    run.reads.answered(began);
    let seen: Seen = serde_json::from_slice(reply.body())
        .context("the manifest is not one of ours")
        .map_err(Failure::Other)?;
    if reply.headers().contains_key(WARNING) {
        run.warned.fetch_add(1, Ordering::Relaxed);
    } else {
        is_fresh(&seen, number, acknowledged).map_err(Failure::Other)?;
    }
    let Some(layer) = seen.layers.first() else {
        return Err(Failure::Other(anyhow::anyhow!(
            "the manifest names no layer"
        )));
    };
    let began = Instant::now();
    let path = format!("/v2/{repository}/blobs/{}", layer.digest);
    client
        .check_blob(&path, &layer.digest)
        .await
        .map_err(Failure::BlobBody)?;
    run.reads.answered(began);
    Ok(())
}

fn is_fresh(seen: &Seen, number: usize, acknowledged: u64) -> anyhow::Result<()> {
    let version: u64 = seen
        .annotations
        .get(VERSION)
        .and_then(|version| version.parse().ok())
        .context("the manifest has no version")?;
    ensure!(
        version >= acknowledged,
        "tag w{number} is at version {version} after {acknowledged} was acknowledged"
    );
    Ok(())
}

/// Reads every acknowledged manifest and blob; gives how many, and what is wrong.
async fn read_back(run: &Arc<Run>) -> (u64, Vec<String>) {
    let list = std::mem::take(
        &mut *run
            .acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    );
    let share = list.len().div_ceil(run.plan.readers.max(1) as usize).max(1);
    let tasks: Vec<_> = list
        .chunks(share)
        .map(|chunk| tokio::spawn(read_back_share(run.clone(), chunk.to_vec())))
        .collect();
    let mut lost = Vec::new();
    for task in tasks {
        lost.extend(task.await.unwrap_or_else(|error| vec![error.to_string()]));
    }
    lost.truncate(LOST_SHOWN_MAX);
    (2 * list.len() as u64, lost)
}

async fn read_back_share(run: Arc<Run>, list: Vec<Acknowledged>) -> Vec<String> {
    let mut client = Client::new(run.plan.target.clone());
    let mut lost = Vec::new();
    for Acknowledged { manifest, blob } in list {
        let repository = &run.plan.repository;
        for (kind, digest) in [("manifests", &manifest), ("blobs", &blob)] {
            let path = format!("/v2/{repository}/{kind}/{digest}");
            if let Err(error) = client.check_blob(&path, digest).await {
                lost.push(format!("{error:#}"));
            }
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_version_than_acknowledged_is_a_failure() {
        let blob = Bytes::from_static(b"blob");
        let seen: Seen = serde_json::from_slice(&manifest(&blob, 7)).unwrap();
        assert_eq!(seen.layers[0].digest, digest_of(b"blob"));
        assert!(is_fresh(&seen, 0, 7).is_ok() && is_fresh(&seen, 0, 6).is_ok());
        let error = is_fresh(&seen, 3, 8).unwrap_err().to_string();
        assert!(error.contains("w3") && error.contains('8'), "{error}");
    }
}
