//! What every store of sessions must do, as tests that each implementation runs.
//!
//! ```text
//! async fn memory() -> Arc<dyn SessionStore> { … }
//! ports::session_store_suite!(memory);
//! ```
//!
//! The cases must never rely on an empty store: each has accounts of its own.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, in a library because several crates run them"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use metadata::LogTime;
use metadata::access::AccountName;
use tokio::time::Instant;

use super::{
    SESSIONS_PER_ACCOUNT_MAX, Session, SessionId, SessionKey, SessionKind, SessionLife,
    SessionStore,
};
use crate::{IdSource, RandomIds};

/// Generates one test per promise of the port, or runs `all` of them on one store. The argument names an `async fn() -> Arc<dyn SessionStore>`.
#[macro_export]
macro_rules! session_store_suite {
    (all $subject:expr) => {
        $crate::session_store_suite! { @list @all $subject }
    };
    ($open:path) => {
        $crate::session_store_suite! { @list @tests $open }
    };
    (@list $($then:tt)*) => {
        $crate::session_store_suite! { $($then)*;
            a_session_is_found_until_it_is_removed,
            a_session_comes_back_as_it_was_put,
            sessions_of_an_account_are_listed_and_end_together,
            an_idle_session_ends,
            asking_renews_the_idle_time,
            asking_does_not_renew_the_total_time,
            an_account_has_so_many_sessions,
            sessions_that_are_put_and_ended_at_once_leave_a_true_list,
        }
    };
    (@tests $open:path; $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::session_store::suite::$case($open().await).await;
            }
        )*
    };
    (@all $subject:expr; $($case:ident,)*) => {
        $( $crate::session_store::suite::$case(::std::sync::Arc::clone(&$subject) as _).await; )*
    };
}

/// The store under test.
pub type Subject = Arc<dyn SessionStore>;

/// Longer than any case takes.
const LONG: SessionLife = SessionLife {
    idle: Duration::from_secs(600),
    total: Duration::from_secs(6000),
};

/// When something that must happen soon has not happened.
const SOON: Duration = Duration::from_secs(20);

fn account() -> AccountName {
    AccountName::parse(&format!("u{:032x}", RandomIds.fresh())).unwrap()
}

fn session(account: &AccountName) -> Session {
    Session {
        account: account.clone(),
        generation: 7,
        kind: SessionKind::Web,
        began: LogTime(1_700_000_000_000),
        address: [203, 0, 113, 9].into(),
        agent: "a browser".to_owned(),
    }
}

async fn put(subject: &Subject, account: &AccountName, life: SessionLife) -> SessionKey {
    let key = SessionId::fresh(&RandomIds).key();
    subject.put(&key, &session(account), life).await.unwrap();
    key
}

async fn keys_of(subject: &Subject, account: &AccountName) -> BTreeSet<SessionKey> {
    let listed = subject.list(account).await.unwrap();
    listed.into_iter().map(|(key, _)| key).collect()
}

