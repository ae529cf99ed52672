//! Answers queries from one state of the tables.

use crate::query::{Answer, Query};
use crate::tables::{ReadTables, StorageFailure};

/// Answers `query` from `tables`.
///
/// # Errors
/// When the tables cannot be read.
pub fn answer(tables: &dyn ReadTables, query: &Query) -> Result<Answer, StorageFailure> {
    let _ = (tables, query);
    Ok(Answer::Absent)
}
