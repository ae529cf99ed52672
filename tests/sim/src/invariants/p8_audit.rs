//! P8 of the audit: each change that somebody was told of stands in it once, in the order in which they were told, what was refused
//! does not stand in it, and each record continues the chain of the one before.
//!
//! A change is known again by the address that it was asked for from: each has one of its own.

use std::net::{IpAddr, Ipv6Addr};

use metadata::access::{AccessAnswer, AccessQuery, AuditPage, AuditRow, AuditView};
use metadata::{Answer, Query, answer};
use oci::{Algorithm, Digest};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::census::Kind;
use crate::log::Machine;
use crate::world::World;

/// What was acknowledged stands in the audit.
pub const RECORDED: &str = "P8 acknowledged is audited";
/// The audit is a chain.
pub const CHAINED: &str = "P8 audit is a chain";

/// A page of the audit, as it is read here.
const PAGE: usize = 5_000;

/// The changes that were asked for.
#[derive(Debug, Default)]
pub struct Changes(Mutex<Vec<Change>>);

#[derive(Debug, Clone)]
struct Change {
    action: &'static str,
    began: Instant,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nobody was told.
    Unknown,
    /// It was done, says an answer of this time.
    Done(Instant),
    /// It was refused, or had no effect.
    None,
}

/// A change that was begun, to be ended.
#[derive(Debug, Clone, Copy)]
pub struct Begun(usize);

impl Begun {
    /// Where it is asked for from.
    #[must_use]
    pub fn from(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from_bits(self.0 as u128 + 1))
    }
}

impl Changes {
    /// A change is asked for that is recorded under this word.
    pub fn begin(&self, action: &'static str) -> Begun {
        let changes = &mut *self.0.lock();
        changes.push(Change {
            action,
            began: Instant::now(),
            fate: Fate::Unknown,
        });
        Begun(changes.len() - 1)
    }

    /// It was done.
    pub fn done(&self, begun: Begun) {
        self.0.lock()[begun.0].fate = Fate::Done(Instant::now());
    }

    /// It was not done, and never will be.
    pub fn had_no_effect(&self, begun: Begun) {
        self.0.lock()[begun.0].fate = Fate::None;
    }
}

/// Looks for every change in the audit of a state. In a run in which rights were not always asked for, what was done meanwhile is
/// not recorded.
pub fn check(world: &World, state: &Machine, is_always_on: bool) {
    let records = match records(state) {
        Ok(records) => records,
        Err(problem) => return world.breach("P8", problem),
    };
    world.census.count(Kind::Invariant, CHAINED);
    if let Err(problem) = check_chain(&records) {
        world.breach("P8", problem);
    }
    let changes = world.watch.changes.0.lock().clone();
    world
        .census
        .add(Kind::Invariant, RECORDED, changes.len() as u64);
    if let Err(problem) = check_changes(&changes, &records, is_always_on) {
        world.breach("P8", problem);
    }
}

/// All records, oldest first.
fn records(state: &Machine) -> Result<Vec<AuditView>, String> {
    let mut all = Vec::new();
    let mut before = None;
    loop {
        let page = AuditPage {
            before,
            limit: PAGE,
            by: None,
            action: None,
            target: None,
            from: None,
            until: None,
        };
        let query = Query::Access(Box::new(AccessQuery::Audit(page)));
        let answered = answer(&state.tables, &query).map_err(|failure| failure.to_string())?;
        let Answer::Access(answer) = answered else {
            return Err(format!("the audit is {answered:?}"));
        };
        let AccessAnswer::Audit { records, next } = *answer else {
            return Err(format!("the audit is {answer:?}"));
        };
        all.extend(records);
        match next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    all.reverse();
    Ok(all)
}

/// The numbers follow each other, and each chain's value is of all that stands before it, as `docs/protocols.md` has it.
fn check_chain(records: &[AuditView]) -> Result<(), String> {
    let mut before = [0; 32];
    for (at, record) in records.iter().enumerate() {
        if record.number != at as u64 + 1 {
            return Err(format!(
                "record {} is the {}. of the audit",
                record.number,
                at + 1
            ));
        }
        if record.row.chain != chained(before, &record.row) {
            return Err(format!("the chain breaks at record {}", record.number));
        }
        before = record.row.chain;
    }
    Ok(())
}

/// Written a second time here: the product's own would find its own mistake right.
fn chained(before: [u8; 32], row: &AuditRow) -> [u8; 32] {
    let mut bytes = before.to_vec();
    bytes.extend(row.time.0.to_be_bytes());
    let from = match row.from {
        None => Vec::new(),
        Some(IpAddr::V4(from)) => from.octets().to_vec(),
        Some(IpAddr::V6(from)) => from.octets().to_vec(),
    };
    for field in [
        row.by.0.as_bytes(),
        row.action.as_bytes(),
        row.target.as_bytes(),
        row.detail.as_bytes(),
        &from,
    ] {
        bytes.extend((field.len() as u64).to_be_bytes());
        bytes.extend(field);
    }
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    digest.bytes().try_into().unwrap_or_default()
}

fn check_changes(
    changes: &[Change],
    records: &[AuditView],
    is_always_on: bool,
) -> Result<(), String> {
    let mut times = vec![0; changes.len()];
    let mut last_began: Option<Instant> = None;
    for record in records {
        let Some(at) = change_of(&record.row).filter(|at| *at < changes.len()) else {
            continue;
        };
        let (change, number) = (&changes[at], record.number);
        times[at] += 1;
        if *record.row.action != *change.action {
            let (told, action) = (&record.row.action, change.action);
            return Err(format!("record {number} says `{told}` of a `{action}`"));
        }
        // What is recorded before this had begun when this was told.
        if let (Fate::Done(ended), Some(began)) = (change.fate, last_began)
            && ended < began
        {
            let action = change.action;
            return Err(format!(
                "record {number}, `{action}`, comes after one that was asked for when this was done"
            ));
        }
        last_began = last_began.max(Some(change.began));
    }
    for (change, times) in changes.iter().zip(times) {
        let is_right = match change.fate {
            Fate::Done(_) if is_always_on => times == 1,
            Fate::Done(_) | Fate::Unknown => times <= 1,
            Fate::None => times == 0,
        };
        if !is_right {
            let Change { action, fate, .. } = change;
            return Err(format!(
                "`{action}`, {fate:?}, stands {times} times in the audit"
            ));
        }
    }
    Ok(())
}

/// Which change a record is of.
fn change_of(row: &AuditRow) -> Option<usize> {
    match row.from? {
        IpAddr::V6(from) => usize::try_from(from.to_bits()).ok()?.checked_sub(1),
        IpAddr::V4(_) => None,
    }
}
