//! How a node counts pulls without asking: for each source it holds a few pulls that the shared store has set aside for it,
//! and settles in the background. A pure function of time, of what is taken and of what the store says.
//!
//! Nothing here waits. While the store is away, a node counts alone, and tells the whole when the store is back. How much
//! more than the limit all nodes together may pass is bounded by what they take within one settlement, and while the store is
//! away by the limit per node.

use std::collections::VecDeque;

use ports::{IdSource, PullAnswer, PullLimit, PullReport, PullSettlement, PullSource, RandomIds};

use crate::bounded::Bounded;
use crate::throttle::millis;

/// How many sources a node knows.
const SOURCES_MAX: usize = 50_000;

/// How many sources wait to be settled; what comes beyond is settled at its next pull.
const ASKING_MAX: usize = 10_000;

/// The most that a node holds of one source.
const HELD_MAX: u32 = 50;

/// What a source did not use for so long is given back.
const IDLE_MS: u64 = 5_000;

/// A source without anything left is asked about again after so long: others may have given back.
const REFUSED_AGAIN_MS: u64 = 1_000;

/// The leases of one node.
pub struct Leases {
    sources: Bounded<PullSource, Lease>,
    /// To be settled, each once.
    asking: VecDeque<PullSource>,
    /// What may have to be given back, by when.
    idle: VecDeque<(u64, PullSource)>,
    /// Whether there is a store to settle with.
    shared: bool,
}

struct Lease {
    limit: PullLimit,
    /// Names this count in the store; another one for each window that this node sees end.
    counter: u64,
    /// The store's name for the window; 0 when the store has not said it.
    window: u64,
    /// When the window ends here.
    ends: u64,
    spent: u64,
    held: u32,
    /// What all others have pulled or hold, as the store said last.
    others: u64,
    settling: bool,
    settled_at: u64,
    used_at: u64,
    idle_watched: bool,
}

/// A settlement that is to be asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Whose.
    pub source: PullSource,
    /// What is told.
    pub report: PullReport,
    /// Against which limit.
    pub limit: PullLimit,
}

impl Lease {
    fn begin(limit: PullLimit, now: u64) -> Lease {
        Lease {
            limit,
            // The store keeps it as text, and compares only.
            counter: RandomIds.fresh() as u64,
            window: 0,
            ends: now + millis(limit.window),
            spent: 0,
            held: 0,
            others: 0,
            settling: false,
            settled_at: 0,
            used_at: now,
            idle_watched: false,
        }
    }

    /// How many this node would like to hold.
    fn handful(&self) -> u32 {
        (self.limit.pulls / 20).clamp(1, HELD_MAX)
    }

    fn remaining(&self) -> u64 {
        u64::from(self.limit.pulls).saturating_sub(self.others.saturating_add(self.spent))
    }

    fn answer(&self, allowed: bool, source: &PullSource, now: u64) -> PullAnswer {
        PullAnswer {
            allowed,
            limit: self.limit,
            remaining: u32::try_from(self.remaining()).unwrap_or(u32::MAX),
            retry_after: std::time::Duration::from_millis(self.ends.saturating_sub(now)),
            source: source.to_string().into(),
        }
    }
}

impl Leases {
    /// None yet. `shared` says whether there is a store to settle with.
    pub fn new(shared: bool) -> Leases {
        Leases {
            sources: Bounded::new(SOURCES_MAX),
            asking: VecDeque::new(),
            idle: VecDeque::new(),
            shared,
        }
    }

    /// Counts a pull, unless there is none left. The second value says whether there is something to settle.
    pub fn take(&mut self, source: &PullSource, limit: PullLimit, now: u64) -> (PullAnswer, bool) {
        let lease = self.lease(source, limit, now);
        lease.used_at = now;
        let allowed = lease.held > 0 || lease.remaining() > 0;
        if allowed {
            lease.spent += 1;
            lease.held = lease.held.saturating_sub(1);
        }
        let few = lease.held <= lease.handful() / 2;
        let due = allowed || lease.settled_at + REFUSED_AGAIN_MS <= now;
        let ask = few && due && !lease.settling;
        let answer = lease.answer(allowed, source, now);
        (answer, ask && self.ask(source))
    }

    /// What is left, without counting.
    pub fn look(&mut self, source: &PullSource, limit: PullLimit, now: u64) -> PullAnswer {
        let lease = self.lease(source, limit, now);
        let allowed = lease.held > 0 || lease.remaining() > 0;
        lease.answer(allowed, source, now)
    }

    fn lease(&mut self, source: &PullSource, limit: PullLimit, now: u64) -> &mut Lease {
        let lease = self.sources.get_or(source, || Lease::begin(limit, now));
        if lease.ends <= now {
            *lease = Lease::begin(limit, now);
        }
        lease.limit = limit;
        lease
    }

    fn ask(&mut self, source: &PullSource) -> bool {
        if !self.shared || self.asking.len() >= ASKING_MAX {
            return false;
        }
        if let Some(lease) = self.sources.get(source) {
            lease.settling = true;
            self.asking.push_back(source.clone());
        }
        true
    }

    /// Puts what nobody used into the queue of what is to be settled.
    pub fn find_idle(&mut self, now: u64) {
        while self.idle.front().is_some_and(|(due, _)| *due <= now) {
            let (_, source) = self.idle.pop_front().expect("it was looked at just now");
            let Some(lease) = self.sources.get(&source) else {
                continue;
            };
            lease.idle_watched = false;
            if lease.held == 0 {
                continue;
            }
            if lease.used_at + IDLE_MS > now || lease.settling {
                lease.idle_watched = true;
                self.idle.push_back((now + IDLE_MS, source));
            } else {
                self.ask(&source);
            }
        }
    }

    /// Up to `count` settlements to ask for.
    pub fn take_unsettled(&mut self, count: usize, now: u64) -> Vec<Asked> {
        let mut asked = Vec::new();
        while asked.len() < count
            && let Some(source) = self.asking.pop_front()
        {
            let Some(lease) = self.sources.get(&source) else {
                continue;
            };
            let in_use = lease.used_at + IDLE_MS > now;
            let report = PullReport {
                counter: lease.counter,
                window: lease.window,
                spent: lease.spent,
                hold: if in_use { lease.handful() } else { 0 },
            };
            asked.push(Asked {
                source,
                report,
                limit: lease.limit,
            });
        }
        asked
    }

    /// What the store said; `None` when it is away.
    pub fn settled(&mut self, asked: &Asked, said: Option<PullSettlement>, now: u64) {
        let Some(lease) = self.sources.get(&asked.source) else {
            return;
        };
        if lease.counter != asked.report.counter {
            return;
        }
        lease.settling = false;
        lease.settled_at = now;
        let Some(said) = said else {
            return;
        };
        let taken_since = lease.spent.saturating_sub(asked.report.spent);
        if lease.window != 0 && lease.window != said.window {
            // What was told belonged to the window before.
            lease.spent = taken_since;
        }
        lease.window = said.window;
        lease.others = said.others;
        lease.ends = now + millis(said.left);
        let taken_since = u32::try_from(taken_since).unwrap_or(u32::MAX);
        lease.held = said.held.saturating_sub(taken_since);
        if lease.held > 0 && !lease.idle_watched {
            lease.idle_watched = true;
            self.idle.push_back((now + IDLE_MS, asked.source.clone()));
        }
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
