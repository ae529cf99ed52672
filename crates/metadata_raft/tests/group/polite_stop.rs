//! A leader that stops politely hands the lead over first: clients of the others, and its own, hardly notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use metadata_raft::{FirstStart, Member};
use ports::Deadline;

use crate::world::{World, is, pull, push, soon, until_confirms};

/// What a loaded machine may make of the 0.1 s that are promised.
const GAP_MAX: Duration = Duration::from_secs(1);

/// When clients were answered, one after the other, until they were told to stop.
struct Clients {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Vec<Instant>>>,
}

impl Clients {
    /// Two that write and two that read at a member; any failure fails the test.
    fn of(member: &Arc<Member>) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..4).map(|client| {
            let (member, stop) = (Arc::clone(member), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answered = Vec::new();
                for n in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    if client % 2 == 0 {
                        push(&member, &format!("tag-{client}"), &n.to_string()).await;
                    } else {
                        pull(&member, "tag", soon()).await.unwrap();
                    }
                    answered.push(Instant::now());
                    // The machine is to be loaded, not full.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                answered
            })
        });
        Clients {
            tasks: tasks.collect(),
            stop,
        }
    }

    /// The longest time that one of them was not answered.
    async fn longest_gap(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let mut longest = Duration::ZERO;
        for task in self.tasks {
            let answered = task.await.unwrap();
            let gaps = answered.windows(2).map(|pair| pair[1] - pair[0]);
            longest = longest.max(gaps.max().unwrap_or_default());
        }
        longest
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_stops_politely_delays_nobody() {
    let mut world = World::of(3).await;
    push(&world.member(1), "tag", "kept").await;
    for round in 0..5 {
        let leader = world.leader().await;
        let leaving = world.member(leader);
        let remaining = world.others(leader);
        let remaining: Vec<_> = remaining.iter().map(|node| world.member(*node)).collect();
        let own = Clients::of(&leaving);
        let others: Vec<Clients> = remaining.iter().map(Clients::of).collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        leaving.step_down(soon()).await.unwrap();
        let handed_over = began.elapsed();
        assert!(!leaving.leads());
        tokio::time::sleep(Duration::from_millis(200)).await;
        // Its own clients have gone elsewhere when it stops.
        let mut gap = own.longest_gap().await;
        world.crash(leader).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        for clients in others {
            gap = gap.max(clients.longest_gap().await);
        }
        println!(
            "round {round}: handed over in {handed_over:?}, the longest gap of a client is {gap:?}"
        );
        assert!(gap < GAP_MAX, "{gap:?}");
        world.start(leader, FirstStart::FormGroup).await;
        until_confirms(&world.member(leader), true).await;
    }
    let found = pull(&world.member(2), "tag", soon()).await.unwrap();
    assert!(is(found.as_ref(), "kept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lead_goes_to_a_voter_that_is_there() {
    let mut world = World::of(3).await;
    for _ in 0..3 {
        let leader = world.leader().await;
        let gone = world.others(leader)[0];
        world.crash(gone).await;
        // Until its silence is noticed.
        tokio::time::sleep(Duration::from_millis(400)).await;
        world.member(leader).step_down(soon()).await.unwrap();
        assert_eq!(world.leader().await, world.others(leader)[1]);
        world.start(gone, FirstStart::FormGroup).await;
        until_confirms(&world.member(gone), true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn member_that_nobody_can_follow_leads_on() {
    let mut world = World::of(1).await;
    let alone = world.member(1);
    let began = Deadline::now();
    alone.step_down(soon()).await.unwrap();
    assert!(alone.leads());
    push(&alone, "tag", "still").await;
    world.start(2, FirstStart::AwaitGroup).await;
    world.take_in(2).await;
    // Who learns cannot lead.
    alone.step_down(soon()).await.unwrap();
    assert!(alone.leads());
    push(&alone, "tag", "still").await;
    assert!(began.elapsed() < Duration::from_secs(10));
}
