//! Tables that count how many rows an entry touches: rule 2.6, "bounded entries", as a test sees it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::rows::Row;
use crate::tables::{ReadTables, StorageFailure, TableId, Tables};

/// Other tables, and which of their rows were read or written through this. A row is counted once; asking for one that
/// is not there counts too.
#[derive(Debug)]
pub struct CountedTables<'a, T> {
    tables: &'a mut T,
    touched: RefCell<BTreeSet<(TableId, Vec<u8>)>>,
}

impl<'a, T: Tables> CountedTables<'a, T> {
    /// Counts from nothing.
    pub fn new(tables: &'a mut T) -> CountedTables<'a, T> {
        CountedTables {
            tables,
            touched: RefCell::default(),
        }
    }

    /// How many different rows were touched.
    #[must_use]
    pub fn touched(&self) -> usize {
        self.touched.borrow().len()
    }

    fn touch(&self, table: TableId, key: &[u8]) {
        self.touched.borrow_mut().insert((table, key.to_vec()));
    }
}

impl<T: Tables> ReadTables for CountedTables<'_, T> {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, StorageFailure> {
        self.touch(table, key);
        self.tables.get(table, key)
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Row) -> ControlFlow<()>,
    ) -> Result<(), StorageFailure> {
        self.tables.scan(table, from, to, &mut |key, row| {
            self.touch(table, key);
            visit(key, row)
        })
    }
}

impl<T: Tables> Tables for CountedTables<'_, T> {
    fn put(&mut self, table: TableId, key: &[u8], row: Row) -> Result<(), StorageFailure> {
        self.touch(table, key);
        self.tables.put(table, key, row)
    }

    fn remove(&mut self, table: TableId, key: &[u8]) -> Result<(), StorageFailure> {
        self.touch(table, key);
        self.tables.remove(table, key)
    }
}
