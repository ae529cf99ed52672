//! Sessions and counts in this process' memory, for a node alone, and for every node while Redis is away.
//!
//! Bounded: when too many are kept, those that were used longest ago are forgotten. Nothing survives the process.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use metadata::access::AccountName;
use parking_lot::Mutex;
use ports::session_store::SESSIONS_PER_ACCOUNT_MAX;
use ports::{
    AddressPrefix, Degraded, LoginAttempt, PullLimit, PullReport, PullSettlement, PullSource,
    Session, SessionKey, SessionLife, SessionStore, SharedCounts, ThrottlePolicy,
};
use tokio::time::Instant;

use crate::bounded::Bounded;
use crate::pull_count::PullCount;
use crate::throttle::AddressFailures;

/// How many sessions, addresses and sources are kept, of each.
const KEPT_MAX: usize = 100_000;

/// Milliseconds that only go forward, and begin at 1.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    start: Instant,
}

impl Ticks {
    /// From now on.
    pub fn start() -> Ticks {
        Ticks {
            start: Instant::now(),
        }
    }

    /// So many.
    pub fn now(&self) -> u64 {
        crate::throttle::millis(self.start.elapsed()) + 1
    }
}

/// Sessions and counts in memory.
pub struct MemoryStore {
    sessions: Mutex<KeptSessions>,
    failures: Mutex<Bounded<AddressPrefix, AddressFailures>>,
    pulls: Mutex<Bounded<PullSource, PullCount>>,
    ticks: Ticks,
}

struct KeptSessions {
    by_key: Bounded<SessionKey, Kept>,
    /// What each account may have; some may have ended.
    by_account: Bounded<AccountName, HashMap<SessionKey, Instant>>,
}

struct Kept {
    session: Session,
    idle: Duration,
    idle_until: Instant,
    until: Instant,
}

impl Kept {
    fn lives(&self, now: Instant) -> bool {
        self.idle_until > now && self.until > now
    }
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore {
            sessions: Mutex::new(KeptSessions {
                by_key: Bounded::new(KEPT_MAX),
                by_account: Bounded::new(KEPT_MAX),
            }),
            failures: Mutex::new(Bounded::new(KEPT_MAX)),
            pulls: Mutex::new(Bounded::new(KEPT_MAX)),
            ticks: Ticks::start(),
        }
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl KeptSessions {
    fn put(&mut self, key: &SessionKey, session: &Session, life: SessionLife, now: Instant) {
        let until = now + life.total;
        let kept = Kept {
            session: session.clone(),
            idle: life.idle,
            idle_until: now + life.idle,
            until,
        };
        self.by_key.insert(*key, kept);
        let of_account = self.by_account.get_or(&session.account, HashMap::new);
        of_account.insert(*key, until);
        if of_account.len() > SESSIONS_PER_ACCOUNT_MAX {
            let by_key = &mut self.by_key;
            of_account.retain(|key, _| by_key.get(key).is_some_and(|kept| kept.lives(now)));
        }
        if of_account.len() > SESSIONS_PER_ACCOUNT_MAX {
            let ends_first = of_account.iter().min_by_key(|(_, until)| **until);
            let ends_first = *ends_first.expect("it is not empty").0;
            of_account.remove(&ends_first);
            self.by_key.remove(&ends_first);
        }
    }

    fn remove(&mut self, key: &SessionKey) {
        let Some(kept) = self.by_key.remove(key) else {
            return;
        };
        if let Some(of_account) = self.by_account.get(&kept.session.account) {
            of_account.remove(key);
        }
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn put(
        &self,
        key: &SessionKey,
        session: &Session,
        life: SessionLife,
    ) -> Result<(), Degraded> {
        self.sessions.lock().put(key, session, life, Instant::now());
        Ok(())
    }

    async fn get(&self, key: &SessionKey) -> Result<Option<Session>, Degraded> {
        let now = Instant::now();
        let mut sessions = self.sessions.lock();
        let found = sessions.by_key.get(key).filter(|kept| kept.lives(now));
        let session = found.map(|kept| {
            kept.idle_until = now + kept.idle;
            kept.session.clone()
        });
        if session.is_none() {
            sessions.remove(key);
        }
        Ok(session)
    }

    async fn remove(&self, key: &SessionKey) -> Result<(), Degraded> {
        self.sessions.lock().remove(key);
        Ok(())
    }

    async fn list(&self, account: &AccountName) -> Result<Vec<(SessionKey, Session)>, Degraded> {
        let now = Instant::now();
        let mut sessions = self.sessions.lock();
        let KeptSessions { by_key, by_account } = &mut *sessions;
        let Some(of_account) = by_account.get(account) else {
            return Ok(Vec::new());
        };
        let mut listed = Vec::new();
        of_account.retain(|key, _| {
            let living = by_key.get(key).filter(|kept| kept.lives(now));
            if let Some(kept) = &living {
                listed.push((*key, kept.session.clone()));
            }
            living.is_some()
        });
        Ok(listed)
    }

    async fn end_all(&self, account: &AccountName) -> Result<usize, Degraded> {
        let now = Instant::now();
        let mut sessions = self.sessions.lock();
        let of_account = sessions.by_account.remove(account).unwrap_or_default();
        let ended = of_account
            .keys()
            .filter_map(|key| sessions.by_key.remove(key))
            .filter(|kept| kept.lives(now));
        Ok(ended.count())
    }
}

#[async_trait]
impl SharedCounts for MemoryStore {
    async fn begin_login(
        &self,
        attempt: &LoginAttempt,
        policy: &ThrottlePolicy,
    ) -> Result<Option<Duration>, Degraded> {
        let mut failures = self.failures.lock();
        let of_address = failures.get_or(&attempt.from, AddressFailures::default);
        Ok(of_address.begin(attempt, policy, self.ticks.now()))
    }

    async fn end_login(
        &self,
        attempt: &LoginAttempt,
        succeeded: bool,
        policy: &ThrottlePolicy,
    ) -> Result<Option<Duration>, Degraded> {
        let mut failures = self.failures.lock();
        let of_address = failures.get_or(&attempt.from, AddressFailures::default);
        Ok(of_address.end(attempt, succeeded, policy, self.ticks.now()))
    }

    async fn settle_pulls(
        &self,
        source: &PullSource,
        report: &PullReport,
        limit: PullLimit,
    ) -> Result<PullSettlement, Degraded> {
        let mut pulls = self.pulls.lock();
        let count = pulls.get_or(source, PullCount::default);
        Ok(count.settle(report, limit, self.ticks.now()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    mod sessions {
        use super::*;

        async fn memory() -> Arc<dyn SessionStore> {
            Arc::new(MemoryStore::new())
        }

        ports::session_store_suite!(memory);
    }

    mod counts {
        use super::*;

        async fn memory() -> Arc<dyn SharedCounts> {
            Arc::new(MemoryStore::new())
        }

        ports::shared_counts_suite!(memory);
    }
}
