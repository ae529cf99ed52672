//! Many clients on few tags: pushes, reads, compare-and-swaps and deletions, through the balancer and at single nodes, all
//! taken down in a history.
//!
//! Reads that had no answer say nothing, and those that say that they may be stale are not counted (rule 4.3). Every other
//! request without an answer may have been done, or be done later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, WARNING};
use http::{Method, Request, Response, StatusCode};
use linearizability::Ticket;
use linearizability::tag::{Input, Output, Target, When};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::ask::Way;
use super::images::{a_request, push_blob, put_manifest};
use super::{World, lock};
use crate::client::Outgoing;
use crate::image::{Image, digest_of};

/// The config of all manifests.
pub(super) const CONFIG: &[u8] = b"{}";

/// After so long a tag is left alone and another takes its place, so that histories stay small.
const GENERATION: Duration = Duration::from_secs(20);

/// So long each worker rests between two requests, at most.
const REST_MS_MAX: u64 = 120;

/// One client of tags.
struct Tagger {
    world: Arc<World>,
    name: String,
    random: SmallRng,
    front: Way,
    nodes: Vec<Way>,
    /// Where each tag pointed when it was last seen.
    seen: BTreeMap<String, Target>,
    count: u64,
}

/// The repository of all tags.
pub(super) fn repository(world: &World) -> String {
    format!("{}/tags", world.plan.repository)
}

/// Pushes what every manifest names.
pub(super) async fn prepare(world: &World) -> anyhow::Result<()> {
    let bytes = Bytes::from_static(CONFIG);
    let digest = digest_of(CONFIG);
    let mut way = Way::front(world);
    let pushed = push_blob(
        world,
        &mut way,
        &repository(world),
        (&bytes, &digest),
        false,
    )
    .await;
    anyhow::ensure!(pushed.unwrap_or(false), "the first blob cannot be pushed");
    Ok(())
}

pub(super) async fn tag_on(world: Arc<World>, number: u32) {
    let mut tagger = Tagger {
        name: format!("t{number}"),
        random: SmallRng::seed_from_u64(world.plan.seed.rotate_left(17) ^ u64::from(number)),
        front: Way::front(&world),
        nodes: world
            .plan
            .nodes
            .iter()
            .map(|(_, node)| Way::to(node))
            .collect(),
        seen: BTreeMap::new(),
        count: 0,
        world: world.clone(),
    };
    while !world.ended.load(Ordering::Relaxed) {
        tagger.step().await;
        let rest = tagger.random.random_range(0..REST_MS_MAX);
        tokio::time::sleep(Duration::from_millis(rest)).await;
    }
}

impl Tagger {
    async fn step(&mut self) {
        let generation = self.world.timeline.now_us() / 1_000_000 / GENERATION.as_secs();
        let slot = self.random.random_range(0..self.world.plan.tags);
        let tag = format!("t{slot}-g{generation}");
        let input = self.choose(&tag);
        let request = self.request(&tag, &input);
        let to_node = !self.nodes.is_empty() && self.random.random_range(0..2) == 0;
        let chosen = self.random.random_range(0..self.nodes.len().max(1));
        let ticket = {
            let mut history = lock(&self.world.tags);
            let at = self.world.timeline.now_us();
            history.called(at, &self.name, tag.clone(), input.clone())
        };
        let way = match self.nodes.get_mut(chosen) {
            Some(node) if to_node => node,
            _ => &mut self.front,
        };
        let reply = way.ask(&self.world, request).await;
        match reply {
            Ok(reply) => self.note(&tag, ticket, &input, &reply),
            Err(no) if input == Input::Read || no.was_never_sent => {
                lock(&self.world.tags).never_happened(ticket);
            }
            Err(_) => {}
        }
    }

