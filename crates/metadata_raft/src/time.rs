//! Which time this member stamps with when it leads, what its clock is worth, and the correction of the log's time. Rule 3.3.
//!
//! The leader alone stamps. It follows its own clock while that agrees with the median of the voters' clocks, and else the
//! median; a stamp never runs ahead of what has passed. When the log's time lacks more than a minute, because the whole group
//! stood still or because a clock was wrong, the leader proposes an entry that sets it forward, and what began before is
//! not ended for a while (`metadata::UpkeepRow`). The entry may be proposed twice: it has one effect. A log's time that is ahead
//! stands still until the clocks have come to it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use metadata::{CORRECTION_MS_MIN, Command, LogTime, UpkeepRow};
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use ports::{Deadline, MetadataStore};
use tokio::sync::watch;

use crate::member::Member;
use crate::metric::{CLOCK_OFFSET, TIME_BEHIND, UPKEEP_SUSPENDED};
use crate::stamper::ClockStamper;
use crate::voter_clocks::{Judgement, VoterClocks, is_off as clock_is_off};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the log may take to decide a correction before the next try.
const CORRECTION_TIME_MAX: Duration = Duration::from_secs(5);

/// What a member knows of time.
pub(crate) struct TimeKeeper {
    started: Instant,
    kept: Mutex<Kept>,
}

struct Kept {
    clocks: VoterClocks,
    stamper: Option<(u64, ClockStamper)>,
    /// The log's time, and when it came to it.
    log: (LogTime, Duration),
    /// Whether it was said that this member's clock is refused.
    said_refused: bool,
    /// Whether it was said that the log's time is ahead.
    said_ahead: bool,
}

impl TimeKeeper {
    pub(crate) fn new() -> TimeKeeper {
        TimeKeeper {
            started: Instant::now(),
            kept: Mutex::new(Kept {
                clocks: VoterClocks::default(),
                stamper: None,
                log: (LogTime(0), Duration::ZERO),
                said_refused: false,
                said_ahead: false,
            }),
        }
    }
}

impl Kept {
    fn note_log(&mut self, log: LogTime, monotonic: Duration) {
        if log > self.log.0 {
            self.log = (log, monotonic);
        }
    }

    /// The stamper of a term, or a fresh one.
    fn stamper(&mut self, term: u64, clock: LogTime) -> &mut ClockStamper {
        if !matches!(&self.stamper, Some((of_term, _)) if *of_term == term) {
            let (log, since) = self.log;
            self.stamper = Some((term, ClockStamper::new(log, since, clock)));
        }
        let (_, stamper) = self.stamper.as_mut().expect("it was made above");
        stamper
    }
}

impl Member {
    /// The time that a command proposed now carries. Each term of this member begins from the log's time: another
    /// leader has stamped meanwhile.
    pub(crate) fn stamp(&self) -> LogTime {
        let clock = self.config.clock.now();
        let monotonic = self.time.started.elapsed();
        let term = self.raft.metrics().borrow_watched().current_term;
        let kept = &mut *self.time.kept.lock();
        if !matches!(&kept.stamper, Some((of_term, _)) if *of_term == term) {
            kept.note_log(self.log_time(), monotonic);
        }
        let near = kept.stamper(term, clock).expected(monotonic);
        let time = kept.clocks.judge(clock, near, monotonic).time;
        kept.stamper(term, clock).stamp(time, monotonic)
    }

    /// This member's own clock, for other voters.
    #[must_use]
    pub fn clock(&self) -> LogTime {
        self.config.clock.now()
    }

    /// What the log's time is now, if this member leads: what the next command would be stamped with.
    #[must_use]
    pub fn log_clock(&self) -> LogTime {
        let clock = self.config.clock.now();
        let monotonic = self.time.started.elapsed();
        let term = self.raft.metrics().borrow_watched().current_term;
        let kept = &mut *self.time.kept.lock();
        let near = kept.stamper(term, clock).expected(monotonic);
        let time = kept.clocks.judge(clock, near, monotonic).time;
        kept.stamper(term, clock).next(time, monotonic)
    }

    /// The clock of another member, which answered within `round_trip`, just now.
    pub fn note_clock(&self, node: u64, clock: LogTime, round_trip: Duration) {
        let read = self.time.started.elapsed();
        let at = read.saturating_sub(round_trip / 2);
        self.time.kept.lock().clocks.note(node, clock, at);
    }

    /// The latest time that this member has applied.
    fn log_time(&self) -> LogTime {
        self.time_and_upkeep().0
    }

    fn time_and_upkeep(&self) -> (LogTime, UpkeepRow) {
        let view = self.last_view();
        view.map_or_else(Default::default, |view| (view.time, view.upkeep))
    }

