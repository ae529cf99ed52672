//! Manifests are stored and served as they came; tags move all or none; what is wrong is refused.

#![allow(clippy::unwrap_used, reason = "a panic of a test is its report")]

mod world;

use oci::{Algorithm, Digest, MediaType, Reference};
use ports::blob_store::faulty as faulty_blobs;
use ports::metadata_store::faulty as faulty_log;
use registry::{Error, ManifestPush, Precondition};
use world::images::{
    by_tag, descriptor, get, image, large_image, manifest_push, put, tag, with_blobs,
};
use world::{caller, repository, sha256};

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
