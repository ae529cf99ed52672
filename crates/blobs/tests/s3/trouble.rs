//! A service that is busy, loses answers, breaks reads, refuses or is not there.

use std::time::Duration;

use blobs::{S3Settings, S3Store, Secret};
use bytes::Bytes;
use futures::TryStreamExt;
use metadata::{ClusterId, Epoch, ObjectKey};
use oci::UploadId;
use ports::blob_store::suite::pattern;
use ports::{BlobFailure, BlobStore, ByteSpan, CompletedPart, Target};

use crate::light_s3::{LightS3, Trouble};

pub(crate) fn key(id: u128) -> ObjectKey {
    ObjectKey::data(ClusterId(1), UploadId::from_u128(id), Epoch(1))
}

pub(crate) async fn put(
    store: &dyn BlobStore,
    target: &Target,
    bytes: Bytes,
) -> Result<String, BlobFailure> {
    let mut staged = store.stage(bytes.len() as u64).await?;
    staged.append(bytes).await?;
    staged.store(target).await
}

pub(crate) async fn read(
    store: &dyn BlobStore,
    key: &ObjectKey,
    start: u64,
    len: u64,
) -> Result<Vec<u8>, BlobFailure> {
    let blocks: Vec<Bytes> = store
        .read(key, ByteSpan { start, len })
        .await?
        .try_collect()
        .await?;
    Ok(blocks.concat())
}

#[tokio::test]
async fn a_busy_service_is_asked_again() {
    let server = LightS3::start().await;
    let store = S3Store::open(&server.settings()).await.unwrap();
    for operation in [
        "PutObject",
        "GetObject",
        "ListObjectsV2",
        "DeleteObject",
        "CreateMultipartUpload",
        "UploadPart",
    ] {
        server.trouble(operation, Trouble::Code("SlowDown", 2));
    }
    let bytes = pattern(1, 200_000);
    put(&store, &Target::Object(key(1)), bytes.clone())
        .await
        .unwrap();
    assert_eq!(server.requests("PutObject"), 3);
    assert_eq!(read(&store, &key(1), 0, 200_000).await.unwrap(), bytes);
    assert_eq!(store.list("", None).await.unwrap().len(), 1);
    let multipart = store.begin_multipart(&key(2)).await.unwrap();
    put(
        &store,
        &Target::Part {
            key: key(2),
            multipart,
            number: 1,
        },
        bytes,
    )
    .await
    .unwrap();
    store.delete(&[key(1)]).await.unwrap();
    assert!(server.keys().is_empty());
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    let server = LightS3::start().await;
    let store = S3Store::open(&server.settings()).await.unwrap();
    for operation in [
        "PutObject",
        "UploadPart",
        "CompleteMultipartUpload",
        "AbortMultipartUpload",
        "DeleteObject",
    ] {
        server.trouble(operation, Trouble::LostAnswer(1));
    }
    let bytes = pattern(1, 100);
    put(&store, &Target::Object(key(1)), bytes.clone())
        .await
        .unwrap();
    let multipart = store.begin_multipart(&key(2)).await.unwrap();
    let target = Target::Part {
        key: key(2),
        multipart: multipart.clone(),
        number: 1,
    };
    let etag = put(&store, &target, bytes).await.unwrap();
    let completed = store
        .complete_multipart(
            &key(2),
            &multipart,
            &[CompletedPart {
                number: 1,
                etag,
                size: 100,
            }],
        )
        .await;
    // The first try did it; the caller settles that by asking for the size.
    assert!(
        matches!(completed, Err(BlobFailure::NoSuchUpload { .. })),
        "{completed:?}"
    );
    assert_eq!(store.object_size(&key(2)).await.unwrap(), 100);
    let multipart = store.begin_multipart(&key(3)).await.unwrap();
    store.abort_multipart(&key(3), &multipart).await.unwrap();
    store.delete(&[key(1)]).await.unwrap();
    assert_eq!(server.keys(), [key(2).to_string()]);
}

