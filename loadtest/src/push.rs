//! `push`: images that nobody has pushed before. What was acknowledged is read back after the run, byte for byte.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::ValueEnum;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Request, StatusCode};

use crate::client::{Client, Target, full, location, request, sized, streamed};
use crate::image::{Image, Shape};
use crate::layer::Layer;
use crate::pull;
use crate::report::{Recorder, Report};
use crate::run::{Bounds, closed_loop};

/// The requests that bring a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UploadPath {
    /// `HEAD`, `POST`, one `PATCH` without a length, `PUT`, as docker does.
    Docker,
    /// `POST`, and a `PUT` with the whole blob, as containerd does.
    Put,
}

/// What is pushed where.
#[derive(Clone)]
pub struct Plan {
    /// The registry.
    pub target: Arc<Target>,
    /// The name below which repositories are made.
    pub repository: String,
    /// What images look like.
    pub shape: Shape,
    /// How blobs are sent.
    pub upload: UploadPath,
    /// What the content is made from.
    pub seed: u64,
    /// Whether to read back.
    pub read_back: bool,
}

/// Pushes until the bounds are reached, and reads back what was acknowledged.
pub async fn run(plan: Plan, bounds: Bounds) -> anyhow::Result<Report> {
    let recorder = Recorder::new(&["push", "blob", "manifest"]);
    let clients = (0..bounds.concurrency)
        .map(|_| Client::new(plan.target.clone()))
        .collect();
    let acknowledged: Arc<Mutex<Vec<u64>>> = Arc::default();
    let (worker_plan, worker_acknowledged) = (plan.clone(), acknowledged.clone());
    let worker = move |mut client: Client, number: u64, recorder: Recorder| {
        let (plan, acknowledged) = (worker_plan.clone(), worker_acknowledged.clone());
        async move {
            let seed = plan.seed.wrapping_add(number);
            let image = Image::new(&plan.shape, seed);
            let began = Instant::now();
            let tag = format!("t{number}");
            let outcome = push(
                &mut client,
                &plan.repository,
                &tag,
                &image,
                plan.upload,
                &recorder,
            )
            .await;
            if outcome.is_ok() {
                recorder.done("push", began, image.bytes());
                acknowledged
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(number);
            }
            (client, outcome)
        }
    };
    let mut report = closed_loop("push", bounds, recorder, clients, worker).await;
    if plan.read_back {
        let numbers =
            std::mem::take(&mut *acknowledged.lock().unwrap_or_else(PoisonError::into_inner));
        report = read_back(&plan, numbers, report).await?;
    }
    Ok(report)
}

async fn read_back(plan: &Plan, numbers: Vec<u64>, report: Report) -> anyhow::Result<Report> {
    let mut client = Client::new(plan.target.clone());
    let recorder = Recorder::new(&["manifest", "blob"]);
    for number in numbers {
        let image = Image::new(&plan.shape, plan.seed.wrapping_add(number));
        pull::pull(
            &mut client,
            &plan.repository,
            &format!("t{number}"),
            &image,
            &recorder,
        )
        .await
        .with_context(|| format!("image {number} was acknowledged and cannot be read back"))?;
    }
    Ok(report)
}

/// Pushes one image under a tag.
pub async fn push(
    client: &mut Client,
    repository: &str,
    tag: &str,
    image: &Image,
    upload: UploadPath,
    recorder: &Recorder,
) -> anyhow::Result<()> {
    for layer in &image.layers {
        let began = Instant::now();
        push_layer(client, repository, layer, upload).await?;
        recorder.done("blob", began, layer.size());
    }
    let began = Instant::now();
    push_small(client, repository, &image.config, &image.config_digest).await?;
    recorder.done("blob", began, image.config.len() as u64);
    let began = Instant::now();
    put_manifest(client, repository, tag, image).await?;
    recorder.done("manifest", began, image.manifest.len() as u64);
    Ok(())
}

/// Puts an image's manifest under a tag.
pub async fn put_manifest(
    client: &mut Client,
    repository: &str,
    tag: &str,
    image: &Image,
) -> anyhow::Result<()> {
    let put = Request::builder()
        .method(Method::PUT)
        .uri(format!("/v2/{repository}/manifests/{tag}"))
        .header(CONTENT_TYPE, Image::media_type())
        .body(full(image.manifest.clone()))?;
    let reply = client.call(put, &[StatusCode::CREATED]).await?;
    let said = reply
        .headers()
        .get("docker-content-digest")
        .context("the reply has no Docker-Content-Digest")?;
    ensure!(
        said == image.digest.as_str(),
        "the registry says {said:?} of a manifest that is {}",
        image.digest
    );
    Ok(())
}

async fn open(client: &mut Client, repository: &str) -> anyhow::Result<http::Response<Bytes>> {
    let mut post = request(Method::POST, &format!("/v2/{repository}/blobs/uploads/"))?;
    post.headers_mut().insert(CONTENT_LENGTH, 0.into());
    client.call(post, &[StatusCode::ACCEPTED]).await
}

async fn push_layer(
    client: &mut Client,
    repository: &str,
    layer: &Layer,
    upload: UploadPath,
) -> anyhow::Result<()> {
    if upload == UploadPath::Put {
        let opened = open(client, repository).await?;
        let put = sized(
            Method::PUT,
            &location(&opened, Some(layer.digest()))?,
            layer,
        )?;
        client.call(put, &[StatusCode::CREATED]).await?;
        return Ok(());
    }
    let head = request(
        Method::HEAD,
        &format!("/v2/{repository}/blobs/{}", layer.digest()),
    )?;
    let known = client
        .call(head, &[StatusCode::OK, StatusCode::NOT_FOUND])
        .await?;
    if known.status() == StatusCode::OK {
        return Ok(());
    }
    let opened = open(client, repository).await?;
    let patch = Request::builder()
        .method(Method::PATCH)
        .uri(location(&opened, None)?)
        .body(streamed(layer))?;
    let patched = client.call(patch, &[StatusCode::ACCEPTED]).await?;
    let mut put = request(Method::PUT, &location(&patched, Some(layer.digest()))?)?;
    put.headers_mut().insert(CONTENT_LENGTH, 0.into());
    client.call(put, &[StatusCode::CREATED]).await?;
    Ok(())
}

/// Pushes content that is in memory.
pub async fn push_small(
    client: &mut Client,
    repository: &str,
    bytes: &Bytes,
    digest: &str,
) -> anyhow::Result<()> {
    let opened = open(client, repository).await?;
    let put = Request::builder()
        .method(Method::PUT)
        .uri(location(&opened, Some(digest))?)
        .body(full(bytes.clone()))?;
    client.call(put, &[StatusCode::CREATED]).await?;
    Ok(())
}
