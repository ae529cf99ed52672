//! Where Redis is, who we are there, and how long it may take. Passwords never show.

use std::fmt;
use std::time::Duration;

/// Where Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisPlace {
    /// One server: `redis://host:port`, or `rediss://` with TLS.
    Alone(String),
    /// A master that sentinels know by a name.
    Sentinel {
        /// Where the sentinels are.
        sentinels: Vec<String>,
        /// The master's name.
        master: String,
    },
    /// Some nodes of a Cluster, which name the others.
    Cluster(Vec<String>),
}

/// Who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisLogin {
    /// The user; none for the default one.
    pub user: Option<String>,
    /// The password, if one is asked for.
    pub password: Option<Password>,
}

/// A password, which never shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Of its text.
    pub fn new(text: impl Into<String>) -> Password {
        Password(text.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Everything about Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// Where it is.
    pub place: RedisPlace,
    /// Who we are to Redis.
    pub login: RedisLogin,
    /// Who we are to the sentinels.
    pub sentinel_login: RedisLogin,
    /// The certificates of the authorities to trust, as PEM, instead of the system's.
    pub authorities: Option<Vec<u8>>,
    /// What every key begins with.
    pub prefix: String,
    /// How long one operation may take. Logins wait so long at most.
    pub call_timeout: Duration,
    /// How long it may take to connect to one server, in the background.
    pub connect_timeout: Duration,
    /// After how many misses in a row calls go on without Redis.
    pub misses_max: u32,
    /// How often Redis is tried again then.
    pub probe_interval: Duration,
}

impl RedisSettings {
    /// Those of a place, all else as it is when nothing is set.
    #[must_use]
    pub fn of(place: RedisPlace) -> RedisSettings {
        RedisSettings {
            place,
            login: RedisLogin::default(),
            sentinel_login: RedisLogin::default(),
            authorities: None,
            prefix: "holdfast".to_owned(),
            call_timeout: Duration::from_millis(50),
            connect_timeout: Duration::from_secs(1),
            misses_max: 3,
            probe_interval: Duration::from_secs(1),
        }
    }
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// No address at all.
    #[error("there is no address of Redis")]
    NoAddress,
    /// An address that is none. It is not shown: it may hold a password.
    #[error(
        "an address of Redis is not `redis://HOST:PORT` or, with TLS, `rediss://HOST:PORT` ({0})"
    )]
    Address(String),
    /// Addresses with and without TLS.
    #[error("either all addresses of Redis begin with `rediss://`, or none does")]
    Mixed,
    /// Authorities without TLS, or unreadable ones.
    #[error("the certificates of Redis' authorities cannot be used ({0})")]
    Authorities(String),
}
