//! The order in which a folder makes bytes last, and what a failure or a crash at each of its steps leaves.
//!
//! Fail points belong to the whole process: each test holds the one scenario while it runs.
#![expect(clippy::unwrap_used, reason = "a test that finds no value has failed")]

use std::path::Path;
use std::sync::Arc;

use blobs::{FolderSettings, FolderStore, STEPS};
use bytes::Bytes;
use fail::FailScenario;
use futures::TryStreamExt;
use metadata::{ClusterId, Epoch, ObjectKey};
use oci::UploadId;
use parking_lot::Mutex;
use ports::blob_store::suite::pattern;
use ports::{BlobFailure, BlobStore, ByteSpan, CompletedPart, Target};

const LEN: u64 = 100_000;

async fn open(path: &Path) -> FolderStore {
    FolderStore::open(&FolderSettings {
        path: Some(path.to_owned()),
    })
    .await
    .unwrap()
}

fn folder_steps() -> impl Iterator<Item = &'static str> {
    STEPS
        .iter()
        .copied()
        .filter(|step| step.starts_with("blobs::folder_"))
}

fn object(id: u128) -> ObjectKey {
    ObjectKey::tail(ClusterId(1), UploadId::from_u128(id), Epoch(1), 0)
}

async fn put(store: &FolderStore, target: &Target) -> Result<(), BlobFailure> {
    let mut staged = store.stage(LEN).await?;
    staged.append(pattern(7, LEN)).await?;
    staged.store(target).await.map(drop)
}

async fn read(store: &FolderStore, key: &ObjectKey) -> Result<Bytes, BlobFailure> {
    let blocks: Vec<Bytes> = store
        .read(key, ByteSpan { start: 0, len: LEN })
        .await?
        .try_collect()
        .await?;
    Ok(blocks.concat().into())
}

/// A plain object, an object made of a part, and the removal of an object that is there: every step is met.
async fn push(store: &FolderStore, id: u128) -> Result<(), BlobFailure> {
    put(store, &Target::Object(object(id))).await?;
    let key = object(id + 1);
    let multipart = store.begin_multipart(&key).await?;
    let number = 3;
    put(
        store,
        &Target::Part {
            key: key.clone(),
            multipart: multipart.clone(),
            number,
        },
    )
    .await?;
    store
        .complete_multipart(
            &key,
            &multipart,
            &[CompletedPart {
                number,
                etag: String::new(),
                size: LEN,
            }],
        )
        .await?;
    store.delete(&[object(id + 2)]).await
}

async fn assert_pushed(store: &FolderStore, id: u128) {
    for key in [object(id), object(id + 1)] {
        assert!(
            read(store, &key).await.unwrap() == pattern(7, LEN),
            "{key} is not what was stored"
        );
    }
}

#[tokio::test]
async fn bytes_are_named_then_synced_and_only_then_acknowledged() {
    let scenario = FailScenario::setup();
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    put(&store, &Target::Object(object(3))).await.unwrap();
    let met: Arc<Mutex<Vec<(&str, usize)>>> = Arc::default();
    for step in folder_steps() {
        let (met, objects) = (Arc::clone(&met), folder.path().join("objects"));
        // Beside the step: how many objects have their final names.
        let note = move || met.lock().push((step, count_objects(&objects)));
        fail::cfg_callback(step, note).unwrap();
    }
    push(&store, 1).await.unwrap();
    scenario.teardown();
    let expected = [
        ("blobs::folder_written", 1),
        ("blobs::folder_placed", 2),
        ("blobs::folder_file_synced", 2),
        ("blobs::folder_entry_synced", 2),
        ("blobs::folder_multipart_made", 2),
        ("blobs::folder_multipart_synced", 2),
        ("blobs::folder_written", 2),
        ("blobs::folder_placed", 2),
        ("blobs::folder_file_synced", 2),
        ("blobs::folder_entry_synced", 2),
        ("blobs::folder_list_written", 2),
        ("blobs::folder_list_synced", 2),
        ("blobs::folder_object_placed", 3),
        ("blobs::folder_object_synced", 3),
        ("blobs::folder_delete_moved", 2),
    ];
    assert_eq!(*met.lock(), expected);
    assert_eq!(
        folder_steps()
            .filter(|step| !expected.iter().any(|(met, _)| met == step))
            .count(),
        0
    );
}

/// Objects lie four folders deep: cluster, kind, fan, name.
fn count_objects(objects: &Path) -> usize {
    let mut level = vec![objects.to_owned()];
    for _ in 0..4 {
        let below = level
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap());
        level = below.map(|entry| entry.unwrap().path()).collect();
    }
    level.len()
}

