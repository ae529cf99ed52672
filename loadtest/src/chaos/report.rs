//! What came of a run: each promise, whether it was kept, and everything that is needed to see why not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use serde::Serialize;

use super::audit::{Audit, Checked};
use super::meter::{Failed, Gap, Measured, Repeatable, Second};
use super::programs::ProgramRun;
use super::timeline::{Class, Fault, LeaderChange};
use super::{World, lock, page};
use crate::watch::Stretch;

/// So long after an outage's end service is to be normal.
const RECOVERY_US: u64 = 5_000_000;

/// So many failures of each sort are told in words.
const TOLD_MAX: usize = 20;

/// A promise.
#[derive(Debug, Clone, Serialize)]
pub struct Promise {
    /// In a few words.
    pub name: &'static str,
    /// Whether it was kept.
    pub kept: bool,
    /// By which figure.
    pub figure: String,
    /// What broke it.
    pub broken_by: Vec<String>,
}

/// The faults of one kind together.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Kind {
    /// What it is called.
    pub kind: String,
    /// Whether nothing may fail meanwhile.
    pub covered: bool,
    /// How many there were.
    pub count: usize,
    /// Requests that failed while they lasted, and that the balancer could have sent again.
    pub failed: usize,
    /// Requests that were cut while they lasted, and that only their client may send again.
    pub cut: usize,
    /// The longest time without an answer while they lasted.
    pub longest_gap_ms: f64,
}

/// The result of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Repeats its choices.
    pub seed: u64,
    /// How long it was.
    pub seconds: f64,
    /// What was promised.
    pub promises: Vec<Promise>,
    /// Answers through the balancer.
    pub answered: u64,
    /// Requests through the balancer that had no good answer, outages included.
    pub failed: u64,
    /// Answers that said that they may be stale.
    pub warned: u64,
    /// Runs of other programs, and how many of them failed.
    pub programs: (usize, usize),
    /// The longest time without an answer, outages excepted.
    pub longest_gap_ms: f64,
    /// Acknowledged images, pulled after the run.
    pub audit: Audit,
    /// Histories.
    pub checked: Checked,
    /// Faults by their kinds.
    pub kinds: Vec<Kind>,
    /// Faults, one by one.
    pub faults: Vec<Fault>,
    /// Who led.
    pub leaders: Vec<LeaderChange>,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// Times of 200 ms and more without an answer to a read, or to a write.
    pub gaps: Vec<Gap>,
    /// Requests that failed, the first of them.
    pub failures: Vec<Failed>,
    /// When the machine of the clients stood still.
    pub stalls: Vec<Stretch>,
}

/// When things may fail: outages, and the time that they are given to be over.
struct Outages(Vec<(u64, u64)>);

impl Outages {
    fn of(faults: &[Fault]) -> Self {
        let outages = faults.iter().filter(|fault| fault.class == Class::Outage);
        let spans = outages.map(|fault| {
            let until = fault.ended_us.map_or(u64::MAX, |end| end + RECOVERY_US);
            (fault.began_us, until)
        });
        Self(spans.collect())
    }

    /// Something that lasted so long may be because of one.
    fn excuse(&self, began_us: u64, ended_us: u64) -> bool {
        let overlaps = |(from, until): &(u64, u64)| began_us <= *until && ended_us >= *from;
        self.0.iter().any(overlaps)
    }
}

