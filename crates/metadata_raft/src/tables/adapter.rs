//! `metadata`'s table traits over redb: a view that readers share, and a transaction that apply changes.
//!
//! All tables lie in one ordered redb table: a key is the table's number and then the key.

use std::ops::ControlFlow;

use metadata::{ReadTables, Row, StorageFailure, TableId, Tables};
use redb::{ReadOnlyTable, ReadableTable, Table, TableDefinition};

use crate::types::LogId;

pub(crate) type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(crate) const ROWS: Rows = TableDefinition::new("rows");
pub(crate) const META: TableDefinition<'static, &'static str, &'static [u8]> =
    TableDefinition::new("meta");
/// The key in [`META`] of `wire`'s AppliedState.
pub(crate) const APPLIED: &str = "applied";

fn failure(error: impl std::fmt::Display) -> StorageFailure {
    StorageFailure {
        reason: error.to_string(),
    }
}

pub(crate) fn full_key(table: TableId, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(1 + key.len());
    full.push(table.number());
    full.extend_from_slice(key);
    full
}

fn get(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    table: TableId,
    key: &[u8],
) -> Result<Option<Row>, StorageFailure> {
    let found = rows.get(full_key(table, key).as_slice()).map_err(failure)?;
    found
        .map(|bytes| wire::decode_row(table, bytes.value()).map_err(failure))
        .transpose()
}

fn scan(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    table: TableId,
    from: &[u8],
    to: Option<&[u8]>,
    visit: &mut dyn FnMut(&[u8], Row) -> ControlFlow<()>,
) -> Result<(), StorageFailure> {
    let start = full_key(table, from);
    let end = to.map_or_else(|| vec![table.number() + 1], |to| full_key(table, to));
    if start >= end {
        return Ok(());
    }
    for item in rows
        .range(start.as_slice()..end.as_slice())
        .map_err(failure)?
    {
        let (key, row) = item.map_err(failure)?;
        let row = wire::decode_row(table, row.value()).map_err(failure)?;
        if visit(&key.value()[1..], row).is_break() {
            break;
        }
    }
    Ok(())
}

/// One committed state, opened once and shared by all readers until the next commit.
pub(crate) struct View {
    pub(crate) rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    /// The last entry that it has seen.
    pub(crate) applied: Option<LogId>,
}

impl View {
    /// How many rows a table has, counted up to `max`. Blocks; runs off the runtime.
    pub(crate) fn count(&self, table: TableId, max: usize) -> Result<usize, StorageFailure> {
        let (start, end) = ([table.number()], [table.number() + 1]);
        let rows = self.rows.range(start.as_slice()..end.as_slice());
        let mut count = 0;
        for row in rows.map_err(failure)?.take(max) {
            row.map_err(failure)?;
            count += 1;
        }
        Ok(count)
    }
}

impl ReadTables for View {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, StorageFailure> {
        get(&self.rows, table, key)
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Row) -> ControlFlow<()>,
    ) -> Result<(), StorageFailure> {
        scan(&self.rows, table, from, to, visit)
    }
}

/// The tables within a write transaction.
pub(crate) struct Changes<'txn>(pub(crate) Table<'txn, &'static [u8], &'static [u8]>);

impl ReadTables for Changes<'_> {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, StorageFailure> {
        get(&self.0, table, key)
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Row) -> ControlFlow<()>,
    ) -> Result<(), StorageFailure> {
        scan(&self.0, table, from, to, visit)
    }
}

impl Tables for Changes<'_> {
    fn put(&mut self, table: TableId, key: &[u8], row: Row) -> Result<(), StorageFailure> {
        let bytes = wire::encode_row(&row);
        self.0
            .insert(full_key(table, key).as_slice(), bytes.as_slice())
            .map_err(failure)?;
        Ok(())
    }

    fn remove(&mut self, table: TableId, key: &[u8]) -> Result<(), StorageFailure> {
        self.0
            .remove(full_key(table, key).as_slice())
            .map_err(failure)?;
        Ok(())
    }
}
