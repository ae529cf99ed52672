//! What every blob store must do, as tests that each implementation runs.
//!
//! An implementation says in one line how a store is opened, and gets one test per promise:
//!
//! ```text
//! async fn folder() -> Subject { … }
//! ports::blob_store_suite!(folder);
//! ```
//!
//! The cases must never rely on an empty store: each works below a cluster id of its own.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, in a library because several crates run them"
)]

mod subject;

use futures::StreamExt;
use metadata::{ClusterId, ObjectKey};

use super::{BlobFailure, CompletedPart, Target};
pub use subject::{Subject, pattern};

/// S3 takes no smaller part, but for the last.
const PART_BYTES: u64 = 5 * 1024 * 1024;

/// Generates one test per promise of the port. The argument names an `async fn() -> Subject`.
#[macro_export]
macro_rules! blob_store_suite {
    ($open:path) => {
        $crate::blob_store_suite! { @cases $open:
            bytes_are_read_back_as_they_were_put,
            every_span_gives_its_bytes,
            an_object_has_its_size,
            what_is_absent_is_said_to_be_absent,
            parts_make_an_object_in_the_order_of_their_numbers,
            parts_that_are_not_listed_are_left_out,
            a_part_stored_twice_counts_once,
            completing_again_changes_nothing,
            an_aborted_upload_is_gone,
            a_tail_is_stored_as_an_object_and_as_a_part,
            storing_again_is_harmless,
            what_is_dropped_leaves_nothing,
            more_than_was_announced_is_refused,
            what_is_deleted_is_gone_and_may_be_deleted_again,
            lists_are_ordered_and_paged,
            unfinished_uploads_are_listed,
            many_uploads_at_once_all_end,
        }
    };
    (@cases $open:path: $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::blob_store::suite::$case($open().await).await;
            }
        )*
    };
}

/// The empty object, single bytes, odd sizes, and pieces of every length.
pub async fn bytes_are_read_back_as_they_were_put(subject: Subject) {
    for (n, len) in [0, 1, 4095, 65_537, 3 * 1024 * 1024 + 11]
        .into_iter()
        .enumerate()
    {
        let whole = pattern(n as u64, len);
        let key = subject.tail_key(n as u128);
        let mut staged = subject.store.stage(len).await.unwrap();
        let (mut rest, mut piece) = (whole.clone(), 1);
        while !rest.is_empty() {
            staged
                .append(rest.split_to(rest.len().min(piece)))
                .await
                .unwrap();
            piece = piece * 3 + 1;
        }
        assert_eq!(staged.len(), len);
        staged.store(&Target::Object(key.clone())).await.unwrap();
        drop(staged);
        assert!(
            subject.read(&key, 0, len).await.unwrap() == whole,
            "{len} bytes were not read back"
        );
    }
}

/// Spans at the borders of blocks and parts.
pub async fn every_span_gives_its_bytes(subject: Subject) {
    let whole = pattern(1, 2 * PART_BYTES + 1000);
    let key = subject.data_key(1);
    let multipart = subject.store.begin_multipart(&key).await.unwrap();
    let mut parts = Vec::new();
    let (mut rest, mut number) = (whole.clone(), 1);
    while !rest.is_empty() {
        let part = rest.split_to(rest.len().min(PART_BYTES as usize));
        parts.push(subject.put_part(&key, &multipart, number, &part).await);
        number += 3;
    }
    subject
        .store
        .complete_multipart(&key, &multipart, &parts)
        .await
        .unwrap();
    let end = whole.len() as u64;
    let spans = [
        (0, 1),
        (0, end),
        (1, end - 1),
        (end - 1, 1),
        (PART_BYTES - 1, 1),
        (PART_BYTES - 1, 2),
        (PART_BYTES, 1),
        (PART_BYTES - 7, PART_BYTES + 14),
        (2 * PART_BYTES, 1000),
        (65_535, 262_146),
        (17, 0),
    ];
    for (start, len) in spans {
        let read = subject.read(&key, start, len).await.unwrap();
        let expected = whole.slice(start as usize..(start + len) as usize);
        assert!(
            read == expected,
            "{start}+{len} gave {} other bytes",
            read.len()
        );
    }
}

