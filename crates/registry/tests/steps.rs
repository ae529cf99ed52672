//! The node dies at each named step, and what the clients do next puts everything right.
//!
//! One test only: fail points are the process's. A step that no scenario reaches fails it.

#![allow(clippy::unwrap_used, reason = "a panic of a test is its report")]

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use metadata::{Command, Page};
use oci::{MediaType, Reference, RepositoryName, Tag};
use registry::{Error, ManifestPush, MountOutcome, Sweeper, steps};
use world::clients::{Client, request};
use world::site::{Site, finish};
use world::{World, content, repository, sha256};

const TRIES: usize = 10;

/// What people do with a registry, each call tried again until it is answered.
async fn live(world: &World) {
    let (config, layer) = (content(1, 40), content(2, 400));
    for client in Client::ALL {
        for blob in [&config, &layer] {
            client
                .push(&world.registry, blob)
                .await
                .expect("the push gets through");
        }
    }
    cancel(world).await;
    mount(world, &layer).await;
    let (small, large) = (image(&config, &layer, 0), image(&config, &layer, 20_000));
    for payload in [&small, &large] {
        put(world, payload).await;
    }
    world.registry.drained().await;
    for blob in [&config, &layer] {
        world.assert_blob(&repository(), blob).await;
        for client in Client::ALL {
            assert!(world.pull(&repository(), client.digest(blob)).await.is_ok());
        }
    }
    delete(world, &[&small, &large], &[&config, &layer]).await;
    move_away().await;
}

/// The blobs of a node are moved; when it dies it is started again.
async fn move_away() {
    let site = Site::new();
    let (small, large) = (content(1, 40), content(2, 400));
    let (node, _) = site.start().await;
    for blob in [&small, &large] {
        let pushed = Client::Docker.push(&node.registry, blob).await;
        pushed.expect("the push gets through");
    }
    for _ in 0..TRIES {
        let (node, mover) = site.start().await;
        let is_moved = node.view().await.storage.generation > 0;
        let moved = tokio::spawn(async move {
            let mover = match mover {
                Some(mover) => mover,
                None if is_moved => return,
                None => node.begin().begin().await.expect("it begins"),
            };
            finish(mover).await;
        });
        if moved.await.is_ok() {
            break;
        }
    }
    let (node, mover) = site.start().await;
    assert!(mover.is_none() && node.view().await.storage.generation == 1);
    for blob in [&small, &large] {
        node.assert_blob(blob).await;
    }
}

fn image(config: &[u8], layer: &[u8], filler: usize) -> Bytes {
    let of = |media_type: MediaType, content: &[u8]| {
        let (digest, size) = (sha256(content), content.len());
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
    };
    let (media_type, filler) = (MediaType::OCI_MANIFEST, "x".repeat(filler));
    let config = of(MediaType::OCI_CONFIG, config);
    let layer = of(MediaType::OCI_LAYER, layer);
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[{layer}],"annotations":{{"filler":"{filler}"}}}}"#
    );
    text.into()
}

/// Tries until `done` says so; what the node's death leaves open is tried again.
async fn until<T: Send + 'static, F>(
    world: &World,
    work: impl Fn(registry::Registry, registry::Caller) -> F,
    done: impl Fn(&Error) -> bool,
) -> Option<T>
where
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    for _ in 0..TRIES {
        match request(&world.registry, &work).await {
            Ok(answer) => return Some(answer),
            Err(error) if done(&error) => return None,
            Err(_) => {}
        }
    }
    panic!("a request never got through");
}

async fn cancel(world: &World) {
    let open = |registry: registry::Registry, caller| async move {
        registry.open_upload(&caller, &repository(), None).await
    };
    let upload = until(world, open, |_| false)
        .await
        .expect("an upload is open")
        .upload;
    let cancel = move |registry: registry::Registry, caller| async move {
        registry.cancel_upload(&caller, &repository(), upload).await
    };
    until(world, cancel, |error| matches!(error, Error::UploadUnknown)).await;
}

async fn mount(world: &World, layer: &Bytes) {
    let other = RepositoryName::parse("library/other").unwrap();
    let digest = sha256(layer);
    let at = other.clone();
    let mount = move |registry: registry::Registry, caller| {
        let at = at.clone();
        async move {
            registry
                .mount(&caller, &at, digest, Some(repository()))
                .await
        }
    };
    let mounted = until(world, mount, |_| false).await;
    assert_eq!(mounted, Some(MountOutcome::Mounted { size: 400 }));
    world.assert_blob(&other, layer).await;
}