impl Report {
    pub(super) fn of(
        world: &World,
        ended_us: u64,
        measured: Measured,
        stalls: Vec<Stretch>,
        audit: Audit,
        checked: Checked,
    ) -> Self {
        let faults = world.timeline.faults();
        let outages = Outages::of(&faults);
        let programs = lock(&world.programs).clone();
        let mut breaches = lock(&world.breaches).clone();
        breaches.extend(checked.violations.iter().cloned());
        let gaps = measured.gaps.iter();
        let longest_gap_ms = gaps
            .filter(|gap| !outages.excuse(gap.began_us, gap.ended_us))
            .map(gap_ms)
            .fold(0.0, f64::max);
        let mut promises = vec![
            promise(
                "nothing acknowledged is lost",
                format!("{} images, each through {} ways", audit.images, audit.ways),
                audit.lost.clone(),
            ),
            promise(
                "every answer can be explained",
                format!(
                    "{} operations on {} tags and uploads",
                    checked.operations, checked.objects
                ),
                breaches,
            ),
            promise(
                "every history was decided",
                format!("{} histories", checked.objects),
                checked.undecided.clone(),
            ),
        ];
        promises.extend(service(world, &measured, &outages, longest_gap_ms));
        promises.push(others(&programs, &outages));
        let unfinished = faults.iter().filter(|fault| fault.ended_us.is_none());
        let unfinished = unfinished
            .map(|fault| format!("{} of {}", fault.kind, fault.what))
            .collect();
        promises.push(promise(
            "every fault was undone",
            format!("{} faults", faults.len()),
            unfinished,
        ));
        Self {
            seed: world.plan.seed,
            seconds: ended_us as f64 / 1e6,
            promises,
            answered: measured
                .seconds
                .iter()
                .map(|it| u64::from(it.reads + it.writes))
                .sum(),
            failed: measured.failed_count,
            warned: world.warned.load(Ordering::Relaxed),
            programs: (
                programs.len(),
                programs.iter().filter(|run| run.failed.is_some()).count(),
            ),
            longest_gap_ms,
            audit,
            checked,
            kinds: kinds(&faults, &measured),
            faults,
            leaders: world.timeline.leaders(),
            timeline: measured.seconds,
            gaps: measured.gaps,
            failures: measured.failed,
            stalls,
        }
    }

    /// Whether every promise was kept.
    pub fn is_good(&self) -> bool {
        self.promises.iter().all(|promise| promise.kept)
    }

    /// For people at a terminal.
    pub fn text(&self) -> String {
        let covered = self
            .faults
            .iter()
            .filter(|fault| fault.class == Class::Covered)
            .count();
        let mut text = format!(
            "{:.0} s, {} answers, {} without a good one, {} covered faults, {} outages, longest gap {:.0} ms\n",
            self.seconds,
            self.answered,
            self.failed,
            covered,
            self.faults.len() - covered,
            self.longest_gap_ms
        );
        for promise in &self.promises {
            let mark = if promise.kept { "kept  " } else { "BROKEN" };
            text += &format!("{mark}  {} ({})\n", promise.name, promise.figure);
            for why in promise.broken_by.iter().take(TOLD_MAX) {
                text += &format!("          {}\n", why.replace('\n', "\n          "));
            }
        }
        text
    }

    /// Writes `report.json` and `report.html` into a folder.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let json = serde_json::to_vec_pretty(self)?;
        std::fs::write(folder.join("report.json"), json).context("the report cannot be written")?;
        std::fs::write(folder.join("report.html"), page::html(self))
            .context("the page cannot be written")
    }
}

fn promise(name: &'static str, figure: String, broken_by: Vec<String>) -> Promise {
    let kept = broken_by.is_empty();
    Promise {
        name,
        kept,
        figure,
        broken_by,
    }
}

fn gap_ms(gap: &Gap) -> f64 {
    gap.ended_us.saturating_sub(gap.began_us) as f64 / 1000.0
}

fn told(failed: &Failed) -> String {
    format!(
        "at {:.1} s, after {:.1} s: {}",
        failed.began_us as f64 / 1e6,
        (failed.ended_us - failed.began_us) as f64 / 1e6,
        failed.message
    )
}

