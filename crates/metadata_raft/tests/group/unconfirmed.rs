//! Members that cannot confirm reads: they find out by themselves, say so, and answer pulls from what they have.

use std::time::Duration;

use metadata::Query;
use metadata_raft::FirstStart;
use ports::metadata_store::freshness::{READY_FOR, STALE_AFTER};
use ports::{Deadline, MetadataFailure, MetadataStore};

use crate::world::{World, is, pull, pull_even_stale, push, put, soon, until_confirms, within};

/// What a busy machine may add to a time.
const SLACK: Duration = Duration::from_secs(3);
/// An answer that waits for nothing.
const AT_ONCE: Duration = Duration::from_millis(500);

async fn cut_off(world: &World, node: u64) {
    for other in world.others(node) {
        world.net.part(node, other, true);
    }
}

async fn heal(world: &World, node: u64) {
    for other in world.others(node) {
        world.net.part(node, other, false);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_was_cut_off_says_so_and_answers_pulls_from_what_it_has() {
    let world = World::of(3).await;
    push(&world.member(1), "tag", "old").await;
    let leader = world.leader().await;
    let lonely = world.member(leader);
    until_confirms(&lonely, true).await;
    cut_off(&world, leader).await;
    let other = world.member(world.others(leader)[0]);
    push(&other, "tag", "new").await;

    let (began, member) = (Deadline::now(), std::sync::Arc::clone(&lonely));
    let first = tokio::spawn(async move { pull_even_stale(&member, "tag", soon()).await });
    let noticed = until_confirms(&lonely, false).await;
    assert!(noticed < READY_FOR + SLACK, "{noticed:?}");
    let (found, stale) = first.await.unwrap().unwrap();
    let took = began.elapsed();
    assert!(stale && is(found.as_ref(), "old"), "{found:?}");
    assert!(STALE_AFTER - Duration::from_secs(1) < took, "{took:?}");
    assert!(took < STALE_AFTER + SLACK, "{took:?}");
    for _ in 0..10 {
        let began = Deadline::now();
        let (found, stale) = pull_even_stale(&lonely, "tag", soon()).await.unwrap();
        assert!(stale && is(found.as_ref(), "old"), "{found:?}");
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    }
    // Whoever needs to know is not told what may be wrong.
    let read = pull(&lonely, "tag", within(500)).await;
    assert!(
        matches!(read, Err(MetadataFailure::Unavailable { .. })),
        "{read:?}"
    );

    heal(&world, leader).await;
    until_confirms(&lonely, true).await;
    let (found, stale) = pull_even_stale(&lonely, "tag", soon()).await.unwrap();
    assert!(!stale && is(found.as_ref(), "new"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_group_answers_pulls_and_holds_writes() {
    let mut world = World::of(3).await;
    push(&world.member(1), "tag", "old").await;
    assert!(
        pull(&world.member(3), "tag", soon())
            .await
            .unwrap()
            .is_some()
    );
    world.crash(1).await;
    world.crash(2).await;
    let left = world.member(3);
    let (found, stale) = pull_even_stale(&left, "tag", soon()).await.unwrap();
    assert!(stale && is(found.as_ref(), "old"), "{found:?}");
    let began = Deadline::now();
    let written = left.propose(put("tag", "new"), within(700)).await;
    assert!(written.is_err(), "{written:?}");
    assert!(began.elapsed() >= Duration::from_millis(700));

    world.start(1, FirstStart::FormGroup).await;
    let healed = until_confirms(&left, true).await;
    assert!(healed < SLACK, "{healed:?}");
    let (found, stale) = pull_even_stale(&left, "tag", soon()).await.unwrap();
    assert!(!stale && found.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn started_again_alone_a_member_answers_pulls() {
    let mut world = World::of(3).await;
    push(&world.member(1), "tag", "old").await;
    // Each has applied it.
    for node in 1..=3 {
        let found = pull(&world.member(node), "tag", soon()).await.unwrap();
        assert!(found.is_some());
    }
    for node in 1..=3 {
        world.crash(node).await;
    }
    world.start(2, FirstStart::AwaitGroup).await;
    let member = world.member(2);
    assert!(!member.health().can_confirm);
    let (found, stale) = pull_even_stale(&member, "tag", soon()).await.unwrap();
    assert!(stale && is(found.as_ref(), "old"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn member_without_a_state_has_no_old_answer() {
    let mut world = World::of(1).await;
    world.start(2, FirstStart::AwaitGroup).await;
    let stranger = world.member(2);
    assert!(!stranger.health().can_confirm);
    let deadline = Deadline::now() + STALE_AFTER + Duration::from_secs(1);
    let found = stranger.read_even_stale(Query::Cluster, deadline).await;
    assert!(
        matches!(found, Err(MetadataFailure::Unavailable { .. })),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_from_the_leader_alone_a_member_has_reads_confirmed_by_another() {
    let world = World::of(3).await;
    let leader = world.leader().await;
    let (apart, other) = (world.others(leader)[0], world.others(leader)[1]);
    push(&world.member(leader), "tag", "old").await;
    until_confirms(&world.member(apart), true).await;
    world.net.part(leader, apart, true);
    push(&world.member(other), "tag", "new").await;
    let apart = world.member(apart);
    // It should not be sent requests while each takes this way.
    until_confirms(&apart, false).await;
    let deadline = Deadline::now() + STALE_AFTER + SLACK;
    while Deadline::now() < deadline {
        let (found, stale) = pull_even_stale(&apart, "tag", soon()).await.unwrap();
        assert!(!stale && is(found.as_ref(), "new"), "{found:?}");
        let found = pull(&apart, "tag", soon()).await.unwrap();
        assert!(is(found.as_ref(), "new"), "{found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hearing_from_a_leader_without_a_quorum_is_no_confirmation() {
    let world = World::of(5).await;
    push(&world.member(1), "tag", "old").await;
    let leader = world.leader().await;
    let others = world.others(leader);
    let (near, far) = others.split_at(1);
    let follower = world.member(near[0]);
    until_confirms(&follower, true).await;
    for far in far {
        world.net.part(leader, *far, true);
        world.net.part(near[0], *far, true);
    }
    let noticed = until_confirms(&follower, false).await;
    assert!(noticed < READY_FOR + SLACK, "{noticed:?}");
    until_confirms(&world.member(leader), false).await;
    // The others have a leader of their own.
    push(&world.member(far[0]), "tag", "new").await;
    assert!(!follower.health().can_confirm);
}