async fn put(world: &World, payload: &Bytes) {
    let tag = Tag::parse("latest").unwrap();
    let push = ManifestPush {
        declared_type: None,
        digest: None,
        tags: vec![tag.clone()],
        payload: payload.clone(),
        precondition: None,
        idempotency_key: None,
    };
    let put = move |registry: registry::Registry, caller| {
        let push = push.clone();
        async move { registry.put_manifest(&caller, &repository(), push).await }
    };
    until(world, put, |_| false).await;
    let reference = Reference::Tag(tag);
    let found = world
        .registry
        .manifest(&world::caller(), &repository(), &reference)
        .await;
    assert_eq!(&found.unwrap().value.payload, payload);
}

async fn delete(world: &World, manifests: &[&Bytes], blobs: &[&Bytes]) {
    let tag = || Tag::parse("latest").unwrap();
    let delete_tag = move |registry: registry::Registry, caller| async move {
        registry
            .delete_tag(&caller, &repository(), &tag(), None)
            .await
    };
    until(world, delete_tag, |error| {
        matches!(error, Error::TagUnknown)
    })
    .await;
    for payload in manifests {
        let digest = sha256(payload);
        let delete = move |registry: registry::Registry, caller| async move {
            registry
                .delete_manifest(&caller, &repository(), digest)
                .await
        };
        until(world, delete, |error| {
            matches!(error, Error::ManifestUnknown)
        })
        .await;
    }
    for blob in blobs {
        let digest = sha256(blob);
        let delete = move |registry: registry::Registry, caller| async move {
            registry.delete_blob(&caller, &repository(), digest).await
        };
        until(world, delete, |error| matches!(error, Error::BlobUnknown)).await;
        assert!(world.pull(&repository(), digest).await.is_err());
    }
    let page = Page {
        after: None,
        limit: 9,
    };
    let tags = world
        .registry
        .tags(&world::caller(), &repository(), page)
        .await;
    assert_eq!(tags.unwrap().value.items, []);
    sweep(world).await;
}

async fn sweep(world: &World) {
    world
        .metadata
        .advance(std::time::Duration::from_secs(2 * 60 * 60));
    world
        .metadata
        .commit(Command::ObjectsDeleted { keys: Vec::new() });
    let step = |registry: registry::Registry, _| async move { Sweeper::new(registry).step().await };
    while until(world, step, |_| false).await != Some(0) {}
    // Nothing that is deleted stays, and nothing that is held goes.
    let other = RepositoryName::parse("library/other").unwrap();
    world.assert_blob(&other, &content(2, 400)).await;
    // A node that died between a manifest's object and its entry leaves one orphan to the collector.
    let left = world
        .blobs
        .keys()
        .iter()
        .filter(|key| key.contains("/manifest/"))
        .count();
    assert!(left <= 1, "{left} manifests of none are left");
}

#[test]
fn the_node_may_die_at_each_step_and_nothing_is_lost() {
    std::panic::set_hook(Box::new(|_| {}));
    let reached: BTreeSet<&str> = steps::ALL
        .iter()
        .copied()
        .filter(|step| dies_at(step))
        .collect();
    let missed: Vec<_> = steps::ALL
        .iter()
        .filter(|step| !reached.contains(*step))
        .collect();
    let _ = std::panic::take_hook();
    assert_eq!(
        missed,
        Vec::<&&str>::new(),
        "no scenario reaches these steps"
    );
}

/// Lives through a death at the first, second and third time that `step` is reached; `false` when it is not reached.
fn dies_at(step: &str) -> bool {
    let mut reached = false;
    for nth in 1..=3 {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let scenario = fail::FailScenario::setup();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        fail::cfg_callback(step, move || {
            if counted.fetch_add(1, Ordering::SeqCst) + 1 == nth {
                panic!("the node dies at a step");
            }
        })
        .unwrap();
        let lived =
            runtime.block_on(async { tokio::spawn(async { live(&World::new()).await }).await });
        scenario.teardown();
        if let Err(error) = lived {
            let _ = std::panic::take_hook();
            std::panic::resume_unwind(Box::new(format!("{step} {nth}: {error}")));
        }
        reached |= count.load(Ordering::SeqCst) > 0;
    }
    reached
}
