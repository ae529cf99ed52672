//! Steady pushers and pullers of images, as docker does it, and the list of what was acknowledged.
//!
//! A body that was cut is sent or asked for again, as every client does; nothing else is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::json;

use super::ask::{NoAnswer, Way};
use super::{World, lock};
use crate::client::{full, get, location, request};
use crate::image::{Image, digest_of};

/// As often docker tries a layer.
const TRIES: usize = 5;

/// So long each worker rests between two images.
const REST: Duration = Duration::from_millis(150);

const LAYER_BYTES: std::ops::Range<usize> = 1_000..60_000;

/// An acknowledged image.
#[derive(Debug, Clone)]
pub(super) struct Pushed {
    pub(super) repository: String,
    pub(super) tag: String,
    pub(super) manifest: Bytes,
    pub(super) blobs: Vec<String>,
}

pub(super) async fn push_on(world: Arc<World>, number: u32) {
    let mut way = Way::front(&world);
    let mut random = SmallRng::seed_from_u64(world.plan.seed ^ u64::from(number));
    let mut count = 0_u64;
    while !world.ended.load(Ordering::Relaxed) {
        count += 1;
        let tag = format!("p{number}-{count}");
        // What failed was told to the meter; the next image is another.
        if let Ok(Some(pushed)) = push(&world, &mut way, &mut random, tag).await {
            lock(&world.pushed).push(pushed);
        }
        tokio::time::sleep(REST).await;
    }
}

async fn push(
    world: &World,
    way: &mut Way,
    random: &mut SmallRng,
    tag: String,
) -> Result<Option<Pushed>, NoAnswer> {
    let repository = format!("{}/images", world.plan.repository);
    let mut layer = vec![0; random.random_range(LAYER_BYTES)];
    random.fill_bytes(&mut layer);
    let config = format!("{{\"config\": {:?}}}", (&tag, world.plan.seed));
    let mut blobs = Vec::new();
    let mut descriptors = Vec::new();
    for (bytes, kind) in [
        (Bytes::from(config), "config.v1+json"),
        (Bytes::from(layer), "layer.v1.tar"),
    ] {
        let digest = digest_of(&bytes);
        let in_chunks = random.random_range(0..2) == 0;
        if !push_blob(world, way, &repository, (&bytes, &digest), in_chunks).await? {
            return Ok(None);
        }
        let media_type = format!("application/vnd.oci.image.{kind}");
        descriptors.push(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}));
        blobs.push(digest);
    }
    let manifest = json!({
        "schemaVersion": 2, "mediaType": Image::media_type(), "config": descriptors[0], "layers": [descriptors[1]],
    });
    let manifest = Bytes::from(manifest.to_string());
    let reply = way
        .ask(world, put_manifest(&repository, &tag, &manifest))
        .await?;
    let pushed = Pushed {
        repository,
        tag,
        manifest,
        blobs,
    };
    Ok(world
        .expect(&reply, StatusCode::CREATED, "a manifest's push")
        .then_some(pushed))
}

/// `PUT` of a manifest.
pub(super) fn put_manifest(
    repository: &str,
    tag: &str,
    manifest: &Bytes,
) -> Request<crate::client::Outgoing> {
    Request::builder()
        .method(Method::PUT)
        .uri(format!("/v2/{repository}/manifests/{tag}"))
        .header(CONTENT_TYPE, Image::media_type())
        .body(full(manifest.clone()))
        .expect("names of ours make a path")
}

/// Pushes a blob, again when its body was cut. `false`: it was refused, which was told.
pub(super) async fn push_blob(
    world: &World,
    way: &mut Way,
    repository: &str,
    blob: (&Bytes, &str),
    in_chunks: bool,
) -> Result<bool, NoAnswer> {
    let mut tries = 1;
    loop {
        match try_blob(world, way, repository, blob, in_chunks).await {
            Err(NoAnswer {
                is_ours_to_repeat: true,
                ..
            }) if tries < TRIES => tries += 1,
            outcome => return outcome,
        }
    }
}

