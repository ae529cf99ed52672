//! Requests at a steady rate, whatever became of those before: whether anybody new is served at all.
//!
//! The other clients wait for their answers, and so all of them may wait for one node that stands still. These do not: a
//! time without an answer is one in which no newcomer was answered either.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;

use super::ask::Way;
use super::images::{a_request, put_manifest};
use super::tags::CONFIG;
use super::{World, lock, tags};
use crate::image::{Image, digest_of};

/// One after the other, reads and writes in turn.
const EVERY: Duration = Duration::from_millis(50);

/// So many wait for an answer at most; no more are asked until one has come.
const WAITING_MAX: usize = 300;

pub(super) async fn probe_on(world: Arc<World>) {
    let ways = Arc::new(std::sync::Mutex::new(Vec::<Way>::new()));
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut number = 0_u64;
    while !world.ended.load(Ordering::Relaxed) {
        tick.tick().await;
        number += 1;
        if waiting.load(Ordering::Relaxed) >= WAITING_MAX {
            continue;
        }
        waiting.fetch_add(1, Ordering::Relaxed);
        let (world, ways, waiting) = (world.clone(), ways.clone(), waiting.clone());
        tokio::spawn(async move {
            let kept = lock(&ways).pop();
            let mut way = kept.unwrap_or_else(|| Way::front(&world));
            probe(&world, &mut way, number).await;
            lock(&ways).push(way);
            waiting.fetch_sub(1, Ordering::Relaxed);
        });
    }
    while waiting.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(EVERY).await;
    }
}

async fn probe(world: &World, way: &mut Way, number: u64) {
    let repository = tags::repository(world);
    if number.is_multiple_of(2) {
        let path = format!("/v2/{repository}/blobs/{}", digest_of(CONFIG));
        // What has no answer was told to the meter.
        if let Ok(reply) = way.ask(world, a_request(Method::HEAD, &path)).await {
            world.expect(&reply, StatusCode::OK, "a blob's look-up");
        }
    } else {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": Image::media_type(), "layers": [],
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(CONFIG), "size": CONFIG.len()},
            "annotations": {"holdfast-chaos": number.to_string()},
        });
        let put = put_manifest(&repository, "probe", &Bytes::from(manifest.to_string()));
        if let Ok(reply) = way.ask(world, put).await {
            world.expect(&reply, StatusCode::CREATED, "a manifest's push");
        }
    }
}