/// Asks every 20 ms until the answer is yes.
async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so().await {
        assert!(Instant::now() < deadline, "it took too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Putting and removing, each once more than needed.
pub async fn a_session_is_found_until_it_is_removed(subject: Subject) {
    let account = account();
    let key = SessionId::fresh(&RandomIds).key();
    assert_eq!(subject.get(&key).await.unwrap(), None);
    subject.remove(&key).await.unwrap();
    for _ in 0..2 {
        subject.put(&key, &session(&account), LONG).await.unwrap();
        assert_eq!(subject.get(&key).await.unwrap(), Some(session(&account)));
        assert_eq!(subject.list(&account).await.unwrap().len(), 1);
    }
    for _ in 0..2 {
        subject.remove(&key).await.unwrap();
        assert_eq!(subject.get(&key).await.unwrap(), None);
        assert!(subject.list(&account).await.unwrap().is_empty());
    }
}

/// Every field, with what is hard to keep.
pub async fn a_session_comes_back_as_it_was_put(subject: Subject) {
    let robot = format!("robot$team+u{:032x}", RandomIds.fresh());
    let hard = Session {
        account: AccountName::parse(&robot).unwrap(),
        generation: u64::MAX,
        kind: SessionKind::CommandLine,
        began: LogTime(u64::MAX),
        address: "2001:db8::1".parse().unwrap(),
        agent: "{a} \"quoted\" 'é' :*?\\r".to_owned(),
    };
    let key = SessionId::fresh(&RandomIds).key();
    subject.put(&key, &hard, LONG).await.unwrap();
    assert_eq!(subject.get(&key).await.unwrap(), Some(hard.clone()));
    assert_eq!(subject.list(&hard.account).await.unwrap(), [(key, hard)]);
}

/// Those of others stay.
pub async fn sessions_of_an_account_are_listed_and_end_together(subject: Subject) {
    let (one, other) = (account(), account());
    let mut keys = BTreeSet::new();
    for _ in 0..3 {
        keys.insert(put(&subject, &one, LONG).await);
    }
    let kept = put(&subject, &other, LONG).await;
    assert_eq!(keys_of(&subject, &one).await, keys);
    assert_eq!(subject.end_all(&one).await.unwrap(), 3);
    assert_eq!(subject.end_all(&one).await.unwrap(), 0);
    for key in &keys {
        assert_eq!(subject.get(key).await.unwrap(), None);
    }
    assert!(subject.list(&one).await.unwrap().is_empty());
    assert!(subject.get(&kept).await.unwrap().is_some());
}

/// Without being asked for; a list is no question for a session.
pub async fn an_idle_session_ends(subject: Subject) {
    let account = account();
    let life = SessionLife {
        idle: Duration::from_millis(200),
        total: Duration::from_secs(600),
    };
    let key = put(&subject, &account, life).await;
    eventually(async || subject.list(&account).await.unwrap().is_empty()).await;
    assert_eq!(subject.get(&key).await.unwrap(), None);
}

/// A session that is used lives longer than its idle time.
pub async fn asking_renews_the_idle_time(subject: Subject) {
    let life = SessionLife {
        idle: Duration::from_secs(3),
        total: Duration::from_secs(600),
    };
    let key = put(&subject, &account(), life).await;
    let used_until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < used_until {
        assert!(subject.get(&key).await.unwrap().is_some());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// However often it is used.
pub async fn asking_does_not_renew_the_total_time(subject: Subject) {
    let life = SessionLife {
        idle: Duration::from_secs(600),
        total: Duration::from_millis(500),
    };
    let key = put(&subject, &account(), life).await;
    eventually(async || subject.get(&key).await.unwrap().is_none()).await;
}

/// The one that would end first goes.
pub async fn an_account_has_so_many_sessions(subject: Subject) {
    let account = account();
    let shorter = SessionLife {
        total: Duration::from_secs(5000),
        ..LONG
    };
    let first = put(&subject, &account, shorter).await;
    for _ in 0..SESSIONS_PER_ACCOUNT_MAX {
        put(&subject, &account, LONG).await;
    }
    assert_eq!(subject.get(&first).await.unwrap(), None);
    let listed = subject.list(&account).await.unwrap();
    assert_eq!(listed.len(), SESSIONS_PER_ACCOUNT_MAX);
}

/// What lives is in the list, whatever came when.
pub async fn sessions_that_are_put_and_ended_at_once_leave_a_true_list(subject: Subject) {
    let account = account();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (subject, account) = (Arc::clone(&subject), account.clone());
        tasks.spawn(async move {
            let key = put(&subject, &account, LONG).await;
            subject.end_all(&account).await.unwrap();
            key
        });
    }
    let keys = tasks.join_all().await;
    let listed = keys_of(&subject, &account).await;
    for key in keys {
        let lives = subject.get(&key).await.unwrap().is_some();
        assert_eq!(lives, listed.contains(&key));
    }
    subject.end_all(&account).await.unwrap();
    assert!(subject.list(&account).await.unwrap().is_empty());
}
