//! What every store of shared counts must do, as tests that each implementation runs.
//!
//! ```text
//! async fn memory() -> Arc<dyn SharedCounts> { … }
//! ports::shared_counts_suite!(memory);
//! ```
//!
//! The cases must never rely on an empty store: each has addresses and accounts of its own.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, in a library because several crates run them"
)]

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use metadata::access::AccountName;
use tokio::time::Instant;

use super::{
    ATTEMPTS_UNDER_WAY_MAX, LoginAttempt, PullLimit, PullReport, PullSettlement, PullSource,
    SharedCounts, ThrottlePolicy,
};
use crate::{IdSource, RandomIds};

/// Generates one test per promise of the port, or runs `all` of them on one store. The argument names an `async fn() -> Arc<dyn SharedCounts>`.
#[macro_export]
macro_rules! shared_counts_suite {
    (all $subject:expr) => {
        $crate::shared_counts_suite! { @list @all $subject }
    };
    ($open:path) => {
        $crate::shared_counts_suite! { @list @tests $open }
    };
    (@list $($then:tt)*) => {
        $crate::shared_counts_suite! { $($then)*;
            a_few_failures_cost_nothing_and_the_next_ones_wait,
            failures_here_hold_up_nobody_elsewhere,
            an_address_has_so_many_failures,
            a_right_password_forgets_the_failures_before_it,
            guesses_at_once_are_few,
            an_attempt_told_twice_counts_once,
            failures_are_forgotten_after_the_window,
            pulls_of_all_nodes_together_stay_within_the_limit,
            a_report_told_twice_counts_once,
            what_is_given_back_is_for_others,
            what_was_pulled_without_asking_is_counted_later,
            a_window_ends_and_the_next_one_is_another,
        }
    };
    (@tests $open:path; $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::shared_counts::suite::$case($open().await).await;
            }
        )*
    };
    (@all $subject:expr; $($case:ident,)*) => {
        $( $crate::shared_counts::suite::$case(::std::sync::Arc::clone(&$subject) as _).await; )*
    };
}

/// The store under test.
pub type Subject = Arc<dyn SharedCounts>;

/// Its waits are longer than any case takes.
const POLICY: ThrottlePolicy = ThrottlePolicy {
    free_failures: 3,
    wait_first: Duration::from_secs(100),
    wait_max: Duration::from_secs(250),
    window: Duration::from_secs(900),
    address_failures_max: 10,
};

const TEN: PullLimit = PullLimit {
    pulls: 10,
    window: Duration::from_secs(600),
};

/// When something that must happen soon has not happened.
const SOON: Duration = Duration::from_secs(20);

fn address() -> IpAddr {
    let [_, _, c, d, ..] = Ipv6Addr::from_bits(RandomIds.fresh()).segments();
    Ipv6Addr::new(0x2001, 0xdb8, c, d, 0, 0, 0, 1).into()
}

fn attempt(account: &str, address: IpAddr) -> LoginAttempt {
    LoginAttempt::new(account, address, &RandomIds)
}

/// One login from its begin to its end; how long it has to wait, if it was refused.
async fn log_in(
    subject: &Subject,
    attempt: &LoginAttempt,
    right: bool,
    policy: &ThrottlePolicy,
) -> Option<Duration> {
    let refused = subject.begin_login(attempt, policy).await.unwrap();
    if refused.is_none() {
        subject.end_login(attempt, right, policy).await.unwrap();
    }
    refused
}

/// With waits that double.
pub async fn a_few_failures_cost_nothing_and_the_next_ones_wait(subject: Subject) {
    let from = address();
    for _ in 0..POLICY.free_failures {
        let one = attempt("alice", from);
        assert_eq!(log_in(&subject, &one, false, &POLICY).await, None);
    }
    let one = attempt("alice", from);
    assert_eq!(subject.begin_login(&one, &POLICY).await.unwrap(), None);
    let wait = subject.end_login(&one, false, &POLICY).await.unwrap();
    let about = |wait: Option<Duration>| wait.unwrap().as_secs_f64().round();
    assert!((80.0..=100.0).contains(&about(wait)), "{wait:?}");
    let refused = log_in(&subject, &attempt("alice", from), true, &POLICY).await;
    assert!((80.0..=100.0).contains(&about(refused)), "{refused:?}");
}

