//! The state machine of one member: the real one over tables in memory.

use metadata::{Entry, LogIndex, LogTime, MemoryTables, Reply, Row, apply};

use super::recording::{Change, Recording};

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The rows.
    pub tables: MemoryTables,
    /// The log's time, as the row of the cluster has it.
    pub time: LogTime,
}

impl Machine {
    /// Applies a command.
    ///
    /// # Errors
    /// When the real member would have stopped.
    pub fn apply(&mut self, index: u64, entry: &Entry) -> Result<(Reply, Vec<Change>), String> {
        let mut recording = Recording::new(&mut self.tables);
        let reply =
            apply(&mut recording, LogIndex(index), entry).map_err(|failure| failure.to_string())?;
        let changes = recording.end();
        for change in &changes {
            if let Some(Row::Cluster(row)) = &change.row {
                self.time = row.time;
            }
        }
        Ok((reply, changes))
    }
}
