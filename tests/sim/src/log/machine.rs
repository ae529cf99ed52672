//! The state machine of one member: the real one over tables in memory, with a hash of everything that it ever did.

use metadata::{Entry, LogIndex, MemoryTables, Reply, apply};

use super::recording::{Change, Recording};
use crate::machine::mix;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The rows.
    pub tables: MemoryTables,
    /// The hash of every row that was written and every reply that was given, in order.
    pub chain: u64,
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
        let (hash, changes) = recording.end();
        self.chain = mix(self.chain ^ hash);
        for chunk in wire::encode_reply(&reply).chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.chain = mix(self.chain ^ u64::from_le_bytes(word));
        }
        Ok((reply, changes))
    }
}