#[tokio::test]
async fn a_read_that_breaks_goes_on_where_it_was() {
    let server = LightS3::start().await;
    let store = S3Store::open(&server.settings()).await.unwrap();
    let bytes = pattern(1, 1_000_000);
    put(&store, &Target::Object(key(1)), bytes.clone())
        .await
        .unwrap();
    server.trouble("GetObject", Trouble::Cut(300_000, 3));
    assert_eq!(
        read(&store, &key(1), 5, 999_990).await.unwrap(),
        bytes[5..999_995]
    );
    assert_eq!(server.requests("GetObject"), 4);
}

#[tokio::test]
async fn a_read_that_only_breaks_fails_and_never_ends_early() {
    let server = LightS3::start().await;
    let store = S3Store::open(&S3Settings {
        deadline_ms: 1_000,
        ..server.settings()
    })
    .await
    .unwrap();
    put(&store, &Target::Object(key(1)), pattern(1, 1000))
        .await
        .unwrap();
    server.trouble("GetObject", Trouble::Cut(0, u32::MAX));
    let failed = read(&store, &key(1), 0, 1000).await;
    assert!(
        matches!(failed, Err(BlobFailure::Unavailable { .. })),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_span_beyond_the_end_fails() {
    let server = LightS3::start().await;
    let store = S3Store::open(&server.settings()).await.unwrap();
    put(&store, &Target::Object(key(1)), pattern(1, 1000))
        .await
        .unwrap();
    for (start, len) in [(500, 501), (1000, 1)] {
        let failed = read(&store, &key(1), start, len).await;
        assert!(
            matches!(failed, Err(BlobFailure::Other { .. })),
            "{failed:?}"
        );
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused_at_once() {
    let server = LightS3::start().await;
    let wrong = S3Settings {
        secret_access_key: Some(Secret::new("wrong")),
        ..server.settings()
    };
    let store = S3Store::open(&wrong).await.unwrap();
    let failed = put(&store, &Target::Object(key(1)), pattern(1, 10)).await;
    assert!(
        matches!(failed, Err(BlobFailure::Denied { .. })),
        "{failed:?}"
    );
    let failed = read(&store, &key(1), 0, 1).await;
    assert!(
        matches!(failed, Err(BlobFailure::Denied { .. })),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_service_that_is_down_is_unavailable_after_the_deadline() {
    let server = LightS3::start().await;
    let settings = S3Settings {
        deadline_ms: 1_000,
        ..server.settings()
    };
    let address = server.address();
    drop(server);
    // Nobody listens there any more, once the last connection is gone.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let store = S3Store::open(&settings).await.unwrap();
    let failed = tokio::time::timeout(Duration::from_secs(10), read(&store, &key(1), 0, 1))
        .await
        .unwrap();
    assert!(
        matches!(failed, Err(BlobFailure::Unavailable { .. })),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_service_that_deletes_no_lists_is_asked_one_by_one() {
    let server = LightS3::start().await;
    let store = S3Store::open(&server.settings()).await.unwrap();
    server.trouble("DeleteObjects", Trouble::Code("NotImplemented", u32::MAX));
    for _ in 0..2 {
        for id in 0..3 {
            put(&store, &Target::Object(key(id)), pattern(1, 10))
                .await
                .unwrap();
        }
        store.delete(&[key(0), key(1), key(2)]).await.unwrap();
        assert!(server.keys().is_empty());
    }
    assert_eq!(server.requests("DeleteObjects"), 1);
    assert_eq!(server.requests("DeleteObject"), 6);
}

#[tokio::test]
async fn a_piece_that_finds_no_room_is_refused_when_it_is_announced() {
    let server = LightS3::start().await;
    let store = S3Store::open(&S3Settings {
        memory_mib: 32,
        ..server.settings()
    })
    .await
    .unwrap();
    assert!(store.stage(16 * 1024 * 1024).await.is_ok());
    assert!(matches!(
        store.stage(16 * 1024 * 1024 + 1).await,
        Err(BlobFailure::Other { .. })
    ));
}
