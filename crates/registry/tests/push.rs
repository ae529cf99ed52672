//! Blobs are pushed whole, streamed and in chunks, and are exactly their bytes; what is wrong is refused and harms nothing.

#![allow(clippy::unwrap_used, reason = "a panic of a test is its report")]

mod world;

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use metadata::{Command, WriteFrom};
use ports::blob_store::faulty::Call;
use proptest::prelude::*;
use registry::{Body, BodyFailure, Error};
use world::clients::Client;
use world::requests::{open, patch, put, status};
use world::{World, broken, caller, content, repository, sha256, sized, streamed};

const SIZES: [usize; 9] = [0, 1, 63, 64, 65, 128, 129, 640, 1000];

#[tokio::test]
async fn every_client_pushes_every_size() {
    for client in Client::ALL {
        for size in SIZES {
            let world = World::new();
            let bytes = content(1, size);
            client.push(&world.registry, &bytes).await.unwrap();
            let pulled = world
                .pull(&repository(), client.digest(&bytes))
                .await
                .unwrap();
            assert_eq!(pulled, bytes, "{client:?} {size}");
            world.sweep().await;
            assert_eq!(
                world.blobs.keys().len(),
                1,
                "{client:?} {size} leaves one object"
            );
            assert_eq!(world.blobs.uploads_open(), 0, "{client:?} {size}");
        }
    }
}

#[tokio::test]
async fn a_small_blob_costs_two_entries_and_one_put() {
    let world = World::new();
    Client::SinglePost
        .push(&world.registry, &content(2, 60))
        .await
        .unwrap();
    assert_eq!(world.metadata.commands().len(), 2);
    assert_eq!(world.store.calls(Call::Store), 1);
    assert_eq!(world.store.calls(Call::Read), 0);
}

#[tokio::test]
async fn a_small_layer_of_docker_costs_four_entries_and_one_put() {
    let world = World::new();
    Client::Docker
        .push(&world.registry, &content(2, 60))
        .await
        .unwrap();
    assert_eq!(world.metadata.commands().len(), 4);
    assert_eq!(world.store.calls(Call::Store), 1);
    assert_eq!(world.store.calls(Call::Read), 0);
}

#[tokio::test]
async fn a_large_blob_commits_checkpoints_and_reads_nothing_back() {
    let world = World::new();
    Client::Containerd
        .push(&world.registry, &content(3, 1000))
        .await
        .unwrap();
    let commands = world.metadata.commands();
    let checkpoints = commands
        .iter()
        .filter(|command| matches!(command, Command::Checkpoint(_)))
        .count();
    assert!(checkpoints >= 4, "{checkpoints} checkpoints for 15 parts");
    assert_eq!(
        world.store.calls(Call::Store),
        16,
        "each byte is stored once"
    );
    assert_eq!(world.store.calls(Call::Read), 0);
}