/// Promises about requests through the balancer.
fn service(
    world: &World,
    measured: &Measured,
    outages: &Outages,
    longest_gap_ms: f64,
) -> [Promise; 3] {
    let (excused, covered): (Vec<&Failed>, Vec<&Failed>) = measured
        .failed
        .iter()
        .partition(|failed| outages.excuse(failed.began_us, failed.ended_us));
    let (cut, broken): (Vec<&Failed>, Vec<&Failed>) = covered
        .into_iter()
        .partition(|failed| failed.repeatable == Repeatable::ByClient);
    let odd = excused
        .iter()
        .filter(|failed| !failed.is_oci_json && failed.repeatable == Repeatable::ByBalancer);
    let gap_max_ms = world.plan.gap_max.as_secs_f64() * 1000.0;
    let too_long = measured
        .gaps
        .iter()
        .filter(|gap| gap_ms(gap) > gap_max_ms && !outages.excuse(gap.began_us, gap.ended_us));
    let too_long = too_long.map(|gap| {
        let of = if gap.of_writes { "writes" } else { "reads" };
        let at = gap.began_us as f64 / 1e6;
        format!(
            "at {at:.1} s: {:.0} ms without an answer to {of}",
            gap_ms(gap)
        )
    });
    [
        promise(
            "no request fails while faults are covered",
            format!(
                "{} failed; {} were cut that only their client may repeat, and were",
                broken.len(),
                cut.len()
            ),
            broken.into_iter().map(told).collect(),
        ),
        promise(
            "in an outage errors are OCI JSON, and service is normal 5 s after it",
            format!(
                "{} requests failed in {} outages",
                excused.len(),
                outages.0.len()
            ),
            odd.map(|failed| told(failed)).collect(),
        ),
        promise(
            "no time without an answer is longer than the limit",
            format!("{longest_gap_ms:.0} ms of {gap_max_ms:.0} ms"),
            too_long.collect(),
        ),
    ]
}

/// The promise about programs of others.
fn others(programs: &[ProgramRun], outages: &Outages) -> Promise {
    let broken = programs.iter().filter_map(|run| {
        let why = run.failed.as_ref()?;
        let is_excused = outages.excuse(run.began_us, run.ended_us);
        (!is_excused).then(|| format!("at {:.1} s: {why}", run.began_us as f64 / 1e6))
    });
    promise(
        "no command of other programs fails",
        format!("{} commands", programs.len()),
        broken.collect(),
    )
}

fn kinds(faults: &[Fault], measured: &Measured) -> Vec<Kind> {
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    for fault in faults {
        let until = fault.ended_us.map_or(u64::MAX, |end| end + RECOVERY_US);
        let within = |began: u64, ended: u64| began <= until && ended >= fault.began_us;
        let kind = kinds.entry(&fault.kind).or_default();
        kind.kind.clone_from(&fault.kind);
        kind.covered = fault.class == Class::Covered;
        kind.count += 1;
        for failed in measured
            .failed
            .iter()
            .filter(|it| within(it.began_us, it.ended_us))
        {
            match failed.repeatable {
                Repeatable::ByBalancer => kind.failed += 1,
                Repeatable::ByClient => kind.cut += 1,
            }
        }
        let gaps = measured
            .gaps
            .iter()
            .filter(|it| within(it.began_us, it.ended_us));
        kind.longest_gap_ms = gaps.map(gap_ms).fold(kind.longest_gap_ms, f64::max);
    }
    kinds.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(class: Class, began_us: u64, ended_us: Option<u64>) -> Fault {
        let (kind, what) = ("kind".to_owned(), String::new());
        Fault {
            kind,
            class,
            what,
            began_us,
            ended_us,
        }
    }

    #[test]
    fn only_outages_excuse_and_only_for_their_time() {
        let faults = [
            fault(Class::Covered, 0, Some(1_000_000)),
            fault(Class::Outage, 20_000_000, Some(30_000_000)),
        ];
        let outages = Outages::of(&faults);
        assert!(!outages.excuse(0, 19_999_999));
        assert!(outages.excuse(19_000_000, 20_000_000) && outages.excuse(34_000_000, 36_000_000));
        assert!(!outages.excuse(35_000_001, 36_000_000));
        assert!(Outages::of(&[fault(Class::Outage, 1, None)]).excuse(u64::MAX, u64::MAX));
    }
}
