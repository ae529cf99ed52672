//! A history as text, a line for each operation: who, a bar from its call to its return, what was asked and answered.
//!
//! Columns are in the order of time but not to its scale, so that what overlaps can be seen.

use std::fmt::Display;

use crate::{Operation, Outcome};

/// An operation in words.
pub(crate) fn said<I: Display, O: Display>(operation: &Operation<I, O>) -> String {
    match &operation.outcome {
        Outcome::Known { output, .. } => format!("{} -> {output}", operation.input),
        Outcome::Unknown => operation.input.to_string(),
    }
}

/// Draws operations, in the order in which they are given.
pub(crate) fn draw<I: Display, O: Display>(operations: &[Operation<I, O>]) -> String {
    let mut times: Vec<(u64, u8)> = Vec::new();
    for operation in operations {
        times.push((operation.called, 0));
        if let Outcome::Known { returned, .. } = operation.outcome {
            times.push((returned, 1));
        }
    }
    times.sort_unstable();
    times.dedup();
    let column = |at: u64, kind: u8| times.partition_point(|time| *time < (at, kind));
    let width = operations
        .iter()
        .map(|operation| operation.client.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for operation in operations {
        let from = column(operation.called, 0);
        let bar = match operation.outcome {
            Outcome::Known { returned, .. } => {
                let to = column(returned, 1);
                format!("{}[{}]", " ".repeat(from), "-".repeat(to - from - 1))
            }
            Outcome::Unknown => format!(
                "{}[{}?",
                " ".repeat(from),
                "-".repeat(times.len().saturating_sub(from + 1))
            ),
        };
        let padded = format!("{bar:<bars$}", bars = times.len() + 1);
        text += &format!(
            "{:<width$} {padded} {}\n",
            operation.client,
            said(operation)
        );
    }
    text
}
