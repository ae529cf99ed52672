//! A restored member goes on as one of a new cluster, and the old cluster can know of it.

use log_copy::{Copier, CopySettings, RestoreWish, restore, successor};
use metadata::{ClusterId, ObjectKey};
use metadata_raft::Member;
use ports::MetadataStore;

use crate::world::{
    SMALL, SUCCESSOR, World, cluster_of, config, deadline, drive, key, push, reopened, rows,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_snapshot_is_restored_too() {
    let mut world = World::new().await;
    world.push(3).await;
    let mut copier = world.copier(CopySettings::default());
    drive(&mut copier, &world.member, &world.store).await;
    world.push(20).await;
    drive(&mut copier, &world.member, &world.store).await;
    let reached = copier.reached();
    assert_eq!(reached, world.member.applied().map(|id| id.index));
    assert_eq!(world.objects("snapshot").len(), 1);
    let restored = world.check().await;
    assert_eq!(restored.segments, 1);
    assert_eq!((restored.state.repositories, restored.state.tags), (1, 7));
    assert_eq!(restored.state.manifests, 23);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_does_not_grow_for_ever() {
    let mut world = World::new().await;
    let mut copier = world.copier(SMALL);
    for _ in 0..12 {
        world.push(8).await;
        drive(&mut copier, &world.member, &world.store).await;
    }
    assert_eq!(world.objects("snapshot").len(), 2);
    let segments = world.objects("segment").len();
    assert!(segments <= 8, "{segments} segments");
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_people_pushed_can_be_read_in_the_store() {
    let mut world = World::new().await;
    world.push(5).await;
    let mut copier = world.copier(CopySettings::default());
    drive(&mut copier, &world.member, &world.store).await;
    world.push(5).await;
    drive(&mut copier, &world.member, &world.store).await;
    assert!(!world.store.keys().is_empty());
    for key in world.store.keys() {
        let bytes = world.store.object(&key).expect("it is there");
        let shows = bytes.windows(8).any(|window| window == b"manifest");
        assert!(!shows, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_member_goes_on_and_can_be_copied_itself() {
    let mut world = World::new().await;
    world.push(10).await;
    let mut copier = world.copier(SMALL);
    drive(&mut copier, &world.member, &world.store).await;
    let last = world.member.applied().expect("it has applied").index;

    let to = tempfile::tempdir().expect("a temporary folder");
    world
        .restore(to.path(), &key())
        .await
        .expect("it is restored");
    let marked = successor(&world.store, world.cluster)
        .await
        .expect("memory");
    assert_eq!(marked, Some(SUCCESSOR));
    // The tables can be made again from the folder's own snapshot.
    std::fs::remove_file(to.path().join("metadata/tables.redb")).expect("it is there");
    let member = reopened(to.path()).await;
    assert_eq!(cluster_of(&member).await, SUCCESSOR);
    assert!(rows(&*member.state()) == world.expected());
    for number in 100..110 {
        push(&member, number).await;
    }
    assert!(member.applied().expect("it has applied").index > last + 10);
    let before = rows(&*member.state());
    member.shutdown().await;
    let member = reopened(to.path()).await;
    assert!(
        rows(&*member.state()) == before,
        "a restart changes nothing"
    );

    let third = ClusterId(0xcafe);
    let mut copier = Copier::new(SUCCESSOR, key(), SMALL);
    drive(&mut copier, &member, &world.store).await;
    let again = tempfile::tempdir().expect("a temporary folder");
    let wish = RestoreWish {
        store: &world.store,
        from: SUCCESSOR,
        key: &key(),
        successor: third,
        member: config(&again.path().join("metadata")),
    };
    restore(wish).await.expect("it is restored");
    let mut expected = before;
    metadata::succeed(&mut expected, SUCCESSOR, third).expect("it is sound");
    let member = reopened(again.path()).await;
    assert!(rows(&*member.state()) == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_refuses_commands_answers_reads() {
    let mut world = World::new().await;
    world.push(1).await;
    let member: &Member = &world.member;
    member.refuse_commands("another cluster has its place");
    let put = metadata::Command::ObjectsDeleted {
        keys: vec![ObjectKey::probe(world.cluster, 1)],
    };
    let failure = member.propose(put, deadline()).await.expect_err("refused");
    assert!(
        failure
            .to_string()
            .contains("another cluster has its place"),
        "{failure}"
    );
    assert_eq!(cluster_of(member).await, world.cluster);
}
