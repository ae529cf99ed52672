//! One kind of fault, done to the leader again and again under one load, and what the clients saw each time.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use cluster_suite::load::{Side, Stretch};
use cluster_suite::{Load, Report};
use harness::cluster::Role;
use harness::{Cluster, Haproxy};

const WRITERS: u32 = 8;
const READERS: u32 = 8;

/// The load runs so long before the first fault, and after each.
const CALM: Duration = Duration::from_secs(2);

/// So long the leader is dead or hangs.
const GONE: Duration = Duration::from_secs(3);

/// A gap that began so shortly before a fault, in milliseconds, is the fault's: what was answered last was answered before.
const BEFORE_MS: f64 = 100.0;

/// At most so many kills are set aside because the machine stood still.
pub const ASIDE_MAX: usize = 3;

/// What is done to the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`.
    Killed,
    /// SIGTERM.
    Stopped,
    /// SIGSTOP, and SIGCONT some seconds later.
    Hangs,
}

/// What is wanted, in milliseconds.
pub struct Wanted {
    /// Of the median.
    pub median_ms: f64,
    /// Of each.
    pub each_ms: f64,
}

impl Fault {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Killed => "the leader's process is killed",
            Self::Stopped => "the leader is stopped politely",
            Self::Hangs => "the leader hangs",
        }
    }

    /// What is wanted of it.
    pub fn wanted(self) -> Wanted {
        let (median_ms, each_ms) = match self {
            Self::Killed => (350.0, 500.0),
            Self::Stopped => (100.0, 100.0),
            Self::Hangs => (1000.0, 1000.0),
        };
        Wanted { median_ms, each_ms }
    }
}

/// A cluster under load.
pub struct Trial {
    fault: Fault,
    cluster: Cluster,
    /// In front of the gateways alone: a request that is on a host that hangs waits for that host, whatever the cluster does.
    front: Option<Haproxy>,
    load_program: PathBuf,
}

/// One fault: when it was, and what the clients saw from then until the next.
#[derive(Debug, Clone)]
pub struct Round {
    /// The longest time without an acknowledged write while the leader was gone.
    pub writes_ms: f64,
    /// The longest time without an answered read then.
    pub reads_ms: f64,
    /// The longest of both afterwards, while it came back.
    pub back_ms: f64,
    /// The longest that one client waited for one answer.
    pub wait_ms: f64,
    /// Whether the machine stood still in the longest gap.
    pub stalled: bool,
}

/// All rounds of a fault.
pub struct Outcome {
    /// The fault.
    pub fault: Fault,
    /// Its rounds.
    pub rounds: Vec<Round>,
    /// What the load client reports of all of them.
    pub report: Report,
}

impl Trial {
    /// Starts three members, and for a fault in which hosts hang two gateways in front.
    pub fn new(binaries: &Path, fault: Fault) -> anyhow::Result<Self> {
        let cluster = Cluster::with()
            .members(3)
            .program(binaries.join("holdfast"));
        let (cluster, front) = match fault {
            Fault::Hangs => {
                let mut cluster = cluster.gateways(2).start()?;
                let gateways = cluster.running(Role::Gateway).into_iter();
                let addresses: Vec<String> = gateways
                    .map(|place| cluster.node(place).address().to_owned())
                    .collect();
                let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
                let front = Haproxy::start(&addresses)?;
                (cluster, Some(front))
            }
            Fault::Killed | Fault::Stopped => (cluster.start()?, None),
        };
        Ok(Self {
            fault,
            cluster,
            front,
            load_program: binaries.join("holdfast-load"),
        })
    }

