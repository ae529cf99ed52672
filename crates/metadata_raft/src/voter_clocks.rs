//! The voters' clocks, and which time to believe when they differ: their median. Rule 3.3.
//!
//! Other voters' clocks are read now and then by calls that are made anyway, and carried on with the clock that never jumps.
//! So a clock that jumps on this machine is told from the others at once. Pure: it is told all times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metadata::LogTime;

/// A clock that is further from the median is not believed, in milliseconds.
pub const CLOCK_OFF_MS_MAX: u64 = 5_000;
/// What was read longer ago does not count.
const READ_WITHIN: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Debug, Default)]
pub struct VoterClocks {
    /// The other voters.
    others: BTreeSet<u64>,
    read: BTreeMap<u64, Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    clock: LogTime,
    /// On the clock that never jumps.
    at: Duration,
}

/// What this member's clock is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// The time to follow.
    pub time: LogTime,
    /// The median, if the clocks of most voters are known.
    pub median: Option<LogTime>,
    /// Whether this member's clock is refused.
    pub is_refused: bool,
}

impl VoterClocks {
    /// Who the other voters are.
    pub fn set_others(&mut self, others: BTreeSet<u64>) {
        self.read.retain(|node, _| others.contains(node));
        self.others = others;
    }

    /// A clock of another voter, and when it was read.
    pub fn note(&mut self, node: u64, clock: LogTime, at: Duration) {
        self.read.insert(node, Reading { clock, at });
    }

    /// Judges this member's `clock`. `near` is what the time should be by the clock that never jumps, which shows
    /// `monotonic`: of an even number of clocks, the middle two may be wrong alike, and time goes on as it did.
    #[must_use]
    pub fn judge(&self, clock: LogTime, near: LogTime, monotonic: Duration) -> Judgement {
        let median = self.median(clock, near, monotonic);
        let is_refused = median.is_some_and(|median| is_off(clock, median))
            && !mutants::active!("take_a_clock_that_is_off");
        Judgement {
            time: median.filter(|_| is_refused).unwrap_or(clock),
            median,
            is_refused,
        }
    }

    fn median(&self, clock: LogTime, near: LogTime, monotonic: Duration) -> Option<LogTime> {
        let known = self.others.iter().filter_map(|node| self.read.get(node));
        let carried = known.filter_map(|reading| {
            let age = monotonic.saturating_sub(reading.at);
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            (age <= READ_WITHIN).then(|| reading.clock.plus_ms(age_ms))
        });
        let clocks: Vec<LogTime> = carried.chain([clock]).collect();
        let voters = self.others.len() + 1;
        (clocks.len() > voters / 2).then(|| median(clocks, near))
    }
}

/// Whether a clock is too far from the median to be believed.
#[must_use]
pub fn is_off(clock: LogTime, median: LogTime) -> bool {
    clock.0.abs_diff(median.0) > CLOCK_OFF_MS_MAX
}

/// The median of clocks; of an even number, the time between the middle two that is nearest to `near`, which is also given
/// when there are none.
#[must_use]
pub fn median(mut clocks: Vec<LogTime>, near: LogTime) -> LogTime {
    clocks.sort_unstable();
    match clocks.len() {
        0 => near,
        count => near.clamp(clocks[(count - 1) / 2], clocks[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: LogTime = LogTime(1_000_000);
    const HOUR: u64 = 3_600_000;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn clocks(others: &[(u64, LogTime)]) -> VoterClocks {
        let mut clocks = VoterClocks::default();
        clocks.set_others(others.iter().map(|(node, _)| *node).collect());
        for (node, clock) in others {
            clocks.note(*node, *clock, at(0));
        }
        clocks
    }

    #[test]
    fn member_that_is_alone_has_its_own_clock() {
        let alone = VoterClocks::default();
        for clock in [NOW, NOW.plus_ms(HOUR)] {
            let judged = alone.judge(clock, NOW, at(0));
            assert_eq!((judged.time, judged.is_refused), (clock, false));
            assert_eq!(judged.median, Some(clock));
        }
    }

    #[test]
    fn clock_within_five_seconds_of_the_median_is_followed() {
        let three = clocks(&[(2, NOW), (3, NOW)]);
        let limit = NOW.plus_ms(CLOCK_OFF_MS_MAX);
        let judged = three.judge(limit, NOW, at(0));
        assert_eq!((judged.time, judged.is_refused), (limit, false));
        for off in [limit.plus_ms(1), LogTime(NOW.0 - CLOCK_OFF_MS_MAX - 1)] {
            let judged = three.judge(off, NOW, at(0));
            assert_eq!((judged.time, judged.is_refused), (NOW, true));
        }
    }

    #[test]
    fn others_go_on_as_the_clock_that_never_jumps() {
        let three = clocks(&[(2, NOW), (3, NOW)]);
        // Seven seconds later this member's clock has jumped by an hour.
        let judged = three.judge(NOW.plus_ms(HOUR), NOW, at(7_000));
        assert_eq!((judged.time, judged.is_refused), (NOW.plus_ms(7_000), true));
    }

    #[test]
    fn without_the_clocks_of_most_voters_there_is_no_median() {
        let mut five = clocks(&[(2, NOW), (3, NOW)]);
        five.set_others([2, 3, 4, 5].into());
        assert_eq!(five.judge(NOW, NOW, at(0)).median, Some(NOW));
        // Old readings do not count, nor do those of nodes that do not vote.
        let jumped = NOW.plus_ms(HOUR);
        let judged = five.judge(jumped, NOW, at(15_001));
        assert_eq!((judged.time, judged.median), (jumped, None));
        assert!(!judged.is_refused);
        five.set_others([4, 5].into());
        assert_eq!(five.judge(jumped, NOW, at(0)).median, None);
    }

    #[test]
    fn of_two_clocks_the_one_that_did_not_jump_is_believed() {
        let (jumped, back) = (NOW.plus_ms(HOUR), LogTime(NOW.0 / 2));
        let two = clocks(&[(2, jumped)]);
        assert_eq!(two.judge(NOW, NOW, at(0)).time, NOW);
        let two = clocks(&[(2, back)]);
        assert_eq!(two.judge(NOW, NOW, at(0)).time, NOW);
        let two = clocks(&[(2, NOW)]);
        for off in [jumped, back] {
            let judged = two.judge(off, NOW, at(0));
            assert_eq!((judged.time, judged.is_refused), (NOW, true));
        }
        // When both have jumped, the nearer one is.
        let two = clocks(&[(2, jumped)]);
        let judged = two.judge(jumped.plus_ms(HOUR), NOW, at(0));
        assert_eq!(judged.time, jumped);
    }

    #[test]
    fn the_middle_of_an_odd_number_is_the_median() {
        let clock = |ms| LogTime(NOW.0 + ms);
        let five = vec![clock(9), clock(HOUR), clock(0), clock(5), clock(7)];
        assert_eq!(median(five, LogTime(0)), clock(7));
        assert_eq!(median(Vec::new(), NOW), NOW);
    }
}
