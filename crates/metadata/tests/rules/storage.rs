//! The blobs go to another store in steps, each of which every node takes before the next. Rule 5.14.

use metadata::{
    Answer, Command, NodeId, NodeRole, PLACE_BYTES_MAX, Query, Refusal, Reply,
    STORAGE_PROBLEM_BYTES_MAX, StorageRow, StorageWord,
};

use crate::roster::{by_secret, found};
use crate::world::{World, repo};

const FIRST: NodeId = NodeId(1);

fn move_to(to: &str) -> Command {
    Command::MoveStorage {
        to: to.to_owned(),
        uploads_idle_ms: 60,
    }
}

fn confirm(node: NodeId, step: u64) -> Command {
    let problem = None;
    Command::ConfirmStorage {
        node,
        step,
        problem,
    }
}

fn complain(node: NodeId, step: u64, problem: &str) -> Command {
    let problem = Some(problem.to_owned());
    Command::ConfirmStorage {
        node,
        step,
        problem,
    }
}

fn fill(step: u64) -> Command {
    Command::FillStorage { step }
}

fn cancel(step: u64) -> Command {
    Command::CancelMove { step }
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

fn word(world: &World, node: NodeId) -> StorageWord {
    world.node(node).expect("it is there").storage
}

fn is_invalid(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Invalid { .. })
}

fn assert_waits_for(world: &mut World, command: Command, nodes: &str) {
    match world.refused(command) {
        Refusal::Invalid { reason } => {
            assert!(
                reason.ends_with(&format!("waits for nodes {nodes}")),
                "{reason}"
            );
        }
        refusal => panic!("{refusal:?}"),
    }
}

#[test]
fn node_that_is_alone_moves_in_three_entries() {
    let mut world = World::new();
    assert_eq!(storage(&world), StorageRow::default());
    assert_eq!(world.apply(move_to("s3://a")), Reply::Done);
    let moving = StorageRow {
        moving_to: Some("s3://a".to_owned()),
        uploads_idle_ms: 60,
        step: 1,
        ..StorageRow::default()
    };
    assert_eq!(storage(&world), moving);
    assert_eq!(world.apply(move_to("s3://a")), Reply::Done, "it goes on");
    assert_eq!(storage(&world), moving);
    assert_eq!(world.apply(fill(1)), Reply::Done);
    let filling = StorageRow {
        writes_to_new: true,
        step: 2,
        ..moving
    };
    assert_eq!(storage(&world), filling);
    assert_eq!(world.apply(fill(1)), Reply::Done, "once more");
    assert_eq!(storage(&world), filling);
    assert_eq!(world.apply(switch(1)), Reply::Done);
    let moved = StorageRow {
        generation: 1,
        place: Some("s3://a".to_owned()),
        step: 3,
        ..StorageRow::default()
    };
    assert_eq!(storage(&world), moved);
    assert_eq!(world.apply(switch(1)), Reply::Done, "once more");
    assert_eq!(storage(&world), moved);
    world.apply(move_to("s3://b"));
    world.apply(fill(4));
    assert_eq!(world.apply(switch(2)), Reply::Done);
    assert_eq!(storage(&world).place.as_deref(), Some("s3://b"));
}

#[test]
fn each_step_waits_for_every_node() {
    let mut world = World::founded();
    let second = world.join(by_secret(NodeRole::Member, 2));
    let gateway = world.join(by_secret(NodeRole::Gateway, 3));
    world.apply(move_to("s3://a"));
    assert_waits_for(&mut world, fill(1), "1, 2, 3");
    world.apply(confirm(FIRST, 1));
    world.apply(complain(second, 1, "no credentials"));
    let complaint = StorageWord {
        step: 0,
        problem: Some("no credentials".to_owned()),
    };
    assert_eq!(word(&world, second), complaint);
    world.apply(confirm(gateway, 1));
    assert_waits_for(&mut world, fill(1), "2");
    world.apply(confirm(second, 1));
    let taken = StorageWord {
        step: 1,
        problem: None,
    };
    assert_eq!(word(&world, second), taken);
    assert_eq!(world.apply(fill(1)), Reply::Done);
    // Who joins meanwhile is waited for, too.
    let late = world.join(by_secret(NodeRole::Member, 4));
    for node in [FIRST, second, gateway] {
        world.apply(confirm(node, 2));
    }
    assert_waits_for(&mut world, switch(1), "4");
    world.apply(confirm(late, 2));
    assert_eq!(world.apply(switch(1)), Reply::Done);
}

