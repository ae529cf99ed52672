//! An upload ends once, as what it is: closing requests that come again, are wrong, race or find the work of others.

#![allow(clippy::unwrap_used, reason = "a panic of a test is its report")]

mod world;

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use metadata::{Answer, Command, Query, Reply, WriteFrom};
use oci::{Algorithm, Digest, UploadId};
use ports::blob_store::faulty as faulty_blobs;
use ports::metadata_store::faulty as faulty_log;
use ports::{BlobStore, MetadataStore};
use registry::{Body, BodyFailure, Error, Sweeper};
use world::requests::{open, patch, put, status};
use world::{World, caller, content, repository, sha256, sized};

const SIZES: [usize; 9] = [0, 1, 63, 64, 65, 128, 129, 640, 1000];

/// An upload of five parts, sealed by a node that died then.
async fn sealed(world: &World, bytes: &Bytes) -> UploadId {
    use faulty_blobs::{Call, Fault, FaultPlan};
    let upload = open(world).await;
    let plan = FaultPlan::none().on(Call::CompleteMultipart, 1, Fault::Before);
    world.store.set_plan(plan);
    let at = WriteFrom::Location(0);
    let failed = put(world, upload, at, sized(bytes, 64), sha256(bytes)).await;
    assert!(matches!(failed, Err(Error::Unavailable { .. })));
    world.heal();
    upload
}

#[tokio::test]
async fn a_sealed_upload_is_completed_by_whoever_closes_it_next() {
    let world = World::new();
    let bytes = content(30, 300);
    let upload = sealed(&world, &bytes).await;
    let more = patch(&world, upload, WriteFrom::Acknowledged, sized(&bytes, 9)).await;
    assert!(matches!(more, Err(Error::UploadSealed)));
    let at = WriteFrom::Acknowledged;
    let other = put(&world, upload, at, Body::empty(), sha256(b"other")).await;
    assert!(matches!(other, Err(Error::UploadSealed)));
    put(&world, upload, at, Body::empty(), sha256(&bytes))
        .await
        .unwrap();
    world.assert_blob(&repository(), &bytes).await;
    world.sweep().await;
    assert_eq!(world.blobs.keys().len(), 1);
}

#[tokio::test]
async fn an_object_that_was_completed_before_the_node_died_is_finished() {
    use faulty_blobs::{Call, Fault, FaultPlan};
    for (body, at) in [(true, 0), (false, 300)] {
        let world = World::new();
        let bytes = content(31, 300);
        let upload = sealed(&world, &bytes).await;
        let plan = FaultPlan::none().on(Call::CompleteMultipart, 1, Fault::After);
        world.store.set_plan(plan);
        let from = WriteFrom::Location(at);
        let body = || {
            if body {
                sized(&bytes, 64)
            } else {
                Body::empty()
            }
        };
        let failed = put(&world, upload, from, body(), sha256(&bytes)).await;
        assert!(matches!(failed, Err(Error::Unavailable { .. })));
        assert_eq!(world.blobs.uploads_open(), 0);
        // "No such upload" now means that it was completed: the size tells.
        put(&world, upload, from, body(), sha256(&bytes))
            .await
            .unwrap();
        assert_eq!(world.store.calls(Call::ObjectSize), 1);
        world.assert_blob(&repository(), &bytes).await;
    }
}

#[tokio::test]
async fn a_sealed_upload_whose_parts_the_store_lost_is_unknown_and_never_a_blob() {
    let world = World::new();
    let bytes = content(32, 300);
    let upload = sealed(&world, &bytes).await;
    for listed in world.blobs.list_multipart("").await.unwrap() {
        let key = metadata::ObjectKey::parse(&listed.key).unwrap();
        world
            .blobs
            .abort_multipart(&key, &listed.multipart)
            .await
            .unwrap();
    }
    let at = WriteFrom::Location(0);
    let lost = put(&world, upload, at, sized(&bytes, 64), sha256(&bytes)).await;
    assert!(matches!(lost, Err(Error::UploadUnknown)), "{lost:?}");
    assert!(world.pull(&repository(), sha256(&bytes)).await.is_err());
    assert!(matches!(
        status(&world, upload).await,
        Err(Error::UploadUnknown)
    ));
}

