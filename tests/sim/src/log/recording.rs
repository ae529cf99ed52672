//! Tables that tell which rows were written.

use std::ops::ControlFlow;

use metadata::{MemoryTables, ReadTables, Row, StorageFailure, TableId, Tables};

/// Most entries touch no more rows than this.
const ROWS_OF_MOST_ENTRIES: usize = 12;

/// A row that was written or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub table: TableId,
    /// Its key.
    pub key: Vec<u8>,
    /// The row; `None` when it was removed.
    pub row: Option<Row>,
}

/// See the module.
#[derive(Debug)]
pub struct Recording<'a> {
    tables: &'a mut MemoryTables,
    changes: Vec<Change>,
}

impl<'a> Recording<'a> {
    /// Nothing is written yet.
    pub fn new(tables: &'a mut MemoryTables) -> Recording<'a> {
        Recording {
            tables,
            changes: Vec::with_capacity(ROWS_OF_MOST_ENTRIES),
        }
    }

    /// All writes, in order.
    #[must_use]
    pub fn end(self) -> Vec<Change> {
        self.changes
    }

    fn note(&mut self, table: TableId, key: &[u8], row: Option<Row>) {
        self.changes.push(Change {
            table,
            key: key.to_vec(),
            row,
        });
    }
}

impl ReadTables for Recording<'_> {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, StorageFailure> {
        self.tables.get(table, key)
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Row) -> ControlFlow<()>,
    ) -> Result<(), StorageFailure> {
        self.tables.scan(table, from, to, visit)
    }
}

impl Tables for Recording<'_> {
    fn put(&mut self, table: TableId, key: &[u8], row: Row) -> Result<(), StorageFailure> {
        self.note(table, key, Some(row.clone()));
        self.tables.put(table, key, row)
    }

    fn remove(&mut self, table: TableId, key: &[u8]) -> Result<(), StorageFailure> {
        self.note(table, key, None);
        self.tables.remove(table, key)
    }
}