/// Sizes of plain objects and of those made of parts.
pub async fn an_object_has_its_size(subject: Subject) {
    for len in [0_u32, 1, 70_000] {
        let key = subject.tail_key(len.into());
        subject.put(&key, &pattern(1, len.into())).await;
        assert_eq!(
            subject.store.object_size(&key).await.unwrap(),
            u64::from(len)
        );
    }
    let key = subject.data_key(9);
    let multipart = subject.store.begin_multipart(&key).await.unwrap();
    let parts = [
        subject
            .put_part(&key, &multipart, 1, &pattern(1, PART_BYTES))
            .await,
        subject.put_part(&key, &multipart, 2, &pattern(2, 5)).await,
    ];
    subject
        .store
        .complete_multipart(&key, &multipart, &parts)
        .await
        .unwrap();
    assert_eq!(
        subject.store.object_size(&key).await.unwrap(),
        PART_BYTES + 5
    );
}

/// Absence is an answer of its own.
pub async fn what_is_absent_is_said_to_be_absent(subject: Subject) {
    let key = subject.data_key(1);
    let read = subject.read(&key, 0, 10).await;
    assert!(
        matches!(read, Err(BlobFailure::NoSuchObject { .. })),
        "{read:?}"
    );
    let size = subject.store.object_size(&key).await;
    assert!(
        matches!(size, Err(BlobFailure::NoSuchObject { .. })),
        "{size:?}"
    );
    let multipart = subject.store.begin_multipart(&key).await.unwrap();
    let part = subject.put_part(&key, &multipart, 1, &pattern(1, 10)).await;
    let size = subject.store.object_size(&key).await;
    assert!(
        matches!(size, Err(BlobFailure::NoSuchObject { .. })),
        "unfinished, but {size:?}"
    );
    subject
        .store
        .abort_multipart(&key, &multipart)
        .await
        .unwrap();
    let completed = subject
        .store
        .complete_multipart(&key, &multipart, &[part])
        .await;
    assert!(
        matches!(completed, Err(BlobFailure::NoSuchUpload { .. })),
        "{completed:?}"
    );
}

/// Numbers may have gaps and arrive in any order.
pub async fn parts_make_an_object_in_the_order_of_their_numbers(subject: Subject) {
    let key = subject.data_key(1);
    let multipart = subject.store.begin_multipart(&key).await.unwrap();
    let (first, second, last) = (
        pattern(1, PART_BYTES),
        pattern(2, PART_BYTES),
        pattern(3, 77),
    );
    let last_part = subject.put_part(&key, &multipart, 10_000, &last).await;
    let first_part = subject.put_part(&key, &multipart, 2, &first).await;
    let second_part = subject.put_part(&key, &multipart, 300, &second).await;
    subject
        .store
        .complete_multipart(&key, &multipart, &[first_part, second_part, last_part])
        .await
        .unwrap();
    let whole = [first, second, last].concat();
    assert!(subject.read(&key, 0, whole.len() as u64).await.unwrap() == whole);
    assert_eq!(subject.keys().await, [key.to_string()]);
}

/// A late part of an older epoch is never in the object.
pub async fn parts_that_are_not_listed_are_left_out(subject: Subject) {
    let key = subject.data_key(1);
    let multipart = subject.store.begin_multipart(&key).await.unwrap();
    let first = pattern(1, PART_BYTES);
    let first_part = subject.put_part(&key, &multipart, 1, &first).await;
    subject
        .put_part(&key, &multipart, 2, &pattern(2, PART_BYTES))
        .await;
    let last = pattern(3, 9);
    let last_part = subject.put_part(&key, &multipart, 3, &last).await;
    subject
        .store
        .complete_multipart(&key, &multipart, &[first_part, last_part])
        .await
        .unwrap();
    let whole = [first, last].concat();
    assert_eq!(
        subject.store.object_size(&key).await.unwrap(),
        whole.len() as u64
    );
    assert!(subject.read(&key, 0, whole.len() as u64).await.unwrap() == whole);
}

/// A part is sent again when its answer was lost.
pub async fn a_part_stored_twice_counts_once(subject: Subject) {
    let key = subject.data_key(1);
    let multipart = subject.store.begin_multipart(&key).await.unwrap();
    let bytes = pattern(1, 1000);
    subject.put_part(&key, &multipart, 1, &bytes).await;
    let part = subject.put_part(&key, &multipart, 1, &bytes).await;
    subject
        .store
        .complete_multipart(&key, &multipart, &[part])
        .await
        .unwrap();
    assert!(subject.read(&key, 0, 1000).await.unwrap() == bytes);
}

