//! What a folder keeps, and that damage to it is never read as fewer bytes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt;
use ports::blob_store::suite::pattern;
use ports::{BlobFailure, BlobStore, ByteSpan, CompletedPart, Target};

use crate::{files, key, open, put, put_parted, read};

#[tokio::test]
async fn damage_fails_and_never_gives_fewer_bytes() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("00001", |part| fs::remove_file(part).unwrap()),
        ("00002", |part| {
            fs::OpenOptions::new()
                .write(true)
                .open(part)
                .unwrap()
                .set_len(399_999)
                .unwrap()
        }),
        ("00001", |part| {
            fs::OpenOptions::new()
                .write(true)
                .open(part)
                .unwrap()
                .set_len(400_001)
                .unwrap()
        }),
        ("list", |list| fs::remove_file(list).unwrap()),
        ("list", |list| {
            fs::write(
                list,
                fs::read_to_string(list)
                    .unwrap()
                    .replace("400000", "300000"),
            )
            .unwrap()
        }),
    ];
    for (n, (name, damage)) in damages.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await.unwrap();
        put_parted(&store, &key(1)).await;
        assert_eq!(
            read(&store, &key(1), 0, 800_000).await.unwrap().len(),
            800_000
        );
        let damaged = files(&folder.path().join("objects"))
            .into_iter()
            .find(|path| path.ends_with(name))
            .unwrap();
        damage(&damaged);
        let failed = read(&store, &key(1), 0, 800_000).await;
        assert!(
            matches!(failed, Err(BlobFailure::Other { .. })),
            "damage {n} gave {:?}",
            failed.map(|b| b.len())
        );
    }
}

#[tokio::test]
async fn a_plain_object_that_is_cut_short_fails() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    put(&store, &Target::Object(key(1)), pattern(1, 400_000))
        .await
        .unwrap();
    let file = files(&folder.path().join("objects")).remove(0);
    fs::OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(300_000)
        .unwrap();
    let failed = read(&store, &key(1), 0, 400_000).await;
    assert!(
        matches!(failed, Err(BlobFailure::Other { .. })),
        "{failed:?}"
    );
    assert_eq!(
        read(&store, &key(1), 0, 300_000).await.unwrap(),
        pattern(1, 300_000)
    );
}

#[tokio::test]
async fn opening_again_keeps_objects_and_uploads_and_clears_what_was_staged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    put(&store, &Target::Object(key(1)), pattern(1, 10))
        .await
        .unwrap();
    let multipart = store.begin_multipart(&key(2)).await.unwrap();
    let target = Target::Part {
        key: key(2),
        multipart: multipart.clone(),
        number: 1,
    };
    let part = put(&store, &target, pattern(2, 10)).await.unwrap();
    // As a process that is killed leaves it: staged bytes in a folder whose lock nobody holds.
    let left = folder.path().join("staging/0123");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("bytes"), [0; 100]).unwrap();
    fs::write(folder.path().join("staging/0123.lock"), []).unwrap();
    fs::write(folder.path().join("staging/4567.lock"), []).unwrap();
    let mut staged = store.stage(1_000_000).await.unwrap();
    staged.append(pattern(3, 1_000_000)).await.unwrap();

    let second = open(folder.path()).await.unwrap();
    assert!(!left.exists());
    assert!(!folder.path().join("staging/4567.lock").exists());
    // The first is alive: its staged bytes are still there.
    staged.store(&Target::Object(key(3))).await.unwrap();
    assert_eq!(
        read(&second, &key(3), 0, 1_000_000).await.unwrap(),
        pattern(3, 1_000_000)
    );
    second
        .complete_multipart(&key(2), &multipart, &[CompletedPart { number: 1, ..part }])
        .await
        .unwrap();
    assert_eq!(read(&second, &key(2), 0, 10).await.unwrap(), pattern(2, 10));
    assert_eq!(read(&second, &key(1), 0, 10).await.unwrap(), pattern(1, 10));
}

#[tokio::test]
async fn dropping_staged_bytes_frees_their_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    let mut staged = store.stage(3_000_000).await.unwrap();
    for n in 0..3 {
        staged.append(pattern(n, 1_000_000)).await.unwrap();
    }
    let staged_files = || {
        files(&folder.path().join("staging"))
            .into_iter()
            .filter(|path| path.extension().is_none())
    };
    store.object_size(&key(1)).await.unwrap_err();
    assert_eq!(staged_files().count(), 1);
    drop(staged);
    // It is removed on another thread.
    let deadline = Instant::now() + Duration::from_secs(20);
    while staged_files().count() > 0 {
        assert!(
            Instant::now() < deadline,
            "{:?} is left",
            staged_files().collect::<Vec<_>>()
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_store_that_is_called_again_after_it_was_cancelled_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    for id in 0..50 {
        let mut staged = store.stage(700_000).await.unwrap();
        staged.append(pattern(1, 700_000)).await.unwrap();
        let target = Target::Object(key(id));
        for _ in 0..3 {
            // Polled once and dropped, the work goes on behind it.
            let storing = staged.store(&target);
            assert!(futures::FutureExt::now_or_never(storing).is_none_or(|stored| stored.is_ok()));
        }
        staged.store(&target).await.unwrap();
        assert_eq!(
            read(&store, &key(id), 0, 700_000).await.unwrap(),
            pattern(1, 700_000)
        );
    }
}

#[tokio::test]
async fn a_folder_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("format"), "holdfast blobs 2\n").unwrap();
    let opened = open(folder.path()).await;
    assert!(
        matches!(&opened, Err(BlobFailure::Other { reason }) if reason.contains("newer")),
        "{opened:?}"
    );
    assert_eq!(files(folder.path()).len(), 1);
}

#[tokio::test]
async fn room_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let space = open(folder.path()).await.unwrap().free_space().unwrap();
    assert!(
        space.free_bytes > 0 && space.free_bytes <= space.total_bytes,
        "{space:?}"
    );
}

#[tokio::test]
async fn many_reads_at_once_and_left_half_way_give_all_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    let len = 1_500_000;
    put(&store, &Target::Object(key(1)), pattern(1, len))
        .await
        .unwrap();
    let mut left_open = Vec::new();
    for _ in 0..40 {
        let mut stream = store
            .read(&key(1), ByteSpan { start: 0, len })
            .await
            .unwrap();
        stream.try_next().await.unwrap().unwrap();
        left_open.push(stream);
    }
    for _ in 0..3 {
        assert!(read(&store, &key(1), 7, len - 7).await.unwrap() == pattern(1, len)[7..]);
    }
    for stream in left_open {
        let rest: Vec<Bytes> = stream.try_collect().await.unwrap();
        assert!(pattern(1, len).ends_with(&rest.concat()) && !rest.is_empty());
    }
    assert!(read(&store, &key(1), 0, len).await.unwrap() == pattern(1, len));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_together_on_one_folder_leave_each_other_alone() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path();
        let opened = (0..8).map(|_| open(path));
        let opened = futures::future::join_all(opened).await;
        for (number, store) in (0..).zip(opened) {
            let target = Target::Object(key(round * 8 + number));
            let stored = put(&store.unwrap(), &target, Bytes::from_static(b"bytes")).await;
            stored.unwrap();
        }
    }
}
