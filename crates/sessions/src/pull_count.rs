//! The arithmetic of one source's pulls as a store counts them: a pure function of time and of what nodes report.
//!
//! The script `redis/settle_pulls.lua` does the same in Redis; the suite of the port holds them together. A node tells the
//! whole of what it has pulled and would hold, so that a report may be repeated.

use std::collections::HashMap;
use std::time::Duration;

use ports::{PullLimit, PullReport, PullSettlement};

use crate::throttle::millis;

/// One source in one window after another.
#[derive(Debug, Default)]
pub struct PullCount {
    /// When the window began, and its name; 0 before the first.
    window: u64,
    /// Of each node's count: what it has pulled, and what it holds beyond.
    nodes: HashMap<u64, (u64, u32)>,
}

impl PullCount {
    /// See [`settle_pulls`](ports::SharedCounts::settle_pulls). `now` counts milliseconds and is never 0.
    pub fn settle(&mut self, report: &PullReport, limit: PullLimit, now: u64) -> PullSettlement {
        let length = millis(limit.window);
        if self.window == 0 || self.window + length <= now {
            self.nodes.clear();
            self.window = now;
        }
        // What was pulled in an earlier window was counted there.
        let is_of_this = report.window == 0 || report.window == self.window;
        let (before, _) = self.nodes.remove(&report.counter).unwrap_or_default();
        let spent = before.max(if is_of_this { report.spent } else { 0 });
        let held_by = |(spent, held): &(u64, u32)| spent + u64::from(*held);
        let others = self.nodes.values().map(held_by).sum();
        let left = u64::from(limit.pulls).saturating_sub(spent.saturating_add(others));
        let held = u64::from(report.hold).min(left);
        let held = u32::try_from(held).expect("it is not above `hold`");
        self.nodes.insert(report.counter, (spent, held));
        PullSettlement {
            held,
            others,
            window: self.window,
            left: Duration::from_millis(self.window + length - now),
        }
    }
}