#[test]
fn removed_node_counts_while_it_may_be_heard() {
    let mut world = World::founded();
    let gone = world.join(by_secret(NodeRole::Member, 2));
    world.apply(move_to("s3://a"));
    world.apply(confirm(FIRST, 1));
    world.remove(gone);
    assert_waits_for(&mut world, fill(1), "2");
    world.now += 15_000;
    assert_eq!(world.apply(fill(1)), Reply::Done);
    assert_eq!(world.refused(confirm(gone, 2)), Refusal::NodeRemoved);
}

#[test]
fn step_that_is_over_or_to_come_is_not_taken() {
    let mut world = World::founded();
    assert!(is_invalid(&world.refused(confirm(FIRST, 1))));
    world.apply(move_to("s3://a"));
    world.apply(confirm(FIRST, 1));
    world.apply(fill(1));
    // What a node said that stood still in between.
    assert_eq!(world.apply(confirm(FIRST, 1)), Reply::Done);
    assert_eq!(world.apply(complain(FIRST, 1, "late")), Reply::Done);
    assert_waits_for(&mut world, switch(1), "1");
    assert_eq!(word(&world, FIRST).problem, None);
    assert_eq!(world.refused(confirm(NodeId(9), 2)), Refusal::NodeUnknown);
    for problem in ["a\nb".to_owned(), "x".repeat(STORAGE_PROBLEM_BYTES_MAX + 1)] {
        assert!(is_invalid(&world.refused(complain(FIRST, 2, &problem))));
    }
}

#[test]
fn move_is_cancelled_until_something_is_in_the_new_store_only() {
    let mut world = World::founded();
    assert!(is_invalid(&world.refused(cancel(0))));
    world.apply(move_to("s3://a"));
    assert!(is_invalid(&world.refused(cancel(0))));
    assert_eq!(world.apply(cancel(1)), Reply::Done);
    let row = storage(&world);
    assert_eq!((row.moving_to, row.step, row.generation), (None, 2, 0));
    world.apply(move_to("s3://b"));
    // A node that has opened the first store has not opened the second.
    assert_eq!(world.apply(confirm(FIRST, 1)), Reply::Done);
    assert_waits_for(&mut world, fill(3), "1");
    world.apply(confirm(FIRST, 3));
    world.apply(fill(3));
    assert!(is_invalid(&world.refused(cancel(4))));
}

#[test]
fn switch_that_is_not_due_is_refused() {
    let mut world = World::new();
    for generation in [0, 1, u64::MAX] {
        assert!(is_invalid(&world.refused(switch(generation))));
    }
    world.apply(move_to("s3://a"));
    assert!(
        is_invalid(&world.refused(switch(1))),
        "nothing is new there"
    );
    for step in [0, 2, u64::MAX] {
        assert!(is_invalid(&world.refused(fill(step))));
    }
    world.apply(fill(1));
    for generation in [0, 2, u64::MAX] {
        assert!(is_invalid(&world.refused(switch(generation))));
    }
    world.apply(switch(1));
    world.apply(move_to("s3://b"));
    world.apply(fill(4));
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
fn cluster_is_not_founded_in_the_middle_of_a_move() {
    let mut world = World::new();
    world.apply(move_to("s3://a"));
    let founding = || Command::FoundCluster(Box::new(found()));
    assert!(is_invalid(&world.refused(founding())));
    world.apply(fill(1));
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