    /// Looks at the clocks, shows what they say, and tells to what the log's time has to be set forward, if it has to.
    fn look_at_clocks(&self) -> Option<LogTime> {
        let (log, upkeep) = self.time_and_upkeep();
        let (term, others) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let voters = metrics.membership_config.membership().voter_ids();
            let others = voters.filter(|node| *node != self.config.node_id);
            (metrics.current_term, others.collect())
        };
        let clock = self.config.clock.now();
        let monotonic = self.time.started.elapsed();
        let kept = &mut *self.time.kept.lock();
        kept.note_log(log, monotonic);
        kept.clocks.set_others(others);
        if log == LogTime(0) {
            // It begins with the first command.
            return None;
        }
        let stamper = kept.stamper(term, clock);
        stamper.catch_up(log, monotonic);
        let near = stamper.expected(monotonic);
        let judged = kept.clocks.judge(clock, near, monotonic);
        let next = kept.stamper(term, clock).next(judged.time, monotonic);
        let leads = self.leads();
        say_refused(&mut kept.said_refused, clock, judged);
        say_ahead(&mut kept.said_ahead, leads, next, judged.time);
        let suspended = upkeep.suspended_until(next).is_some();
        metrics::gauge!(UPKEEP_SUSPENDED).set(if suspended { 1.0 } else { 0.0 });
        let offset = judged.median.map(|median| apart(clock, median));
        metrics::gauge!(CLOCK_OFFSET).set(offset.unwrap_or(f64::NAN));
        let behind = leads.then(|| apart(judged.time, next));
        metrics::gauge!(TIME_BEHIND).set(behind.unwrap_or(f64::NAN));
        // Without the clocks of most voters nothing is corrected.
        let lacks = judged.time > next.plus_ms(CORRECTION_MS_MIN);
        (leads && lacks && judged.median.is_some()).then_some(judged.time)
    }

    /// Sets the log's time forward, if it lacks more than a minute.
    pub(crate) async fn correct_time(&self) {
        let Some(to) = self.look_at_clocks() else {
            return;
        };
        let before = self.log_time();
        let deadline = Deadline::now() + CORRECTION_TIME_MAX;
        match self.propose(Command::CorrectTime { to }, deadline).await {
            Ok(_) => {
                let seconds = to.0.saturating_sub(before.0) / 1000;
                tracing::warn!(
                    seconds,
                    "the log's time was set forward: the group stood still, or its clocks were wrong; nothing that began before is deleted for a day"
                );
                // What was stamped meanwhile must not hold the next stamps back.
                self.look_at_clocks();
            }
            Err(failure) => {
                tracing::debug!(%failure, "the log's time could not be corrected; it is tried again");
            }
        }
    }
}

/// Seconds from `other` to `clock`.
fn apart(clock: LogTime, other: LogTime) -> f64 {
    let ms = clock.0.abs_diff(other.0) as f64;
    if clock < other { -ms / 1e3 } else { ms / 1e3 }
}

/// Says once that this member's clock is refused, and once that it is good again.
fn say_refused(said: &mut bool, clock: LogTime, judged: Judgement) {
    let Some(median) = judged.median.filter(|_| judged.is_refused != *said) else {
        return;
    };
    *said = judged.is_refused;
    if judged.is_refused {
        let seconds = apart(clock, median);
        tracing::error!(
            seconds,
            "this machine's clock is off from the clocks of most voters: the log goes by theirs; set it right"
        );
    } else {
        tracing::info!("this machine's clock agrees with those of most voters again");
    }
}

/// Says once on the leader that the log's time is ahead of the clocks, and once that they have come to it.
fn say_ahead(said: &mut bool, leads: bool, next: LogTime, clock: LogTime) {
    let is_ahead = leads && next > clock && clock_is_off(next, clock);
    if is_ahead == *said {
        return;
    }
    *said = is_ahead;
    if is_ahead {
        let seconds = apart(next, clock);
        tracing::warn!(
            seconds,
            "the log's time is ahead of the clocks: it stands still until they have come to it"
        );
    } else if leads {
        tracing::info!("the clocks have come to the log's time");
    }
}

/// Keeps the log's time as long as the member lives.
pub(crate) async fn keep(member: Weak<Member>, mut stopped: watch::Receiver<bool>) {
    loop {
        let Some(member) = member.upgrade() else {
            return;
        };
        correct_or_stop(&member, &mut stopped).await;
        drop(member);
        let slept = tokio::time::timeout(LOOK_EVERY, stopped.changed());
        if slept.await.is_ok() {
            return;
        }
    }
}

/// A member that stops waits for no correction.
async fn correct_or_stop(member: &Arc<Member>, stopped: &mut watch::Receiver<bool>) {
    let mut watched = stopped.clone();
    tokio::select! {
        () = member.correct_time() => {}
        _ = watched.changed() => {}
    }
}
