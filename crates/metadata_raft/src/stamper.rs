//! Stamps commands with the log's time: monotonic, and never running ahead of what has really passed.
//!
//! A stamp advances by at most the time that has passed since the last one plus a tenth, whatever any clock does, and never
//! goes back. A leader that takes over starts from the log's time, and from the moment at which it saw the log come to it.
//! What the log's time lacks by more than a minute is corrected by an entry of its own: see `crate::time`. Rule 3.3.

use std::time::Duration;

use metadata::LogTime;

/// See the module. Pure: it is told both times.
#[derive(Debug)]
pub struct ClockStamper {
    last: LogTime,
    /// When the last stamp was made, on a clock that never jumps.
    at: Duration,
}

impl ClockStamper {
    /// Starts from the log's time, to which the log came at `since` of the clock that never jumps. A log without any time
    /// yet starts from `clock`.
    #[must_use]
    pub fn new(log: LogTime, since: Duration, clock: LogTime) -> ClockStamper {
        let last = if log == LogTime(0) { clock } else { log };
        ClockStamper { last, at: since }
    }

    /// What the time is if it has gone on as it should.
    #[must_use]
    pub fn expected(&self, monotonic: Duration) -> LogTime {
        self.last.plus_ms(self.passed_ms(monotonic))
    }

    /// The next stamp.
    pub fn stamp(&mut self, clock: LogTime, monotonic: Duration) -> LogTime {
        let stamp = self.next(clock, monotonic);
        // Parts of a millisecond that were not used yet stay with the next stamp.
        if self.passed_ms(monotonic) > 0 {
            self.at = monotonic;
        }
        self.last = stamp;
        stamp
    }

    /// What the next stamp would be.
    #[must_use]
    pub fn next(&self, clock: LogTime, monotonic: Duration) -> LogTime {
        let passed = self.passed_ms(monotonic);
        let latest = self.last.plus_ms(passed.saturating_add(passed / 10));
        clock.clamp(self.last, latest)
    }

    /// The log has come to `log`, which may be later than any stamp: it was corrected.
    pub fn catch_up(&mut self, log: LogTime, monotonic: Duration) {
        if log > self.last {
            (self.last, self.at) = (log, monotonic);
        }
    }

    fn passed_ms(&self, monotonic: Duration) -> u64 {
        u64::try_from(monotonic.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn stamps_follow_a_sound_clock() {
        let mut stamper = ClockStamper::new(LogTime(5_000), ms(0), LogTime(5_000));
        assert_eq!(stamper.stamp(LogTime(5_000), ms(0)), LogTime(5_000));
        assert_eq!(stamper.stamp(LogTime(5_010), ms(10)), LogTime(5_010));
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_followed_by_a_tenth_at_most() {
        let mut stamper = ClockStamper::new(LogTime(1_000), ms(0), LogTime(1_000));
        assert_eq!(stamper.stamp(LogTime(9_000_000), ms(100)), LogTime(1_110));
        assert_eq!(stamper.stamp(LogTime(9_000_000), ms(100)), LogTime(1_110));
    }

    #[test]
    fn a_clock_that_jumps_back_stops_time_and_never_turns_it() {
        let mut stamper = ClockStamper::new(LogTime(1_000), ms(0), LogTime(1_000));
        assert_eq!(stamper.stamp(LogTime(10), ms(100)), LogTime(1_000));
        assert_eq!(stamper.stamp(LogTime(1_050), ms(200)), LogTime(1_050));
    }

    #[test]
    fn a_new_leader_starts_from_the_logs_time_whatever_its_clock_says() {
        let mut ahead = ClockStamper::new(LogTime(7_000), ms(50), LogTime(5_000));
        assert_eq!(ahead.stamp(LogTime(5_100), ms(100)), LogTime(7_000));
        let mut behind = ClockStamper::new(LogTime(7_000), ms(50), LogTime(9_000));
        assert_eq!(behind.stamp(LogTime(9_050), ms(100)), LogTime(7_055));
    }

    #[test]
    fn a_new_leader_counts_the_time_in_which_the_log_was_idle() {
        let mut stamper = ClockStamper::new(LogTime(7_000), ms(50), LogTime(9_000));
        assert_eq!(stamper.expected(ms(4_050)), LogTime(11_000));
        assert_eq!(stamper.stamp(LogTime(11_000), ms(4_050)), LogTime(11_000));
    }

    #[test]
    fn the_first_stamp_of_a_log_is_the_clocks() {
        let mut stamper = ClockStamper::new(LogTime(0), ms(0), LogTime(5_000));
        assert_eq!(stamper.stamp(LogTime(5_000), ms(0)), LogTime(5_000));
    }

    #[test]
    fn a_correction_is_followed_at_once() {
        let mut stamper = ClockStamper::new(LogTime(1_000), ms(0), LogTime(1_000));
        stamper.catch_up(LogTime(90_000), ms(10));
        assert_eq!(stamper.stamp(LogTime(90_010), ms(20)), LogTime(90_010));
        stamper.catch_up(LogTime(80_000), ms(20));
        assert_eq!(stamper.stamp(LogTime(90_020), ms(30)), LogTime(90_020));
    }

    #[test]
    fn time_passes_although_each_wait_is_shorter_than_a_millisecond() {
        let mut stamper = ClockStamper::new(LogTime(1_000), ms(0), LogTime(1_000));
        let mut last = LogTime(0);
        for step in 1..=10_u64 {
            last = stamper.stamp(LogTime(2_000), Duration::from_micros(step * 500));
        }
        assert_eq!(last, LogTime(1_005));
    }
}