/// Any node may complete a sealed list any number of times.
pub async fn completing_again_changes_nothing(subject: Subject) {
    let key = subject.data_key(1);
    let multipart = subject.store.begin_multipart(&key).await.unwrap();
    let bytes = pattern(1, 1000);
    let parts = [subject.put_part(&key, &multipart, 1, &bytes).await];
    subject
        .store
        .complete_multipart(&key, &multipart, &parts)
        .await
        .unwrap();
    for _ in 0..2 {
        let again = subject
            .store
            .complete_multipart(&key, &multipart, &parts)
            .await;
        assert!(
            matches!(again, Ok(()) | Err(BlobFailure::NoSuchUpload { .. })),
            "{again:?}"
        );
    }
    // An abort that comes late must not take the object along.
    subject
        .store
        .abort_multipart(&key, &multipart)
        .await
        .unwrap();
    assert!(subject.read(&key, 0, 1000).await.unwrap() == bytes);
}

/// Parts of an ended upload are refused, and nothing appears.
pub async fn an_aborted_upload_is_gone(subject: Subject) {
    let key = subject.data_key(1);
    let multipart = subject.store.begin_multipart(&key).await.unwrap();
    let bytes = pattern(1, 1000);
    subject.put_part(&key, &multipart, 1, &bytes).await;
    for _ in 0..2 {
        subject
            .store
            .abort_multipart(&key, &multipart)
            .await
            .unwrap();
    }
    let mut staged = subject.store.stage(1000).await.unwrap();
    staged.append(bytes).await.unwrap();
    let late = staged
        .store(&Target::Part {
            key,
            multipart,
            number: 2,
        })
        .await;
    assert!(
        matches!(late, Err(BlobFailure::NoSuchUpload { .. })),
        "{late:?}"
    );
    assert!(subject.keys().await.is_empty());
}

/// One piece, two targets.
pub async fn a_tail_is_stored_as_an_object_and_as_a_part(subject: Subject) {
    let (tail, data) = (subject.tail_key(1), subject.data_key(1));
    let multipart = subject.store.begin_multipart(&data).await.unwrap();
    let bytes = pattern(1, 100_000);
    let mut staged = subject.store.stage(PART_BYTES).await.unwrap();
    staged.append(bytes.clone()).await.unwrap();
    staged.store(&Target::Object(tail.clone())).await.unwrap();
    let etag = staged
        .store(&Target::Part {
            key: data.clone(),
            multipart: multipart.clone(),
            number: 1,
        })
        .await
        .unwrap();
    drop(staged);
    let part = CompletedPart {
        number: 1,
        etag,
        size: 100_000,
    };
    subject
        .store
        .complete_multipart(&data, &multipart, &[part])
        .await
        .unwrap();
    subject.store.delete(&[tail]).await.unwrap();
    assert!(subject.read(&data, 0, 100_000).await.unwrap() == bytes);
}

/// A caller that lost an answer stores the same bytes again.
pub async fn storing_again_is_harmless(subject: Subject) {
    let key = subject.tail_key(1);
    let bytes = pattern(1, 5000);
    let mut staged = subject.store.stage(5000).await.unwrap();
    staged.append(bytes.clone()).await.unwrap();
    for _ in 0..3 {
        staged.store(&Target::Object(key.clone())).await.unwrap();
    }
    drop(staged);
    assert!(subject.read(&key, 0, 5000).await.unwrap() == bytes);
    assert_eq!(subject.keys().await.len(), 1);
}

/// Staged bytes that are abandoned are seen nowhere.
pub async fn what_is_dropped_leaves_nothing(subject: Subject) {
    let mut staged = subject.store.stage(PART_BYTES).await.unwrap();
    staged.append(pattern(1, 1_000_000)).await.unwrap();
    drop(staged);
    drop(subject.store.stage(10).await.unwrap());
    assert!(subject.keys().await.is_empty());
}

/// A caller's bug is not stored.
pub async fn more_than_was_announced_is_refused(subject: Subject) {
    let mut staged = subject.store.stage(10).await.unwrap();
    staged.append(pattern(1, 10)).await.unwrap();
    let more = staged.append(pattern(1, 1)).await;
    assert!(matches!(more, Err(BlobFailure::Other { .. })), "{more:?}");
}

