//! What S3 costs on Garage: the memory of many large uploads at once, and the time of small reads.
//!
//! One test, alone in its process: the process's memory is what is measured.
#![expect(clippy::unwrap_used, reason = "a test that finds no value has failed")]

use std::fs;
use std::time::{Duration, Instant};

use blobs::{S3Settings, S3Store, Secret};
use bytes::Bytes;
use futures::TryStreamExt;
use harness::GarageServer;
use metadata::{ClusterId, Epoch, ObjectKey};
use oci::UploadId;
use ports::blob_store::suite::pattern;
use ports::{BlobStore, ByteSpan, CompletedPart, Target};

const MIB: u64 = 1024 * 1024;
const UPLOADS: u128 = 16;
const PARTS: u32 = 8;
const PART_BYTES: u64 = 8 * MIB;
/// What the whole node may take with as many uploads.
const MEMORY_BYTES_MAX: u64 = 200 * MIB;
/// A small read that waits for a delayed acknowledgement takes 40 ms.
const SMALL_READ_MAX: Duration = Duration::from_millis(30);

fn key(id: u128) -> ObjectKey {
    ObjectKey::data(ClusterId(1), UploadId::from_u128(id), Epoch(1))
}

/// The most memory that this process ever held.
fn memory_peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

async fn put(store: &S3Store, target: &Target, bytes: &Bytes) -> String {
    let mut staged = store.stage(bytes.len() as u64).await.unwrap();
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        staged
            .append(rest.split_to(rest.len().min(100_000)))
            .await
            .unwrap();
    }
    staged.store(target).await.unwrap()
}

async fn upload(store: &S3Store, id: u128, part_bytes: &Bytes) {
    let multipart = store.begin_multipart(&key(id)).await.unwrap();
    let mut parts = Vec::new();
    for number in 1..=PARTS {
        let target = Target::Part {
            key: key(id),
            multipart: multipart.clone(),
            number,
        };
        let etag = put(store, &target, part_bytes).await;
        parts.push(CompletedPart {
            number,
            etag,
            size: PART_BYTES,
        });
    }
    store
        .complete_multipart(&key(id), &multipart, &parts)
        .await
        .unwrap();
}

async fn read(store: &S3Store, id: u128, len: u64) -> u64 {
    let stream = store
        .read(&key(id), ByteSpan { start: 0, len })
        .await
        .unwrap();
    stream
        .try_fold(0, async |sum, block| Ok(sum + block.len() as u64))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_uploads_stay_in_their_memory_and_small_reads_are_quick() {
    let server = GarageServer::start().expect("Garage starts");
    let settings = S3Settings {
        bucket: server.bucket.clone(),
        endpoint: Some(server.endpoint.clone()),
        region: Some(server.region.clone()),
        proxy: Some("none".to_owned()),
        access_key_id: Some(server.access_key.clone()),
        secret_access_key: Some(Secret::new(server.secret_key.clone())),
        ..S3Settings::default()
    };
    let store = S3Store::open(&settings).await.unwrap();
    let part_bytes = pattern(1, PART_BYTES);
    let begun = Instant::now();
    let uploads = (0..UPLOADS).map(|id| upload(&store, id, &part_bytes));
    futures::future::join_all(uploads).await;
    println!(
        "{UPLOADS} uploads of {PARTS} parts in {:?}, at most {} MiB",
        begun.elapsed(),
        memory_peak_bytes() / MIB
    );
    assert!(
        memory_peak_bytes() < MEMORY_BYTES_MAX,
        "{} MiB",
        memory_peak_bytes() / MIB
    );
    assert_eq!(
        read(&store, 3, u64::from(PARTS) * PART_BYTES).await,
        u64::from(PARTS) * PART_BYTES
    );

    put(&store, &Target::Object(key(100)), &pattern(2, 10_240)).await;
    let mut times = Vec::new();
    for _ in 0..60 {
        let begun = Instant::now();
        assert_eq!(read(&store, 100, 10_240).await, 10_240);
        times.push(begun.elapsed());
    }
    times.sort();
    let median = times[times.len() / 2];
    println!(
        "a read of 10 KiB takes {median:?}, at most {:?}",
        times.last().unwrap()
    );
    assert!(median < SMALL_READ_MAX, "a small read takes {median:?}");
}
