//! The S3 store on Garage: the suite of its port, the check, and what happens when Garage refuses or stops.
#![expect(clippy::unwrap_used, reason = "a test that finds no value has failed")]

use std::sync::{Arc, Mutex, PoisonError, Weak};

use blobs::check::{self, CheckStep};
use blobs::{S3Settings, S3Store, Secret, StorageKind};
use harness::GarageServer;
use metadata::{ClusterId, Epoch, MultipartId, ObjectKey};
use oci::UploadId;
use ports::blob_store::suite::{Subject, pattern};
use ports::{BlobFailure, BlobStore, CompletedPart, Target};

/// One server for the cases that run at the same time, each of which works below a cluster id of its own. It ends
/// with the last of them.
fn garage() -> Arc<GarageServer> {
    static SERVER: Mutex<Weak<GarageServer>> = Mutex::new(Weak::new());
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    server.upgrade().unwrap_or_else(|| {
        let started = Arc::new(GarageServer::start().expect("Garage starts"));
        *server = Arc::downgrade(&started);
        started
    })
}

fn settings(server: &GarageServer) -> S3Settings {
    S3Settings {
        bucket: server.bucket.clone(),
        endpoint: Some(server.endpoint.clone()),
        region: Some(server.region.clone()),
        prefix: "some/where".to_owned(),
        proxy: Some("none".to_owned()),
        access_key_id: Some(server.access_key.clone()),
        secret_access_key: Some(Secret::new(server.secret_key.clone())),
        ..S3Settings::default()
    }
}

async fn store() -> Subject {
    let server = garage();
    let store = S3Store::open(&settings(&server)).await.unwrap();
    Subject::new(Arc::new(store)).keeping(server)
}

ports::blob_store_suite!(store);

fn key() -> ObjectKey {
    ObjectKey::data(ClusterId(1), UploadId::from_u128(1), Epoch(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_passes() {
    let server = garage();
    let store = S3Store::open(&settings(&server)).await.unwrap();
    let steps = check::run(&store, StorageKind::S3).await;
    assert!(steps.iter().all(CheckStep::is_passed), "{steps:#?}");
}

/// What was begun in a folder, before the blobs were moved here, is still aborted when its upload ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn multipart_upload_of_another_store_is_unknown() {
    let server = garage();
    let store = S3Store::open(&settings(&server)).await.unwrap();
    let folder_id = MultipartId("0123456789abcdef0123456789abcdef".into());
    store.abort_multipart(&key(), &folder_id).await.unwrap();
    let part = CompletedPart {
        number: 1,
        etag: String::new(),
        size: 1,
    };
    let completed = store.complete_multipart(&key(), &folder_id, &[part]).await;
    let unknown = matches!(completed, Err(BlobFailure::NoSuchUpload { .. }));
    assert!(unknown, "{completed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_and_a_wrong_bucket_are_told_apart() {
    let server = garage();
    let wrong_secret = S3Settings {
        secret_access_key: Some(Secret::new("00".repeat(32))),
        ..settings(&server)
    };
    let size = S3Store::open(&wrong_secret)
        .await
        .unwrap()
        .object_size(&key())
        .await;
    assert!(matches!(size, Err(BlobFailure::Denied { .. })), "{size:?}");
    let wrong_bucket = S3Settings {
        bucket: "elsewhere".to_owned(),
        ..settings(&server)
    };
    let size = S3Store::open(&wrong_bucket)
        .await
        .unwrap()
        .object_size(&key())
        .await;
    assert!(
        matches!(&size, Err(BlobFailure::Other { reason }) if reason.contains("NoSuchBucket")),
        "{size:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ended_is_unavailable() {
    let server = GarageServer::start().expect("Garage starts");
    let store = S3Store::open(&S3Settings {
        deadline_ms: 2_000,
        ..settings(&server)
    })
    .await
    .unwrap();
    let mut staged = store.stage(1000).await.unwrap();
    staged.append(pattern(1, 1000)).await.unwrap();
    staged.store(&Target::Object(key())).await.unwrap();
    drop(server);
    let stored = staged.store(&Target::Object(key())).await;
    assert!(
        matches!(&stored, Err(failure @ BlobFailure::Unavailable { .. }) if failure.is_retryable()),
        "{stored:?}"
    );
}