#[tokio::test]
async fn a_step_that_fails_is_never_acknowledged_and_what_was_stays() {
    for step in folder_steps() {
        let scenario = FailScenario::setup();
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        push(&store, 10).await.unwrap();
        for (id, errno, is_full) in [(20, 28, true), (30, 30, false)] {
            put(&store, &Target::Object(object(id + 2))).await.unwrap();
            fail::cfg(step, &format!("return({errno})")).unwrap();
            let failed = push(&store, id).await;
            fail::remove(step);
            match failed {
                Err(BlobFailure::Full { .. }) => assert!(is_full, "{step}"),
                Err(BlobFailure::Denied { .. }) => assert!(!is_full, "{step}"),
                other => panic!("{step} failed, and the store said {other:?}"),
            }
        }
        assert_pushed(&store, 10).await;
        push(&store, 40).await.unwrap();
        assert_pushed(&store, 40).await;
        scenario.teardown();
    }
}

#[tokio::test]
async fn bytes_whose_sync_failed_are_never_acknowledged_later() {
    for step in ["blobs::folder_placed", "blobs::folder_file_synced"] {
        let scenario = FailScenario::setup();
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let mut staged = store.stage(LEN).await.unwrap();
        staged.append(pattern(7, LEN)).await.unwrap();
        fail::cfg(step, "return(5)").unwrap();
        assert!(staged.store(&Target::Object(object(1))).await.is_err());
        fail::remove(step);
        // The system may have dropped the bytes and would now report success.
        assert!(
            staged.store(&Target::Object(object(1))).await.is_err(),
            "{step}"
        );
        scenario.teardown();
    }
}

#[tokio::test]
async fn a_crash_at_any_step_loses_nothing_that_was_acknowledged() {
    for step in folder_steps() {
        let scenario = FailScenario::setup();
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        push(&store, 10).await.unwrap();
        put(&store, &Target::Object(object(3))).await.unwrap();
        fail::cfg(step, "panic").unwrap();
        let crashed = tokio::spawn(async move { push(&store, 1).await }).await;
        assert!(crashed.unwrap_err().is_panic(), "{step}");
        fail::remove(step);

        let store = open(folder.path()).await;
        assert_pushed(&store, 10).await;
        // Whatever of the push was done, it can be done again under keys of its own, and the rest be swept.
        push(&store, 20).await.unwrap();
        assert_pushed(&store, 20).await;
        for upload in store.list_multipart("").await.unwrap() {
            let key = ObjectKey::parse(&upload.key).unwrap();
            store
                .abort_multipart(&key, &upload.multipart)
                .await
                .unwrap();
        }
        for listed in store.list("", None).await.unwrap() {
            let key = ObjectKey::parse(&listed.key).unwrap();
            assert!(
                read(&store, &key).await.unwrap() == pattern(7, LEN),
                "{step} left {key} broken"
            );
            store.delete(&[key]).await.unwrap();
        }
        assert!(store.list("", None).await.unwrap().is_empty());
        assert_eq!(
            std::fs::read_dir(folder.path().join("uploads"))
                .unwrap()
                .count(),
            0
        );
        scenario.teardown();
    }
}

#[tokio::test]
async fn a_sealed_list_is_completed_after_a_crash_within_it() {
    let within = [
        "blobs::folder_list_written",
        "blobs::folder_list_synced",
        "blobs::folder_object_placed",
    ];
    for step in within {
        let scenario = FailScenario::setup();
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let (key, number) = (object(1), 3);
        let multipart = store.begin_multipart(&key).await.unwrap();
        put(
            &store,
            &Target::Part {
                key: key.clone(),
                multipart: multipart.clone(),
                number,
            },
        )
        .await
        .unwrap();
        let parts = [CompletedPart {
            number,
            etag: String::new(),
            size: LEN,
        }];
        fail::cfg(step, "panic").unwrap();
        let (crashing, with, list) = (key.clone(), multipart.clone(), parts.clone());
        let crashed =
            tokio::spawn(async move { store.complete_multipart(&crashing, &with, &list).await })
                .await;
        assert!(crashed.unwrap_err().is_panic(), "{step}");
        fail::remove(step);
        let store = open(folder.path()).await;
        store
            .complete_multipart(&key, &multipart, &parts)
            .await
            .unwrap();
        assert!(
            read(&store, &key).await.unwrap() == pattern(7, LEN),
            "{step}"
        );
        scenario.teardown();
    }
}
