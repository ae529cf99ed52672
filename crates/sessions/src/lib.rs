//! Login sessions, login throttling and pull rates: in Redis, or in memory. The only crate that knows Redis.
//!
//! Redis may be slow, hung, read-only, full or gone at any time, and whatever it holds may be lost. So nothing that serves a
//! pull or a push ever waits for it, and that is not a matter of care: such a request is given a [`ports::PullGate`], none of
//! whose calls is `async`. What they need is leased and settled in the background. Logins and sessions do ask Redis, by a
//! deadline (50 ms unless set), and behind a breaker that lets them go on without it. Rules 8.1 and 8.3, decision 21.
//!
//! Sessions are kept under the SHA-256 of their id, so that a dump of Redis lets nobody in, and names that people gave when
//! they failed to log in are never kept at all.

mod bounded;
mod gate;
mod lease;
mod memory;
mod pull_count;
mod redis;
mod sessions;
mod status;
mod throttle;

pub use memory::MemoryStore;
pub use redis::{Password, RedisError, RedisLogin, RedisPlace, RedisSettings, RedisStore};
pub use sessions::{PullLimits, Sessions, SessionsSettings};
pub use status::{Away, Status};
