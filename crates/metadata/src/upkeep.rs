//! What the log remembers so that time decides little: when its time was last corrected, and since when, or when last, the
//! cluster could do by itself what it does seldom. Rules 3.3, 3.7 and 5.4.

use crate::UPKEEP_GRACE_MS;
use crate::ids::LogTime;
use crate::node::NodeId;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpkeepRow {
    /// The log's time right after it was last corrected.
    pub corrected: Option<LogTime>,
    /// Since when every node has said that it knows the next format.
    pub next_format_since: Option<LogTime>,
    /// The last replacement of a dead voter.
    pub replacement: Option<Replacement>,
}

/// A spare takes the place of a dead voter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replacement {
    /// Who votes no more.
    pub dead: NodeId,
    /// Who votes in its place.
    pub spare: NodeId,
    /// When that was decided.
    pub at: LogTime,
}

impl UpkeepRow {
    /// Until when nothing is ended that began before the log's time was last corrected; `None` when no correction is that
    /// fresh.
    #[must_use]
    pub fn suspended_until(&self, now: LogTime) -> Option<LogTime> {
        let until = self.corrected?.plus_ms(UPKEEP_GRACE_MS);
        (now < until).then_some(until)
    }

    /// Whether `span_ms` have passed since `since`, for what cannot be taken back: for a while after a correction, time that
    /// has partly passed before it does not count.
    #[must_use]
    pub fn has_passed(&self, since: LogTime, span_ms: u64, now: LogTime) -> bool {
        since.plus_ms(span_ms) <= now && self.fresh_since(now).is_none_or(|fresh| since >= fresh)
    }

    /// When the log's time was corrected, if that is fresh.
    pub(crate) fn fresh_since(&self, now: LogTime) -> Option<LogTime> {
        self.suspended_until(now).and(self.corrected)
    }
}
