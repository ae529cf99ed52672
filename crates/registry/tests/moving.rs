//! Every object of a node moves to another store while it is pushed to and pulled from: nothing is lost, whatever fails, and
//! the old store is not needed any more.

#![allow(clippy::unwrap_used, reason = "a panic of a test is its report")]

mod world;

use std::sync::Arc;

use bytes::Bytes;
use metadata::{Command, MultipartId, ObjectKey, StorageRow, WriteFrom};
use oci::UploadId;
use ports::blob_store::faulty::{Call, Fault, FaultPlan, FaultyBlobStore};
use ports::blob_store::memory::MemoryBlobStore;
use ports::blob_store::suite::Subject;
use ports::{BlobStore, Target};
use registry::{Body, Error, MovableStore, Standing, Sweeper};
use tokio_util::sync::CancellationToken;
use world::clients::Client;
use world::site::{IDLE_MAX, Node, Site, TO, finish};
use world::{caller, content, repository, sha256, sized};

mod before {
    use super::*;

    async fn one() -> Subject {
        Subject::new(Arc::new(MovableStore::new(
            Arc::new(MemoryBlobStore::new()),
        )))
    }

    ports::blob_store_suite!(one);
}

mod meanwhile {
    use super::*;

    async fn two() -> Subject {
        let store = MovableStore::new(Arc::new(MemoryBlobStore::new()));
        store.open_new(Arc::new(MemoryBlobStore::new()));
        store.fill_new();
        Subject::new(Arc::new(store))
    }

    ports::blob_store_suite!(two);
}

mod opened {
    use super::*;

    async fn two() -> Subject {
        let store = MovableStore::new(Arc::new(MemoryBlobStore::new()));
        store.open_new(Arc::new(MemoryBlobStore::new()));
        Subject::new(Arc::new(store))
    }

    ports::blob_store_suite!(two);
}

mod afterwards {
    use super::*;

    async fn switched() -> Subject {
        let store = MovableStore::new(Arc::new(MemoryBlobStore::new()));
        store.open_new(Arc::new(MemoryBlobStore::new()));
        store.close_old();
        Subject::new(Arc::new(store))
    }

    ports::blob_store_suite!(switched);
}

/// A blob for each way to push, small and in parts.
async fn push_all(node: &Node, seed: u8) -> Vec<Bytes> {
    let mut blobs = vec![Bytes::new()];
    Client::Docker
        .push(&node.registry, &blobs[0])
        .await
        .unwrap();
    for (n, client) in (0..).zip(Client::ALL) {
        for size in [40, 400] {
            let blob = content(seed + n * 2 + u8::from(size > 100), size);
            client.push(&node.registry, &blob).await.unwrap();
            if client != Client::OtherAlgorithm {
                blobs.push(blob);
            }
        }
    }
    blobs
}

/// An open upload that has parts.
async fn open_upload(node: &Node, bytes: &Bytes) -> UploadId {
    let opened = node
        .registry
        .open_upload(&caller(), &repository(), None)
        .await;
    let upload = opened.unwrap().upload;
    write(node, upload, 0, bytes).await;
    upload
}

async fn write(node: &Node, upload: UploadId, at: u64, bytes: &Bytes) {
    let (from, body) = (WriteFrom::Exactly(at), sized(bytes, 50));
    let written = node
        .registry
        .write_upload(&caller(), &repository(), upload, from, body)
        .await;
    assert_eq!(written.unwrap().offset, at + bytes.len() as u64);
}

async fn close(node: &Node, upload: UploadId, whole: &Bytes) -> Result<(), Error> {
    let (caller, repository) = (caller(), repository());
    let (from, digest) = (WriteFrom::Acknowledged, sha256(whole));
    let closed = node
        .registry
        .close_upload(&caller, &repository, upload, from, Body::empty(), digest)
        .await;
    closed.map(drop)
}

/// A life of the node with the new store only.
async fn assert_moved(site: &Site, blobs: &[Bytes]) {
    let (node, mover) = site.start().await;
    assert!(mover.is_none(), "the move is over");
    let moved = StorageRow {
        generation: 1,
        place: Some(TO.to_owned()),
        step: 3,
        ..StorageRow::default()
    };
    assert_eq!(node.view().await.storage, moved);
    for blob in blobs {
        node.assert_blob(blob).await;
    }
}

