//! The end of a test run: a table for people, a JSON file for programs, and one closing line for whoever counts.

use std::path::Path;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::libtest::Counts;

/// What a suite's programs reported together.
#[derive(Default, Serialize)]
pub struct Outcome {
    #[serde(flatten)]
    pub counts: Counts,
    /// Programs that were started.
    pub binaries: u64,
    /// Why it failed, beyond failed tests: programs that died, needs that are unmet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

impl Outcome {
    pub fn add(&mut self, result: Result<Counts, String>) {
        self.binaries += 1;
        match result {
            Ok(counts) => self.counts.add(counts),
            Err(why) => self.broken(&why),
        }
    }

    /// Something other than a test failed; it counts as one failure.
    pub fn broken(&mut self, why: &str) {
        self.counts.failed += 1;
        self.reasons.push(why.to_owned());
    }
}

/// One suite's line of the table.
#[derive(Serialize)]
pub struct Line {
    pub name: &'static str,
    pub ran: bool,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub seconds: f64,
}

impl Line {
    /// Left out by `--without` or `--only`.
    pub fn left_out(name: &'static str) -> Self {
        Self {
            name,
            ran: false,
            outcome: Outcome::default(),
            seconds: 0.0,
        }
    }

    /// Wanted, but what it needs is not there: a failure.
    pub fn could_not_run(name: &'static str, why: &str) -> Self {
        let mut outcome = Outcome::default();
        outcome.broken(why);
        Self {
            name,
            ran: false,
            outcome,
            seconds: 0.0,
        }
    }

    fn ran_in_words(&self) -> &'static str {
        match (self.ran, self.outcome.reasons.is_empty()) {
            (true, _) => "yes",
            (false, true) => "left out",
            (false, false) => "could not",
        }
    }
}

/// All lines.
#[derive(Default, Serialize)]
pub struct Report {
    suites: Vec<Line>,
}

impl Report {
    pub fn add(&mut self, line: Line) {
        self.suites.push(line);
    }

    pub fn failed(&self) -> bool {
        self.total().failed > 0
    }

    fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.suites
            .iter()
            .for_each(|line| total.add(line.outcome.counts));
        total
    }

    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).context("a report is plain data")?;
        if let Some(folder) = path.parent() {
            // `CARGO_TARGET_DIR` may have cargo work elsewhere.
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    pub fn print(&self) {
        println!("\n{}", self.text());
    }

    fn text(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header([
            "suite", "ran", "tests", "passed", "failed", "skipped", "seconds",
        ]);
        for line in &self.suites {
            let counts = line.outcome.counts;
            let numbers = [counts.ran(), counts.passed, counts.failed, counts.skipped]
                .map(|number| number.to_string());
            let seconds = format!("{:.1}", line.seconds);
            let cells = [line.name.to_owned(), line.ran_in_words().to_owned()];
            table.add_row(cells.into_iter().chain(numbers).chain([seconds]));
        }
        table
            .column_iter_mut()
            .skip(2)
            .for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        let reasons: String = self
            .suites
            .iter()
            .flat_map(|line| {
                line.outcome
                    .reasons
                    .iter()
                    .map(|why| format!("{}: {why}\n", line.name))
            })
            .collect();
        let total = self.total();
        let last = format!(
            "{} passed, {} failed, {} skipped",
            total.passed, total.failed, total.skipped
        );
        format!("{table}\n{reasons}\n{last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut ran = Outcome::default();
        ran.add(Ok(Counts {
            passed: 7,
            failed: 0,
            skipped: 1,
        }));
        let mut report = Report::default();
        report.add(Line {
            name: "unit",
            ran: true,
            outcome: ran,
            seconds: 1.25,
        });
        report.add(Line::left_out("clients"));
        report
    }

    #[test]
    fn last_line_counts_everything() {
        let report = report();
        assert_eq!(
            report.text().lines().last(),
            Some("7 passed, 0 failed, 1 skipped")
        );
        assert!(!report.failed());
    }

    #[test]
    fn suite_that_could_not_run_is_a_failure_with_its_reason() {
        let mut report = report();
        report.add(Line::could_not_run("conformance", "no Go here"));
        let text = report.text();
        assert!(text.contains("conformance: no Go here"), "{text}");
        assert_eq!(text.lines().last(), Some("7 passed, 1 failed, 1 skipped"));
        assert!(report.failed());
    }

    #[test]
    fn json_has_a_line_for_each_suite() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["suites"][0]["passed"], 7);
        assert_eq!(json["suites"][1]["ran"], false);
    }
}
