//! Stamps commands with the log's time: monotonic, and never running ahead of what has really passed.
//!
//! A stamp advances by at most the time that has passed since the last one plus a tenth, whatever the machine's clock
//! does, and never goes back. A leader that takes over starts from the log's time, or from its clock if that is later:
//! the group was stopped in between, and the log's time stood still with it.

use std::time::Duration;

use metadata::LogTime;

/// See the module. Pure: it is told both times.
#[derive(Debug)]
pub(crate) struct ClockStamper {
    last: LogTime,
    /// When the last stamp was made, on a clock that never jumps.
    at: Duration,
}

impl ClockStamper {
    /// Starts from the log's time. `clock` is the machine's clock, `monotonic` the clock that never jumps.
    pub(crate) fn new(log: LogTime, clock: LogTime, monotonic: Duration) -> ClockStamper {
        ClockStamper {
            last: log.max(clock),
            at: monotonic,
        }
    }

    /// The next stamp.
    pub(crate) fn stamp(&mut self, clock: LogTime, monotonic: Duration) -> LogTime {
        let passed =
            u64::try_from(monotonic.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        let latest = self.last.plus_ms(passed.saturating_add(passed / 10));
        let stamp = clock.clamp(self.last, latest);
        // Parts of a millisecond that were not used yet stay with the next stamp.
        if passed > 0 {
            self.at = monotonic;
        }
        self.last = stamp;
        stamp
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
        let mut stamper = ClockStamper::new(LogTime(1_000), LogTime(5_000), ms(0));
        assert_eq!(stamper.stamp(LogTime(5_000), ms(0)), LogTime(5_000));
        assert_eq!(stamper.stamp(LogTime(5_010), ms(10)), LogTime(5_010));
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_followed_by_a_tenth_at_most() {
        let mut stamper = ClockStamper::new(LogTime(0), LogTime(1_000), ms(0));
        assert_eq!(stamper.stamp(LogTime(9_000_000), ms(100)), LogTime(1_110));
        assert_eq!(stamper.stamp(LogTime(9_000_000), ms(100)), LogTime(1_110));
    }

    #[test]
    fn a_clock_that_jumps_back_stops_time_and_never_turns_it() {
        let mut stamper = ClockStamper::new(LogTime(0), LogTime(1_000), ms(0));
        assert_eq!(stamper.stamp(LogTime(10), ms(100)), LogTime(1_000));
        assert_eq!(stamper.stamp(LogTime(1_050), ms(200)), LogTime(1_050));
    }

    #[test]
    fn a_new_leader_never_starts_before_the_logs_time() {
        let mut stamper = ClockStamper::new(LogTime(7_000), LogTime(5_000), ms(0));
        assert_eq!(stamper.stamp(LogTime(5_100), ms(100)), LogTime(7_000));
    }

    #[test]
    fn time_passes_although_each_wait_is_shorter_than_a_millisecond() {
        let mut stamper = ClockStamper::new(LogTime(0), LogTime(1_000), ms(0));
        let mut last = LogTime(0);
        for step in 1..=10_u64 {
            last = stamper.stamp(LogTime(2_000), Duration::from_micros(step * 500));
        }
        assert_eq!(last, LogTime(1_005));
    }
}
