//! What cannot be restored is refused with a line that says why, and changes nothing.

use bytes::Bytes;
use identity::RecoveryKey;
use log_copy::{CopySettings, RestoreFailure, successor};
use metadata::ClusterId;

use crate::world::{SMALL, World, drive, key};

async fn copied() -> World {
    let mut world = World::new().await;
    let mut copier = world.copier(SMALL);
    for _ in 0..3 {
        world.push(6).await;
        drive(&mut copier, &world.member, &world.store).await;
    }
    // Segments that no snapshot covers.
    let without_snapshots = CopySettings {
        snapshot_segments: 1_000,
        ..SMALL
    };
    let mut copier = world.copier(without_snapshots);
    world.push(14).await;
    drive(&mut copier, &world.member, &world.store).await;
    world
}

/// Tries to restore, which must fail and leave neither a folder nor a marker.
async fn refused(world: &World, with: &RecoveryKey) -> String {
    let to = tempfile::tempdir().expect("a temporary folder");
    let failure = world
        .restore(to.path(), with)
        .await
        .expect_err("it is refused");
    assert!(!to.path().join("metadata").exists());
    let marked = successor(&world.store, world.cluster)
        .await
        .expect("memory");
    assert_eq!(marked, None);
    failure.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_is_told() {
    let world = copied().await;
    let said = refused(&world, &RecoveryKey::from_bytes([6; 32])).await;
    assert!(
        said.contains("the recovery key is not that of cluster"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_a_copy_is_told() {
    let mut world = copied().await;
    world.cluster = ClusterId(9);
    let said = refused(&world, &key()).await;
    assert!(said.contains("has no copy of the log of cluster"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_segment_is_told() {
    let world = copied().await;
    let snapshots = world.objects("snapshot");
    let newest = snapshots.last().expect("there is one").clone();
    for older in &snapshots {
        if *older != newest {
            world.delete(older).await;
        }
    }
    // The first that the snapshot does not cover; later ones follow.
    let covered = newest.rsplit('-').nth(2).expect("an index").to_owned();
    let first_of = |key: &str| key.rsplit('-').nth(3).unwrap_or_default().to_owned();
    let segments = world.objects("segment");
    let after: Vec<&String> = segments
        .iter()
        .filter(|key| first_of(key) > covered)
        .collect();
    assert!(after.len() > 1, "{segments:?} after {newest}");
    world.delete(after[0]).await;
    let said = refused(&world, &key()).await;
    assert!(said.contains("are missing in the log's copy"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_is_told() {
    let world = copied().await;
    let last = world.objects("segment").pop().expect("there is one");
    let bytes = world.store.object(&last).expect("it is there");
    for changed in [bytes.slice(..bytes.len() - 1), Bytes::from_static(b"x")] {
        world.store.corrupt(&last, changed);
        let said = refused(&world, &key()).await;
        assert!(
            said.contains(&last) && said.contains("cannot be used"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_passed_over_while_another_serves() {
    let world = copied().await;
    let snapshots = world.objects("snapshot");
    assert!(snapshots.len() > 1, "{snapshots:?}");
    let newest = snapshots.last().expect("there is one");
    let mut bytes = world.store.object(newest).expect("it is there").to_vec();
    bytes[100] ^= 1;
    world.store.corrupt(newest, bytes.into());
    let restored = world.check().await;
    let said = restored.passed_over.expect("it is told");
    assert!(said.contains(newest), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_in_use_is_left_alone() {
    let world = copied().await;
    let to = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(to.path().join("metadata")).expect("a folder");
    let failure = world.restore(to.path(), &key()).await.expect_err("refused");
    assert!(
        matches!(failure, RestoreFailure::NotEmpty { .. }),
        "{failure}"
    );
}
