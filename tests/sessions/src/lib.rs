//! What the tests of sessions in real Redis servers share: settings, waits, and the suites of the ports run on one store.
//!
//! Must never be needed by what ships.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metadata::LogTime;
use metadata::access::AccountName;
use ports::{RandomIds, Session, SessionId, SessionKind, SessionLife, SessionStore};
use sessions::{RedisPlace, RedisSettings, RedisStore, Status};

/// When something that must happen has not happened.
pub const SOON: Duration = Duration::from_secs(30);

/// Settings for tests of what is right: a loaded machine may be slow.
pub fn patient(place: RedisPlace) -> RedisSettings {
    RedisSettings {
        call_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
        ..RedisSettings::of(place)
    }
}

/// Settings for tests of faults: as they are when nothing is set, but that Redis is tried again sooner.
pub fn impatient(place: RedisPlace) -> RedisSettings {
    RedisSettings {
        probe_interval: Duration::from_millis(100),
        ..RedisSettings::of(place)
    }
}

/// A store that has connected.
pub async fn connected(settings: &RedisSettings) -> Arc<RedisStore> {
    let store = RedisStore::start(settings).expect("the settings are right");
    assert!(store.wait(SOON).await, "{}", store.status());
    Arc::new(store)
}

/// Everything that the two ports promise, on one store.
pub async fn keeps_every_promise(store: Arc<RedisStore>) {
    ports::session_store_suite!(all store);
    ports::shared_counts_suite!(all store);
}

/// A session of alice's.
pub fn session() -> Session {
    Session {
        account: alice(),
        generation: 1,
        kind: SessionKind::Web,
        began: LogTime(1),
        address: [203, 0, 113, 9].into(),
        agent: "a browser".to_owned(),
    }
}

/// Her name.
pub fn alice() -> AccountName {
    AccountName::parse("alice").expect("it is a name")
}

/// Longer than any test.
pub const LONG: SessionLife = SessionLife {
    idle: Duration::from_secs(600),
    total: Duration::from_secs(6000),
};

/// Puts sessions and reads them back until that works.
pub async fn works_again(store: &RedisStore) {
    let deadline = Instant::now() + SOON;
    loop {
        let key = SessionId::fresh(&RandomIds).key();
        if store.put(&key, &session(), LONG).await.is_ok()
            && let Ok(Some(found)) = store.get(&key).await
        {
            assert_eq!(found, session());
            return;
        }
        assert!(Instant::now() < deadline, "{}", store.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Puts sessions until the breaker is open; says why it is.
pub async fn goes_away(store: &RedisStore) -> String {
    let deadline = Instant::now() + SOON;
    loop {
        let key = SessionId::fresh(&RandomIds).key();
        let _ = store.put(&key, &session(), LONG).await;
        if let Status::Away(away) = store.status() {
            return away.why.to_string();
        }
        assert!(Instant::now() < deadline, "Redis is not noticed to be away");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
