//! Tests of the arithmetic of leases, with a store that is a plain value and a clock that is a number.

use std::time::Duration;

use super::*;
use crate::pull_count::PullCount;

const HUNDRED: PullLimit = PullLimit {
    pulls: 100,
    window: Duration::from_secs(21_600),
};

fn source() -> PullSource {
    PullSource::Address(ports::AddressPrefix::of([203, 0, 113, 9].into()))
}

/// Settles everything that is to be settled.
fn settle(leases: &mut Leases, store: &mut PullCount, now: u64) -> usize {
    let asked = leases.take_unsettled(usize::MAX, now);
    for one in &asked {
        let said = store.settle(&one.report, one.limit, now);
        leases.settled(one, Some(said), now);
    }
    asked.len()
}

fn take(leases: &mut Leases, now: u64) -> bool {
    leases.take(&source(), HUNDRED, now).0.allowed
}

#[test]
fn a_handful_of_pulls_costs_one_settlement() {
    let (mut leases, mut store) = (Leases::new(true), PullCount::default());
    let mut settlements = 0;
    for pull in 1..=90 {
        assert!(take(&mut leases, pull));
        settlements += settle(&mut leases, &mut store, pull);
    }
    assert!((20..=35).contains(&settlements), "{settlements}");
}

#[test]
fn nodes_together_pass_the_limit_exactly() {
    let mut nodes: Vec<Leases> = (0..10).map(|_| Leases::new(true)).collect();
    let mut store = PullCount::default();
    let mut allowed = 0;
    for now in 1..2000 {
        let node = &mut nodes[now as usize * 7 % 10];
        allowed += u32::from(take(node, now));
        settle(node, &mut store, now);
    }
    // A pull that finds nothing held is let through before it is settled: one more for each node, at most.
    assert!((95..=110).contains(&allowed), "{allowed}");
    for node in &mut nodes {
        assert!(!take(node, 3000));
    }
}

#[test]
fn a_store_that_is_away_leaves_each_node_its_limit() {
    let mut leases = Leases::new(true);
    let mut allowed = 0;
    for now in 1..=500 {
        allowed += u32::from(take(&mut leases, now));
        for asked in leases.take_unsettled(10, now) {
            leases.settled(&asked, None, now);
        }
    }
    assert_eq!(allowed, 100);
    // And tells all of it when the store is back.
    let mut store = PullCount::default();
    assert!(!take(&mut leases, 2000));
    assert_eq!(settle(&mut leases, &mut store, 2000), 1);
    let other = PullReport {
        counter: 1,
        window: 0,
        spent: 0,
        hold: 1,
    };
    let said = store.settle(&other, HUNDRED, 2001);
    assert_eq!((said.others, said.held), (100, 0));
}

#[test]
fn without_a_store_nothing_is_asked() {
    let mut leases = Leases::new(false);
    for now in 1..=100 {
        let (answer, ask) = leases.take(&source(), HUNDRED, now);
        assert!(answer.allowed && !ask);
        assert_eq!(answer.remaining, 100 - now as u32);
    }
    let (answer, _) = leases.take(&source(), HUNDRED, 101);
    assert!(!answer.allowed);
    assert_eq!(answer.retry_after, Duration::from_millis(21_600_000 - 100));
    assert!(take(&mut leases, 21_600_001));
}

#[test]
fn what_nobody_uses_is_given_back() {
    let (mut leases, mut store) = (Leases::new(true), PullCount::default());
    assert!(take(&mut leases, 1));
    settle(&mut leases, &mut store, 1);
    let other = |store: &mut PullCount, now| {
        let report = PullReport {
            counter: 1,
            window: 0,
            spent: 0,
            hold: 0,
        };
        store.settle(&report, HUNDRED, now).others
    };
    assert_eq!(other(&mut store, 2), 6);
    leases.find_idle(4_000);
    assert_eq!(settle(&mut leases, &mut store, 4_000), 0);
    leases.find_idle(6_000);
    assert_eq!(settle(&mut leases, &mut store, 6_000), 1);
    assert_eq!(other(&mut store, 6_001), 1);
    leases.find_idle(20_000);
    assert_eq!(settle(&mut leases, &mut store, 20_000), 0);
}

#[test]
fn pulls_while_a_settlement_is_under_way_are_not_lost() {
    let (mut leases, mut store) = (Leases::new(true), PullCount::default());
    assert!(take(&mut leases, 1));
    let asked = leases.take_unsettled(1, 1).remove(0);
    for now in 2..=4 {
        assert!(take(&mut leases, now));
    }
    assert!(leases.take_unsettled(1, 4).is_empty(), "one at a time");
    let said = store.settle(&asked.report, asked.limit, 4);
    leases.settled(&asked, Some(said), 4);
    let answer = leases.look(&source(), HUNDRED, 5);
    assert_eq!(answer.remaining, 96);
    assert!(take(&mut leases, 6));
    settle(&mut leases, &mut store, 6);
    assert_eq!(leases.look(&source(), HUNDRED, 7).remaining, 95);
}

#[test]
fn a_window_that_the_store_has_ended_counts_no_more() {
    let (mut leases, mut store) = (Leases::new(true), PullCount::default());
    for now in 1..=50 {
        assert!(take(&mut leases, now));
        settle(&mut leases, &mut store, now);
    }
    // The store has lost what it knew.
    let mut store = PullCount::default();
    for now in 51..=56 {
        assert!(take(&mut leases, now));
        settle(&mut leases, &mut store, now);
    }
    let answer = leases.look(&source(), HUNDRED, 60);
    assert!(answer.remaining > 90, "{}", answer.remaining);
}

#[test]
fn looking_is_free() {
    let mut leases = Leases::new(true);
    for now in 1..1000 {
        assert!(leases.look(&source(), HUNDRED, now).allowed);
    }
    assert_eq!(leases.look(&source(), HUNDRED, 1000).remaining, 100);
    assert!(leases.take_unsettled(1, 1000).is_empty());
}
