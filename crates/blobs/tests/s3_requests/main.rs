//! What arrives at a service when settings and environment say how to reach it: who signs, for which host and path, and
//! with which headers.
//!
//! The service is a stub that records and never judges; whether objects are kept is the suite's affair.
#![expect(clippy::unwrap_used, reason = "a test that finds no value has failed")]

mod addresses;
mod child;
mod credentials;
mod encryption;
mod proxies;
mod stub;

use blobs::{S3Settings, S3Store, Secret};
use metadata::{ClusterId, Epoch, ObjectKey};
use oci::UploadId;
use ports::blob_store::suite::pattern;
use ports::{BlobFailure, BlobStore, Target};

const BUCKET: &str = "blobs";

/// Settings with keys of their own, for a service at this address.
fn settings(endpoint: &str) -> S3Settings {
    S3Settings {
        bucket: BUCKET.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        region: Some("eu-test-1".to_owned()),
        proxy: Some("none".to_owned()),
        access_key_id: Some("KEYOFSETTINGS".to_owned()),
        secret_access_key: Some(Secret::new("secret")),
        memory_mib: 32,
        deadline_ms: 5_000,
        ..S3Settings::default()
    }
}

fn key() -> ObjectKey {
    ObjectKey::data(ClusterId(1), UploadId::from_u128(1), Epoch(1))
}

/// Puts a small object.
async fn put(settings: &S3Settings) -> Result<(), BlobFailure> {
    let store = S3Store::open(settings).await?;
    put_at(&store, &Target::Object(key())).await
}

async fn put_at(store: &S3Store, target: &Target) -> Result<(), BlobFailure> {
    let mut staged = store.stage(10).await?;
    staged.append(pattern(1, 10)).await?;
    staged.store(target).await?;
    Ok(())
}