/// Neither another account from there, nor this account from elsewhere.
pub async fn failures_here_hold_up_nobody_elsewhere(subject: Subject) {
    let (here, elsewhere) = (address(), address());
    for _ in 0..=POLICY.free_failures {
        log_in(&subject, &attempt("alice", here), false, &POLICY).await;
    }
    let right = |account, from| {
        let (subject, one) = (Arc::clone(&subject), attempt(account, from));
        async move { log_in(&subject, &one, true, &POLICY).await }
    };
    assert!(right("alice", here).await.is_some());
    assert!(right("ALICE", here).await.is_some());
    assert_eq!(right("bob", here).await, None);
    assert_eq!(right("alice", elsewhere).await, None);
}

/// For all accounts together, and for the whole of its prefix.
pub async fn an_address_has_so_many_failures(subject: Subject) {
    let from = address();
    for number in 0..POLICY.address_failures_max {
        let one = attempt(&format!("user{number}"), from);
        assert_eq!(log_in(&subject, &one, false, &POLICY).await, None);
    }
    let IpAddr::V6(v6) = from else { unreachable!() };
    let neighbour = Ipv6Addr::from_bits(v6.to_bits() + 77).into();
    let wait = log_in(&subject, &attempt("carol", neighbour), true, &POLICY).await;
    let seconds = wait.unwrap().as_secs();
    assert!((800..=900).contains(&seconds), "{seconds}");
    assert_eq!(
        log_in(&subject, &attempt("carol", address()), true, &POLICY).await,
        None
    );
}

/// Those of this account from this address.
pub async fn a_right_password_forgets_the_failures_before_it(subject: Subject) {
    let from = address();
    for _ in 0..2 {
        for _ in 0..POLICY.free_failures {
            let one = attempt("alice", from);
            assert_eq!(log_in(&subject, &one, false, &POLICY).await, None);
        }
        let one = attempt("alice", from);
        assert_eq!(log_in(&subject, &one, true, &POLICY).await, None);
    }
}

/// A bounded number while nothing is known of an account, and one at a time after the free failures.
pub async fn guesses_at_once_are_few(subject: Subject) {
    let from = address();
    let mut begun = 0;
    for _ in 0..2 * ATTEMPTS_UNDER_WAY_MAX {
        let refused = subject.begin_login(&attempt("alice", from), &POLICY).await;
        begun += u32::from(refused.unwrap().is_none());
    }
    assert_eq!(begun, ATTEMPTS_UNDER_WAY_MAX);
    let from = address();
    for _ in 0..POLICY.free_failures {
        log_in(&subject, &attempt("alice", from), false, &POLICY).await;
    }
    let one = attempt("alice", from);
    assert_eq!(subject.begin_login(&one, &POLICY).await.unwrap(), None);
    let second = subject.begin_login(&attempt("alice", from), &POLICY).await;
    assert!(second.unwrap().is_some());
    let other = subject.begin_login(&attempt("bob", from), &POLICY).await;
    assert_eq!(other.unwrap(), None);
}

/// Its begin and its end, and an end without a begin.
pub async fn an_attempt_told_twice_counts_once(subject: Subject) {
    let from = address();
    for _ in 0..POLICY.free_failures {
        let one = attempt("alice", from);
        for _ in 0..3 {
            assert_eq!(subject.begin_login(&one, &POLICY).await.unwrap(), None);
        }
        for _ in 0..3 {
            subject.end_login(&one, false, &POLICY).await.unwrap();
        }
        let never_begun = attempt("alice", from);
        subject
            .end_login(&never_begun, false, &POLICY)
            .await
            .unwrap();
    }
    let one = attempt("alice", from);
    assert_eq!(log_in(&subject, &one, true, &POLICY).await, None);
}

