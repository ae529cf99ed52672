//! Tables that hash what is written to them and tell which rows changed.

use std::ops::ControlFlow;

use metadata::{MemoryTables, ReadTables, Row, StorageFailure, TableId, Tables};

use crate::machine::mix;

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
    hash: u64,
    changes: Vec<Change>,
}

impl<'a> Recording<'a> {
    /// Nothing is written yet.
    pub fn new(tables: &'a mut MemoryTables) -> Recording<'a> {
        Recording {
            tables,
            hash: 0,
            changes: Vec::new(),
        }
    }

    /// The hash of all writes, and the writes.
    #[must_use]
    pub fn end(self) -> (u64, Vec<Change>) {
        (self.hash, self.changes)
    }

    fn note(&mut self, table: TableId, key: &[u8], row: Option<Row>) {
        let encoded = row.as_ref().map(wire::encode_row);
        let text = encoded.as_deref().unwrap_or(b"removed");
        self.hash = mix(self.hash ^ u64::from(table.number()));
        for chunk in key.chunks(8).chain(text.chunks(8)) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.hash = mix(self.hash ^ u64::from_le_bytes(word));
        }
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