#[tokio::test(start_paused = true)]
async fn everything_is_moved_while_clients_push_and_pull() {
    let site = Site::new();
    let (node, _) = site.start().await;
    let mut blobs = push_all(&node, 10).await;
    let whole = content(90, 400);
    let upload = open_upload(&node, &whole.slice(..250)).await;
    let mover = node.begin().begin().await.unwrap();
    let watch = mover.watch();
    let run = tokio::spawn(finish(mover));
    blobs.extend(push_all(&node, 40).await);
    for blob in &blobs {
        node.assert_blob(blob).await;
    }
    while watch.status().uploads_waited_for == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(
        node.view().await.storage.generation,
        0,
        "the open upload is waited for"
    );
    write(&node, upload, 250, &whole.slice(250..)).await;
    close(&node, upload, &whole).await.unwrap();
    blobs.push(whole);
    let status = run.await.unwrap();
    assert!(status.switched && status.trouble.is_none(), "{status:?}");
    assert_eq!(status.objects_done, status.objects_total);
    blobs.extend(push_all(&node, 70).await);
    assert_moved(&site, &blobs).await;
}

#[tokio::test(start_paused = true)]
async fn uploads_begun_meanwhile_need_the_new_store_only() {
    let site = Site::new();
    let (node, _) = site.start().await;
    let plain = content(1, 40);
    let tail = open_upload(&node, &plain).await;
    let mover = node.begin().begin().await.unwrap();
    let holding = node.store.stage(1).await.unwrap();
    let run = tokio::spawn(finish(mover));
    node.filling().await;
    let whole = content(2, 400);
    let parts = open_upload(&node, &whole.slice(..300)).await;
    assert_eq!(site.old.uploads_open(), 0);
    drop(holding);
    let status = run.await.unwrap();
    assert_eq!(status.uploads_waited_for, 0);
    let (node, _) = site.start().await;
    write(&node, parts, 300, &whole.slice(300..)).await;
    close(&node, parts, &whole).await.unwrap();
    close(&node, tail, &plain).await.unwrap();
    assert_moved(&site, &[whole, plain]).await;
}

#[tokio::test(start_paused = true)]
async fn large_objects_are_copied_in_pieces() {
    let site = Site::new();
    let (node, _) = site.start().await;
    let cluster = node.view().await.cluster.unwrap();
    let whole = ports::blob_store::suite::pattern(1, 20 * 1024 * 1024 + 3);
    let key = ObjectKey::manifest(cluster, 77);
    let mut staged = site.old.stage(whole.len() as u64).await.unwrap();
    staged.append(whole.clone()).await.unwrap();
    staged.store(&Target::Object(key.clone())).await.unwrap();
    // What an earlier copy left.
    site.new.begin_multipart(&key).await.unwrap();
    let mover = node.begin().begin().await.unwrap();
    let status = finish(mover).await;
    assert_eq!(status.bytes_done, whole.len() as u64);
    assert!(site.new.object(key.as_str()) == Some(whole));
    assert_eq!(site.new.uploads_open(), 0);
}

#[tokio::test(start_paused = true)]
async fn idle_upload_does_not_keep_the_move_from_its_end() {
    let site = Site::new();
    let (node, _) = site.start().await;
    let whole = content(2, 400);
    let upload = open_upload(&node, &whole).await;
    let mover = node.begin().begin().await.unwrap();
    let begun = tokio::time::Instant::now();
    finish(mover).await;
    assert!(begun.elapsed() >= IDLE_MAX);
    assert!(matches!(
        close(&node, upload, &whole).await,
        Err(Error::UploadUnknown)
    ));
}

