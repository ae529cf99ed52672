//! The tables in memory: for tests, the simulator and property checks.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use crate::rows::Row;
use crate::tables::{ReadTables, StorageFailure, TableId, Tables};

/// All rows, in the order of tables and keys. Two members that applied the same entries compare equal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryTables {
    rows: BTreeMap<(TableId, Vec<u8>), Row>,
}

impl MemoryTables {
    /// Every row, in order.
    pub fn rows(&self) -> impl Iterator<Item = (TableId, &[u8], &Row)> {
        self.rows
            .iter()
            .map(|((table, key), row)| (*table, key.as_slice(), row))
    }
}

impl ReadTables for MemoryTables {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, StorageFailure> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Row) -> ControlFlow<()>,
    ) -> Result<(), StorageFailure> {
        let start = Bound::Included((table, from.to_vec()));
        for ((found, key), row) in self.rows.range((start, Bound::Unbounded)) {
            if *found != table || to.is_some_and(|to| key.as_slice() >= to) {
                break;
            }
            if visit(key, row.clone()).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Tables for MemoryTables {
    fn put(&mut self, table: TableId, key: &[u8], row: Row) -> Result<(), StorageFailure> {
        self.rows.insert((table, key.to_vec()), row);
        Ok(())
    }

    fn remove(&mut self, table: TableId, key: &[u8]) -> Result<(), StorageFailure> {
        self.rows.remove(&(table, key.to_vec()));
        Ok(())
    }
}
