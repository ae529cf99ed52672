//! Writes the page `docs/performance.md`: figures, their spread, the machine, and how they were taken.

use std::fmt::Write as _;
use std::path::Path;

use crate::figure::Figure;
use crate::rows::{Goal, Row};

/// A row for people at the terminal.
pub fn line(row: &Row) -> String {
    let verdict = if row.reached() { "reached" } else { "MISSED" };
    let (own, peer) = (spread(&row.holdfast), spread(&row.peer));
    let (wanted, ratio) = (wanted(row.goal, row.unit), row.ratio());
    format!(
        "{}: {own} {}, {} {peer}; ratio {ratio:.2}, wanted {wanted}: {verdict}; {}",
        row.name, row.unit, row.peer_name, row.aside
    )
}

/// Where the section of `cargo xtask failover` begins.
const FAILOVER: &str = "\n## When the leader goes\n";

/// Writes the page anew, but for the section about the leader.
pub fn write(path: &Path, rows: &[Row], runs: usize) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(path).unwrap_or_default();
    let mut text = String::from(HEAD);
    writeln!(
        text,
        "Machine: {}. Each side ran {runs} times, in turn; the figures are medians, with the lowest and the highest.\n",
        machine()
    )?;
    text.push_str("| what | Holdfast | beside | ratio | wanted | |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let verdict = if row.reached() {
            "reached"
        } else {
            "**missed**"
        };
        let (own, peer) = (spread(&row.holdfast), spread(&row.peer));
        let (wanted, ratio) = (wanted(row.goal, row.unit), row.ratio());
        writeln!(
            text,
            "| {} | {own} {} | {}: {peer} | {ratio:.2} | {wanted} | {verdict}; {} |",
            row.name, row.unit, row.peer_name, row.aside
        )?;
    }
    text.push_str(NOTES);
    if let Some((_, failover)) = page.split_once(FAILOVER) {
        text.push_str(FAILOVER);
        text.push_str(failover);
    }
    std::fs::write(path, text)?;
    Ok(())
}

const HEAD: &str = "# Performance

Written by `cargo xtask bench`, which runs Holdfast with the defaults of `serve`, fsync on, beside what Debian packages, on
one machine in one run. Machines differ by several times (SHA instructions alone make four), so read the ratios.

";

const NOTES: &str = "
How the rows are measured: `tests/bench/src/rows.rs`. The peer's configuration: `tests/bench/docker-registry.yml` (log level
`error`, access log off, blob cache on). The load comes from `holdfast-load` on the same machine, which shares the
processors with the server. Where a row says *plus*, the constant is taken off Holdfast's figure before the ratio.

A virtual machine that gives free memory back to its host (free page reporting) gets it again page by page, at ten times the
cost of the copy, in the time of whoever writes a file. The row of the push takes the memory before and sets it free while
the server writes, which helps and is not enough there: with reporting from order 5 on the same push was measured at 2.02
(1.63–3.87) s beside 0.73 s of openssl, and a profile shows most of what is more in the copy to fresh pages. To measure
the registry and not the host, write 11 to `/sys/module/page_reporting/parameters/page_reporting_order` first.
";

fn wanted(goal: Goal, unit: &str) -> String {
    match goal {
        Goal::AtLeast(times) => format!("at least {times}"),
        Goal::AtMost(times, extra) if extra > 0.0 => {
            let unit = unit.split(' ').next().unwrap_or_default();
            format!("at most {times}, plus {extra} {unit}")
        }
        Goal::AtMost(times, _) => format!("at most {times}"),
    }
}

fn spread(figure: &Figure) -> String {
    let (low, high) = figure.spread();
    let digits = if high >= 100.0 { 0 } else { 2 };
    format!(
        "{:.digits$} ({low:.digits$}–{high:.digits$})",
        figure.median()
    )
}

/// From which order on free pages are given back to the host of a virtual machine.
const PAGE_REPORTING_ORDER: &str = "/sys/module/page_reporting/parameters/page_reporting_order";

/// Where fresh memory comes from: from a host it costs much more, and writing a file takes fresh memory.
fn memory_source(reporting_order: &str) -> String {
    // Linux has no blocks of more than order 10.
    match reporting_order.trim().parse::<u32>() {
        Ok(order) if order <= 10 => {
            format!("free memory from order {order} on goes back to the host")
        }
        _ => "free memory stays with the machine".to_owned(),
    }
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let sha = if cpuinfo.contains("sha_ni") {
        "with"
    } else {
        "without"
    };
    format!(
        "{cores} × {model}, {sha} SHA instructions, Linux {}, {}",
        read("/proc/sys/kernel/osrelease").trim(),
        memory_source(&read(PAGE_REPORTING_ORDER))
    )
}
