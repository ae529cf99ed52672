//! After the run: everything acknowledged is pulled through every node, and the histories are checked.

use std::sync::Arc;

use http::header::{ACCEPT, HeaderValue, WARNING};
use http::{Method, StatusCode};
use linearizability::tag::{Input, Output, Tag};
use linearizability::upload::Upload;
use linearizability::{Model, Operation, STEPS_MAX, Verdict, check};
use serde::Serialize;

use super::ask::Way;
use super::images::{Pushed, a_request, pull};
use super::{World, lock, tags};
use crate::image::{Image, digest_of};

/// So many pull at once through one node.
const AT_ONCE: usize = 4;

/// So often a pull that had no answer is tried again: the faults are over, and what is lost is no matter of time.
const TRIES: usize = 5;

/// So many findings are told.
const TOLD_MAX: usize = 200;

/// What was pulled after the run.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Audit {
    /// Acknowledged images.
    pub images: usize,
    /// Through how many nodes each was pulled, the balancer included.
    pub ways: usize,
    /// Pulls that gave the bytes that were acknowledged.
    pub good: u64,
    /// What was not there, or was another, or could not be asked.
    pub lost: Vec<String>,
}

/// What the checker said.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Checked {
    /// Tags and uploads.
    pub objects: usize,
    /// Operations of all of them.
    pub operations: usize,
    /// Of them, of unknown outcome.
    pub unknown: usize,
    /// Counter-examples.
    pub violations: Vec<String>,
    /// Objects for which the search was given up.
    pub undecided: Vec<String>,
}

pub(super) async fn images(world: &Arc<World>) -> Audit {
    let pushed = Arc::new(std::mem::take(&mut *lock(&world.pushed)));
    let mut tasks = Vec::new();
    let ways = ways(world);
    for way in ways.iter().copied() {
        for share in 0..AT_ONCE {
            let (world, pushed) = (world.clone(), pushed.clone());
            tasks.push(tokio::spawn(async move {
                let mine = pushed.iter().skip(share).step_by(AT_ONCE);
                through(&world, way, mine).await
            }));
        }
    }
    let images = pushed.len();
    let mut audit = Audit {
        images,
        ways: ways.len(),
        ..Audit::default()
    };
    for task in tasks {
        match task.await {
            Ok((good, lost)) => {
                audit.good += good;
                audit.lost.extend(lost);
            }
            Err(error) => audit.lost.push(format!("the audit ended: {error}")),
        }
    }
    audit.lost.truncate(TOLD_MAX);
    audit
}

/// The balancer, which is 0, and every node that is there.
fn ways(world: &World) -> Vec<usize> {
    let absent = lock(&world.absent);
    let nodes = 0..world.plan.nodes.len();
    let present = nodes
        .filter(|node| !absent.contains(node))
        .map(|node| node + 1);
    [0].into_iter().chain(present).collect()
}

fn way_to(world: &World, number: usize) -> (String, Way) {
    match world.plan.nodes.get(number.wrapping_sub(1)) {
        Some((name, node)) => (name.clone(), Way::to(node)),
        None => ("the balancer".to_owned(), Way::front(world)),
    }
}

async fn through<'a>(
    world: &World,
    number: usize,
    images: impl Iterator<Item = &'a Pushed>,
) -> (u64, Vec<String>) {
    let (name, mut way) = way_to(world, number);
    let (mut good, mut lost) = (0, Vec::new());
    for image in images {
        let digest = digest_of(&image.manifest);
        let paths =
            [&image.tag, &digest].map(|it| format!("/v2/{}/manifests/{it}", image.repository));
        let mut tries = 1;
        let problems = loop {
            match pull(world, &mut way, image, &paths).await {
                Err(_) if tries < TRIES => tries += 1,
                Err(_) => break vec![format!("{} cannot be asked for", image.tag)],
                Ok(problems) => break problems,
            }
        };
        good += u64::from(problems.is_empty());
        lost.extend(
            problems
                .into_iter()
                .map(|it| format!("through {name}: {it}")),
        );
    }
    (good, lost)
}

/// Reads every tag through every node once more, for the history.
pub(super) async fn last_reads(world: &World) {
    let keys: Vec<String> = lock(&world.tags).by_key().into_keys().collect();
    for number in ways(world) {
        let (name, mut way) = way_to(world, number);
        for tag in &keys {
            let path = format!("/v2/{}/manifests/{tag}", tags::repository(world));
            let mut request = a_request(Method::GET, &path);
            let accepted = HeaderValue::from_static(Image::media_type());
            request.headers_mut().insert(ACCEPT, accepted);
            let at = world.timeline.now_us();
            let Ok(reply) = way.ask(world, request).await else {
                continue;
            };
            let output = match reply.status() {
                StatusCode::OK if reply.headers().contains_key(WARNING) => continue,
                StatusCode::OK => Output::Is {
                    target: digest_of(reply.body()).into(),
                    version: None,
                },
                StatusCode::NOT_FOUND => Output::Absent,
                _ => continue,
            };
            let mut history = lock(&world.tags);
            let ticket = history.called(at, &name, tag.clone(), Input::Read);
            history.returned(world.timeline.now_us(), ticket, output);
        }
    }
}

/// Checks both kinds of histories.
pub(super) fn histories(world: &World) -> Checked {
    let mut checked = Checked::default();
    let (tags, uploads) = (lock(&world.tags).clone(), lock(&world.uploads).clone());
    checked.operations = tags.len() + uploads.len();
    checked.unknown = tags.unknown() + uploads.unknown();
    for (key, operations) in tags.by_key() {
        one(
            &mut checked,
            &format!("tag {key}"),
            &Tag::of(&operations),
            &operations,
        );
    }
    for (key, operations) in uploads.by_key() {
        one(&mut checked, &format!("upload {key}"), &Upload, &operations);
    }
    checked
}

fn one<M: Model>(
    checked: &mut Checked,
    name: &str,
    model: &M,
    operations: &[Operation<M::Input, M::Output>],
) {
    checked.objects += 1;
    match check(model, operations, STEPS_MAX) {
        Verdict::Linearizable => {}
        Verdict::NotLinearizable(why) => checked.violations.push(format!("{name}: {why}")),
        Verdict::Undecided { operations, steps } => checked.undecided.push(format!(
            "{name}: {operations} operations, given up after {steps} steps"
        )),
    }
}
