//! The picture of a run: requests, latency, errors, who led, and what was done, over one axis of time.
//!
//! It is SVG without scripts, and every mark has a title that a pointer or a screen reader finds.

use std::fmt::Write as _;

use super::report::Report;
use super::timeline::Class;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 132.0;
const RIGHT: f64 = 12.0;

/// So many columns at most; a long run's seconds are put together.
const COLUMNS_MAX: usize = 460;

/// Latencies are drawn on a logarithmic scale between these.
const LATENCY_MS: (f64, f64) = (1.0, 20_000.0);

const LANE: f64 = 16.0;

/// A column: some seconds together.
struct Column {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    failed: u32,
}

pub(super) fn svg(report: &Report) -> String {
    let seconds = report.seconds.max(1.0);
    let x = |at_us: u64| LEFT + (at_us as f64 / 1e6 / seconds).min(1.0) * (WIDTH - LEFT - RIGHT);
    let columns = columns(report);
    let mut kinds: Vec<&str> = report
        .faults
        .iter()
        .map(|fault| fault.kind.as_str())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let lanes = kinds.len() as f64 * LANE;
    let height = 440.0 + lanes;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Requests, latency, errors, leaders and faults over time\">"
    );
    shade(&mut svg, report, &x, height);
    rates(&mut svg, &columns, (24.0, 130.0));
    latencies(&mut svg, &columns, (190.0, 130.0));
    errors(&mut svg, &columns, 346.0);
    leaders(&mut svg, report, &x, 372.0);
    faults(&mut svg, report, &kinds, &x, 408.0);
    axis(&mut svg, seconds, height - 8.0);
    svg + "</svg>"
}

fn columns(report: &Report) -> Vec<Column> {
    let all = &report.timeline;
    let per_column = all.len().div_ceil(COLUMNS_MAX).max(1);
    let column = |seconds: &[super::meter::Second]| {
        let sum: u32 = seconds.iter().map(|it| it.reads + it.writes).sum();
        let most =
            |of: fn(&super::meter::Second) -> f64| seconds.iter().map(of).fold(0.0, f64::max);
        Column {
            per_second: f64::from(sum) / seconds.len() as f64,
            p50_ms: most(|it| it.p50_ms),
            p99_ms: most(|it| it.p99_ms),
            max_ms: most(|it| it.max_ms),
            failed: seconds.iter().map(|it| it.failed).sum(),
        }
    };
    all.chunks(per_column).map(column).collect()
}

fn column_x(columns: &[Column], index: usize) -> f64 {
    LEFT + (index as f64 + 0.5) / columns.len().max(1) as f64 * (WIDTH - LEFT - RIGHT)
}

/// Outages as a background of everything.
fn shade(svg: &mut String, report: &Report, x: &dyn Fn(u64) -> f64, height: f64) {
    for fault in report.faults.iter().filter(|it| it.class == Class::Outage) {
        let (from, to) = (x(fault.began_us), x(fault.ended_us.unwrap_or(u64::MAX)));
        let width = (to - from).max(1.0);
        let _ = write!(
            svg,
            "<rect class=\"outage\" x=\"{from:.1}\" y=\"12\" width=\"{width:.1}\" height=\"{:.1}\"/>",
            height - 36.0
        );
    }
}

fn title(svg: &mut String, y: f64, text: &str) {
    let _ = write!(
        svg,
        "<text class=\"name\" x=\"{LEFT}\" y=\"{y}\">{text}</text>"
    );
}

fn rule(svg: &mut String, y: f64, label: &str) {
    let (to, at) = (WIDTH - RIGHT, LEFT - 6.0);
    let _ = write!(
        svg,
        "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{to}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
         <text class=\"scale\" x=\"{at}\" y=\"{:.1}\">{label}</text>",
        y + 4.0
    );
}

fn line(svg: &mut String, class: &str, points: impl Iterator<Item = (f64, f64)>) {
    let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = write!(
        svg,
        "<polyline class=\"{class}\" points=\"{}\"/>",
        points.join(" ")
    );
}

fn rates(svg: &mut String, columns: &[Column], (top, height): (f64, f64)) {
    let most = columns.iter().map(|it| it.per_second).fold(1.0, f64::max);
    title(svg, top - 6.0, "Answers per second");
    for part in [0.0, 0.5, 1.0] {
        rule(
            svg,
            top + height * (1.0 - part),
            &format!("{:.0}", most * part),
        );
    }
    let y = |it: &Column| top + height * (1.0 - it.per_second / most);
    let points = columns
        .iter()
        .enumerate()
        .map(|(index, it)| (column_x(columns, index), y(it)));
    line(svg, "rate", points);
}

