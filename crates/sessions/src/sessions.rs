//! Everything of this crate as a node uses it: a store of sessions, a gate for logins, and a gate for pulls and pushes.

use std::sync::Arc;

use ports::{
    LoginGate, PullGate, PullLimit, PullSource, SessionStore, SharedCounts, ThrottlePolicy,
};
use tokio::task::JoinHandle;

use crate::gate::{self, Gate};
use crate::status::Status;
use crate::{MemoryStore, RedisError, RedisSettings, RedisStore};

/// How sessions and counts are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionsSettings {
    /// Redis; in memory when there is none.
    pub redis: Option<RedisSettings>,
    /// How failed logins are answered.
    pub throttle: ThrottlePolicy,
    /// How much may be pulled.
    pub pulls: PullLimits,
}

/// How much may be pulled; without a limit, nothing is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PullLimits {
    /// By an account.
    pub account: Option<PullLimit>,
    /// By nobody in particular, from one address.
    pub address: Option<PullLimit>,
}

/// Sessions, throttles and pull rates of one node. Its background tasks end when it is dropped.
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    gate: Arc<Gate>,
    redis: Option<Arc<RedisStore>>,
    pulls: PullLimits,
    tasks: Vec<JoinHandle<()>>,
}

impl Sessions {
    /// Starts; with Redis, connecting goes on in the background, and nothing waits for it.
    ///
    /// # Errors
    /// The settings are wrong. A Redis that is away is no error.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(settings: &SessionsSettings) -> Result<Sessions, RedisError> {
        let Some(redis) = &settings.redis else {
            return Ok(Sessions {
                store: Arc::new(MemoryStore::new()),
                gate: gate::alone(settings.throttle),
                redis: None,
                pulls: settings.pulls,
                tasks: Vec::new(),
            });
        };
        let redis = Arc::new(RedisStore::start(redis)?);
        let counts: Arc<dyn SharedCounts> = Arc::clone(&redis) as _;
        let (gate, tasks) = gate::shared(settings.throttle, counts);
        Ok(Sessions {
            store: Arc::clone(&redis) as _,
            gate,
            redis: Some(redis),
            pulls: settings.pulls,
            tasks,
        })
    }

    /// Login sessions. Never for what serves a pull or a push.
    #[must_use]
    pub fn store(&self) -> Arc<dyn SessionStore> {
        Arc::clone(&self.store)
    }

    /// For logins, which may wait a little.
    #[must_use]
    pub fn login_gate(&self) -> Arc<dyn LoginGate> {
        Arc::clone(&self.gate) as _
    }

    /// For pulls and pushes, which never wait.
    #[must_use]
    pub fn pull_gate(&self) -> Arc<dyn PullGate> {
        Arc::clone(&self.gate) as _
    }

    /// How much a source may pull; `None` when its pulls are not counted.
    #[must_use]
    pub fn pull_limit(&self, source: &PullSource) -> Option<PullLimit> {
        match source {
            PullSource::Account(_) => self.pulls.account,
            PullSource::Address(_) => self.pulls.address,
        }
    }

    /// How much may be pulled.
    #[must_use]
    pub fn pull_limits(&self) -> PullLimits {
        self.pulls
    }

    /// How it stands with what nodes share, for `/readyz?verbose`. It never makes a node unready.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.redis {
            Some(redis) => redis.status(),
            None => Status::InMemory,
        }
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