#[tokio::test]
async fn a_closing_request_whose_entry_was_committed_is_answered_at_once() {
    use faulty_log::{Call, Fault, FaultPlan};
    for size in [10, 300] {
        let world = World::new();
        let bytes = content(33, size);
        let upload = open(&world).await;
        let at = WriteFrom::Location(0);
        let offset = patch(&world, upload, at, sized(&bytes, 64)).await.unwrap();
        let entries = world.metadata.commands().len();
        let closing = if size == 10 { 1 } else { 3 };
        world
            .log
            .set_plan(FaultPlan::none().on(Call::Propose, closing, Fault::After));
        let at = WriteFrom::Location(offset);
        put(&world, upload, at, Body::empty(), sha256(&bytes))
            .await
            .unwrap();
        assert_eq!(world.metadata.commands().len() - entries, closing as usize);
        assert!(matches!(
            world.metadata.commands().last(),
            Some(Command::FinishUpload(_))
        ));
    }
}

#[tokio::test]
async fn closing_at_once_from_two_nodes_gives_one_blob() {
    for size in [10, 300] {
        let world = World::new();
        let bytes = content(34, size);
        let upload = open(&world).await;
        let at = WriteFrom::Location(0);
        let offset = patch(&world, upload, at, sized(&bytes, 64)).await.unwrap();
        let at = WriteFrom::Location(offset);
        let close = || put(&world, upload, at, Body::empty(), sha256(&bytes));
        let (one, two) = tokio::join!(close(), close());
        assert!(one.is_ok() || two.is_ok());
        put(&world, upload, at, Body::empty(), sha256(&bytes))
            .await
            .unwrap();
        world.assert_blob(&repository(), &bytes).await;
        world.sweep().await;
        assert_eq!(world.blobs.keys().len(), 1);
    }
}

