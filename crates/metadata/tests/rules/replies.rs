//! Commands that are sent again, late, or too early. Rules 3.1 and 3.3.

use metadata::{
    Answer, Command, CommandId, Entry, LogIndex, LogTime, Query, Refusal, Reply, TableId, keys,
};
use oci::UploadId;

use crate::world::{CLUSTER, CREATED, World, create, manifest, put, repo};

fn entry(world: &World, sequence: u64, seen: u64, command: Command) -> Entry {
    Entry {
        id: CommandId {
            incarnation: 9,
            sequence,
        },
        seen: LogIndex(seen),
        stamped: LogTime(world.now),
        command,
    }
}

fn put_command(number: u32) -> Command {
    Command::PutManifest(put(&repo("a"), number, &["v1"]))
}

#[test]
fn before_there_is_a_cluster_nothing_else_is_done() {
    let mut world = World::unnamed();
    let refusal = world.refused(create(&repo("a"), UploadId::from_u128(1), true));
    assert_eq!(refusal, Refusal::NotInitialized);
    assert_eq!(world.refused(put_command(1)), Refusal::NotInitialized);
    let reply = world.apply(Command::InitializeCluster { cluster: CLUSTER });
    assert_eq!(reply, Reply::Initialized { cluster: CLUSTER });
    let refusal = world.refused(Command::InitializeCluster {
        cluster: metadata::ClusterId(2),
    });
    assert_eq!(refusal, Refusal::AlreadyInitialized { cluster: CLUSTER });
}

#[test]
fn a_retry_gets_the_first_answer_and_changes_nothing_but_the_clock() {
    let mut world = World::new();
    let first = entry(&world, 1, 1, put_command(1));
    assert_eq!(world.apply_entry(&first), CREATED);
    world.put(put(&repo("a"), 2, &["v1"]));
    let mut expected = world.tables.clone();
    world.now += 50;
    let mut again = first;
    again.stamped = LogTime(world.now);
    assert_eq!(world.apply_entry(&again), CREATED);

    let key = keys::cluster();
    let mut row = world.row(&key).expect("it is there");
    assert_eq!(row.time, LogTime(world.now));
    row.time = LogTime(world.now);
    let put = metadata::Tables::put(
        &mut expected,
        key.table(),
        key.bytes(),
        metadata::Row::Cluster(row),
    );
    put.expect("memory can be written");
    assert_eq!(world.tables, expected);
}

#[test]
fn a_refusal_is_remembered_like_any_answer() {
    let mut world = World::new();
    let create = create(&repo("a"), UploadId::from_u128(1), false);
    world.apply(create.clone());
    let refused = entry(&world, 1, 1, create);
    let first = world.apply_entry(&refused);
    assert!(matches!(first, Reply::Refused(Refusal::Invalid { .. })));
    let cancel = Command::CancelUpload {
        repository: repo("a"),
        upload: UploadId::from_u128(1),
    };
    world.apply(cancel);
    assert_eq!(world.apply_entry(&refused), first);
    assert_eq!(world.count(TableId::Upload), 0);
}

#[test]
fn time_never_goes_back() {
    let mut world = World::new();
    world.apply(put_command(1));
    let before = world.now;
    world.now -= 500;
    world.apply(put_command(2));
    match world.ask(Query::Cluster) {
        Answer::Cluster(view) => assert_eq!(view.time, LogTime(before)),
        answer => panic!("{answer:?}"),
    }
}

#[test]
fn a_command_whose_first_effect_is_forgotten_is_never_executed() {
    let mut world = World::new();
    let old = entry(&world, 1, world.index, put_command(1));
    assert_eq!(world.apply_entry(&old), CREATED);
    world.put(put(&repo("a"), 2, &["v1"]));
    world.now += 10 * 60 * 1_000 + 1;
    world.put(put(&repo("a"), 3, &["v3"]));
    let floor = world
        .row(&keys::cluster())
        .expect("it is there")
        .replies_floor;
    assert_eq!(floor, LogIndex(3), "three replies were old");

    let reply = world.apply_entry(&old);
    assert_eq!(reply, Reply::Refused(Refusal::OutcomeUnknown));
    let row = world.row(&keys::tag(
        &repo("a"),
        &oci::Tag::parse("v1").expect("a tag"),
    ));
    assert_eq!(row.map(|row| row.digest), Some(manifest(2)));

    let at_the_floor = entry(&world, 2, floor.0, put_command(4));
    assert_eq!(
        world.apply_entry(&at_the_floor),
        CREATED,
        "nothing it sent can be forgotten"
    );
    let below = entry(&world, 3, floor.0 - 1, put_command(5));
    assert_eq!(
        world.apply_entry(&below),
        Reply::Refused(Refusal::OutcomeUnknown)
    );
}

#[test]
fn forgetting_outruns_remembering() {
    let mut world = World::new();
    world.checks_invariants = false;
    for number in 0..1_000 {
        world.apply(put_command(number));
    }
    world.now += 10 * 60 * 1_000 + 1;
    for number in 0..160 {
        world.apply(put_command(number));
    }
    world.checks_invariants = true;
    world.apply(put_command(1));
    assert_eq!(world.count(TableId::Reply), 161);
}

#[test]
fn more_than_a_million_replies_are_not_remembered() {
    let mut world = World::new();
    world.checks_invariants = false;
    for number in 0..20 {
        world.apply(put_command(number));
    }
    // As if a million more lay behind them.
    let key = keys::cluster();
    let mut row = world.row(&key).expect("it is there");
    row.replies += 1_000_000;
    let put = metadata::Tables::put(
        &mut world.tables,
        key.table(),
        key.bytes(),
        metadata::Row::Cluster(row),
    );
    put.expect("memory can be written");
    world.apply(put_command(1));
    let row = world.row(&key).expect("it is there");
    assert_eq!(row.replies, 1_000_022 - 8);
    assert_eq!(row.replies_floor, LogIndex(8));
}