#[tokio::test]
async fn an_upload_goes_on_at_any_offset_on_any_node() {
    let bytes = content(4, 700);
    for cut in [1, 63, 64, 65, 127, 128, 200, 640, 699] {
        let world = World::new();
        let upload = open(&world).await;
        let first = bytes.slice(..cut);
        let offset = patch(&world, upload, WriteFrom::Exactly(0), sized(&first, 31))
            .await
            .unwrap();
        assert_eq!(offset, cut as u64);
        assert_eq!(status(&world, upload).await.unwrap(), cut as u64);
        let rest = sized(&bytes.slice(cut..), 200);
        let at = WriteFrom::Location(cut as u64);
        put(&world, upload, at, rest, sha256(&bytes)).await.unwrap();
        world.assert_blob(&repository(), &bytes).await;
        world.sweep().await;
        assert_eq!(world.blobs.keys().len(), 1, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_body_from_byte_0_to_the_first_location_starts_anew() {
    let world = World::new();
    let (wrong, right) = (content(5, 500), content(6, 450));
    let upload = open(&world).await;
    patch(&world, upload, WriteFrom::Location(0), streamed(&wrong, 90))
        .await
        .unwrap();
    patch(&world, upload, WriteFrom::Location(0), streamed(&right, 90))
        .await
        .unwrap();
    put(
        &world,
        upload,
        WriteFrom::Location(450),
        Body::empty(),
        sha256(&right),
    )
    .await
    .unwrap();
    world.assert_blob(&repository(), &right).await;
    world.sweep().await;
    assert_eq!(world.blobs.keys().len(), 1);
}

#[tokio::test]
async fn a_chunk_that_starts_elsewhere_is_told_the_true_offset() {
    let world = World::new();
    let bytes = content(7, 300);
    let upload = open(&world).await;
    patch(
        &world,
        upload,
        WriteFrom::Exactly(0),
        sized(&bytes.slice(..100), 50),
    )
    .await
    .unwrap();
    for at in [0, 99, 101, 300] {
        let refused = patch(&world, upload, WriteFrom::Exactly(at), sized(&bytes, 50)).await;
        assert!(
            matches!(refused, Err(Error::OffsetMismatch { acknowledged: 100 })),
            "{at}"
        );
        let refused = put(
            &world,
            upload,
            WriteFrom::Exactly(at),
            Body::empty(),
            sha256(&bytes),
        )
        .await;
        assert!(
            matches!(refused, Err(Error::OffsetMismatch { acknowledged: 100 })),
            "{at}"
        );
    }
    let rest = sized(&bytes.slice(100..), 50);
    put(
        &world,
        upload,
        WriteFrom::Exactly(100),
        rest,
        sha256(&bytes),
    )
    .await
    .unwrap();
    world.assert_blob(&repository(), &bytes).await;
}

#[tokio::test]
async fn a_length_that_lies_is_refused_either_way() {
    for (declared, sent) in [(10, 9), (10, 11), (300, 200), (200, 300), (1, 0)] {
        let world = World::new();
        let bytes = content(11, sent);
        let upload = open(&world).await;
        let body = Body {
            length: Some(declared),
            ..streamed(&bytes, 32)
        };
        let refused = patch(&world, upload, WriteFrom::Exactly(0), body).await;
        assert!(
            matches!(refused, Err(Error::SizeMismatch { .. })),
            "{declared} {sent}"
        );
        let body = Body {
            length: Some(declared),
            ..streamed(&bytes, 32)
        };
        let refused = world
            .registry
            .push_blob(&caller(), &repository(), sha256(&bytes), body)
            .await;
        assert!(
            matches!(refused, Err(Error::SizeMismatch { .. })),
            "{declared} {sent}"
        );
    }
}

#[tokio::test]
async fn a_blob_that_is_too_large_is_refused_before_its_bytes_are_taken() {
    let world = World::with(|settings| settings.blob_size_max = 256);
    let upload = open(&world).await;
    let never = |length| Body {
        stream: futures::stream::pending().boxed(),
        length: Some(length),
    };
    let refused = patch(&world, upload, WriteFrom::Exactly(0), never(257)).await;
    assert!(matches!(refused, Err(Error::BlobTooLarge { max: 256 })));
    let refused = patch(&world, upload, WriteFrom::Exactly(0), never(u64::MAX)).await;
    assert!(matches!(refused, Err(Error::BlobTooLarge { max: 256 })));
    let refused = patch(&world, upload, WriteFrom::Exactly(u64::MAX), never(2)).await;
    assert!(matches!(refused, Err(Error::BlobTooLarge { max: 256 })));
    let endless = streamed(&content(12, 257), 64);
    let refused = patch(&world, upload, WriteFrom::Exactly(0), endless).await;
    assert!(matches!(refused, Err(Error::BlobTooLarge { max: 256 })));
    let most = content(13, 256);
    let at = WriteFrom::Location(0);
    put(&world, upload, at, streamed(&most, 64), sha256(&most))
        .await
        .unwrap();
    world.assert_blob(&repository(), &most).await;
}

#[tokio::test]
async fn a_body_that_stops_for_ever_is_cut_and_its_parts_are_kept() {
    let world = World::with(|settings| settings.body_idle_timeout = Duration::from_millis(50));
    let bytes = content(14, 300);
    let upload = open(&world).await;
    let stalled = Body {
        stream: streamed(&bytes.slice(..200), 50)
            .stream
            .chain(futures::stream::pending())
            .boxed(),
        length: Some(300),
    };
    let cut = patch(&world, upload, WriteFrom::Exactly(0), stalled).await;
    assert!(matches!(cut, Err(Error::BodyStalled)));
    assert_eq!(status(&world, upload).await.unwrap(), 192);
    let rest = sized(&bytes.slice(192..), 50);
    put(
        &world,
        upload,
        WriteFrom::Exactly(192),
        rest,
        sha256(&bytes),
    )
    .await
    .unwrap();
    world.assert_blob(&repository(), &bytes).await;
}

#[tokio::test]
async fn what_a_broken_request_made_durable_is_kept_and_not_acknowledged() {
    let world = World::new();
    let bytes = content(15, 500);
    let upload = open(&world).await;
    let cut = broken(&bytes.slice(..330), 41);
    let failed = patch(&world, upload, WriteFrom::Location(0), cut).await;
    assert!(matches!(failed, Err(Error::BodyDisconnected { .. })));
    // Docker would start anew from the offset that it was told; others ask.
    assert_eq!(status(&world, upload).await.unwrap(), 320);
    let rest = streamed(&bytes.slice(320..), 41);
    put(
        &world,
        upload,
        WriteFrom::Exactly(320),
        rest,
        sha256(&bytes),
    )
    .await
    .unwrap();
    world.assert_blob(&repository(), &bytes).await;
    world.sweep().await;
    assert_eq!(world.blobs.keys().len(), 1);
}

#[tokio::test]
async fn a_request_whose_client_has_gone_is_done_to_its_end() {
    let world = World::new();
    let bytes = content(16, 300);
    let upload = open(&world).await;
    let (mut sender, receiver) = mpsc::channel::<Result<Bytes, BodyFailure>>(1);
    let body = Body {
        stream: receiver.boxed(),
        length: None,
    };
    let registry = world.registry.clone();
    let request = tokio::spawn(async move {
        registry
            .write_upload(
                &caller(),
                &repository(),
                upload,
                WriteFrom::Exactly(0),
                body,
            )
            .await
    });
    for chunk in bytes.chunks(100) {
        futures::SinkExt::send(&mut sender, Ok(Bytes::copy_from_slice(chunk)))
            .await
            .unwrap();
    }
    request.abort();
    drop(sender);
    world.registry.drained().await;
    assert_eq!(status(&world, upload).await.unwrap(), 300);
    put(
        &world,
        upload,
        WriteFrom::Exactly(300),
        Body::empty(),
        sha256(&bytes),
    )
    .await
    .unwrap();
    world.assert_blob(&repository(), &bytes).await;
}

#[tokio::test]
async fn the_same_blob_twice_keeps_one_object() {
    let world = World::new();
    for client in Client::ALL {
        client
            .push(&world.registry, &content(21, 200))
            .await
            .unwrap();
        client
            .push(&world.registry, &content(21, 200))
            .await
            .unwrap();
    }
    world.sweep().await;
    assert_eq!(world.blobs.keys().len(), 2, "one for each algorithm");
    world.assert_blob(&repository(), &content(21, 200)).await;
}

#[tokio::test]
async fn an_upload_is_of_its_repository_only() {
    let world = World::new();
    let upload = open(&world).await;
    let other = oci::RepositoryName::parse("library/other").unwrap();
    let status = world
        .registry
        .upload_status(&caller(), &other, upload)
        .await;
    assert!(matches!(status, Err(Error::UploadUnknown)));
    let body = sized(&content(23, 5), 5);
    let written = world
        .registry
        .write_upload(&caller(), &other, upload, WriteFrom::Acknowledged, body)
        .await;
    assert!(matches!(written, Err(Error::UploadUnknown)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_body_in_any_chunks_and_requests_is_exactly_its_bytes(
        seed in any::<u8>(),
        len in 0_usize..900,
        cuts in proptest::collection::vec(0_usize..900, 0..4),
        chunk in 1_usize..200,
        by_range in any::<bool>(),
        breaks in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let bytes = content(seed, len);
            let upload = open(&world).await;
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= len).collect();
            cuts.sort_unstable();
            let mut at = 0;
            for cut in cuts {
                let from = |at| if by_range { WriteFrom::Exactly(at) } else { WriteFrom::Location(at) };
                if breaks && cut > at {
                    let lost = broken(&bytes.slice(at..cut), chunk);
                    patch(&world, upload, from(at as u64), lost).await.unwrap_err();
                    at = status(&world, upload).await.unwrap() as usize;
                }
                let body = streamed(&bytes.slice(at..cut), chunk);
                at = patch(&world, upload, from(at as u64), body).await.unwrap() as usize;
                assert_eq!(at, cut);
            }
            let rest = sized(&bytes.slice(at..), chunk);
            put(&world, upload, WriteFrom::Exactly(at as u64), rest, sha256(&bytes)).await.unwrap();
            world.assert_blob(&repository(), &bytes).await;
            world.sweep().await;
            assert_eq!(world.blobs.keys().len(), 1);
        });
    }
}
