//! The metadata log that tests of callers use: the real state machine over tables in memory, a group of one.
//!
//! It must never be kinder than the real log: what is refused there is refused here, since both ask
//! [`metadata::apply`]. Its time stands still until a test moves it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use metadata::{
    ClusterId, Command, CommandId, Entry, LogIndex, LogTime, MemoryTables, Query, Reply, answer,
    apply,
};
use parking_lot::Mutex;

use super::{Answered, Health, MetadataFailure, MetadataStore};
use crate::Deadline;

/// When the log of a test begins.
const FIRST_TIME: LogTime = LogTime(1_700_000_000_000);

/// A metadata log in memory. Clones share one content, so that a test may stop and start what uses it.
#[derive(Clone)]
pub struct MemoryMetadataStore {
    content: Arc<Mutex<Content>>,
}

struct Content {
    tables: MemoryTables,
    index: LogIndex,
    time: LogTime,
    commands: Vec<Command>,
    check: fn(&MemoryTables),
}

impl MemoryMetadataStore {
    /// A log whose only entry names the cluster.
    #[must_use]
    pub fn new() -> MemoryMetadataStore {
        MemoryMetadataStore::with_check(|_| {})
    }

    /// Calls `check` on the tables after every entry; it panics when they break an invariant.
    #[must_use]
    pub fn with_check(check: fn(&MemoryTables)) -> MemoryMetadataStore {
        let content = Content {
            tables: MemoryTables::default(),
            index: LogIndex(0),
            time: FIRST_TIME,
            commands: Vec::new(),
            check,
        };
        let store = MemoryMetadataStore {
            content: Arc::new(Mutex::new(content)),
        };
        store.commit(Command::InitializeCluster {
            cluster: ClusterId(7),
        });
        store.content.lock().commands.clear();
        store
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let mut content = self.content.lock();
        content.time = content.time.plus_ms(ms);
    }

    /// What was applied, without the entry that named the cluster, and without who asked for it.
    #[must_use]
    pub fn commands(&self) -> Vec<Command> {
        let content = self.content.lock();
        content
            .commands
            .iter()
            .map(|command| command.unasked().clone())
            .collect()
    }

    /// The state.
    #[must_use]
    pub fn tables(&self) -> MemoryTables {
        self.content.lock().tables.clone()
    }

    /// Applies a command as the next entry.
    ///
    /// # Panics
    /// When the state machine finds its tables inconsistent, or the check does: a bug that a test must show.
    pub fn commit(&self, command: Command) -> Reply {
        let mut content = self.content.lock();
        let seen = content.index;
        content.index = LogIndex(seen.0 + 1);
        let entry = Entry {
            id: CommandId {
                incarnation: 1,
                sequence: content.index.0,
            },
            seen,
            stamped: content.time,
            command: command.clone(),
        };
        let index = content.index;
        let reply =
            apply(&mut content.tables, index, &entry).expect("tables in memory are consistent");
        (content.check)(&content.tables);
        content.commands.push(command);
        reply
    }
}

impl Default for MemoryMetadataStore {
    fn default() -> MemoryMetadataStore {
        MemoryMetadataStore::new()
    }
}

impl fmt::Debug for MemoryMetadataStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryMetadataStore")
            .field("index", &self.content.lock().index)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl MetadataStore for MemoryMetadataStore {
    async fn propose(
        &self,
        command: Command,
        deadline: Deadline,
    ) -> Result<Reply, MetadataFailure> {
        if deadline <= Deadline::now() {
            return Err(MetadataFailure::Unavailable {
                reason: "its deadline has passed".to_owned(),
            });
        }
        Ok(self.commit(command))
    }

    async fn read_even_stale(
        &self,
        query: Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        self.read(query, deadline).await
    }

    async fn read(&self, query: Query, _deadline: Deadline) -> Result<Answered, MetadataFailure> {
        let content = self.content.lock();
        let answer = answer(&content.tables, &query).expect("tables in memory can be read");
        Ok(Answered {
            answer,
            stale: false,
        })
    }

    fn health(&self) -> Health {
        let index = self.content.lock().index;
        Health {
            can_confirm: true,
            confirmed_before: Some(Duration::ZERO),
            leader: true,
            term: 1,
            last_log: index,
            applied: index,
            snapshot: LogIndex(0),
            purged: LogIndex(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata_store::suite::Subject;

    async fn memory() -> Subject {
        let store = MemoryMetadataStore::new();
        let again = store.clone();
        Subject::new(Arc::new(store), move || {
            let again: Arc<dyn MetadataStore> = Arc::new(again.clone());
            async move { again }
        })
    }

    crate::metadata_store_suite!(memory);
}