fn latencies(svg: &mut String, columns: &[Column], (top, height): (f64, f64)) {
    title(svg, top - 6.0, "Latency: median, 99 of 100, longest");
    let (low, high) = (LATENCY_MS.0.ln(), LATENCY_MS.1.ln());
    let y = |ms: f64| {
        let part = (ms.clamp(LATENCY_MS.0, LATENCY_MS.1).ln() - low) / (high - low);
        top + height * (1.0 - part)
    };
    for (ms, label) in [
        (1.0, "1 ms"),
        (10.0, "10 ms"),
        (100.0, "100 ms"),
        (1000.0, "1 s"),
        (10_000.0, "10 s"),
    ] {
        rule(svg, y(ms), label);
    }
    let of = |value: fn(&Column) -> f64| {
        let points = columns.iter().enumerate();
        points
            .map(move |(index, it)| (column_x(columns, index), y(value(it))))
            .collect::<Vec<_>>()
    };
    line(svg, "longest", of(|it| it.max_ms).into_iter());
    line(svg, "p99", of(|it| it.p99_ms).into_iter());
    line(svg, "p50", of(|it| it.p50_ms).into_iter());
}

fn errors(svg: &mut String, columns: &[Column], y: f64) {
    title(svg, y - 8.0, "Requests without a good answer");
    for (index, column) in columns.iter().enumerate().filter(|(_, it)| it.failed > 0) {
        let x = column_x(columns, index) - 1.0;
        let tall = (4.0 + f64::from(column.failed).ln() * 3.0).min(14.0);
        let _ = write!(
            svg,
            "<rect class=\"error\" x=\"{x:.1}\" y=\"{:.1}\" width=\"2.5\" height=\"{tall:.1}\"><title>{} failed</title></rect>",
            y + 10.0 - tall,
            column.failed
        );
    }
}

fn leaders(svg: &mut String, report: &Report, x: &dyn Fn(u64) -> f64, y: f64) {
    title(svg, y, "Leader");
    let ends = report
        .leaders
        .iter()
        .skip(1)
        .map(|it| it.at_us)
        .chain([u64::MAX]);
    for (change, end) in report.leaders.iter().zip(ends) {
        let (from, to) = (x(change.at_us), x(end));
        let shade = change.leader.bytes().map(u32::from).sum::<u32>() % 5;
        let _ = write!(
            svg,
            "<rect class=\"leader l{shade}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"9\"><title>node {} leads from {:.1} s</title></rect>",
            y + 6.0,
            (to - from - 1.0).max(1.0),
            escaped(&change.leader),
            change.at_us as f64 / 1e6
        );
    }
}

fn faults(svg: &mut String, report: &Report, kinds: &[&str], x: &dyn Fn(u64) -> f64, top: f64) {
    title(svg, top, "What was done");
    for (lane, kind) in kinds.iter().enumerate() {
        let y = top + 6.0 + lane as f64 * LANE;
        for fault in report.faults.iter().filter(|it| it.kind == *kind) {
            let (from, to) = (x(fault.began_us), x(fault.ended_us.unwrap_or(u64::MAX)));
            let class = if fault.class == Class::Covered {
                "covered"
            } else {
                "over"
            };
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"10\"><title>{}: {}, from {:.1} s</title></rect>",
                (to - from).max(2.0),
                escaped(kind),
                escaped(&fault.what),
                fault.began_us as f64 / 1e6
            );
        }
        let _ = write!(
            svg,
            "<text class=\"lane\" x=\"{LEFT}\" y=\"{:.1}\">{}</text>",
            y + 9.0,
            escaped(kind)
        );
    }
}

fn axis(svg: &mut String, seconds: f64, y: f64) {
    let steps = [
        5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0, 86_400.0,
    ];
    let step = steps
        .into_iter()
        .find(|step| seconds / step <= 12.0)
        .unwrap_or(604_800.0);
    let mut at = 0.0;
    while at <= seconds {
        let x = LEFT + at / seconds * (WIDTH - LEFT - RIGHT);
        let label = match step < 60.0 {
            true => format!("{at:.0} s"),
            false => format!("{:.0} min", at / 60.0),
        };
        let _ = write!(
            svg,
            "<text class=\"time\" x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>"
        );
        at += step;
    }
}

/// Text as it stands in a page.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}