    /// Does it so many times.
    pub fn measure(mut self, times: usize) -> anyhow::Result<Outcome> {
        let address = self
            .front
            .as_ref()
            .map_or(self.cluster.address(), Haproxy::address);
        let load = Load::start_as(&self.load_program, address, WRITERS, READERS)?;
        let mut moments = Vec::new();
        for round in 0..times {
            sleep(CALM);
            let moment = self.once().with_context(|| format!("round {round}"))?;
            moments.push(moment);
        }
        sleep(CALM);
        let end = now_ms();
        let report = load.end()?;
        self.cluster.passed();
        let ends = moments
            .iter()
            .skip(1)
            .map(|moment| moment.fault)
            .chain([end]);
        let rounds = moments
            .iter()
            .zip(ends)
            .map(|(moment, end)| round(&report, *moment, end));
        Ok(Outcome {
            fault: self.fault,
            rounds: rounds.collect(),
            report,
        })
    }

    fn once(&mut self) -> anyhow::Result<Moment> {
        let leader = self.cluster.leader()?;
        let fault = now_ms();
        match self.fault {
            Fault::Killed => {
                self.cluster.kill(leader);
                sleep(GONE);
            }
            Fault::Stopped => self.cluster.stop(leader)?,
            Fault::Hangs => {
                self.cluster.node(leader).pause()?;
                sleep(GONE);
            }
        }
        let back = now_ms();
        match self.fault {
            Fault::Killed | Fault::Stopped => self.cluster.restart(leader)?,
            Fault::Hangs => self.cluster.node(leader).resume()?,
        }
        self.cluster.wait_in_order()?;
        Ok(Moment { fault, back })
    }
}

/// When a leader went, and when it began to come back.
#[derive(Debug, Clone, Copy)]
struct Moment {
    fault: f64,
    back: f64,
}

fn round(report: &Report, moment: Moment, end: f64) -> Round {
    let gone = (moment.fault - BEFORE_MS, moment.back);
    let back = (moment.back, end - BEFORE_MS);
    let longest = |list: &[Stretch], (from, to): (f64, f64)| -> Option<Stretch> {
        let within = list
            .iter()
            .filter(|gap| gap.from_unix_ms >= from && gap.from_unix_ms < to);
        within.max_by(|a, b| a.ms.total_cmp(&b.ms)).copied()
    };
    let ms = |stretch: Option<Stretch>| stretch.map_or(0.0, |stretch| stretch.ms);
    let both = |period| {
        let [writes, reads] =
            [&report.writes, &report.reads].map(|side: &Side| longest(&side.gaps, period));
        [writes, reads]
    };
    let gaps = both(gone);
    let stalled = gaps.into_iter().flatten().any(|gap| {
        report.stalls.iter().any(|stall| {
            stall.from_unix_ms < gap.from_unix_ms + gap.ms
                && gap.from_unix_ms < stall.from_unix_ms + stall.ms
        })
    });
    let waits =
        [&report.writes, &report.reads].map(|side| ms(longest(&side.waits, (gone.0, back.1))));
    let back = both(back).map(ms);
    Round {
        writes_ms: ms(gaps[0]),
        reads_ms: ms(gaps[1]),
        back_ms: back[0].max(back[1]),
        wait_ms: waits[0].max(waits[1]),
        stalled,
    }
}

impl Round {
    /// The longer of both gaps.
    pub fn gap_ms(&self) -> f64 {
        self.writes_ms.max(self.reads_ms)
    }
}

impl Outcome {
    /// The rounds that count, and how many were set aside: those over the bound in which the machine stood still.
    pub fn counted(&self) -> (Vec<&Round>, usize) {
        let each_ms = self.fault.wanted().each_ms;
        let mut aside = 0;
        let counted = self.rounds.iter().filter(|round| {
            let is_aside = round.stalled && round.gap_ms() > each_ms && aside < ASIDE_MAX;
            aside += usize::from(is_aside);
            !is_aside
        });
        (counted.collect(), aside)
    }

    /// The median, lowest and highest of a figure of the rounds that count.
    pub fn spread(&self, figure: impl Fn(&Round) -> f64) -> [f64; 3] {
        let mut figures: Vec<f64> = self.counted().0.into_iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let Some(last) = figures.len().checked_sub(1) else {
            return [0.0; 3];
        };
        let median = f64::midpoint(figures[last / 2], figures[last.div_ceil(2)]);
        [median, figures[0], figures[last]]
    }

