//! A request that writes from `?at=0` is held on its way, its client gives it up and sends it again through another node, and is
//! acknowledged. Then the first one arrives: it must not take the acknowledged offset back (P5, rule 1.5). Found by seeds 371 and
//! 538 of the first version.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use metadata::WriteFrom;
use registry::{Body, BodyFailure};

use crate::clients::{Client, Library, Told, content};
use crate::invariants::p5;
use crate::world::{GATEWAYS_FROM, World};

/// What is sent first, and again.
const SENT_BYTES: usize = 50;
/// Its client gives the first request up.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(100);
/// So late is the first request.
const LATE_MS: u64 = 1_500;

const FIRST: u64 = GATEWAYS_FROM;
const SECOND: u64 = GATEWAYS_FROM + 1;

/// The calls of the first gateway are late.
pub(super) fn on_a_slow_link(world: Arc<World>, library: Arc<Library>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let slow = |world: &World, ms| {
            for member in 1..=world.plan.members {
                world
                    .network
                    .set_link(FIRST, member, |link| link.slow_ms = ms);
            }
        };
        let is_slow = |is_late| slow(&world, if is_late { LATE_MS } else { 0 });
        play(&world, &library, is_slow).await;
    })
}

/// The first gateway stands still, and goes on.
pub(super) fn at_a_node_that_stands_still(
    world: Arc<World>,
    library: Arc<Library>,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let stands_still = |is_late| {
            if let Some(life) = world.life(FIRST) {
                life.pause(is_late);
            }
        };
        play(&world, &library, stands_still).await;
    })
}

async fn play(world: &Arc<World>, library: &Arc<Library>, set_late: impl Fn(bool)) {
    let client = Client::new(world, library, 0);
    let repository = library.repositories[0].clone();
    let opened = client
        .ask_node(SECOND, "POST upload", |registry, caller| {
            let repository = repository.clone();
            async move { registry.open_upload(&caller, &repository, None).await }
        })
        .await;
    let Told::Done(opened) = opened else {
        world.breach("bug", format!("the upload was not opened: {opened:?}"));
        return;
    };
    let id = opened.upload;
    let write = |node, body| {
        let (client, repository) = (client.clone(), repository.clone());
        async move {
            let from = WriteFrom::Location(0);
            client
                .ask_node(node, "PATCH", |registry, caller| async move {
                    registry
                        .write_upload(&caller, &repository, id, from, body)
                        .await
                })
                .await
        }
    };
    // The first gateway knows the cluster before it is held.
    tokio::time::sleep(Duration::from_secs(1)).await;
    set_late(true);
    let first = tokio::time::timeout(GIVEN_UP_AFTER, write(FIRST, broken_off())).await;
    if let Ok(told) = first {
        world.breach("bug", format!("the first request was not held: {told:?}"));
        return;
    }
    let whole = Body::from_bytes(content(1, SENT_BYTES));
    let Told::Done(status) = write(SECOND, whole).await else {
        world.breach("P4", "the second request was not answered".to_owned());
        return;
    };
    set_late(false);
    tokio::time::sleep(Duration::from_millis(LATE_MS * 3)).await;
    let asked = client
        .ask_node(SECOND, "GET upload", |registry, caller| async move {
            registry.upload_status(&caller, &repository, id).await
        })
        .await;
    match asked {
        Told::Done(now) => p5::check_offset(world, &id.to_string(), status.offset, now.offset),
        other => world.breach("P5", format!("the upload is gone: {other:?}")),
    }
}

/// What comes of a body whose client has gone.
fn broken_off() -> Body {
    let gone = BodyFailure::Disconnected {
        reason: "the client is gone".to_owned(),
    };
    let pieces = [Ok(content(1, SENT_BYTES / 5)), Err(gone)];
    Body {
        stream: futures::stream::iter(pieces).boxed(),
        length: Some(SENT_BYTES as u64),
    }
}
