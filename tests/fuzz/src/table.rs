//! The table at the end of a run.

use crate::batch::Report;
use crate::corpus;

/// A line for each target: inputs, how many a second, how many of them were accepted, the slowest, the most memory.
#[must_use]
pub fn table(reports: &[Report]) -> String {
    let mut text = format!(
        "{:<26} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9}\n",
        "target", "inputs", "a second", "accepted", "slowest", "memory", "findings"
    );
    for report in reports {
        let share = report.accepted as f64 / (report.inputs.max(1)) as f64 * 100.0;
        text += &format!(
            "{:<26} {:>11} {:>9.0} {:>8.1}% {:>6.1} ms {:>6} kB {:>9}\n",
            report.name,
            report.inputs,
            report.inputs as f64 / report.took.as_secs_f64().max(0.001),
            share,
            report.slowest.as_secs_f64() * 1000.0,
            report.most_memory.div_ceil(1000),
            report.findings.len()
        );
    }
    text
}

/// What was found, each kept in the corpus, with the command that repeats it.
#[must_use]
pub fn tell(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let shown = String::from_utf8_lossy(&finding.input);
        text += &format!(
            "\n{} fails: {}\n  input ({} bytes): {:?}\n",
            finding.target,
            finding.fault,
            finding.input.len(),
            shown.chars().take(400).collect::<String>()
        );
        match corpus::keep(finding.target, &finding.input) {
            Ok(path) => {
                text += &format!(
                    "  repeat: cargo xtask fuzz --target {} --file {}\n",
                    finding.target,
                    path.display()
                );
            }
            Err(error) => text += &format!("  it could not be kept: {error}\n"),
        }
    }
    text
}