    /// Whether all that is wanted is reached.
    pub fn is_reached(&self) -> bool {
        let [median, _, highest] = self.spread(Round::gap_ms);
        let wanted = self.fault.wanted();
        let cut_bodies = self.report.blob_body_failures == 0 || self.fault == Fault::Killed;
        median <= wanted.median_ms
            && highest <= wanted.each_ms
            && self.report.failures == 0
            && self.report.lost.is_empty()
            && cut_bodies
    }

    /// For people at the terminal.
    pub fn lines(&self) -> String {
        let mut lines = vec![format!("{}:", self.fault.name())];
        for (number, round) in self.rounds.iter().enumerate() {
            lines.push(format!(
                "  {:>2}: writes {:>4.0} ms, reads {:>4.0} ms, while it came back {:>4.0} ms, longest wait {:>5.0} ms{}",
                number + 1,
                round.writes_ms,
                round.reads_ms,
                round.back_ms,
                round.wait_ms,
                if round.stalled { ", the machine stood still" } else { "" }
            ));
        }
        let [median, lowest, highest] = self.spread(Round::gap_ms);
        let verdict = if self.is_reached() {
            "reached"
        } else {
            "MISSED"
        };
        lines.push(format!(
            "  longest gap: median {median:.0} ms ({lowest:.0}–{highest:.0}), {} set aside: {verdict}",
            self.counted().1
        ));
        lines.push(format!("  {}", self.report.line()));
        for failed in self.report.failed.iter().take(10) {
            lines.push(format!("  failed: {}", failed.message));
        }
        lines.join("\n")
    }
}

fn now_ms() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(gaps: &[(f64, f64)], stalls: &[(f64, f64)]) -> Report {
        let stretch = |list: &[(f64, f64)]| -> serde_json::Value {
            let list = list
                .iter()
                .map(|(from, ms)| serde_json::json!({"from_unix_ms": from, "ms": ms}));
            list.collect()
        };
        let side = |gaps| serde_json::json!({"count": 1, "longest_gap_ms": 0.0, "max_ms": 0.0, "gaps": stretch(gaps), "waits": []});
        let report = serde_json::json!({
            "writes": side(gaps), "reads": side(&[]), "failures": 0, "failed": [], "blob_body_failures": 0,
            "blob_bodies_failed": [], "warned": 0, "read_back": 1, "lost": [], "stalls": stretch(stalls),
        });
        serde_json::from_value(report).unwrap()
    }

    #[test]
    fn gap_belongs_to_the_fault_before_it() {
        let moment = Moment {
            fault: 1000.0,
            back: 4000.0,
        };
        let report = report(
            &[
                (500.0, 90.0),
                (990.0, 200.0),
                (4100.0, 70.0),
                (9000.0, 300.0),
            ],
            &[],
        );
        let round = round(&report, moment, 8000.0);
        assert_eq!(
            (round.writes_ms, round.back_ms, round.stalled),
            (200.0, 70.0, false)
        );
    }

    #[test]
    fn only_long_gaps_in_which_the_machine_stood_still_are_set_aside() {
        let moments = [0.0, 10_000.0, 20_000.0].map(|fault| Moment {
            fault,
            back: fault + 3000.0,
        });
        let report = report(
            &[(10.0, 600.0), (10_010.0, 200.0), (20_010.0, 700.0)],
            &[(300.0, 80.0), (10_020.0, 60.0)],
        );
        let rounds = moments
            .iter()
            .map(|moment| round(&report, *moment, moment.fault + 9000.0));
        let outcome = Outcome {
            fault: Fault::Killed,
            rounds: rounds.collect(),
            report: report.clone(),
        };
        let (counted, aside) = outcome.counted();
        assert_eq!((counted.len(), aside), (2, 1));
        assert_eq!(outcome.spread(Round::gap_ms), [450.0, 200.0, 700.0]);
        assert!(!outcome.is_reached());
    }
}
