//! A schedule of faults for people's own clusters: commands from a file, which know how their nodes run.
//!
//! ```toml
//! rest = "10s"
//!
//! [[fault]]
//! kind = "kill a member"
//! start = "ssh node2 systemctl kill -s KILL holdfast"
//! end = "ssh node2 systemctl start holdfast"
//! lasts = "5s"
//! ```
//!
//! A fault whose `start` fails has not happened, and that is an error of the run; so is an `end` that fails, since the
//! cluster is then not what the next fault takes it for.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;

use super::timeline::{Class, Timeline};

/// A command of the schedule that takes longer has failed.
const COMMAND_MAX: Duration = Duration::from_secs(300);

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// How long nothing is done between two faults.
    #[serde(default = "rest")]
    rest: String,
    /// What may be done.
    #[serde(rename = "fault")]
    faults: Vec<Planned>,
}

/// A fault that may be done.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Planned {
    /// What kind of thing, as the report has it.
    kind: String,
    /// Does it.
    start: String,
    /// Undoes it; without one `start` does both.
    #[serde(default)]
    end: Option<String>,
    /// How long it is left between the two.
    #[serde(default = "lasts")]
    lasts: String,
    /// `covered` or `outage`.
    #[serde(default = "covered")]
    class: Class,
}

fn rest() -> String {
    "10s".to_owned()
}

fn lasts() -> String {
    "5s".to_owned()
}

fn covered() -> Class {
    Class::Covered
}

impl Schedule {
    /// Reads a file's text, and checks what can be checked.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let schedule: Self = toml::from_str(text)?;
        ensure!(!schedule.faults.is_empty(), "there is no [[fault]]");
        duration(&schedule.rest)?;
        for fault in &schedule.faults {
            duration(&fault.lasts).with_context(|| format!("fault {:?}", fault.kind))?;
        }
        Ok(schedule)
    }

    /// Does one fault after the other until the time is up; each kind once in every round, in an order that the seed gives.
    pub async fn carry_out(
        &self,
        timeline: &Timeline,
        seed: u64,
        until: Instant,
    ) -> anyhow::Result<()> {
        let mut random = SmallRng::seed_from_u64(seed);
        let rest = duration(&self.rest)?;
        loop {
            let mut round: Vec<&Planned> = self.faults.iter().collect();
            for place in (1..round.len()).rev() {
                round.swap(place, random.random_range(0..=place));
            }
            for fault in round {
                tokio::time::sleep(rest).await;
                let lasts = duration(&fault.lasts)?;
                if Instant::now() + lasts + rest > until {
                    return Ok(());
                }
                carry_out(fault, lasts, timeline).await?;
            }
        }
    }
}

async fn carry_out(fault: &Planned, lasts: Duration, timeline: &Timeline) -> anyhow::Result<()> {
    eprintln!("{}: {}", fault.kind, fault.start);
    let number = timeline.begin(&fault.kind, fault.class, &fault.start);
    let started = shell(&fault.start).await;
    if started.is_ok() {
        tokio::time::sleep(lasts).await;
    }
    // Also after a start that failed: it may have been done in part.
    let ended = match &fault.end {
        Some(end) => shell(end).await,
        None => Ok(()),
    };
    timeline.end(number);
    started.and(ended).with_context(|| fault.kind.clone())
}

async fn shell(command: &str) -> anyhow::Result<()> {
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", command]).kill_on_drop(true);
    let status = tokio::time::timeout(COMMAND_MAX, shell.status()).await;
    match status {
        Ok(status) => ensure!(status?.success(), "`{command}` failed"),
        Err(_) => bail!("`{command}` did not end within {COMMAND_MAX:?}"),
    }
    Ok(())
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text).with_context(|| format!("{text:?} is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        rest = "1ms"
        [[fault]]
        kind = "one"
        start = "true"
        lasts = "1ms"
        [[fault]]
        kind = "two"
        start = "true"
        end = "true"
        lasts = "2ms"
        class = "outage"
    "#;

    #[tokio::test]
    async fn every_kind_comes_and_is_told() {
        let timeline = Timeline::begin_now();
        let schedule = Schedule::parse(FILE).unwrap();
        let until = Instant::now() + Duration::from_millis(300);
        schedule.carry_out(&timeline, 1, until).await.unwrap();
        let faults = timeline.faults();
        for (kind, class) in [("one", Class::Covered), ("two", Class::Outage)] {
            let of_kind = |fault: &&super::super::timeline::Fault| fault.kind == kind;
            let fault = faults.iter().find(of_kind).unwrap();
            assert_eq!(fault.class, class);
            assert!(fault.ended_us > Some(fault.began_us));
        }
    }

    #[tokio::test]
    async fn fault_that_cannot_be_done_is_an_error() {
        let text = FILE.replace("\"true\"", "\"exit 3\"");
        let schedule = Schedule::parse(&text).unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        let done = schedule.carry_out(&Timeline::begin_now(), 1, until).await;
        assert!(format!("{:#}", done.unwrap_err()).contains("exit 3"));
    }

    #[test]
    fn mistakes_in_a_file_are_told() {
        for (right, wrong) in [
            ("kind =", "kin ="),
            ("\"2ms\"", "\"soon\""),
            ("outage", "storm"),
        ] {
            assert!(
                Schedule::parse(&FILE.replace(right, wrong)).is_err(),
                "{wrong}"
            );
        }
        assert!(Schedule::parse("rest = \"1s\"").is_err());
    }
}