/// Then the address may try again.
pub async fn failures_are_forgotten_after_the_window(subject: Subject) {
    let short = ThrottlePolicy {
        free_failures: 0,
        wait_first: Duration::from_millis(400),
        wait_max: Duration::from_millis(400),
        window: Duration::from_millis(400),
        address_failures_max: 1,
    };
    let from = address();
    log_in(&subject, &attempt("alice", from), false, &short).await;
    let deadline = Instant::now() + SOON;
    while log_in(&subject, &attempt("alice", from), true, &short)
        .await
        .is_some()
    {
        assert!(Instant::now() < deadline, "it took too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn source() -> PullSource {
    let name = format!("u{:032x}", RandomIds.fresh());
    PullSource::Account(AccountName::parse(&name).unwrap())
}

fn report(counter: u64, spent: u64, hold: u32) -> PullReport {
    PullReport {
        counter,
        window: 0,
        spent,
        hold,
    }
}

async fn settle(subject: &Subject, source: &PullSource, report: PullReport) -> PullSettlement {
    subject.settle_pulls(source, &report, TEN).await.unwrap()
}

/// However many ask at once.
pub async fn pulls_of_all_nodes_together_stay_within_the_limit(subject: Subject) {
    let source = source();
    let mut nodes = tokio::task::JoinSet::new();
    for node in 0..8 {
        let (subject, source) = (Arc::clone(&subject), source.clone());
        nodes.spawn(async move {
            let mut spent = 0;
            loop {
                let settled = settle(&subject, &source, report(node, spent, 2)).await;
                if settled.held == 0 {
                    return spent;
                }
                spent += u64::from(settled.held);
            }
        });
    }
    let spent: u64 = nodes.join_all().await.into_iter().sum();
    assert_eq!(spent, 10);
}

/// What is told is the whole, not a difference.
pub async fn a_report_told_twice_counts_once(subject: Subject) {
    let source = source();
    for _ in 0..3 {
        let settled = settle(&subject, &source, report(1, 3, 2)).await;
        assert_eq!((settled.held, settled.others), (2, 0));
    }
    let other = settle(&subject, &source, report(2, 0, 100)).await;
    assert_eq!((other.held, other.others), (5, 5));
    assert_ne!(other.window, 0);
    assert!(other.left <= TEN.window && other.left > TEN.window / 2);
}

/// A node that does not need what it holds.
pub async fn what_is_given_back_is_for_others(subject: Subject) {
    let source = source();
    assert_eq!(settle(&subject, &source, report(1, 0, 10)).await.held, 10);
    assert_eq!(settle(&subject, &source, report(2, 0, 5)).await.held, 0);
    assert_eq!(settle(&subject, &source, report(1, 4, 0)).await.held, 0);
    let settled = settle(&subject, &source, report(2, 0, 9)).await;
    assert_eq!((settled.held, settled.others), (6, 4));
}

/// Beyond the limit too: then nobody gets any.
pub async fn what_was_pulled_without_asking_is_counted_later(subject: Subject) {
    let source = source();
    settle(&subject, &source, report(1, 25, 0)).await;
    let settled = settle(&subject, &source, report(2, 1, 1)).await;
    assert_eq!((settled.held, settled.others), (0, 25));
}

/// And what belongs to the earlier one is not counted in the later.
pub async fn a_window_ends_and_the_next_one_is_another(subject: Subject) {
    let source = source();
    let short = PullLimit {
        pulls: 2,
        window: Duration::from_millis(300),
    };
    let first = subject
        .settle_pulls(&source, &report(1, 2, 0), short)
        .await
        .unwrap();
    let deadline = Instant::now() + SOON;
    loop {
        let old = PullReport {
            window: first.window,
            ..report(1, 2, 1)
        };
        let settled = subject.settle_pulls(&source, &old, short).await.unwrap();
        if settled.window != first.window {
            assert_eq!((settled.held, settled.others), (1, 0));
            return;
        }
        assert_eq!(settled.held, 0);
        assert!(Instant::now() < deadline, "it took too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
