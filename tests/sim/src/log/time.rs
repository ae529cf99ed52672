//! The time that a leader stamps with: the real rules about clocks, driven as `metadata_raft` drives them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metadata::LogTime;
use metadata_raft::{ClockStamper, VoterClocks};
use tokio::time::Instant;

/// What a member knows of time.
pub(super) struct TimeKeeper {
    started: Instant,
    clocks: VoterClocks,
    stamper: Option<(u64, ClockStamper)>,
    /// The log's time, and when it came to it.
    log: (LogTime, Duration),
}

impl TimeKeeper {
    pub(super) fn new() -> TimeKeeper {
        TimeKeeper {
            started: Instant::now(),
            clocks: VoterClocks::default(),
            stamper: None,
            log: (LogTime(0), Duration::ZERO),
        }
    }

    /// The log has come to a time.
    pub(super) fn note_log(&mut self, log: LogTime) {
        if log > self.log.0 {
            self.log = (log, self.started.elapsed());
        }
    }

    /// The stamp of a command that is proposed now. `read`: the clocks of others, and when they were read.
    pub(super) fn stamp(
        &mut self,
        clock: LogTime,
        log: LogTime,
        term: u64,
        others: BTreeSet<u64>,
        read: &BTreeMap<u64, (u64, Instant)>,
    ) -> LogTime {
        self.note_log(log);
        let monotonic = self.started.elapsed();
        self.clocks.set_others(others);
        for (node, (ms, at)) in read {
            let at = at.saturating_duration_since(self.started);
            self.clocks.note(*node, LogTime(*ms), at);
        }
        if !matches!(&self.stamper, Some((of_term, _)) if *of_term == term) {
            let (log, since) = self.log;
            self.stamper = Some((term, ClockStamper::new(log, since, clock)));
        }
        let (_, stamper) = self.stamper.as_mut().expect("it was made above");
        stamper.catch_up(log, monotonic);
        let near = stamper.expected(monotonic);
        let time = self.clocks.judge(clock, near, monotonic).time;
        stamper.stamp(time, monotonic)
    }
}
