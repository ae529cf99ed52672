//! The log's own time, carried on by this node's monotonic clock while the log is idle: a wall clock that jumps makes nothing
//! due early.

use std::time::Duration;

use metadata::{LogTime, UpkeepRow};
use ports::Deadline;
use tokio::time::Instant;

use crate::{Caller, Error, Registry};

/// Now, as far as the log is concerned.
pub(crate) struct Now {
    /// The time.
    pub(crate) time: LogTime,
    upkeep: UpkeepRow,
}

impl Now {
    /// Whether so much time has passed since `since`, for what cannot be taken back: see [`UpkeepRow::has_passed`].
    pub(crate) fn has_passed(&self, since: LogTime, span: Duration) -> bool {
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.upkeep.has_passed(since, span_ms, self.time)
    }
}

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
    ) -> Result<Now, Error> {
        let view = registry.cluster(&Caller::itself(deadline)).await?;
        let (time, seen) = match self.seen {
            Some((time, seen)) if time >= view.time => (time, seen),
            _ => (view.time, Instant::now()),
        };
        self.seen = Some((time, seen));
        let elapsed: Duration = seen.elapsed();
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Ok(Now {
            time: time.plus_ms(elapsed_ms),
            upkeep: view.upkeep,
        })
    }
}