/// Deleting is repeated until it is known to have worked.
pub async fn what_is_deleted_is_gone_and_may_be_deleted_again(subject: Subject) {
    let keys: Vec<ObjectKey> = (0..5).map(|id| subject.tail_key(id)).collect();
    for key in &keys[..4] {
        subject.put(key, &pattern(1, 100)).await;
    }
    let parted = subject.data_key(7);
    let multipart = subject.store.begin_multipart(&parted).await.unwrap();
    let part = subject
        .put_part(&parted, &multipart, 1, &pattern(1, 10))
        .await;
    subject
        .store
        .complete_multipart(&parted, &multipart, &[part])
        .await
        .unwrap();
    let condemned = [
        keys[0].clone(),
        keys[4].clone(),
        keys[2].clone(),
        parted.clone(),
    ];
    for _ in 0..2 {
        subject.store.delete(&condemned).await.unwrap();
        assert_eq!(
            subject.keys().await,
            [keys[1].to_string(), keys[3].to_string()]
        );
    }
    let read = subject.read(&parted, 0, 1).await;
    assert!(
        matches!(read, Err(BlobFailure::NoSuchObject { .. })),
        "{read:?}"
    );
    subject.store.delete(&[]).await.unwrap();
}

/// More than one page, in the order of keys, below a prefix only.
pub async fn lists_are_ordered_and_paged(subject: Subject) {
    let keys: Vec<ObjectKey> = (0..1003u128)
        .map(|id| subject.tail_key(id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)))
        .collect();
    let body = pattern(1, 3);
    futures::stream::iter(&keys)
        .for_each_concurrent(16, |key| subject.put(key, &body))
        .await;
    subject.put(&subject.data_key(1), &body).await;
    let mut expected: Vec<String> = keys.iter().map(ToString::to_string).collect();
    expected.sort();
    let tails = format!("{}tail/", subject.prefix());
    let page = subject.store.list(&tails, None).await.unwrap();
    assert!(
        !page.is_empty() && page.len() <= 1000,
        "a page of {}",
        page.len()
    );
    let mut listed = page;
    loop {
        let last = listed.last().unwrap().key.clone();
        let page = subject.store.list(&tails, Some(&last)).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert!(listed.iter().all(|object| object.size == 3));
    let listed: Vec<String> = listed.into_iter().map(|object| object.key).collect();
    assert_eq!(listed, expected);
    let after_tails = subject
        .store
        .list(&subject.prefix(), Some(expected.last().unwrap()))
        .await
        .unwrap();
    assert!(after_tails.is_empty());
    let elsewhere = ObjectKey::cluster_prefix(ClusterId(subject.cluster.0 ^ 1));
    assert!(
        subject
            .store
            .list(&elsewhere, None)
            .await
            .unwrap()
            .is_empty()
    );
}

/// The sweep finds uploads that nobody owns.
pub async fn unfinished_uploads_are_listed(subject: Subject) {
    if !subject.lists_multipart {
        return;
    }
    let (open, done, dead) = (
        subject.data_key(1),
        subject.data_key(2),
        subject.data_key(3),
    );
    let open_id = subject.store.begin_multipart(&open).await.unwrap();
    let done_id = subject.store.begin_multipart(&done).await.unwrap();
    let dead_id = subject.store.begin_multipart(&dead).await.unwrap();
    subject.put_part(&open, &open_id, 1, &pattern(1, 10)).await;
    let part = subject.put_part(&done, &done_id, 1, &pattern(1, 10)).await;
    subject
        .store
        .complete_multipart(&done, &done_id, &[part])
        .await
        .unwrap();
    subject
        .store
        .abort_multipart(&dead, &dead_id)
        .await
        .unwrap();
    let listed = subject
        .store
        .list_multipart(&subject.prefix())
        .await
        .unwrap();
    let listed: Vec<_> = listed
        .into_iter()
        .map(|upload| (upload.key, upload.multipart))
        .collect();
    assert_eq!(listed, [(open.to_string(), open_id)]);
}

/// More bytes in flight than a budget holds: all wait for each other, and all end.
pub async fn many_uploads_at_once_all_end(subject: Subject) {
    let keys: Vec<ObjectKey> = (0..24).map(|id| subject.tail_key(id)).collect();
    let bytes = pattern(1, 3_000_000);
    let uploads = keys.iter().map(|key| async {
        let mut staged = subject.store.stage(3_000_000).await.unwrap();
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            staged
                .append(rest.split_to(rest.len().min(50_000)))
                .await
                .unwrap();
            tokio::task::yield_now().await;
        }
        staged.store(&Target::Object(key.clone())).await.unwrap();
    });
    futures::future::join_all(uploads).await;
    assert_eq!(subject.keys().await.len(), keys.len());
    assert!(subject.read(&keys[23], 0, 3_000_000).await.unwrap() == bytes);
}
