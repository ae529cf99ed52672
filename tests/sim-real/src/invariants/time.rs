//! Rule 3.3: the log's time advances by at most what has passed plus a tenth, whatever a minority of clocks shows, and never
//! goes back.

use crate::network::NodeId;
use std::collections::BTreeMap;

/// What rounding and the first stamp of a leader may add, in milliseconds.
const SLACK_MS: u64 = 60;

/// The latest time of the log, and when it was seen first.
#[derive(Default)]
pub struct LogTimes {
    /// By the member: what it has seen.
    of: BTreeMap<NodeId, u64>,
    /// When the log was seen to begin: the simulated time and the log's.
    began: Option<(u64, u64)>,
    /// How often a time was looked at.
    pub looked_at: u64,
}

impl LogTimes {
    /// A member was wiped, or its disk is another one.
    pub fn forget(&mut self, node: NodeId) {
        self.of.remove(&node);
    }

    /// A member has come to the log's time `time` when the simulated clock shows `now`.
    ///
    /// # Errors
    /// When that cannot be.
    pub fn note(&mut self, node: NodeId, time: u64, now: u64) -> Result<(), String> {
        if time == 0 {
            return Ok(());
        }
        self.looked_at += 1;
        let before = self.of.insert(node, time).unwrap_or_default();
        if time < before {
            return Err(format!(
                "rule 3.3: the log's time went back from {before} to {time} at node {node}"
            ));
        }
        let (began, first) = *self.began.get_or_insert((now, time));
        let passed = now - began;
        let latest = first + passed + passed / 10 + SLACK_MS;
        if time > latest {
            return Err(format!(
                "rule 3.3: the log's time is {} ms ahead of what may have passed, at node {node}",
                time - latest
            ));
        }
        Ok(())
    }
}