/// A piece that was filled under the old store cannot go to the new one.
#[tokio::test(start_paused = true)]
async fn piece_of_before_the_move_is_stored_where_it_can_be() {
    let site = Site::new();
    let (node, _) = site.start().await;
    let cluster = node.view().await.cluster.unwrap();
    let key = |n| ObjectKey::data(cluster, UploadId::from_u128(n), metadata::Epoch(1));
    let part = |multipart: &MultipartId| Target::Part {
        key: key(1),
        multipart: multipart.clone(),
        number: 1,
    };
    let mut early = node.store.stage(3).await.unwrap();
    early.append(Bytes::from_static(b"abc")).await.unwrap();
    let mover = node.begin().begin().await.unwrap();
    let multipart = node.store.begin_multipart(&key(1)).await.unwrap();
    early.store(&part(&multipart)).await.unwrap();
    let run = tokio::spawn(finish(mover));
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert!(!run.is_finished(), "the piece is waited for");
    let object = Target::Object(ObjectKey::manifest(cluster, 5));
    early.store(&object).await.unwrap();
    drop(early);
    let holding = node.store.stage(1).await.unwrap();
    node.filling().await;
    let late = node.store.begin_multipart(&key(2)).await.unwrap();
    let open = site.new.list_multipart(key(2).as_str()).await.unwrap();
    assert!(open.iter().any(|upload| upload.multipart == late));
    drop(holding);
    run.await.unwrap();
    let moved = site.new.object(ObjectKey::manifest(cluster, 5).as_str());
    assert_eq!(moved, Some(Bytes::from_static(b"abc")));
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_meanwhile_is_gone_from_both() {
    let site = Site::new();
    let (node, _) = site.start().await;
    let blobs = push_all(&node, 10).await;
    let mover = node.begin().begin().await.unwrap();
    finish_copying(&node, &site).await;
    for blob in &blobs[1..] {
        let deleted = node
            .registry
            .delete_blob(&caller(), &repository(), sha256(blob))
            .await;
        deleted.unwrap();
    }
    site.metadata
        .advance(std::time::Duration::from_secs(48 * 60 * 60));
    site.metadata
        .commit(Command::ObjectsDeleted { keys: Vec::new() });
    let mut sweeper = Sweeper::new(node.registry.clone());
    while sweeper.step().await.unwrap() > 0 {}
    let names = |store: &MemoryBlobStore| {
        let keys = store.keys().into_iter();
        keys.filter(|key| !key.contains("/marker/"))
            .collect::<Vec<_>>()
    };
    let left = names(&site.old);
    finish(mover).await;
    assert_eq!(names(&site.new), left, "nothing came back");
}

/// Copies what is there, without a mover.
async fn finish_copying(node: &Node, site: &Site) {
    for key in site.old.keys() {
        let bytes = site.old.object(&key).unwrap();
        let mut staged = node.new.stage(bytes.len() as u64).await.unwrap();
        staged.append(bytes).await.unwrap();
        let key = ObjectKey::parse(&key).unwrap();
        staged.store(&Target::Object(key)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn damaged_blob_keeps_the_move_waiting() {
    let site = Site::new();
    let (node, _) = site.start().await;
    let blobs = push_all(&node, 10).await;
    let damaged = sha256(&blobs[1]);
    let found = node
        .registry
        .blob(&caller(), &repository(), &damaged)
        .await
        .unwrap();
    let key = found.value.key.to_string();
    site.old.corrupt(&key, content(99, blobs[1].len()));
    let mover = node.begin().begin().await.unwrap();
    let watch = mover.watch();
    let run = tokio::spawn(finish(mover));
    while watch.status().trouble.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let trouble = watch.status().trouble.unwrap();
    assert!(
        trouble.contains(&key) && trouble.contains("digest"),
        "{trouble}"
    );
    assert_eq!(node.view().await.storage.generation, 0);
    assert!(site.new.object(&key).is_none(), "damage is not copied");
    site.old.corrupt(&key, blobs[1].clone());
    let status = run.await.unwrap();
    assert_eq!(status.trouble, None);
    assert_moved(&site, &blobs).await;
}

#[tokio::test(start_paused = true)]
async fn store_under_another_name_is_recognized() {
    let site = Site::new();
    let same = Arc::new(site.old.clone());
    let node = site.node(Arc::new(site.old.clone()), same);
    let begun = node.begin().begin().await;
    let error = begun.err().expect("it is refused").to_string();
    assert!(error.contains("in already"), "{error}");
    assert_eq!(node.view().await.storage, StorageRow::default());
    assert!(site.old.keys().is_empty(), "the probe is gone");
}

#[tokio::test(start_paused = true)]
async fn any_call_to_either_store_may_fail() {
    const CALLS: [Call; 10] = [
        Call::Stage,
        Call::Append,
        Call::Store,
        Call::BeginMultipart,
        Call::CompleteMultipart,
        Call::Read,
        Call::ObjectSize,
        Call::Delete,
        Call::List,
        Call::ListMultipart,
    ];
    for is_old in [true, false] {
        for call in CALLS {
            for fault in [Fault::Before, Fault::After, Fault::CutAfter(7)] {
                for nth in [1, 2, 3, 5, 8, 13] {
                    let what = format!("old: {is_old} {call:?} {nth} {fault:?}");
                    assert_moves_with(is_old, FaultPlan::none().on(call, nth, fault), &what).await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stores_may_fail_all_the_time() {
    for seed in 0..40 {
        for is_old in [true, false] {
            let what = format!("old: {is_old} seed {seed}");
            assert_moves_with(is_old, FaultPlan::seeded(seed, 20), &what).await;
        }
    }
}

async fn assert_moves_with(is_old: bool, plan: FaultPlan, what: &str) {
    let site = Site::new();
    let faulty =
        |store: &MemoryBlobStore| FaultyBlobStore::new(Arc::new(store.clone()), FaultPlan::none());
    let (old, new) = (faulty(&site.old), faulty(&site.new));
    let node = site.node(Arc::new(old.clone()), Arc::new(new.clone()));
    let (small, large, whole) = (content(1, 40), content(2, 400), content(3, 400));
    Client::Docker.push(&node.registry, &small).await.unwrap();
    Client::Docker.push(&node.registry, &large).await.unwrap();
    let upload = open_upload(&node, &whole).await;
    let mover = node.begin().begin().await.unwrap();
    if is_old { &old } else { &new }.set_plan(plan);
    let watch = mover.watch();
    let run = tokio::spawn(finish(mover));
    let late = content(4, 300);
    Client::Docker
        .push(&node.registry, &late)
        .await
        .expect(what);
    let closed = async {
        let mut last = close(&node, upload, &whole).await;
        for _ in 0..20 {
            if last.is_ok() {
                break;
            }
            last = close(&node, upload, &whole).await;
        }
        last
    };
    closed.await.expect(what);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(50_000), run).await;
    let status = ended.unwrap_or_else(|_| panic!("{what}: {:?}", watch.status()));
    assert!(status.expect(what).switched, "{what}");
    assert_moved(&site, &[small, large, whole, late]).await;
}

#[tokio::test(start_paused = true)]
async fn stopped_move_goes_on_after_a_start() {
    let site = Site::new();
    let (node, _) = site.start().await;
    let mut blobs = push_all(&node, 10).await;
    let mover = node.begin().begin().await.unwrap();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    assert!(!mover.run(shutdown).await, "it was stopped");
    blobs.push(content(200, 400));
    Client::Docker
        .push(&node.registry, &blobs[blobs.len() - 1])
        .await
        .unwrap();
    let (node, mover) = site.start().await;
    for blob in &blobs {
        node.assert_blob(blob).await;
    }
    finish(mover.expect("it goes on")).await;
    assert_moved(&site, &blobs).await;
}

/// Two nodes over the same stores and log, one of which has not heard that what is new goes to the new store.
#[tokio::test(start_paused = true)]
async fn nodes_one_step_apart_find_each_others_bytes() {
    let site = Site::new();
    let (ahead, _) = site.start().await;
    let behind = site.node(
        Arc::new(site.old.clone()),
        Arc::new(site.new.clone()) as Arc<dyn BlobStore>,
    );
    for node in [&ahead, &behind] {
        node.store.open_new(Arc::new(site.new.clone()));
    }
    ahead.store.fill_new();
    for (first, second) in [(&ahead, &behind), (&behind, &ahead)] {
        let seed = if std::ptr::eq(first, &ahead) { 1 } else { 2 };
        let whole = content(seed, 500);
        let upload = open_upload(first, &whole.slice(..220)).await;
        write(second, upload, 220, &whole.slice(220..430)).await;
        write(first, upload, 430, &whole.slice(430..)).await;
        close(second, upload, &whole).await.unwrap();
        let small = content(seed + 10, 30);
        let tail = open_upload(first, &small).await;
        close(second, tail, &small).await.unwrap();
        for node in [&ahead, &behind] {
            node.assert_blob(&whole).await;
            node.assert_blob(&small).await;
        }
    }
}

/// A node that has opened both stores and slept through the switch.
#[tokio::test(start_paused = true)]
async fn node_that_wakes_after_the_switch_misses_nothing() {
    let site = Site::new();
    let (node, _) = site.start().await;
    let blobs = push_all(&node, 10).await;
    let asleep = site.node(
        Arc::new(site.old.clone()),
        Arc::new(site.new.clone()) as Arc<dyn BlobStore>,
    );
    asleep.store.open_new(Arc::new(site.new.clone()));
    asleep.store.fill_new();
    let mut piece = asleep.store.stage(3).await.unwrap();
    piece.append(Bytes::from_static(b"abc")).await.unwrap();
    let mover = node.begin().begin().await.unwrap();
    finish(mover).await;
    // It wakes: what it had in its hands goes to the new store, and so does all that it takes now.
    let cluster = node.view().await.cluster.unwrap();
    let key = ObjectKey::manifest(cluster, 5);
    piece.store(&Target::Object(key.clone())).await.unwrap();
    assert!(site.new.object(key.as_str()).is_some());
    let pushed = push_all(&asleep, 70).await;
    for blob in blobs.iter().chain(&pushed) {
        asleep.assert_blob(blob).await;
    }
    assert_moved(&site, &[blobs, pushed].concat()).await;
}

#[tokio::test(start_paused = true)]
async fn move_is_given_up_before_anything_is_new() {
    let site = Site::new();
    let (node, _) = site.start().await;
    let mover = node.begin().begin().await.unwrap();
    let blobs = push_all(&node, 10).await;
    site.metadata.commit(Command::CancelMove { step: 1 });
    assert!(!mover.run(CancellationToken::new()).await, "it is no more");
    assert_eq!(node.store.standing(), Standing::Settled);
    assert!(site.new.keys().is_empty());
    let (node, mover) = site.start().await;
    assert!(mover.is_none());
    for blob in &blobs {
        node.assert_blob(blob).await;
    }
}

#[tokio::test(start_paused = true)]
async fn writes_wait_until_it_is_known_where_blobs_are() {
    let site = Site::new();
    let (node, _) = site.start().await;
    node.store.set_known(false);
    assert!(node.store.stage(1).await.is_err(), "it was never said");
    assert!(node.store.unguarded().stage(1).await.is_ok());
    let store = node.store.clone();
    let waiting = tokio::spawn(async move { store.stage(1).await.is_ok() });
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(!waiting.is_finished());
    node.store.set_known(true);
    assert!(waiting.await.unwrap());
}

/// The log's copy stays whole in the old store until the switch, and is whole in the new one after it.
#[tokio::test(start_paused = true)]
async fn logs_copy_is_in_one_place() {
    let site = Site::new();
    let (node, _) = site.start().await;
    let cluster = node.view().await.cluster.unwrap();
    let segment = |first| {
        let content = metadata::LogCopyContent::Segment {
            first,
            last: first,
            term: 1,
        };
        ObjectKey::log_copy(cluster, content, 1)
    };
    let put = async |first| {
        let mut staged = node.store.stage(1).await.unwrap();
        staged.append(Bytes::from_static(b"x")).await.unwrap();
        staged.store(&Target::Object(segment(first))).await.unwrap();
    };
    put(1).await;
    let mover = node.begin().begin().await.unwrap();
    let holding = node.store.stage(1).await.unwrap();
    let run = tokio::spawn(finish(mover));
    node.filling().await;
    put(2).await;
    for first in [1, 2] {
        assert!(site.old.object(segment(first).as_str()).is_some());
    }
    drop(holding);
    run.await.unwrap();
    for first in [1, 2] {
        assert!(site.new.object(segment(first).as_str()).is_some());
    }
}
