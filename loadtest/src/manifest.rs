//! `manifest`: reads by tag, over many tags in random order: what a cluster that starts a thousand pods asks for.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use http::HeaderValue;
use rand::RngExt;

use crate::client::{Client, Target};
use crate::image::{Image, Shape};
use crate::pull;
use crate::push;
use crate::report::{Recorder, Report};
use crate::run::{Bounds, closed_loop};

/// What is read from where.
pub struct Plan {
    /// The registry.
    pub target: Arc<Target>,
    /// The repository.
    pub repository: String,
    /// How many tags there are.
    pub tags: u32,
    /// What the content is made from.
    pub seed: u64,
    /// What reads show in turn, each one header; what is pushed before shows what the target has.
    pub tokens: Vec<HeaderValue>,
}

/// Pushes an image per tag, then reads until the bounds are reached.
pub async fn run(plan: Plan, bounds: Bounds) -> anyhow::Result<Report> {
    let images = Arc::new(
        prepare(&plan)
            .await
            .context("the tags to be read cannot be pushed")?,
    );
    let repository: Arc<str> = plan.repository.into();
    let tokens: Arc<[HeaderValue]> = plan.tokens.into();
    let worker = move |mut client: Client, number: u64, recorder: Recorder| {
        let (images, repository) = (images.clone(), repository.clone());
        let tokens = tokens.clone();
        async move {
            let (tag, image) = &images[rand::rng().random_range(0..images.len())];
            let number = usize::try_from(number).unwrap_or(0);
            let shown = tokens.get(number % tokens.len().max(1));
            let began = Instant::now();
            let read = pull::check_manifest(&mut client, &repository, tag, image, shown);
            let outcome = read.await;
            if outcome.is_ok() {
                recorder.done("manifest", began, image.manifest.len() as u64);
            }
            (client, outcome)
        }
    };
    let clients = (0..bounds.concurrency)
        .map(|_| Client::new(plan.target.clone()))
        .collect();
    Ok(closed_loop(
        "manifest",
        bounds,
        Recorder::new(&["manifest"]),
        clients,
        worker,
    )
    .await)
}

async fn prepare(plan: &Plan) -> anyhow::Result<Vec<(String, Image)>> {
    let mut client = Client::new(plan.target.clone());
    let shape = Shape {
        layers: 0,
        layer_size: 0,
    };
    let mut images = Vec::new();
    for number in 0..u64::from(plan.tags) {
        let image = Image::new(&shape, plan.seed.wrapping_add(number));
        push::push_small(
            &mut client,
            &plan.repository,
            &image.config,
            &image.config_digest,
        )
        .await?;
        let tag = format!("m{number}");
        push::put_manifest(&mut client, &plan.repository, &tag, &image).await?;
        images.push((tag, image));
    }
    Ok(images)
}