#[tokio::test]
async fn a_closing_request_sent_again_gets_the_same_answer() {
    for size in SIZES {
        let world = World::new();
        let bytes = content(8, size);
        let upload = open(&world).await;
        for _ in 0..3 {
            let body = sized(&bytes, 64);
            let closed = put(&world, upload, WriteFrom::Location(0), body, sha256(&bytes)).await;
            assert_eq!(closed.unwrap(), sha256(&bytes));
            let at = WriteFrom::Location(size as u64);
            let closed = put(&world, upload, at, Body::empty(), sha256(&bytes)).await;
            assert_eq!(closed.unwrap(), sha256(&bytes));
        }
        let other = put(
            &world,
            upload,
            WriteFrom::Acknowledged,
            Body::empty(),
            sha256(b"x"),
        )
        .await;
        assert!(matches!(other, Err(Error::UploadUnknown)));
        let more = patch(&world, upload, WriteFrom::Acknowledged, sized(&bytes, 9)).await;
        assert!(matches!(more, Err(Error::UploadUnknown)));
        assert!(matches!(
            status(&world, upload).await,
            Err(Error::UploadUnknown)
        ));
    }
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_leave_the_upload_where_it_was() {
    for size in [0, 10, 64, 200] {
        for algorithm in Algorithm::ALL {
            let world = World::new();
            let bytes = content(9, size);
            let wrong = Digest::of(algorithm, b"something else");
            let upload = open(&world).await;
            let at = WriteFrom::Location(0);
            patch(&world, upload, at, sized(&bytes.slice(..size / 2), 9))
                .await
                .unwrap();
            let half = (size / 2) as u64;
            let rest = sized(&bytes.slice(size / 2..), 64);
            let refused = put(&world, upload, WriteFrom::Location(half), rest, wrong).await;
            assert!(
                matches!(refused, Err(Error::DigestMismatch { .. })),
                "{refused:?}"
            );
            if size == 200 && algorithm == Algorithm::Sha512 {
                // Its parts were sealed before they could be read back.
                assert!(matches!(
                    status(&world, upload).await,
                    Err(Error::UploadUnknown)
                ));
                continue;
            }
            assert_eq!(status(&world, upload).await.unwrap(), half);
            let rest = sized(&bytes.slice(size / 2..), 64);
            let right = Digest::of(algorithm, &bytes);
            put(&world, upload, WriteFrom::Location(half), rest, right)
                .await
                .unwrap();
            assert_eq!(world.pull(&repository(), right).await.unwrap(), bytes);
        }
    }
}

#[tokio::test]
async fn a_single_post_of_wrong_bytes_leaves_nothing() {
    for size in [0, 10, 64, 200] {
        let world = World::new();
        let body = sized(&content(10, size), 30);
        let refused = world
            .registry
            .push_blob(&caller(), &repository(), sha256(b"other"), body)
            .await;
        assert!(matches!(refused, Err(Error::DigestMismatch { .. })));
        world.sweep().await;
        assert_eq!(world.blobs.keys().len(), 0, "{size}");
        assert_eq!(world.blobs.uploads_open(), 0, "{size}");
    }
}

#[tokio::test]
async fn of_two_writers_the_later_one_wins_and_the_other_is_told() {
    let world = World::new();
    let (old, new) = (content(17, 300), content(18, 300));
    let upload = open(&world).await;
    let (mut sender, receiver) = mpsc::channel::<Result<Bytes, BodyFailure>>(0);
    let body = Body {
        stream: receiver.boxed(),
        length: None,
    };
    let registry = world.registry.clone();
    let first = tokio::spawn(async move {
        registry
            .write_upload(
                &caller(),
                &repository(),
                upload,
                WriteFrom::Location(0),
                body,
            )
            .await
    });
    let send = |chunk: Bytes| Ok::<_, BodyFailure>(chunk);
    futures::SinkExt::send(&mut sender, send(old.slice(..150)))
        .await
        .unwrap();
    let second = patch(&world, upload, WriteFrom::Location(0), sized(&new, 70)).await;
    assert_eq!(second.unwrap(), 300);
    // The first one may notice at a checkpoint, before it takes the rest.
    let _ = futures::SinkExt::send(&mut sender, send(old.slice(150..))).await;
    drop(sender);
    let fenced = first.await.unwrap();
    assert!(
        matches!(
            fenced,
            Err(Error::UploadBusyElsewhere { acknowledged: 300 })
        ),
        "{fenced:?}"
    );
    put(
        &world,
        upload,
        WriteFrom::Exactly(300),
        Body::empty(),
        sha256(&new),
    )
    .await
    .unwrap();
    world.assert_blob(&repository(), &new).await;
}

#[tokio::test]
async fn a_writer_that_restarts_while_an_upload_is_closed_cannot_smuggle_bytes_in() {
    let world = World::new();
    let (good, evil) = (content(19, 50), content(20, 50));
    let upload = open(&world).await;
    patch(&world, upload, WriteFrom::Location(0), sized(&good, 50))
        .await
        .unwrap();
    // The closing request has looked and verified; its entry comes late, and the other's in between.
    let late = faulty_log::FaultPlan::none().on(
        faulty_log::Call::Propose,
        1,
        faulty_log::Fault::Delay(Duration::from_millis(200)),
    );
    world.log.set_plan(late);
    let registry = world.registry.clone();
    let digest = sha256(&good);
    let closing = tokio::spawn(async move {
        registry
            .close_upload(
                &caller(),
                &repository(),
                upload,
                WriteFrom::Location(50),
                Body::empty(),
                digest,
            )
            .await
    });
    while world.log.calls(faulty_log::Call::Propose) == 0 {
        tokio::task::yield_now().await;
    }
    patch(&world, upload, WriteFrom::Location(0), sized(&evil, 50))
        .await
        .unwrap();
    let closed = closing.await.unwrap();
    assert!(
        matches!(closed, Err(Error::UploadBusyElsewhere { .. })),
        "{closed:?}"
    );
    assert!(world.pull(&repository(), digest).await.is_err());
}

#[tokio::test]
async fn a_cancelled_upload_leaves_nothing() {
    for size in [0, 10, 300] {
        let world = World::new();
        let upload = open(&world).await;
        patch(
            &world,
            upload,
            WriteFrom::Exactly(0),
            sized(&content(22, size), 50),
        )
        .await
        .unwrap();
        world
            .registry
            .cancel_upload(&caller(), &repository(), upload)
            .await
            .unwrap();
        let again = world
            .registry
            .cancel_upload(&caller(), &repository(), upload)
            .await;
        assert!(matches!(again, Err(Error::UploadUnknown)));
        assert!(matches!(
            status(&world, upload).await,
            Err(Error::UploadUnknown)
        ));
        world.sweep().await;
        assert_eq!(world.blobs.keys().len(), 0);
        assert_eq!(world.blobs.uploads_open(), 0);
    }
}

#[tokio::test]
async fn an_upload_that_nobody_writes_to_is_ended_and_leaves_nothing() {
    let world = World::new();
    let idle = open(&world).await;
    let at = WriteFrom::Exactly(0);
    patch(&world, idle, at, sized(&content(35, 300), 64))
        .await
        .unwrap();
    let bytes = content(36, 300);
    let closing = sealed(&world, &bytes).await;
    world
        .metadata
        .advance(Duration::from_secs(6 * 24 * 60 * 60));
    let busy = open(&world).await;
    patch(&world, busy, at, sized(&content(37, 100), 64))
        .await
        .unwrap();
    let mut sweeper = Sweeper::new(world.registry.clone());
    assert!(!sweeper.expire_uploads().await.unwrap());
    assert_eq!(
        status(&world, idle).await.unwrap(),
        300,
        "its time has not come"
    );
    world
        .metadata
        .advance(Duration::from_secs(2 * 24 * 60 * 60));
    let at = WriteFrom::Exactly(100);
    patch(&world, busy, at, sized(&content(38, 10), 64))
        .await
        .unwrap();
    assert!(!sweeper.expire_uploads().await.unwrap());
    for ended in [idle, closing] {
        assert!(matches!(
            status(&world, ended).await,
            Err(Error::UploadUnknown)
        ));
    }
    assert_eq!(status(&world, busy).await.unwrap(), 110);
    world.assert_blob(&repository(), &bytes).await;
    world
        .registry
        .cancel_upload(&caller(), &repository(), busy)
        .await
        .unwrap();
    world.sweep().await;
    assert_eq!(
        world.blobs.keys().len(),
        1,
        "the sealed one is the blob that it was to be"
    );
    assert_eq!(world.blobs.uploads_open(), 0);
}

#[tokio::test]
async fn very_many_idle_uploads_are_ended_page_by_page() {
    let world = World::unchecked();
    for _ in 0..600 {
        open(&world).await;
    }
    world
        .metadata
        .advance(Duration::from_secs(8 * 24 * 60 * 60));
    let busy = open(&world).await;
    let mut sweeper = Sweeper::new(world.registry.clone());
    assert!(sweeper.expire_uploads().await.unwrap());
    assert!(!sweeper.expire_uploads().await.unwrap());
    let cancelled = world.metadata.commands();
    let cancelled = cancelled
        .iter()
        .filter(|c| matches!(c, Command::CancelUpload { .. }));
    assert_eq!(cancelled.count(), 600);
    assert_eq!(status(&world, busy).await.unwrap(), 0);
}

#[tokio::test]
async fn jump_of_the_logs_time_ends_no_upload() {
    let world = World::new();
    let idle = open(&world).await;
    let day = Duration::from_secs(24 * 60 * 60);
    let deadline = caller().deadline;
    let view = world.metadata.read(Query::Cluster, deadline).await;
    let Answer::Cluster(view) = view.unwrap().answer else {
        panic!("no answer about the cluster");
    };
    let to = view.time.plus_ms(30 * 24 * 60 * 60 * 1000);
    let corrected = world
        .metadata
        .propose(Command::CorrectTime { to }, deadline)
        .await;
    assert_eq!(corrected.unwrap(), Reply::Done);
    let mut sweeper = Sweeper::new(world.registry.clone());
    sweeper.expire_uploads().await.unwrap();
    assert_eq!(status(&world, idle).await.unwrap(), 0);
    world.metadata.advance(31 * day);
    open(&world).await;
    sweeper.expire_uploads().await.unwrap();
    assert!(matches!(
        status(&world, idle).await,
        Err(Error::UploadUnknown)
    ));
}
