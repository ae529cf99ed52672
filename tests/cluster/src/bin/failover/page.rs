//! Writes the section of `docs/performance.md` about what clients see when the leader goes.

use std::path::Path;

use anyhow::Context as _;

use crate::arrival::Arrival;
use crate::trial::{Outcome, Round};

/// Where the section begins; everything before it belongs to `cargo xtask bench`.
pub const HEADING: &str = "\n## When the leader goes\n";

/// Puts the section at the end of the page.
pub fn write(path: &Path, outcomes: &[Outcome], arrivals: &[Arrival]) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let before = page.split(HEADING).next().unwrap_or_default();
    let text = format!("{before}{HEADING}{}{}", section(outcomes), lines(arrivals));
    std::fs::write(path, text)?;
    Ok(())
}

/// What is told of new nodes.
fn lines(arrivals: &[Arrival]) -> String {
    let mut text = String::from(ARRIVALS);
    for arrival in arrivals {
        let (shortest, longest) = arrival.range();
        text += &format!(
            "| {}, {} times | {:.2}–{:.2} | {:.0} | {} |\n",
            arrival.name(),
            arrival.took.len(),
            shortest.as_secs_f64(),
            longest.as_secs_f64(),
            arrival.wanted().as_secs_f64(),
            verdict(arrival.is_reached()),
        );
    }
    text
}

fn verdict(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "**missed**" }
}

fn section(outcomes: &[Outcome]) -> String {
    let mut text = String::from(HEAD);
    for outcome in outcomes {
        let wanted = outcome.fault.wanted();
        let [writes, reads, wait] = [
            outcome.spread(|round| round.writes_ms),
            outcome.spread(|round| round.reads_ms),
            outcome.spread(|round| round.wait_ms),
        ];
        let gap = outcome.spread(Round::gap_ms);
        let back = outcome.spread(|round| round.back_ms);
        text += &format!(
            "| {}, {} times | {} | {} | {} | {} | {} | {} | {} / {} | {}, {} set aside |\n",
            outcome.fault.name(),
            outcome.rounds.len(),
            figure(writes),
            figure(reads),
            figure(gap),
            limits(&wanted),
            figure(back),
            figure(wait),
            outcome.report.failures,
            outcome.report.blob_body_failures,
            verdict(outcome.is_reached()),
            outcome.counted().1,
        );
    }
    text + NOTES
}

fn figure([median, lowest, highest]: [f64; 3]) -> String {
    // Shorter ones are not told apart by the load client.
    let shown = |ms: f64| {
        if ms > 0.0 {
            format!("{ms:.0}")
        } else {
            "<50".to_owned()
        }
    };
    format!("{} ({}–{})", shown(median), shown(lowest), shown(highest))
}

fn limits(wanted: &crate::trial::Wanted) -> String {
    match wanted.median_ms < wanted.each_ms {
        true => format!("median {:.0}, each {:.0}", wanted.median_ms, wanted.each_ms),
        false => format!("each {:.0}", wanted.each_ms),
    }
}

const HEAD: &str = "
Written by `cargo xtask failover`: release builds, three members with fsync, Garage behind them and HAProxy in front, all on
this machine, and `holdfast-load mixed` with 8 writers and 8 readers without pause. The figures are milliseconds: the median
of all rounds, with the lowest and the highest. A gap is a time in which no client at all was answered.

| what | gap of writes | gap of reads | the longer | wanted | while it came back | longest wait of one client | failed / bodies cut | |
|---|---|---|---|---|---|---|---|---|
";

const NOTES: &str = "
A round in which the machine itself stood still for more than 50 ms within the gap, as a thread of the load client that only
looks at the clock has noticed, may be set aside, three at most. A body that is cut is that of a blob which was on the node
that was killed; the client sends it again. When the leader hangs, the clients go through two gateways: a request that is on
a host which hangs waits for that host, whatever the others do.
";

const ARRIVALS: &str = "
### When nodes come

From the start of the process, with a token of `cluster add`, in a cluster that does nothing else; seconds.

| what | shortest to longest | wanted | |
|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_is_replaced_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.md");
        std::fs::write(&path, "# Performance\n\nrows\n").unwrap();
        write(&path, &[], &[]).unwrap();
        let once = std::fs::read_to_string(&path).unwrap();
        assert!(once.starts_with("# Performance\n\nrows\n\n## When the leader goes\n"));
        write(&path, &[], &[]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), once);
    }

    #[test]
    fn short_gaps_are_told_as_such() {
        assert_eq!(figure([0.0, 0.0, 61.2]), "<50 (<50–61)");
    }
}
