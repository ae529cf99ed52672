//! The log's own time, carried on by this node's monotonic clock while the log is idle: a wall clock that jumps makes nothing
//! due early.

use std::time::Duration;

use metadata::LogTime;
use ports::Deadline;
use tokio::time::Instant;

use crate::{Caller, Error, Registry};

/// When it was.
#[derive(Debug, Default)]
pub(crate) struct LogClock {
    /// The log's time when it was last seen to advance, and when that was.
    seen: Option<(LogTime, Instant)>,
}

impl LogClock {
    /// The time now. Fails as the log does.
    pub(crate) async fn now(
        &mut self,
        registry: &Registry,
        deadline: Deadline,
    ) -> Result<LogTime, Error> {
        let view = registry.cluster(&Caller::itself(deadline)).await?;
        let (time, seen) = match self.seen {
            Some((time, seen)) if time >= view.time => (time, seen),
            _ => (view.time, Instant::now()),
        };
        self.seen = Some((time, seen));
        let elapsed: Duration = seen.elapsed();
        Ok(time.plus_ms(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)))
    }
}
