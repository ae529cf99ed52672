//! The port to time.

use std::time::{SystemTime, UNIX_EPOCH};

use metadata::LogTime;

/// Tells the time of day. Never decides anything alone: the log's time is what the leader stamped.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> LogTime;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> LogTime {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        LogTime(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}
