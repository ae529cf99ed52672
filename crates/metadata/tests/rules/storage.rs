//! The blobs of one node go to another store: one entry begins it, one switches. Rule 5.14.

use metadata::{Answer, Command, PLACE_BYTES_MAX, Query, Refusal, Reply, StorageRow};

use crate::roster::found;
use crate::world::{World, repo};

fn move_to(to: &str) -> Command {
    Command::MoveStorage { to: to.to_owned() }
}

fn switch(generation: u64) -> Command {
    Command::SwitchStorage { generation }
}

fn storage(world: &World) -> StorageRow {
    match world.ask(Query::Cluster) {
        Answer::Cluster(view) => view.storage,
        answer => panic!("{answer:?}"),
    }
}

fn is_invalid(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Invalid { .. })
}

#[test]
fn move_begins_and_ends_by_one_entry_each() {
    let mut world = World::new();
    assert_eq!(storage(&world), StorageRow::default());
    assert_eq!(world.apply(move_to("s3://a")), Reply::Done);
    let moving = StorageRow {
        generation: 0,
        place: None,
        moving_to: Some("s3://a".to_owned()),
        borrowed: Vec::new(),
    };
    assert_eq!(storage(&world), moving);
    assert_eq!(world.apply(move_to("s3://a")), Reply::Done, "it goes on");
    assert_eq!(world.apply(switch(1)), Reply::Done);
    let moved = StorageRow {
        generation: 1,
        place: Some("s3://a".to_owned()),
        moving_to: None,
        borrowed: Vec::new(),
    };
    assert_eq!(storage(&world), moved);
    assert_eq!(
        world.apply(switch(1)),
        Reply::Done,
        "once more changes nothing"
    );
    assert_eq!(storage(&world), moved);
    assert_eq!(world.apply(move_to("s3://b")), Reply::Done);
    assert_eq!(world.apply(switch(2)), Reply::Done);
    assert_eq!(storage(&world).place.as_deref(), Some("s3://b"));
}

#[test]
fn switch_that_is_not_due_is_refused() {
    let mut world = World::new();
    for generation in [0, 1, u64::MAX] {
        assert!(is_invalid(&world.refused(switch(generation))));
    }
    world.apply(move_to("s3://a"));
    for generation in [0, 2, u64::MAX] {
        assert!(is_invalid(&world.refused(switch(generation))));
    }
    world.apply(switch(1));
    world.apply(move_to("s3://b"));
    assert!(
        is_invalid(&world.refused(switch(1))),
        "a switch of the move before"
    );
}

#[test]
fn move_to_a_third_store_waits_for_the_second() {
    let mut world = World::new();
    world.apply(move_to("s3://a"));
    match world.refused(move_to("s3://b")) {
        Refusal::Invalid { reason } => assert!(reason.contains("s3://a"), "{reason}"),
        refusal => panic!("{refusal:?}"),
    }
}

#[test]
fn place_is_a_short_line() {
    let mut world = World::new();
    for bad in [
        String::new(),
        "a\nb".to_owned(),
        "x".repeat(PLACE_BYTES_MAX + 1),
    ] {
        assert!(is_invalid(&world.refused(move_to(&bad))));
    }
    assert_eq!(
        world.apply(move_to(&"x".repeat(PLACE_BYTES_MAX))),
        Reply::Done
    );
}

#[test]
fn founding_and_moving_exclude_each_other() {
    let mut world = World::founded();
    assert!(is_invalid(&world.refused(move_to("s3://a"))));
    let mut world = World::new();
    world.apply(move_to("s3://a"));
    let founding = || Command::FoundCluster(Box::new(found()));
    assert!(is_invalid(&world.refused(founding())));
    world.apply(switch(1));
    assert!(matches!(world.apply(founding()), Reply::Founded { .. }));
}

#[test]
fn blobs_are_listed_with_their_objects() {
    let mut world = World::new();
    let keys: std::collections::BTreeSet<_> =
        (0..5).map(|n| world.push_blob(&repo("a"), n)).collect();
    let mut after = None;
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let page = metadata::Page { after, limit: 2 };
        let (blobs, more) = match world.ask(Query::BlobObjects(page)) {
            Answer::BlobObjects { blobs, more } => (blobs, more),
            answer => panic!("{answer:?}"),
        };
        assert!(blobs.is_sorted_by(|a, b| a.digest < b.digest) && blobs.len() <= 2);
        after = blobs.last().map(|blob| blob.digest);
        assert!(blobs.iter().all(|blob| (10..15).contains(&blob.size)));
        seen.extend(blobs.into_iter().map(|blob| blob.key));
        if !more {
            break;
        }
    }
    assert_eq!(seen, keys);
}
