//! Several members over real connections: they agree, elect, catch up, hand over, and serve nothing stale.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clocks;
mod polite_stop;
mod unconfirmed;
mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use metadata_raft::FirstStart;
use ports::{Deadline, MetadataFailure, MetadataStore};

use world::{World, pull, push, put, soon, within};

#[tokio::test(flavor = "multi_thread")]
async fn every_member_takes_writes_and_reads_the_latest() {
    let world = World::of(3).await;
    for round in 0..20 {
        for writer in 1..=3 {
            let content = format!("{round} by {writer}");
            push(&world.member(writer), "latest", &content).await;
            for reader in 1..=3 {
                let read = pull(&world.member(reader), "latest", soon()).await.unwrap();
                let read = String::from_utf8(read.unwrap().to_vec()).unwrap();
                assert!(
                    read.contains(&content),
                    "{reader} reads {read} after {content}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_dies_delays_writes_and_loses_none() {
    let mut world = World::of(3).await;
    push(&world.member(2), "before", "kept").await;
    let leader = world.leader().await;
    let follower = world.member(world.others(leader)[0]);
    let writer = std::sync::Arc::clone(&follower);
    // Held from before the death on.
    let writing = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        for n in 0..200 {
            let began = Instant::now();
            push(&writer, "during", &n.to_string()).await;
            longest = longest.max(began.elapsed());
        }
        longest
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.crash(leader).await;
    let longest = writing.await.unwrap();
    println!("the longest write took {longest:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    let read = pull(&follower, "during", soon()).await.unwrap().unwrap();
    assert!(read.starts_with(b"{\"content\":\"199\""), "{read:?}");
    assert!(pull(&follower, "before", soon()).await.unwrap().is_some());
    // The dead one comes back with what it had and catches up.
    world.start(leader, FirstStart::FormGroup).await;
    let read = pull(&world.member(leader), "during", soon()).await.unwrap();
    assert!(read.unwrap().starts_with(b"{\"content\":\"199\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn member_that_is_cut_off_answers_nothing() {
    let world = World::of(3).await;
    push(&world.member(1), "tag", "old").await;
    let leader = world.leader().await;
    for other in world.others(leader) {
        world.net.part(leader, other, true);
    }
    // The others elect, and write what the old leader cannot know.
    let other = world.member(world.others(leader)[0]);
    push(&other, "tag", "new").await;
    let lonely = world.member(leader);
    let read = pull(&lonely, "tag", within(1_000)).await;
    assert!(
        matches!(read, Err(MetadataFailure::Unavailable { .. })),
        "{read:?}"
    );
    let written = lonely.propose(put("tag", "lost"), within(1_000)).await;
    assert!(written.is_err(), "{written:?}");
    for other in world.others(leader) {
        world.net.part(leader, other, false);
    }
    let read = pull(&lonely, "tag", soon()).await.unwrap().unwrap();
    assert!(!read.starts_with(b"{\"content\":\"old\""), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_a_write_is_refused_or_unknown_and_nothing_is_read() {
    let mut world = World::of(3).await;
    push(&world.member(1), "tag", "old").await;
    world.crash(2).await;
    world.crash(3).await;
    let left = world.member(1);
    assert!(left.propose(put("tag", "new"), within(700)).await.is_err());
    assert!(pull(&left, "tag", within(700)).await.is_err());
    world.start(2, FirstStart::AwaitGroup).await;
    push(&left, "tag", "newer").await;
    let read = pull(&left, "tag", soon()).await.unwrap().unwrap();
    assert!(read.starts_with(b"{\"content\":\"newer\""), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_comes_late_gets_a_snapshot() {
    let mut world = World::of(1).await;
    for n in 0..400 {
        push(&world.member(1), &format!("v{n}"), &n.to_string()).await;
    }
    let first = world.member(1);
    first.snapshot().await.unwrap();
    let deadline = soon();
    while first.health().purged.0 < 300 {
        assert!(Deadline::now() < deadline, "{:?}", first.health());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.start(2, FirstStart::AwaitGroup).await;
    world.take_in(2).await;
    let second = world.member(2);
    // The leader may know of the last entries before this member's own figures show the snapshot.
    while second.health().snapshot.0 < 300 {
        assert!(Deadline::now() < deadline, "{:?}", second.health());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for n in [0, 200, 399] {
        let read = pull(&second, &format!("v{n}"), soon()).await.unwrap();
        assert!(read.is_some(), "v{n}");
    }
    first
        .set_voters(BTreeSet::from([1, 2]), soon())
        .await
        .unwrap();
    push(&second, "last", "from the late one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lead_is_handed_over_without_a_pause() {
    let world = World::of(3).await;
    for _ in 0..10 {
        let leader = world.leader().await;
        let next = world.others(leader)[0];
        let started = Instant::now();
        let handing = world.member(leader);
        handing.transfer_leader(next, soon()).await.unwrap();
        push(&world.member(leader), "tag", "after").await;
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(world.leader().await, next);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_change_no_term() {
    let world = World::of(3).await;
    let leader = world.leader().await;
    let term = world.member(leader).group().term;
    for n in 0..1_000_u64 {
        world.net.cut(1 + n % 3, 1 + (n + 1) % 3);
        if n % 10 == 0 {
            push(&world.member(1 + n % 3), "tag", &n.to_string()).await;
        }
    }
    push(&world.member(1), "tag", "end").await;
    assert_eq!(world.leader().await, leader);
    assert_eq!(world.member(leader).group().term, term);
}

#[tokio::test(flavor = "multi_thread")]
async fn member_that_is_not_admitted_has_no_part_in_the_log() {
    let mut world = World::of(3).await;
    push(&world.member(1), "tag", "before").await;
    let leader = world.leader().await;
    let (other, left) = (world.others(leader)[0], world.others(leader)[1]);
    world.crash(leader).await;
    world.crash(other).await;
    // The one that is left lacks a vote, and the one that waits does not give its own, whether it led or not.
    let left = world.member(left);
    for waiting in [leader, other] {
        world.start_unadmitted(waiting).await;
        assert!(
            left.propose(put("tag", "alone"), within(700))
                .await
                .is_err()
        );
        assert!(!world.member(waiting).leads());
        world.crash(waiting).await;
    }
    world.start_unadmitted(other).await;
    assert!(
        left.propose(put("tag", "alone"), within(700))
            .await
            .is_err()
    );
    // It takes part, and nothing of the log passes before the other knows of its start.
    world.member(other).admit().await.unwrap();
    assert!(
        left.propose(put("tag", "untold"), within(700))
            .await
            .is_err()
    );
    assert!(!world.member(other).has_spoken());
    world.is_told_of(other);
    push(&left, "tag", "together").await;
    let read = pull(&world.member(other), "tag", soon()).await.unwrap();
    assert!(read.unwrap().starts_with(b"{\"content\":\"together\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_are_told_by_what_was_confirmed() {
    let mut world = World::of(1).await;
    let first = world.member(1).this_start().clone();
    assert_eq!((first.starts, first.previous_nonce), (1, 0));
    world.crash(1).await;
    world.start_unadmitted(1).await;
    let second = world.member(1).this_start().clone();
    assert_eq!((second.starts, second.previous_nonce), (2, first.nonce));
    world.crash(1).await;
    // The second was never confirmed: either may be the one that others know.
    world.start_unadmitted(1).await;
    let third = world.member(1).this_start().clone();
    assert_eq!((third.starts, third.previous_nonce), (3, first.nonce));
    assert_eq!(third.unconfirmed_nonces, [second.nonce]);
    world.member(1).admit().await.unwrap();
    world.crash(1).await;
    world.start(1, FirstStart::FormGroup).await;
    let fourth = world.member(1).this_start().clone();
    assert_eq!((fourth.starts, fourth.previous_nonce), (4, third.nonce));
    assert_eq!(fourth.unconfirmed_nonces, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn survivor_of_a_lost_majority_goes_on_alone() {
    let mut world = World::of(3).await;
    push(&world.member(1), "tag", "before").await;
    let leader = world.leader().await;
    let left = world.others(leader)[0];
    // It has what was acknowledged before the others are lost.
    assert!(
        pull(&world.member(left), "tag", soon())
            .await
            .unwrap()
            .is_some()
    );
    for node in 1..=3 {
        world.crash(node).await;
    }
    let looked = world.recover(left, false).await;
    assert_eq!(
        looked.members.keys().copied().collect::<Vec<_>>(),
        [1, 2, 3]
    );
    // Only looking changes nothing; doing it twice is as good as once.
    for _ in 0..2 {
        let recovered = world.recover(left, true).await;
        assert!(recovered.last_log >= looked.last_log, "{recovered:?}");
    }
    world.start(left, FirstStart::AwaitGroup).await;
    let survivor = world.member(left);
    let read = pull(&survivor, "tag", soon()).await.unwrap().unwrap();
    assert!(read.starts_with(b"{\"content\":\"before\""), "{read:?}");
    push(&survivor, "tag", "alone").await;
    assert_eq!(survivor.group().nodes.len(), 1);
    // A lost one that comes back after all does not lead. That it is not even heard is the work of certificates.
    world.start(leader, FirstStart::AwaitGroup).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!world.member(leader).leads());
    assert!(survivor.leads());
    let read = pull(&survivor, "tag", soon()).await.unwrap().unwrap();
    assert!(read.starts_with(b"{\"content\":\"alone\""), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn group_shrinks_to_one_again() {
    let world = World::of(3).await;
    let leader = world.leader().await;
    let left = world.member(leader);
    left.set_voters(BTreeSet::from([leader]), soon())
        .await
        .unwrap();
    assert_eq!(left.group().nodes.len(), 1, "{:?}", left.group());
    push(&left, "tag", "alone").await;
}