    fn choose(&mut self, tag: &str) -> Input {
        let seen = self.seen.get(tag).cloned();
        let roll = self.random.random_range(0..100);
        let when = match (roll, &seen) {
            (0..20, Some(seen)) => Some(When::Is(seen.clone())),
            (20..24, _) => Some(When::Absent),
            (24..28, _) => Some(When::Exists),
            (28..30, Some(seen)) => Some(When::IsNot(seen.clone())),
            _ => None,
        };
        match roll {
            0..45 => {
                self.count += 1;
                let manifest = manifest(&self.name, self.count, self.world.plan.seed);
                Input::Push {
                    to: target(&digest_of(&manifest)),
                    when,
                    key: None,
                }
            }
            45..48 => Input::Delete { when: None },
            48..52 => Input::Delete {
                when: seen.map(When::Is),
            },
            _ => Input::Read,
        }
    }

    fn request(&self, tag: &str, input: &Input) -> Request<Outgoing> {
        let repository = repository(&self.world);
        let path = format!("/v2/{repository}/manifests/{tag}");
        let (mut request, when) = match input {
            Input::Push { when, .. } => {
                let manifest = manifest(&self.name, self.count, self.world.plan.seed);
                (put_manifest(&repository, tag, &manifest), when)
            }
            Input::Delete { when } => (a_request(Method::DELETE, &path), when),
            Input::Read | Input::DeleteManifest { .. } => {
                let mut request = a_request(Method::GET, &path);
                let accepted = HeaderValue::from_static(Image::media_type());
                request.headers_mut().insert(ACCEPT, accepted);
                (request, &None)
            }
        };
        let (name, value): (HeaderName, String) = match when {
            None => return request,
            Some(When::Is(target)) => (IF_MATCH, format!("\"{target}\"")),
            Some(When::Exists) => (IF_MATCH, "*".to_owned()),
            Some(When::Absent) => (IF_NONE_MATCH, "*".to_owned()),
            Some(When::IsNot(target)) => (IF_NONE_MATCH, format!("\"{target}\"")),
        };
        let value = HeaderValue::from_str(&value).expect("a digest is ASCII");
        request.headers_mut().insert(name, value);
        request
    }

    fn note(&mut self, tag: &str, ticket: Ticket, input: &Input, reply: &Response<Bytes>) {
        let output = match (input, reply.status()) {
            (Input::Read, StatusCode::OK) if reply.headers().contains_key(WARNING) => {
                self.world.warned.fetch_add(1, Ordering::Relaxed);
                lock(&self.world.tags).never_happened(ticket);
                return;
            }
            (Input::Read, StatusCode::OK) => {
                let target = target(&digest_of(reply.body()));
                self.seen.insert(tag.to_owned(), target.clone());
                let version = None;
                Output::Is { target, version }
            }
            (Input::Push { to, .. }, StatusCode::CREATED) => {
                self.seen.insert(tag.to_owned(), to.clone());
                Output::Done
            }
            (Input::Delete { .. }, StatusCode::ACCEPTED) => Output::Done,
            (Input::Read | Input::Delete { .. }, StatusCode::NOT_FOUND) => Output::Absent,
            (_, StatusCode::PRECONDITION_FAILED) => Output::Refused {
                current: current(reply.body()),
            },
            (_, status) => {
                let body = String::from_utf8_lossy(reply.body());
                self.world
                    .breach(format!("{input} of {tag}: {status}: {body}"));
                return;
            }
        };
        let at = self.world.timeline.now_us();
        lock(&self.world.tags).returned(at, ticket, output);
    }
}

/// What a refusal says of where the tag points: `detail.current` of its first error.
fn current(body: &[u8]) -> Option<Target> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let current = body["errors"][0]["detail"]["current"].as_str()?;
    Some(target(current))
}

/// A manifest that no other is like.
fn manifest(client: &str, count: u64, seed: u64) -> Bytes {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": Image::media_type(), "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(CONFIG), "size": CONFIG.len()},
        "annotations": {"holdfast-chaos": format!("{seed} {client} {count}")},
    });
    manifest.to_string().into()
}

/// A digest as histories have it.
fn target(digest: &str) -> Target {
    digest.into()
}
