//! The folder store against the suite of its port, and against folders that are damaged, read-only or full.
#![expect(clippy::unwrap_used, reason = "a test that finds no value has failed")]

mod kept;
mod refused;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use blobs::{FolderSettings, FolderStore};
use bytes::Bytes;
use futures::TryStreamExt;
use metadata::{ClusterId, Epoch, ObjectKey};
use oci::UploadId;
use ports::blob_store::suite::{Subject, pattern};
use ports::{BlobFailure, BlobStore, ByteSpan, CompletedPart, Target};

pub(crate) async fn open(path: &Path) -> Result<FolderStore, BlobFailure> {
    FolderStore::open(&FolderSettings {
        path: Some(path.to_owned()),
    })
    .await
}

async fn folder() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("made/as/needed")).await.unwrap();
    Subject::new(Arc::new(store)).keeping(folder)
}

ports::blob_store_suite!(folder);

pub(crate) fn key(id: u128) -> ObjectKey {
    ObjectKey::data(ClusterId(1), UploadId::from_u128(id), Epoch(1))
}

pub(crate) async fn put(
    store: &dyn BlobStore,
    target: &Target,
    bytes: Bytes,
) -> Result<CompletedPart, BlobFailure> {
    let size = bytes.len() as u64;
    let mut staged = store.stage(size).await?;
    staged.append(bytes).await?;
    let etag = staged.store(target).await?;
    Ok(CompletedPart {
        number: 0,
        etag,
        size,
    })
}

/// An object of two parts of 400,000 bytes.
pub(crate) async fn put_parted(store: &dyn BlobStore, key: &ObjectKey) {
    let multipart = store.begin_multipart(key).await.unwrap();
    let mut parts = Vec::new();
    for number in [1, 2] {
        let target = Target::Part {
            key: key.clone(),
            multipart: multipart.clone(),
            number,
        };
        let part = put(store, &target, pattern(number.into(), 400_000))
            .await
            .unwrap();
        parts.push(CompletedPart { number, ..part });
    }
    store
        .complete_multipart(key, &multipart, &parts)
        .await
        .unwrap();
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

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
