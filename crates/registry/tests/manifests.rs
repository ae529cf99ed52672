//! Manifests are stored, found, listed and deleted; tags move all or none; what is wrong is refused.

#![allow(clippy::unwrap_used, reason = "a panic of a test is its report")]

mod world;

use std::time::Duration;

use bytes::Bytes;
use metadata::{Command, Page};
use oci::{Algorithm, Digest, MediaType, Reference, RepositoryName, Tag};
use ports::blob_store::faulty::{self as faulty_blobs};
use ports::metadata_store::faulty as faulty_log;
use registry::{Error, ManifestPush, ManifestStored, MountOutcome, Precondition};
use world::clients::Client;
use world::{World, caller, content, repository, sha256};

fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

fn manifest_push(payload: impl Into<Bytes>, tags: &[&str]) -> ManifestPush {
    ManifestPush {
        declared_type: None,
        digest: None,
        tags: tags.iter().map(|text| tag(text)).collect(),
        payload: payload.into(),
        precondition: None,
        idempotency_key: None,
    }
}

fn descriptor(media_type: &str, content: &[u8]) -> String {
    let (digest, size) = (sha256(content), content.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

/// An image of one layer, with `extra` fields.
fn image(config: &[u8], layer: &[u8], extra: &str) -> Bytes {
    let media_type = MediaType::OCI_MANIFEST;
    let config = descriptor("application/vnd.oci.image.config.v1+json", config);
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", layer);
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[{layer}]{extra}}}"#
    );
    text.into()
}

