//! Tables for people, JSON for programs.

use std::io::Write as _;

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// A table without lines.
pub fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    format!("{}\n", table.trim_fmt())
}

/// Prints either.
///
/// # Errors
/// When standard output cannot be written.
pub fn either<T: Serialize>(
    json: bool,
    value: &T,
    table: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match json {
        true => self::json(value),
        false => crate::print(&table()),
    }
}

/// Prints JSON.
///
/// # Errors
/// When standard output cannot be written.
pub fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).expect("answers are plain data");
    crate::print(&format!("{text}\n"))
}

/// Prints bytes as they came: a piece of them may end within a letter.
///
/// # Errors
/// When standard output cannot be written.
pub fn raw(bytes: &[u8]) -> Result<(), Failure> {
    let written = std::io::stdout().lock().write_all(bytes);
    written.map_err(|error| Failure::new(format!("standard output cannot be written: {error}")))
}

/// Says that something is so, unless a program reads.
///
/// # Errors
/// When standard output cannot be written.
pub fn done(json: bool, words: &str) -> Result<(), Failure> {
    match json {
        true => Ok(()),
        false => crate::print(&format!("{words}\n")),
    }
}

/// What may be absent.
pub fn maybe<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// Grants as they are given on the command line.
pub fn grants(grants: &[management::Grant]) -> String {
    let told = grants.iter().map(|grant| {
        let rights: Vec<&str> = grant.rights.iter().map(|right| right.name()).collect();
        format!("{}:{}", grant.repositories, rights.join(","))
    });
    told.collect::<Vec<_>>().join(" ")
}

/// When something ends.
pub fn expiry(expires: Option<management::Time>) -> String {
    expires.map_or_else(|| "never".to_owned(), |time| time.to_string())
}
