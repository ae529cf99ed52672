//! What a repository shows and what goes from it: lists, referrers, mounts, grace and deletions.

#![allow(clippy::unwrap_used, reason = "a panic of a test is its report")]

mod world;

use std::time::Duration;

use metadata::{Command, Page};
use oci::RepositoryName;
use ports::blob_store::faulty as faulty_blobs;
use ports::metadata_store::faulty as faulty_log;
use registry::{Error, MountOutcome};
use world::clients::Client;
use world::images::{
    by_tag, descriptor, get, image, large_image, manifest_push, push_blobs, put, tag, with_blobs,
};
use world::{World, caller, content, repository, sha256};

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
    assert_eq!(all.items, [repository()]);
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
    let payload = large_image(&config, &layer, 20_000);
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
        principal: caller().principal(),
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
    // The object of the attempt that was refused goes; that of the next one stays.
    world.sweep().await;
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
        let mut caller = caller();
        caller.may_push = may_push;
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
async fn a_blob_whose_grace_cannot_be_renewed_is_not_promised_to_who_may_push() {
    use faulty_log::{Call, Fault, FaultPlan};
    let world = World::with(|settings| settings.grace = Duration::from_secs(4_000));
    let blob = content(3, 50);
    Client::SinglePost
        .push(&world.registry, &blob)
        .await
        .unwrap();
    let look = async |may_push| {
        let mut caller = caller();
        caller.may_push = may_push;
        world
            .registry
            .blob(&caller, &repository(), &sha256(&blob))
            .await
    };
    let pass = |seconds| {
        world.metadata.advance(Duration::from_secs(seconds));
        // Time is told by entries.
        world
            .metadata
            .commit(Command::ObjectsDeleted { keys: Vec::new() });
    };
    world
        .log
        .set_plan(FaultPlan::always(Call::Read, Fault::Stale));
    pass(1_100);
    let before = world.metadata.commands().len();
    assert!(look(true).await.unwrap().stale, "there is time to renew it");
    assert_eq!(world.metadata.commands().len(), before);
    pass(2_000);
    let refused = look(true).await;
    assert!(
        matches!(refused, Err(Error::Unavailable { .. })),
        "{refused:?}"
    );
    assert!(look(false).await.unwrap().stale, "it may still be pulled");
}

#[tokio::test]
async fn a_stale_answer_is_marked_and_no_upload_goes_on_from_one() {
    use faulty_log::{Call, Fault, FaultPlan};
    let (world, config, layer) = with_blobs().await;
    let payload = image(&config, &layer, "");
    put(&world, manifest_push(payload, &["a"])).await.unwrap();
    let registry = &world.registry;
    let upload = registry.open_upload(&caller(), &repository(), None).await;
    let upload = upload.unwrap().upload;
    world
        .log
        .set_plan(FaultPlan::always(Call::Read, Fault::Stale));
    let found = registry
        .manifest(&caller(), &repository(), &by_tag("a"))
        .await;
    assert!(found.unwrap().stale);
    let found = registry
        .blob(&caller(), &repository(), &sha256(&layer))
        .await;
    assert!(found.unwrap().stale);
    // What this node does not know may exist all the same.
    let found = registry
        .manifest(&caller(), &repository(), &by_tag("b"))
        .await;
    assert!(matches!(found, Err(Error::Unavailable { .. })), "{found:?}");
    let status = registry
        .upload_status(&caller(), &repository(), upload)
        .await;
    assert!(matches!(status, Err(Error::Unavailable { .. })));
}
