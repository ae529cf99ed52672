//! Whatever call to the log or the store fails, before its effect or after it: clients that try again as they do get
//! their blob stored, nothing acknowledged is lost, and what is left over is swept or waits under keys that nobody uses.

#![allow(clippy::unwrap_used, reason = "a panic of a test is its report")]

mod world;

use std::collections::BTreeSet;

use metadata::{MemoryTables, Row};
use oci::Digest;
use ports::blob_store::faulty::{self as faulty_blobs, Call};
use ports::metadata_store::faulty as faulty_log;
use world::clients::Client;
use world::{World, content, repository};

const STORE_CALLS: [Call; 7] = [
    Call::Stage,
    Call::Append,
    Call::Store,
    Call::BeginMultipart,
    Call::CompleteMultipart,
    Call::Read,
    Call::ObjectSize,
];

/// Every object that a row names.
fn named(tables: &MemoryTables) -> BTreeSet<String> {
    let keys = tables.rows().flat_map(|(_, _, row)| match row {
        Row::Blob(blob) => vec![blob.key.to_string()],
        Row::Upload(upload) => [Some(&upload.acknowledged), upload.started.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|progress| Some(progress.tail.as_ref()?.key.to_string()))
            .collect(),
        _ => Vec::new(),
    });
    keys.collect()
}

async fn assert_stored(world: &World, client: Client, bytes: &[u8], what: &str) {
    world.heal();
    let digest: Digest = client.digest(bytes);
    let pulled = world.pull(&repository(), digest).await;
    assert_eq!(pulled.expect(what), bytes, "{what}");
    world.sweep().await;
    let pulled = world.pull(&repository(), digest).await;
    assert_eq!(pulled.expect(what), bytes, "{what}, after the sweep");
    let blobs = world
        .metadata
        .tables()
        .rows()
        .filter(|(_, _, row)| matches!(row, Row::Blob(_)))
        .count();
    assert_eq!(blobs, 1, "{what}: one blob");
    let stored: BTreeSet<String> = world.blobs.keys().into_iter().collect();
    let live = named(&world.metadata.tables());
    // What no row names was stored by an entry that did not come: an orphan, at most a tail and a blob for each try.
    let orphans = stored.difference(&live).count();
    assert!(orphans <= 3, "{what}: {orphans} orphans");
}

#[tokio::test]
async fn any_call_to_the_store_may_fail() {
    for client in Client::ALL {
        for size in [0, 40, 64, 400] {
            for call in STORE_CALLS {
                for fault in [faulty_blobs::Fault::Before, faulty_blobs::Fault::After] {
                    let mut nth = 1;
                    loop {
                        let what = format!("{client:?} {size} {call:?} {nth} {fault:?}");
                        let world = World::new();
                        let plan = faulty_blobs::FaultPlan::none().on(call, nth, fault);
                        world.store.set_plan(plan);
                        let bytes = content(1, size);
                        let pushed = client.push(&world.registry, &bytes).await;
                        pushed.expect(&what);
                        let met = world.store.calls(call) >= nth;
                        assert_stored(&world, client, &bytes, &what).await;
                        if !met {
                            break;
                        }
                        nth += 1;
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn any_call_to_the_log_may_fail() {
    use faulty_log::{Call, Fault, FaultPlan};
    for client in Client::ALL {
        for size in [0, 40, 64, 400] {
            for (call, fault) in [
                (Call::Propose, Fault::Before),
                (Call::Propose, Fault::After),
                (Call::Read, Fault::Before),
                (Call::Read, Fault::Stale),
            ] {
                let mut nth = 1;
                loop {
                    let what = format!("{client:?} {size} {call:?} {nth} {fault:?}");
                    let world = World::new();
                    world.log.set_plan(FaultPlan::none().on(call, nth, fault));
                    let bytes = content(2, size);
                    let pushed = client.push(&world.registry, &bytes).await;
                    pushed.expect(&what);
                    let met = world.log.calls(call) >= nth;
                    assert_stored(&world, client, &bytes, &what).await;
                    if !met {
                        break;
                    }
                    nth += 1;
                }
            }
        }
    }
}

/// Faults of both, at random; a seed that fails becomes a test of its own.
#[tokio::test]
async fn many_calls_may_fail_at_random() {
    let mut pushed = 0;
    for seed in 0..100 {
        for client in Client::ALL {
            let what = format!("{client:?} seed {seed}");
            let world = World::new();
            world
                .store
                .set_plan(faulty_blobs::FaultPlan::seeded(seed, 25));
            world
                .log
                .set_plan(faulty_log::FaultPlan::seeded(seed + 1, 60));
            let bytes = content(3, 380);
            let told = client.push(&world.registry, &bytes).await.is_ok();
            world.heal();
            world.registry.drained().await;
            if told {
                pushed += 1;
                let pulled = world.pull(&repository(), client.digest(&bytes)).await;
                assert_eq!(pulled.expect(&what), bytes, "{what}");
            }
            client.push(&world.registry, &bytes).await.expect(&what);
            let pulled = world.pull(&repository(), client.digest(&bytes)).await;
            assert_eq!(pulled.expect(&what), bytes, "{what}");
        }
    }
    assert!(pushed > 300, "only {pushed} of 500 pushes got through");
}

/// Two clients that push the same blob at once, each with its faults.
#[tokio::test]
async fn clients_at_once_do_not_harm_each_other() {
    for seed in 0..60 {
        let world = World::new();
        world
            .store
            .set_plan(faulty_blobs::FaultPlan::seeded(seed, 10));
        world
            .log
            .set_plan(faulty_log::FaultPlan::seeded(seed + 7, 20));
        let bytes = content(4, 300);
        let pushes = Client::ALL.map(|client| client.push(&world.registry, &bytes));
        futures::future::join_all(pushes).await;
        world.heal();
        world.registry.drained().await;
        for client in Client::ALL {
            client.push(&world.registry, &bytes).await.unwrap();
            let pulled = world.pull(&repository(), client.digest(&bytes)).await;
            assert_eq!(pulled.unwrap(), bytes, "seed {seed}");
        }
    }
}
