//! Tests of the gates: several nodes at one store, and a store that answers nothing.

use metadata::access::AccountName;
use ports::{Degraded, PullReport, PullSettlement};

use super::*;
use crate::MemoryStore;

const TEN: PullLimit = PullLimit {
    pulls: 10,
    window: Duration::from_secs(600),
};

fn here() -> IpAddr {
    [203, 0, 113, 9].into()
}

fn alice() -> PullSource {
    PullSource::Account(AccountName::parse("alice").unwrap())
}

/// A Redis that takes every call and answers none; behind no breaker.
struct Hung;

#[async_trait]
impl SharedCounts for Hung {
    async fn begin_login(
        &self,
        _: &LoginAttempt,
        _: &ThrottlePolicy,
    ) -> Result<Option<Duration>, Degraded> {
        std::future::pending().await
    }

    async fn end_login(
        &self,
        _: &LoginAttempt,
        _: bool,
        _: &ThrottlePolicy,
    ) -> Result<Option<Duration>, Degraded> {
        std::future::pending().await
    }

    async fn settle_pulls(
        &self,
        _: &PullSource,
        _: &PullReport,
        _: PullLimit,
    ) -> Result<PullSettlement, Degraded> {
        std::future::pending().await
    }
}

/// Lets the background tasks of paused tests come to rest.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_hung_store_stops_no_pull_and_no_password_of_a_push() {
    let (gate, _tasks) = shared(ThrottlePolicy::default(), Arc::new(Hung));
    for pull in 0..20 {
        let answer = gate.take_pull(&alice(), TEN);
        assert_eq!(answer.allowed, pull < 10);
        settle().await;
    }
    for _ in 0..2 * TOLD_MAX {
        gate.begin_login_now("alice", here()).unwrap().succeeded();
    }
    let guess = || gate.begin_login_now("alice", here()).map(drop);
    let refused = (0..20).filter(|_| guess().is_err()).count();
    assert_eq!(refused, 14, "this node counts alone");
}

#[tokio::test(start_paused = true)]
async fn nodes_share_what_may_be_pulled() {
    let store: Arc<MemoryStore> = Arc::default();
    let nodes: Vec<_> = (0..2)
        .map(|_| shared(ThrottlePolicy::default(), Arc::clone(&store) as _))
        .collect();
    let mut allowed = 0;
    for pull in 0..40 {
        let (node, _) = &nodes[pull % 2];
        allowed += u32::from(node.take_pull(&alice(), TEN).allowed);
        settle().await;
    }
    assert_eq!(allowed, 10);
    for (node, _) in &nodes {
        let answer = node.look_at_pulls(&alice(), TEN);
        assert_eq!((answer.allowed, answer.remaining), (false, 0));
        assert!(answer.retry_after > Duration::from_secs(500));
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_node_leaves_another_one_gets() {
    let store: Arc<MemoryStore> = Arc::default();
    let nodes: Vec<_> = (0..2)
        .map(|_| shared(ThrottlePolicy::default(), Arc::clone(&store) as _))
        .collect();
    assert!(nodes[0].0.take_pull(&alice(), TEN).allowed);
    settle().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut allowed = 0;
    for _ in 0..20 {
        allowed += u32::from(nodes[1].0.take_pull(&alice(), TEN).allowed);
        settle().await;
    }
    assert_eq!(allowed, 9);
}

#[tokio::test(start_paused = true)]
async fn guesses_are_counted_across_nodes_and_only_from_where_they_come() {
    let store: Arc<MemoryStore> = Arc::default();
    let nodes: Vec<_> = (0..3)
        .map(|_| shared(ThrottlePolicy::default(), Arc::clone(&store) as _))
        .collect();
    let mut guesses = 0;
    for number in 0..30 {
        let (node, _) = &nodes[number % 3];
        guesses += usize::from(node.begin_login("alice", here()).await.map(drop).is_ok());
        settle().await;
    }
    assert_eq!(guesses, 6, "five are free, and one more is told to wait");
    for (node, _) in &nodes {
        assert!(node.begin_login_now("alice", here()).is_err());
        let elsewhere = [203, 0, 113, 10].into();
        node.begin_login("alice", elsewhere)
            .await
            .unwrap()
            .succeeded();
    }
}

#[tokio::test(start_paused = true)]
async fn guesses_that_come_with_pulls_are_counted_across_nodes_too() {
    let store: Arc<MemoryStore> = Arc::default();
    let nodes: Vec<_> = (0..3)
        .map(|_| shared(ThrottlePolicy::default(), Arc::clone(&store) as _))
        .collect();
    let mut guesses = 0;
    for number in 0..60 {
        let (node, _) = &nodes[number % 3];
        guesses += usize::from(node.begin_login_now("alice", here()).map(drop).is_ok());
        settle().await;
    }
    // Each node may let one through before it hears of the others'.
    assert!((6..=9).contains(&guesses), "{guesses}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_could_look_at_counts_for_nothing() {
    let gate = alone(ThrottlePolicy::default());
    for _ in 0..200 {
        gate.begin_login_now("alice", here()).unwrap().undecided();
    }
    let guess = || gate.begin_login_now("alice", here()).map(drop);
    assert_eq!((0..20).filter(|_| guess().is_ok()).count(), 6);
}
