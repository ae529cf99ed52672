//! `holdfast storage check`: tries the store of blobs, and prints what worked and which permission is missing.

use blobs::check::{CheckOutcome, CheckStep};
use comfy_table::{Table, presets};

use crate::config::{Configuration, storage_settings};
use crate::failure::Failure;
use crate::serve::blobs_below;

/// Tries every call and prints a table.
///
/// # Errors
/// When the store cannot be opened, or a call did not work.
pub fn check(configuration: &Configuration) -> Result<(), Failure> {
    crate::crypto::install();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the work cannot be started: {error}")))?;
    let settings = &configuration.settings;
    let data = std::path::absolute(&settings.server.data)
        .map_err(|error| Failure::new(format!("the data folder has no absolute path: {error}")))?;
    let storage = storage_settings(settings, &blobs_below(&data));
    let (place, steps) = runtime.block_on(async {
        let store = blobs::open(&storage)
            .await
            .map_err(|failure| Failure::new(failure.to_string()))?;
        Ok::<_, Failure>((
            store.describe(),
            blobs::check::run(store.as_ref(), storage.kind).await,
        ))
    })?;
    crate::print(&format!(
        "{place}\n\n{}\n{}",
        table(&steps),
        reasons(&steps)
    ))?;
    let failed = steps
        .iter()
        .filter(|step| matches!(step.outcome, CheckOutcome::Failed(_)))
        .count();
    let not_tried = steps
        .iter()
        .filter(|step| step.outcome == CheckOutcome::Skipped)
        .count();
    match (failed, not_tried) {
        (0, 0) => crate::print("\nall calls worked\n"),
        _ => Err(Failure::new(format!(
            "of {} calls {failed} did not work and {not_tried} could not be tried",
            steps.len()
        ))),
    }
}

/// One row for each call.
fn table(steps: &[CheckStep]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::ASCII_MARKDOWN)
        .set_header(["call", "outcome", "what to do"]);
    for step in steps {
        let outcome = match &step.outcome {
            CheckOutcome::Passed => "worked",
            CheckOutcome::Failed(_) => "FAILED",
            CheckOutcome::Skipped => "not tried",
        };
        table.add_row([step.name, outcome, step.hint.as_deref().unwrap_or_default()]);
    }
    table
}

/// Why calls failed, below the table, since it takes long lines to say so.
fn reasons(steps: &[CheckStep]) -> String {
    let failed = steps.iter().filter_map(|step| match &step.outcome {
        CheckOutcome::Failed(why) => Some(format!("\n{}: {why}\n", step.name)),
        CheckOutcome::Passed | CheckOutcome::Skipped => None,
    });
    failed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_a_row_with_what_to_do() {
        let steps = [
            CheckStep {
                name: "put",
                outcome: CheckOutcome::Passed,
                hint: None,
            },
            CheckStep {
                name: "get",
                outcome: CheckOutcome::Failed("no".to_owned()),
                hint: Some("s3:GetObject".to_owned()),
            },
            CheckStep {
                name: "list",
                outcome: CheckOutcome::Skipped,
                hint: None,
            },
        ];
        let text = table(&steps).to_string();
        let words: Vec<Vec<&str>> = text
            .lines()
            .skip(2)
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        assert_eq!(words[0], ["", "put", "worked", "", ""]);
        assert_eq!(words[1], ["", "get", "FAILED", "s3:GetObject", ""]);
        assert_eq!(words[2], ["", "list", "not tried", "", ""]);
        assert_eq!(reasons(&steps), "\nget: no\n");
    }
}