/// An image that has `bytes` bytes or more.
fn large_image(config: &[u8], layer: &[u8], bytes: usize) -> Bytes {
    let filler = "x".repeat(bytes);
    image(
        config,
        layer,
        &format!(r#","annotations":{{"filler":"{filler}"}}"#),
    )
}

async fn push_blobs(world: &World) -> (Bytes, Bytes) {
    let (config, layer) = (content(1, 30), content(2, 200));
    for blob in [&config, &layer] {
        Client::Docker.push(&world.registry, blob).await.unwrap();
    }
    world.sweep().await;
    (config, layer)
}

async fn with_blobs() -> (World, Bytes, Bytes) {
    let world = World::new();
    let (config, layer) = push_blobs(&world).await;
    (world, config, layer)
}

async fn put(world: &World, push: ManifestPush) -> Result<ManifestStored, Error> {
    world
        .registry
        .put_manifest(&caller(), &repository(), push)
        .await
}

async fn get(world: &World, reference: impl Into<Reference>) -> Result<Bytes, Error> {
    let found = world
        .registry
        .manifest(&caller(), &repository(), &reference.into())
        .await?
        .value;
    assert_eq!(found.size, found.payload.len() as u64);
    assert_eq!(
        Digest::of(found.digest.algorithm(), &found.payload),
        found.digest
    );
    Ok(found.payload)
}

fn by_tag(text: &str) -> Reference {
    Reference::Tag(tag(text))
}

#[tokio::test]
async fn a_manifest_is_served_as_it_came_by_tag_and_digest() {
    let (world, config, layer) = with_blobs().await;
    for payload in [
        image(&config, &layer, ""),
        large_image(&config, &layer, 40_000),
    ] {
        let stored = put(&world, manifest_push(payload.clone(), &["b", "a", "b"]))
            .await
            .unwrap();
        assert_eq!(stored.tags, [tag("a"), tag("b")]);
        assert_eq!((stored.digest, stored.created), (sha256(&payload), true));
        assert_eq!(get(&world, by_tag("a")).await.unwrap(), payload);
        assert_eq!(
            get(&world, Reference::Digest(stored.digest)).await.unwrap(),
            payload
        );
        let again = put(&world, manifest_push(payload.clone(), &["a"]))
            .await
            .unwrap();
        assert!(!again.created);
        assert_eq!(get(&world, by_tag("b")).await.unwrap(), payload);
    }
    let sha512 = Digest::of(Algorithm::Sha512, &image(&config, &layer, " "));
    let push = ManifestPush {
        digest: Some(sha512),
        ..manifest_push(image(&config, &layer, " "), &["c"])
    };
    assert_eq!(put(&world, push).await.unwrap().digest, sha512);
    let found = world
        .registry
        .manifest(&caller(), &repository(), &by_tag("c"))
        .await
        .unwrap();
    assert_eq!(found.value.digest, sha512);
}

#[tokio::test]
async fn what_is_not_a_manifest_is_refused() {
    let (world, config, layer) = with_blobs().await;
    let good = image(&config, &layer, "");
    let wrong_digest = ManifestPush {
        digest: Some(sha256(b"other")),
        ..manifest_push(good.clone(), &[])
    };
    assert!(matches!(
        put(&world, wrong_digest).await,
        Err(Error::DigestMismatch { .. })
    ));
    let refused = put(&world, manifest_push("{", &["a"])).await;
    assert!(matches!(refused, Err(Error::ManifestInvalid(_))));
    let other_type = ManifestPush {
        declared_type: Some(MediaType::OCI_INDEX),
        ..manifest_push(good.clone(), &["a"])
    };
    assert!(matches!(
        put(&world, other_type).await,
        Err(Error::ManifestInvalid(_))
    ));
    let too_large = manifest_push(vec![b' '; oci::MANIFEST_BYTES_MAX + 1], &["a"]);
    assert!(matches!(
        put(&world, too_large).await,
        Err(Error::ManifestTooLarge { .. })
    ));
    let unknown = put(&world, manifest_push(image(&config, b"absent", ""), &["a"])).await;
    assert!(matches!(unknown, Err(Error::BlobsUnknown(digests)) if digests == [sha256(b"absent")]));
    let many: Vec<String> = (0..101).map(|n| format!("t{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = put(&world, manifest_push(good.clone(), &many)).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })));
    let long_key = ManifestPush {
        idempotency_key: Some("k".repeat(256)),
        ..manifest_push(good, &["a"])
    };
    assert!(matches!(
        put(&world, long_key).await,
        Err(Error::Invalid { .. })
    ));
    let found = get(&world, by_tag("a")).await;
    assert!(matches!(
        found,
        Err(Error::ManifestUnknown | Error::NameUnknown)
    ));
}

#[tokio::test]
async fn a_large_manifest_that_is_refused_leaves_no_object() {
    let (world, config, _) = with_blobs().await;
    let before = world.blobs.keys();
    let refused = put(
        &world,
        manifest_push(large_image(&config, b"absent", 20_000), &["a"]),
    )
    .await;
    assert!(matches!(refused, Err(Error::BlobsUnknown(_))));
    world.sweep().await;
    assert_eq!(world.blobs.keys(), before);
}

#[tokio::test]
async fn a_large_manifest_put_twice_keeps_one_object() {
    let (world, config, layer) = with_blobs().await;
    let before = world.blobs.keys().len();
    let payload = large_image(&config, &layer, 20_000);
    for _ in 0..3 {
        put(&world, manifest_push(payload.clone(), &["a"]))
            .await
            .unwrap();
    }
    world.sweep().await;
    assert_eq!(world.blobs.keys().len(), before + 1);
    assert_eq!(get(&world, by_tag("a")).await.unwrap(), payload);
}

#[tokio::test]
async fn a_put_whose_call_failed_may_be_sent_again() {
    use faulty_log::{Call, Fault, FaultPlan};
    for bytes in [0, 20_000] {
        for fault in [Fault::Before, Fault::After] {
            for nth in 1..3 {
                let (world, config, layer) = with_blobs().await;
                let payload = large_image(&config, &layer, bytes);
                world
                    .log
                    .set_plan(FaultPlan::none().on(Call::Propose, nth, fault));
                let mut push = manifest_push(payload.clone(), &["a"]);
                push.precondition = Some(Precondition::Absent);
                let _ = put(&world, push.clone()).await;
                world.heal();
                let stored = put(&world, push).await.unwrap();
                assert_eq!(stored.digest, sha256(&payload));
                assert_eq!(get(&world, by_tag("a")).await.unwrap(), payload);
                world.sweep().await;
                assert_eq!(get(&world, by_tag("a")).await.unwrap(), payload);
                let objects = world.blobs.keys().len();
                assert_eq!(objects, 2 + usize::from(bytes > 0), "{fault:?} {nth}");
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_stores_no_manifest() {
    use faulty_blobs::{Call, Fault, FaultPlan};
    for fault in [Fault::Before, Fault::After] {
        let (world, config, layer) = with_blobs().await;
        let payload = large_image(&config, &layer, 20_000);
        world
            .store
            .set_plan(FaultPlan::none().on(Call::Store, 1, fault));
        let failed = put(&world, manifest_push(payload.clone(), &["a"])).await;
        assert!(matches!(failed, Err(Error::Unavailable { .. })));
        assert!(get(&world, by_tag("a")).await.is_err());
        put(&world, manifest_push(payload.clone(), &["a"]))
            .await
            .unwrap();
        assert_eq!(get(&world, by_tag("a")).await.unwrap(), payload);
    }
}

#[tokio::test]
async fn a_damaged_payload_is_never_served() {
    let (world, config, layer) = with_blobs().await;
    let payload = large_image(&config, &layer, 20_000);
    put(&world, manifest_push(payload.clone(), &["a"]))
        .await
        .unwrap();
    let key = world
        .blobs
        .keys()
        .into_iter()
        .find(|key| key.contains("/manifest/"))
        .unwrap();
    let mut damaged = payload.to_vec();
    damaged[300] ^= 1;
    world.blobs.corrupt(&key, damaged.into());
    assert!(matches!(
        get(&world, by_tag("a")).await,
        Err(Error::Internal { .. })
    ));
}

#[tokio::test]
async fn compare_and_swap_moves_all_tags_or_none() {
    let (world, config, layer) = with_blobs().await;
    let (one, two) = (image(&config, &layer, ""), image(&config, &layer, " "));
    let mut first = manifest_push(one.clone(), &["a"]);
    first.precondition = Some(Precondition::Absent);
    put(&world, first).await.unwrap();
    let mut second = manifest_push(two.clone(), &["a", "b"]);
    second.precondition = Some(Precondition::Absent);
    let refused = put(&world, second.clone()).await;
    assert!(matches!(
        refused,
        Err(Error::PreconditionFailed { tag: Some(at), current: Some(digest) })
            if at == tag("a") && digest == sha256(&one)
    ));
    assert!(get(&world, by_tag("b")).await.is_err());
    second.tags = vec![tag("a")];
    second.precondition = Some(Precondition::Matches(vec![sha256(&one)]));
    put(&world, second).await.unwrap();
    assert_eq!(get(&world, by_tag("a")).await.unwrap(), two);
}

#[tokio::test]
async fn an_idempotency_key_is_for_one_request() {
    let (world, config, layer) = with_blobs().await;
    let mut push = manifest_push(image(&config, &layer, ""), &["a"]);
    push.idempotency_key = Some("once".into());
    assert!(put(&world, push.clone()).await.unwrap().created);
    assert!(
        put(&world, push.clone()).await.unwrap().created,
        "the first answer again"
    );
    push.tags = vec![tag("b")];
    assert!(matches!(
        put(&world, push).await,
        Err(Error::IdempotencyKeyReused { .. })
    ));
}

#[tokio::test]
async fn an_index_may_name_what_is_absent_and_a_cache_names_layers() {
    let (world, config, layer) = with_blobs().await;
    let child = image(&config, &layer, "");
    let media_type = MediaType::OCI_INDEX;
    let manifests = [
        descriptor("application/vnd.oci.image.manifest.v1+json", &child),
        descriptor("application/vnd.oci.image.manifest.v1+json", b"absent"),
        descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer),
        descriptor(
            "application/vnd.oci.image.layer.v1.tar+gzip",
            b"absent layer",
        ),
    ]
    .join(",");
    let index =
        format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[{manifests}]}}"#);
    put(&world, manifest_push(index.clone(), &["cache"]))
        .await
        .unwrap();
    assert_eq!(get(&world, by_tag("cache")).await.unwrap(), index);
    let in_use = world
        .registry
        .delete_blob(&caller(), &repository(), sha256(&layer))
        .await;
    assert!(matches!(in_use, Err(Error::BlobInUse { .. })));
}

#[tokio::test]
async fn a_layer_that_may_not_be_distributed_may_be_absent() {
    let (world, config, _) = with_blobs().await;
    let text = String::from_utf8(image(&config, b"absent", "").to_vec()).unwrap();
    let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    let text = text.replace("application/vnd.oci.image.layer.v1.tar", foreign);
    put(&world, manifest_push(text, &["a"])).await.unwrap();
}

#[tokio::test]
async fn referrers_are_listed_with_type_and_annotations() {
    let (world, config, layer) = with_blobs().await;
    let image_of = image(&config, &layer, "");
    put(&world, manifest_push(image_of.clone(), &["a"]))
        .await
        .unwrap();
    let subject = descriptor("application/vnd.oci.image.manifest.v1+json", &image_of);
    let extra = format!(
        r#","subject":{subject},"artifactType":"application/vnd.test","annotations":{{"k":"v"}}"#
    );
    let stored = put(&world, manifest_push(image(&config, &layer, &extra), &[]))
        .await
        .unwrap();
    assert_eq!(stored.subject, Some(sha256(&image_of)));
    let list = async |artifact_type: Option<&str>| {
        let page = Page {
            after: None,
            limit: 10,
        };
        let artifact_type = artifact_type.map(str::to_owned);
        let listed = world
            .registry
            .referrers(
                &caller(),
                &repository(),
                sha256(&image_of),
                artifact_type,
                page,
            )
            .await;
        listed.unwrap().value.descriptors
    };
    let all = list(None).await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].digest, stored.digest);
    assert_eq!(
        all[0].artifact_type.as_deref(),
        Some("application/vnd.test")
    );
    assert_eq!(all[0].annotations["k"], "v");
    assert_eq!(list(Some("application/vnd.test")).await, all);
    assert_eq!(list(Some("application/other")).await, []);
    let page = Page {
        after: None,
        limit: 10,
    };
    let nowhere = RepositoryName::parse("no/where").unwrap();
    let none = world
        .registry
        .referrers(&caller(), &nowhere, sha256(b"x"), None, page)
        .await;
    assert_eq!(none.unwrap().value.descriptors, []);
}

#[tokio::test]
async fn lists_are_in_order_and_paged() {
    let (world, config, layer) = with_blobs().await;
    put(
        &world,
        manifest_push(image(&config, &layer, ""), &["c", "a", "b"]),
    )
    .await
    .unwrap();
    let page = |after: Option<&str>, limit| Page {
        after: after.map(tag),
        limit,
    };
    let tags = world
        .registry
        .tags(&caller(), &repository(), page(None, 2))
        .await
        .unwrap()
        .value;
    assert_eq!((tags.items, tags.more), (vec![tag("a"), tag("b")], true));
    let tags = world
        .registry
        .tags(&caller(), &repository(), page(Some("b"), 2))
        .await
        .unwrap()
        .value;
    assert_eq!((tags.items, tags.more), (vec![tag("c")], false));
    let nowhere = RepositoryName::parse("no/where").unwrap();
    let none = world
        .registry
        .tags(&caller(), &nowhere, page(None, 2))
        .await;
    assert!(matches!(none, Err(Error::NameUnknown)));
    let all = world
        .registry
        .repositories(
            &caller(),
            Page {
                after: None,
                limit: 5,
            },
        )
        .await
        .unwrap();
    assert_eq!(all.value.items, [repository()]);
}

#[tokio::test]
async fn deleting_a_manifest_takes_its_tags_and_frees_its_blobs() {
    let (world, config, layer) = with_blobs().await;
    let payload = large_image(&config, &layer, 20_000);
    let digest = put(&world, manifest_push(payload.clone(), &["a", "b"]))
        .await
        .unwrap()
        .digest;
    world
        .registry
        .delete_tag(&caller(), &repository(), &tag("a"), None)
        .await
        .unwrap();
    let again = world
        .registry
        .delete_tag(&caller(), &repository(), &tag("a"), None)
        .await;
    assert!(matches!(again, Err(Error::TagUnknown)));
    assert_eq!(get(&world, by_tag("b")).await.unwrap(), payload);
    world
        .registry
        .delete_manifest(&caller(), &repository(), digest)
        .await
        .unwrap();
    let again = world
        .registry
        .delete_manifest(&caller(), &repository(), digest)
        .await;
    assert!(matches!(again, Err(Error::ManifestUnknown)));
    assert!(matches!(
        get(&world, by_tag("b")).await,
        Err(Error::ManifestUnknown)
    ));
    for blob in [&config, &layer] {
        world
            .registry
            .delete_blob(&caller(), &repository(), sha256(blob))
            .await
            .unwrap();
        let gone = world.pull(&repository(), sha256(blob)).await;
        assert!(matches!(gone, Err(Error::BlobUnknown | Error::NameUnknown)));
    }
    // The payload may be being read: its bytes go after the longest read.
    assert!(
        world
            .blobs
            .keys()
            .iter()
            .any(|key| key.contains("/manifest/"))
    );
    world.metadata.advance(Duration::from_secs(2 * 60 * 60));
    Client::Docker
        .push(&world.registry, &content(9, 10))
        .await
        .unwrap();
    world.sweep().await;
    assert!(
        !world
            .blobs
            .keys()
            .iter()
            .any(|key| key.contains("/manifest/"))
    );
}

#[tokio::test]
async fn a_deletion_of_ten_thousand_tags_is_finished_before_the_manifest_comes_back() {
    // All invariants after each of so many entries on so many rows would take a minute.
    let world = World::unchecked();
    let (config, layer) = push_blobs(&world).await;
    let payload = image(&config, &layer, "");
    let mut tags = Vec::new();
    for batch in 0..110 {
        tags = (0..100)
            .map(|n| format!("t{batch}-{n}"))
            .collect::<Vec<_>>();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        put(&world, manifest_push(payload.clone(), &tags))
            .await
            .unwrap();
    }
    let digest = sha256(&payload);
    let begun = world.metadata.commit(Command::DeleteManifest {
        repository: repository(),
        digest,
        principal: caller().principal,
    });
    assert_eq!(
        begun,
        metadata::Reply::DeletionContinues,
        "the node dies here"
    );
    assert!(get(&world, by_tag(&tags[0])).await.is_err());
    put(&world, manifest_push(payload.clone(), &["new"]))
        .await
        .unwrap();
    assert_eq!(get(&world, by_tag("new")).await.unwrap(), payload);
    assert!(get(&world, by_tag(&tags[0])).await.is_err());
    let page = Page {
        after: None,
        limit: 10,
    };
    let left = world
        .registry
        .tags(&caller(), &repository(), page)
        .await
        .unwrap()
        .value;
    assert_eq!(left.items, [tag("new")]);
    world
        .registry
        .delete_manifest(&caller(), &repository(), digest)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_mount_costs_no_call_to_the_store() {
    let (world, config, layer) = with_blobs().await;
    let other = RepositoryName::parse("library/other").unwrap();
    let calls = world.store.calls(faulty_blobs::Call::Store);
    for from in [Some(repository()), None] {
        let digest = sha256(&layer);
        let mounted = world
            .registry
            .mount(&caller(), &other, digest, from)
            .await
            .unwrap();
        assert_eq!(mounted, MountOutcome::Mounted { size: 200 });
    }
    world.assert_blob(&other, &layer).await;
    let missed = world
        .registry
        .mount(
            &caller(),
            &other,
            sha256(&config),
            Some(RepositoryName::parse("no/where").unwrap()),
        )
        .await
        .unwrap();
    let MountOutcome::Opened(status) = missed else {
        panic!("nothing to be mounted from there");
    };
    assert_eq!(status.offset, 0);
    world
        .registry
        .cancel_upload(&caller(), &other, status.upload)
        .await
        .unwrap();
    assert_eq!(world.store.calls(faulty_blobs::Call::Store), calls);
}

#[tokio::test]
async fn looking_at_an_unreferenced_blob_renews_its_grace_once_a_quarter() {
    use faulty_log::{Call, Fault, FaultPlan};
    let world = World::with(|settings| settings.grace = Duration::from_secs(4_000));
    let blob = content(3, 50);
    Client::SinglePost
        .push(&world.registry, &blob)
        .await
        .unwrap();
    let look = async |may_push| {
        let before = world.metadata.commands().len();
        let caller = registry::Caller {
            may_push,
            ..caller()
        };
        let found = world
            .registry
            .blob(&caller, &repository(), &sha256(&blob))
            .await;
        (found.is_ok(), world.metadata.commands().len() - before)
    };
    let pass = |seconds| {
        world.metadata.advance(Duration::from_secs(seconds));
        // Time is told by entries.
        world
            .metadata
            .commit(Command::ObjectsDeleted { keys: Vec::new() });
    };
    assert_eq!(look(true).await, (true, 0), "it is fresh");
    pass(1_100);
    assert_eq!(
        look(false).await,
        (true, 0),
        "who may not push renews nothing"
    );
    assert_eq!(look(true).await, (true, 1));
    assert_eq!(look(true).await, (true, 0), "once a quarter");
    pass(1_100);
    world
        .log
        .set_plan(FaultPlan::always(Call::Propose, Fault::Before));
    assert_eq!(look(true).await, (true, 0), "there is time to renew it");
    pass(2_000);
    assert_eq!(
        look(true).await,
        (false, 0),
        "nobody may rely on it any more"
    );
    assert_eq!(look(false).await, (true, 0), "it may still be pulled");
    world.heal();
    assert_eq!(look(true).await, (true, 1));
    assert_eq!(look(true).await, (true, 0));
}

#[tokio::test]
async fn a_stale_answer_is_marked_and_no_upload_goes_on_from_one() {
    use faulty_log::{Call, Fault, FaultPlan};
    let (world, config, layer) = with_blobs().await;
    let payload = image(&config, &layer, "");
    put(&world, manifest_push(payload, &["a"])).await.unwrap();
    let upload = world
        .registry
        .open_upload(&caller(), &repository(), None)
        .await
        .unwrap()
        .upload;
    world
        .log
        .set_plan(FaultPlan::always(Call::Read, Fault::Stale));
    let found = world
        .registry
        .manifest(&caller(), &repository(), &by_tag("a"))
        .await
        .unwrap();
    assert!(found.stale);
    let found = world
        .registry
        .blob(&caller(), &repository(), &sha256(&layer))
        .await
        .unwrap();
    assert!(found.stale);
    let status = world
        .registry
        .upload_status(&caller(), &repository(), upload)
        .await;
    assert!(matches!(status, Err(Error::Unavailable { .. })));
}
