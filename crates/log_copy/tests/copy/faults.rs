//! Every call of the store fails once, before or after its effect, or never ends: what is copied then still joins.

use std::sync::Arc;
use std::time::Duration;

use log_copy::CopySettings;
use ports::BlobStore;
use ports::blob_store::faulty::{Call, Fault, FaultPlan, FaultyBlobStore};
use ports::blob_store::memory::MemoryBlobStore;

use crate::world::{SMALL, World, push_sized};

/// A step that takes longer is one that the process died in.
const DIES_AFTER: Duration = Duration::from_millis(500);

/// Copies a history of several segments and snapshots; a copier that dies is followed by one that knows nothing.
async fn live(world: &mut World, store: &FaultyBlobStore, settings: &CopySettings) {
    let mut copier = world.copier(settings.clone());
    for _ in 0..5 {
        world.push(7).await;
        loop {
            let step = copier.step(&world.member, store);
            match tokio::time::timeout(DIES_AFTER, step).await {
                Ok(Ok(false)) => break,
                Ok(Ok(true) | Err(_)) => {}
                Err(_) => copier = world.copier(settings.clone()),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_and_wherever_the_copier_dies_the_copy_restores() {
    let mut world = World::new().await;
    let calls = [
        (Call::Stage, 4),
        (Call::Store, 9),
        (Call::List, 4),
        (Call::ListMultipart, 3),
        (Call::Delete, 2),
    ];
    for (call, count) in calls {
        for nth in 1..=count {
            for fault in [Fault::Before, Fault::After, Fault::Hang] {
                world.store = MemoryBlobStore::new();
                let plan = FaultPlan::none().on(call, nth, fault);
                let store = FaultyBlobStore::new(Arc::new(world.store.clone()), plan);
                live(&mut world, &store, &SMALL).await;
                assert!(store.calls(call) >= nth, "{call:?} {nth} was not reached");
                let restored = world.check().await;
                assert_eq!(restored.passed_over, None, "{call:?} {nth} {fault:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_often_only_delays_the_copy() {
    let mut world = World::new().await;
    for seed in 1..=8 {
        world.store = MemoryBlobStore::new();
        let plan = FaultPlan::seeded(seed, 150);
        let store = FaultyBlobStore::new(Arc::new(world.store.clone()), plan);
        live(&mut world, &store, &SMALL).await;
        world.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_snapshot_goes_in_parts_and_leaves_none_behind() {
    let mut world = World::new().await;
    let pushes = (0..1_200).map(|number| push_sized(&world.member, 10_000 + number, 16 * 1024));
    futures::future::join_all(pushes).await;
    for (call, nth) in [
        (Call::BeginMultipart, 1),
        (Call::Store, 2),
        (Call::CompleteMultipart, 1),
    ] {
        for fault in [Fault::Before, Fault::After, Fault::Hang] {
            world.store = MemoryBlobStore::new();
            let plan = FaultPlan::none().on(call, nth, fault);
            let store = FaultyBlobStore::new(Arc::new(world.store.clone()), plan);
            let settings = CopySettings::default();
            let mut copier = world.copier(settings.clone());
            loop {
                let step = copier.step(&world.member, &store);
                match tokio::time::timeout(Duration::from_secs(5), step).await {
                    Ok(Ok(false)) => break,
                    Ok(Ok(true) | Err(_)) => {}
                    Err(_) => copier = world.copier(settings.clone()),
                }
            }
            world.check().await;
            // An upload whose beginning was not answered, or whose copier died, is freed before the next snapshot.
            assert_eq!(world.store.uploads_open(), 0, "{call:?} {fault:?}");
            assert!(store.calls(Call::BeginMultipart) >= 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_copy_at_once_are_harmless() {
    let mut world = World::new().await;
    let store: Arc<dyn BlobStore> = Arc::new(world.store.clone());
    let (mut one, mut other) = (world.copier(SMALL), world.copier(SMALL));
    for _ in 0..4 {
        world.push(9).await;
        loop {
            let steps = tokio::join!(
                one.step(&world.member, &*store),
                other.step(&world.member, &*store)
            );
            // One may free the parts of the other's snapshot, which is then made again.
            if let (Ok(false), Ok(false)) = steps {
                break;
            }
        }
    }
    world.check().await;
}
