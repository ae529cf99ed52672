//! The report as one page that needs nothing else: no scripts, no fonts, no network; good on a telephone and in the dark.

use std::fmt::Write as _;

use super::picture::{escaped, svg};
use super::report::Report;
use super::timeline::Class;

/// So much is told of what broke a promise.
const TOLD_MAX: usize = 30;

const STYLE: &str = include_str!("page.css");

pub(super) fn html(report: &Report) -> String {
    let covered = report
        .faults
        .iter()
        .filter(|it| it.class == Class::Covered)
        .count();
    let verdict = match report.is_good() {
        true => "Every promise was kept",
        false => "A promise broke",
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>holdfast-chaos: {verdict}</title><style>{STYLE}</style></head><body><main>\n\
         <h1 class=\"{}\">{verdict}</h1>\n",
        if report.is_good() { "good" } else { "bad" }
    );
    let _ = write!(
        page,
        "<p>{:.0} minutes, {} covered faults and {} outages, seed {}.</p>\n<ul class=\"figures\">",
        report.seconds / 60.0,
        covered,
        report.faults.len() - covered,
        report.seed
    );
    let figures = [
        (report.answered.to_string(), "answers through the balancer"),
        (
            format!("{:.0} ms", report.longest_gap_ms),
            "longest time without an answer",
        ),
        (
            report.audit.lost.len().to_string(),
            "acknowledged things lost",
        ),
        (
            report.checked.violations.len().to_string(),
            "histories without an explanation",
        ),
        (
            format!("{} of {}", report.programs.1, report.programs.0),
            "commands of other programs failed",
        ),
    ];
    for (figure, name) in figures {
        let _ = write!(page, "<li><b>{figure}</b> {name}</li>");
    }
    let _ = write!(
        page,
        "</ul>\n<div class=\"picture\">{}</div>\n<h2>Promises</h2>\n",
        svg(report)
    );
    for promise in &report.promises {
        let (class, mark) = if promise.kept {
            ("good", "kept")
        } else {
            ("bad", "broken")
        };
        let _ = write!(
            page,
            "<section><h3><span class=\"{class}\">{mark}</span> {}</h3><p>{}</p>",
            escaped(promise.name),
            escaped(&promise.figure)
        );
        for why in promise.broken_by.iter().take(TOLD_MAX) {
            let _ = write!(page, "<pre>{}</pre>", escaped(why));
        }
        page += "</section>\n";
    }
    page += "<h2>Faults</h2>\n<div class=\"picture\"><table><tr><th>kind</th><th>class</th><th>how many</th><th>failed</th>\
             <th>cut, repeated by the client</th><th>longest gap</th></tr>";
    for kind in &report.kinds {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.0} ms</td></tr>",
            escaped(&kind.kind),
            if kind.covered { "covered" } else { "outage" },
            kind.count,
            kind.failed,
            kind.cut,
            kind.longest_gap_ms
        );
    }
    page + "</table></div>\n</main></body></html>\n"
}
