//! Clocks that jump or differ: the log goes by most of them, and what lacks more than a minute is an entry of its own.
//! Rule 3.3.

use std::time::Duration;

use metadata::{Answer, ClusterView, Query};
use metadata_raft::{FirstStart, Member};
use ports::{Clock, Deadline, MetadataStore, SystemClock};

use crate::world::{World, push, soon};

const HOUR_MS: i64 = 60 * 60 * 1000;
/// What a sound time may be apart from the machine's clock in these tests.
const NEAR_MS: u64 = 30_000;

async fn view(member: &Member) -> ClusterView {
    match member.read(Query::Cluster, soon()).await.unwrap().answer {
        Answer::Cluster(view) => view,
        other => panic!("{other:?}"),
    }
}

/// How many milliseconds the log's time is ahead of this machine's clock.
fn ahead_ms(view: &ClusterView) -> i64 {
    let (log, now) = (view.time.0, SystemClock.now().0);
    i64::try_from(log).unwrap() - i64::try_from(now).unwrap()
}

fn is_near(view: &ClusterView, off_ms: i64) -> bool {
    ahead_ms(view).abs_diff(off_ms) < NEAR_MS
}

/// Waits until the log's time was corrected; meanwhile the members tell each other their clocks.
async fn until_corrected(world: &World, node: u64) -> ClusterView {
    let deadline = soon();
    loop {
        world.exchange_clocks();
        let view = view(&world.member(node)).await;
        if view.upkeep.corrected.is_some() {
            return view;
        }
        assert!(Deadline::now() < deadline, "{view:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_in_which_a_lonely_member_was_stopped_is_corrected_before_it_serves() {
    let mut world = World::of(1).await;
    push(&world.member(1), "tag", "old").await;
    let before = view(&world.member(1)).await;
    assert_eq!(before.upkeep.corrected, None);
    world.crash(1).await;
    // Within a minute nothing is corrected.
    world.clock(1).set_off_ms(30_000);
    world.start(1, FirstStart::FormGroup).await;
    assert_eq!(view(&world.member(1)).await.upkeep.corrected, None);
    world.crash(1).await;
    world.clock(1).set_off_ms(3 * HOUR_MS);
    world.start(1, FirstStart::FormGroup).await;
    let after = view(&world.member(1)).await;
    let corrected = after.upkeep.corrected.expect("it was corrected");
    assert!(is_near(&after, 3 * HOUR_MS), "{after:?}");
    assert!(after.time >= corrected);
    push(&world.member(1), "tag", "new").await;
    let later = view(&world.member(1)).await;
    assert!(is_near(&later, 3 * HOUR_MS) && later.time >= after.time);
    assert_eq!(later.upkeep.corrected, Some(corrected));
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_of_the_leader_that_jumps_is_not_followed() {
    let world = World::of(3).await;
    let leader = world.leader().await;
    for off_ms in [HOUR_MS, -HOUR_MS] {
        world.clock(leader).set_off_ms(off_ms);
        for n in 0..20 {
            world.exchange_clocks();
            push(&world.member(leader), "tag", &format!("{off_ms} {n}")).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let view = view(&world.member(leader)).await;
        assert!(is_near(&view, 0), "{off_ms}: {view:?}");
        assert_eq!(view.upkeep.corrected, None);
    }
    // With the clock back, time stood still at no time.
    world.clock(leader).set_off_ms(0);
    let before = view(&world.member(leader)).await.time;
    tokio::time::sleep(Duration::from_millis(20)).await;
    push(&world.member(leader), "tag", "last").await;
    assert!(view(&world.member(leader)).await.time > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_leader_with_a_wrong_clock_goes_on_with_the_logs_time() {
    let world = World::of(3).await;
    push(&world.member(1), "tag", "old").await;
    let leader = world.leader().await;
    let next = world.others(leader)[0];
    world.clock(next).set_off_ms(HOUR_MS);
    world.exchange_clocks();
    let handed = world.member(leader).transfer_leader(next, soon()).await;
    handed.unwrap();
    push(&world.member(next), "tag", "new").await;
    let view = view(&world.member(next)).await;
    assert!(is_near(&view, 0), "{view:?}");
    assert_eq!(view.upkeep.corrected, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_corrected_once_when_most_clocks_say_so() {
    let world = World::of(3).await;
    push(&world.member(1), "tag", "old").await;
    let leader = world.leader().await;
    for other in world.others(leader) {
        world.clock(other).set_off_ms(HOUR_MS);
    }
    let corrected = until_corrected(&world, leader).await;
    assert!(is_near(&corrected, HOUR_MS), "{corrected:?}");
    for n in 0..20 {
        world.exchange_clocks();
        push(&world.member(leader), "tag", &n.to_string()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = view(&world.member(leader)).await;
    assert_eq!(after.upkeep.corrected, corrected.upkeep.corrected);
    assert!(is_near(&after, HOUR_MS) && after.time > corrected.time);
}
