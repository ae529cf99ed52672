//! The tables in memory: for tests, the simulator and property checks.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use crate::rows::Row;
use crate::tables::{ReadTables, StorageFailure, TableId, Tables};

/// All rows, in the order of tables and keys. Two members that applied the same entries compare equal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryTables {
    /// Invariant: no table in here is empty, so that equal rows are equal tables.
    tables: BTreeMap<TableId, BTreeMap<Vec<u8>, Row>>,
}

impl MemoryTables {
    /// Every row, in order.
    pub fn rows(&self) -> impl Iterator<Item = (TableId, &[u8], &Row)> {
        self.tables
            .iter()
            .flat_map(|(table, rows)| rows.iter().map(|(key, row)| (*table, key.as_slice(), row)))
    }
}

impl ReadTables for MemoryTables {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, StorageFailure> {
        Ok(self
            .tables
            .get(&table)
            .and_then(|rows| rows.get(key))
            .cloned())
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Row) -> ControlFlow<()>,
    ) -> Result<(), StorageFailure> {
        let Some(rows) = self.tables.get(&table) else {
            return Ok(());
        };
        for (key, row) in rows.range::<[u8], _>((Bound::Included(from), Bound::Unbounded)) {
            let is_beyond = to.is_some_and(|to| key.as_slice() >= to);
            if is_beyond || visit(key, row.clone()).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Tables for MemoryTables {
    fn put(&mut self, table: TableId, key: &[u8], row: Row) -> Result<(), StorageFailure> {
        self.tables
            .entry(table)
            .or_default()
            .insert(key.to_vec(), row);
        Ok(())
    }

    fn remove(&mut self, table: TableId, key: &[u8]) -> Result<(), StorageFailure> {
        if let Some(rows) = self.tables.get_mut(&table) {
            rows.remove(key);
            if rows.is_empty() {
                self.tables.remove(&table);
            }
        }
        Ok(())
    }
}