async fn try_blob(
    world: &World,
    way: &mut Way,
    repository: &str,
    (bytes, digest): (&Bytes, &str),
    in_chunks: bool,
) -> Result<bool, NoAnswer> {
    let mut post = a_request(Method::POST, &format!("/v2/{repository}/blobs/uploads/"));
    post.headers_mut().insert(CONTENT_LENGTH, 0.into());
    let mut opened = way.ask(world, post).await?;
    if !world.expect(&opened, StatusCode::ACCEPTED, "an upload's opening") {
        return Ok(false);
    }
    let mut body = bytes.clone();
    if in_chunks {
        let mut patch = a_request(Method::PATCH, &place(&opened, None));
        *patch.body_mut() = full(std::mem::take(&mut body));
        opened = way.ask(world, patch).await?;
        if !world.expect(&opened, StatusCode::ACCEPTED, "a chunk") {
            return Ok(false);
        }
    }
    let mut put = a_request(Method::PUT, &place(&opened, Some(digest)));
    *put.body_mut() = full(body);
    let reply = way.ask(world, put).await?;
    Ok(world.expect(&reply, StatusCode::CREATED, "an upload's end"))
}

pub(super) fn a_request(method: Method, path: &str) -> Request<crate::client::Outgoing> {
    request(method, path).expect("names of ours make a path")
}

/// Where a reply sends on to; what has none leads to 404, which is told.
pub(super) fn place(reply: &Response<Bytes>, digest: Option<&str>) -> String {
    location(reply, digest).unwrap_or_else(|_| "/v2/no-location".to_owned())
}

pub(super) async fn pull_on(world: Arc<World>, number: u32) {
    let mut way = Way::front(&world);
    let mut random = SmallRng::seed_from_u64(!world.plan.seed ^ u64::from(number));
    while !world.ended.load(Ordering::Relaxed) {
        let chosen = {
            let pushed = lock(&world.pushed);
            let last = pushed.len();
            (last > 0).then(|| pushed[random.random_range(0..last)].clone())
        };
        if let Some(image) = chosen {
            let by_tag = format!("/v2/{}/manifests/{}", image.repository, image.tag);
            let problems = pull(&world, &mut way, &image, &[by_tag]).await;
            for problem in problems.into_iter().flatten() {
                world.breach(problem);
            }
        }
        tokio::time::sleep(REST / 3).await;
    }
}

/// Pulls an image by these paths of its manifest, and its blobs. Gives what of it is another or not there; an error if it
/// could not be asked.
pub(super) async fn pull(
    world: &World,
    way: &mut Way,
    image: &Pushed,
    manifests: &[String],
) -> Result<Vec<String>, NoAnswer> {
    let mut problems = Vec::new();
    for path in manifests {
        let mut request = get(path).expect("names of ours make a path");
        let accepted = HeaderValue::from_static(Image::media_type());
        request.headers_mut().insert(ACCEPT, accepted);
        let reply = way.ask(world, request).await?;
        if reply.status() != StatusCode::OK {
            problems.push(format!("lost: GET {path}: {}", reply.status()));
        } else if reply.body() != &image.manifest {
            problems.push(format!(
                "another: GET {path}: not the bytes that were acknowledged"
            ));
        }
    }
    for digest in &image.blobs {
        let path = format!("/v2/{}/blobs/{digest}", image.repository);
        let mut tries = 1;
        let reply = loop {
            match way.ask(world, a_request(Method::GET, &path)).await {
                Err(no) if no.is_ours_to_repeat && tries < TRIES => tries += 1,
                outcome => break outcome?,
            }
        };
        if reply.status() != StatusCode::OK {
            problems.push(format!("lost: GET {path}: {}", reply.status()));
        } else if digest_of(reply.body()) != *digest {
            problems.push(format!(
                "another: GET {path}: the bytes are not those of the digest"
            ));
        }
    }
    Ok(problems)
}
