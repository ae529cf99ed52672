//! `pull`: manifest, config and layers of images that were pushed first, every byte hashed.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};

use crate::client::{Client, Target, get};
use crate::image::{Image, Shape};
use crate::push::{self, UploadPath};
use crate::report::{Recorder, Report};
use crate::run::{Bounds, closed_loop};

/// What is pulled from where.
pub struct Plan {
    /// The registry.
    pub target: Arc<Target>,
    /// The repository.
    pub repository: String,
    /// What images look like.
    pub shape: Shape,
    /// How many there are.
    pub images: u32,
    /// What the content is made from.
    pub seed: u64,
}

/// Pushes the images, then pulls until the bounds are reached.
pub async fn run(plan: Plan, bounds: Bounds) -> anyhow::Result<Report> {
    let mut client = Client::new(plan.target.clone());
    let unrecorded = Recorder::new(&[]);
    let mut images = Vec::new();
    for number in 0..u64::from(plan.images) {
        let image = Image::new(&plan.shape, plan.seed.wrapping_add(number));
        let tag = format!("p{number}");
        push::push(
            &mut client,
            &plan.repository,
            &tag,
            &image,
            UploadPath::Docker,
            &unrecorded,
        )
        .await
        .context("the images to be pulled cannot be pushed")?;
        images.push((tag, image));
    }
    let images = Arc::new(images);
    let repository: Arc<str> = plan.repository.into();
    let worker = move |mut client: Client, number: u64, recorder: Recorder| {
        let (images, repository) = (images.clone(), repository.clone());
        async move {
            let (tag, image) = &images[usize::try_from(number).unwrap_or(0) % images.len()];
            let began = Instant::now();
            let outcome = pull(&mut client, &repository, tag, image, &recorder).await;
            if outcome.is_ok() {
                recorder.done("pull", began, image.bytes());
            }
            (client, outcome)
        }
    };
    let clients = (0..bounds.concurrency)
        .map(|_| Client::new(plan.target.clone()))
        .collect();
    Ok(closed_loop(
        "pull",
        bounds,
        Recorder::new(&["pull", "manifest", "blob"]),
        clients,
        worker,
    )
    .await)
}

/// Pulls one image by its tag, and wants it to be exactly `image`.
pub async fn pull(
    client: &mut Client,
    repository: &str,
    tag: &str,
    image: &Image,
    recorder: &Recorder,
) -> anyhow::Result<()> {
    let began = Instant::now();
    check_manifest(client, repository, tag, image, None).await?;
    recorder.done("manifest", began, image.manifest.len() as u64);
    let layers = image.layers.iter().map(|layer| layer.digest());
    for digest in layers.chain([image.config_digest.as_str()]) {
        let began = Instant::now();
        let size = client
            .check_blob(&format!("/v2/{repository}/blobs/{digest}"), digest)
            .await?;
        recorder.done("blob", began, size);
    }
    Ok(())
}

/// Reads a manifest by its tag, showing `authorization` if there is one, and wants it to be exactly that of `image`.
pub async fn check_manifest(
    client: &mut Client,
    repository: &str,
    tag: &str,
    image: &Image,
    authorization: Option<&HeaderValue>,
) -> anyhow::Result<()> {
    let mut request = get(&format!("/v2/{repository}/manifests/{tag}"))?;
    request
        .headers_mut()
        .insert(ACCEPT, HeaderValue::from_static(Image::media_type()));
    if let Some(authorization) = authorization {
        request
            .headers_mut()
            .insert(AUTHORIZATION, authorization.clone());
    }
    let reply = client.call(request, &[StatusCode::OK]).await?;
    ensure!(
        reply.body() == &image.manifest,
        "the manifest of {tag} is not the one that was pushed"
    );
    Ok(())
}
