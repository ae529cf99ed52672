//! What was done to the cluster, and when: faults with their beginnings and ends, and changes of who leads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// What may happen to clients while a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The cluster covers it: nothing may fail.
    Covered,
    /// More than any cluster covers: requests may be refused, in the protocol's own words, and nothing may be lost.
    Outage,
}

/// Something that was done to the cluster.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// What kind of thing.
    pub kind: String,
    /// What may happen meanwhile.
    pub class: Class,
    /// To whom, if it is said.
    pub what: String,
    /// When it began, in microseconds since the run's beginning.
    pub began_us: u64,
    /// When it was over; absent if it never was.
    pub ended_us: Option<u64>,
}

/// Another node leads.
#[derive(Debug, Clone, Serialize)]
pub struct LeaderChange {
    /// When it was noticed, in microseconds since the run's beginning.
    pub at_us: u64,
    /// Who leads now.
    pub leader: String,
}

/// All faults of a run. Cheap to clone; all clones write to one list.
#[derive(Clone)]
pub struct Timeline {
    began: Instant,
    list: Arc<Mutex<(Vec<Fault>, Vec<LeaderChange>)>>,
}

impl Timeline {
    /// Of a run that begins now.
    pub(super) fn begin_now() -> Self {
        Self {
            began: Instant::now(),
            list: Arc::default(),
        }
    }

    /// Microseconds since the run began.
    pub fn now_us(&self) -> u64 {
        self.us(Instant::now())
    }

    /// A moment, in microseconds since the run began.
    pub(super) fn us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }

    /// A fault begins; call it before it is done. Gives its number.
    pub fn begin(&self, kind: &str, class: Class, what: &str) -> usize {
        let began_us = self.now_us();
        let mut list = self.lock();
        list.0.push(Fault {
            kind: kind.to_owned(),
            class,
            what: what.to_owned(),
            began_us,
            ended_us: None,
        });
        list.0.len() - 1
    }

    /// A fault is over; call it when it has been undone.
    pub fn end(&self, number: usize) {
        let ended = self.now_us();
        if let Some(fault) = self.lock().0.get_mut(number) {
            fault.ended_us = Some(ended);
        }
    }

    pub(super) fn leads(&self, leader: &str) {
        let at_us = self.now_us();
        let mut list = self.lock();
        if list.1.last().is_none_or(|last| last.leader != leader) {
            let leader = leader.to_owned();
            list.1.push(LeaderChange { at_us, leader });
        }
    }

    /// What was done until now.
    pub fn faults(&self) -> Vec<Fault> {
        self.lock().0.clone()
    }

    pub(super) fn leaders(&self) -> Vec<LeaderChange> {
        self.lock().1.clone()
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<Fault>, Vec<LeaderChange>)> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
