//! The check of a store: good, refused call by call, and not there.

use std::sync::Arc;

use blobs::check::{self, CheckOutcome, CheckStep};
use blobs::{FolderSettings, FolderStore, S3Settings, S3Store, Secret, StorageKind};
use ports::BlobStore;
use ports::blob_store::memory::MemoryBlobStore;

use crate::light_s3::{LightS3, Trouble};

async fn check(settings: &S3Settings) -> Vec<CheckStep> {
    check::run(&S3Store::open(settings).await.unwrap(), StorageKind::S3).await
}

fn failed(steps: &[CheckStep]) -> Vec<&CheckStep> {
    steps
        .iter()
        .filter(|step| matches!(step.outcome, CheckOutcome::Failed(_)))
        .collect()
}

#[tokio::test]
async fn a_good_store_passes_and_nothing_is_left() {
    let server = LightS3::start().await;
    let steps = check(&server.settings()).await;
    assert!(steps.iter().all(CheckStep::is_passed), "{steps:#?}");
    assert!(server.keys().is_empty());
    assert_eq!(server.uploads_open(), 0);

    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::open(&FolderSettings {
        path: Some(folder.path().to_owned()),
    })
    .await
    .unwrap();
    let stores: [Arc<dyn BlobStore>; 2] = [Arc::new(store), Arc::new(MemoryBlobStore::new())];
    for store in stores {
        let steps = check::run(&*store, StorageKind::Folder).await;
        assert!(steps.iter().all(CheckStep::is_passed), "{steps:#?}");
        assert!(store.list("", None).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn each_missing_permission_is_named() {
    let cases = [
        ("PutObject", "put an object", "s3:PutObject"),
        ("GetObject", "read a range of it", "s3:GetObject"),
        ("ListObjectsV2", "list objects", "s3:ListBucket"),
        ("DeleteObjects", "delete objects", "s3:DeleteObject"),
        (
            "CreateMultipartUpload",
            "begin a multipart upload",
            "s3:PutObject",
        ),
        ("UploadPart", "upload a part", "s3:PutObject"),
        (
            "CompleteMultipartUpload",
            "complete the upload",
            "s3:PutObject",
        ),
        (
            "ListMultipartUploads",
            "list unfinished uploads",
            "s3:ListBucketMultipartUploads",
        ),
        (
            "AbortMultipartUpload",
            "abort an upload",
            "s3:AbortMultipartUpload",
        ),
    ];
    for (operation, name, permission) in cases {
        let server = LightS3::start().await;
        server.trouble(operation, Trouble::Denied);
        let steps = check(&server.settings()).await;
        let failed = failed(&steps);
        let step = failed
            .iter()
            .find(|step| step.name == name)
            .unwrap_or_else(|| panic!("{operation}: {steps:#?}"));
        assert!(
            step.hint.as_ref().unwrap().contains(permission),
            "{operation}: {step:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_secret_and_a_missing_bucket_have_hints_of_their_own() {
    let server = LightS3::start().await;
    let steps = check(&S3Settings {
        secret_access_key: Some(Secret::new("wrong")),
        ..server.settings()
    })
    .await;
    assert!(
        failed(&steps)[0]
            .hint
            .as_ref()
            .unwrap()
            .contains("secret is wrong"),
        "{steps:#?}"
    );
    server.trouble("PutObject", Trouble::Code("NoSuchBucket", 1));
    let steps = check(&server.settings()).await;
    assert!(
        failed(&steps)[0]
            .hint
            .as_ref()
            .unwrap()
            .contains("create the bucket"),
        "{steps:#?}"
    );
}

#[tokio::test]
async fn a_store_that_does_not_answer_ends_the_check() {
    let server = LightS3::start().await;
    server.trouble("PutObject", Trouble::Code("SlowDown", u32::MAX));
    let steps = check(&S3Settings {
        deadline_ms: 1_000,
        ..server.settings()
    })
    .await;
    assert_eq!(failed(&steps).len(), 1, "{steps:#?}");
    assert!(
        steps[1..]
            .iter()
            .all(|step| step.outcome == CheckOutcome::Skipped),
        "{steps:#?}"
    );
}
