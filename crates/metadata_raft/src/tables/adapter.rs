//! `metadata`'s table traits over the file and what has changed since it was written.
//!
//! All tables lie in one ordered redb table: a key is the table's number and then the key.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use metadata::{ReadTables, Row, StorageFailure, TableId, Tables};
use redb::{ReadOnlyTable, TableDefinition};

use super::layer::{Change, Layer};
use crate::types::LogId;

pub(crate) type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(crate) const ROWS: Rows = TableDefinition::new("rows");
pub(crate) const META: TableDefinition<'static, &'static str, &'static [u8]> =
    TableDefinition::new("meta");
/// The key in [`META`] of `wire`'s AppliedState.
pub(crate) const APPLIED: &str = "applied";

/// The rows of one committed state of the file.
pub(crate) type FileRows = ReadOnlyTable<&'static [u8], &'static [u8]>;

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

/// One state of the tables: the file, what is being written to it, and what came after that.
#[derive(Clone)]
pub(crate) struct Layers {
    file: Arc<FileRows>,
    frozen: Layer,
    fresh: Layer,
}

impl Layers {
    /// What is in the file, and nothing else.
    pub(crate) fn of_file(file: FileRows) -> Layers {
        Layers {
            file: Arc::new(file),
            frozen: Layer::default(),
            fresh: Layer::default(),
        }
    }

    /// What has changed is to be written now; what changes from now on comes after it. What was frozen before must have
    /// been written.
    pub(crate) fn freeze(&mut self) {
        self.frozen = std::mem::take(&mut self.fresh);
    }

    /// What is to be written.
    pub(crate) fn frozen(&self) -> &Layer {
        &self.frozen
    }

    /// What was frozen has been written, and this is the file with it.
    pub(crate) fn written(&mut self, file: FileRows) {
        self.file = Arc::new(file);
        self.frozen = Layer::default();
    }

    /// What has changed and is not being written yet takes at most so much memory.
    pub(crate) fn fresh_bytes(&self) -> usize {
        self.fresh.bytes()
    }

    fn in_memory(&self, key: &[u8]) -> Option<&Change> {
        self.fresh.get(key).or_else(|| self.frozen.get(key))
    }

    /// Visits the encoded rows with `start <= key < end` in the order of keys, until `visit` breaks. Keys begin with the
    /// table's number.
    pub(crate) fn visit<E: From<redb::StorageError>>(
        &self,
        start: &[u8],
        end: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        if start >= end {
            return Ok(());
        }
        let mut memory = Newest {
            fresh: self.fresh.range(start, end).peekable(),
            frozen: self.frozen.range(start, end).peekable(),
        }
        .peekable();
        let mut file = self.file.range(start..end)?;
        let mut on_file = file.next().transpose()?;
        loop {
            let order = match (memory.peek(), &on_file) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((key, _)), Some((file_key, _))) => key.as_ref().cmp(file_key.value()),
            };
            let flow = match order {
                Ordering::Greater => match on_file.take() {
                    Some((key, row)) => visit(key.value(), row.value())?,
                    None => ControlFlow::Continue(()),
                },
                Ordering::Less | Ordering::Equal => match memory.next() {
                    Some((key, Some(row))) => visit(key, row)?,
                    _ => ControlFlow::Continue(()),
                },
            };
            if flow.is_break() {
                return Ok(());
            }
            if order != Ordering::Less {
                on_file = file.next().transpose()?;
            }
        }
    }
}

/// The changes of two layers in the order of keys, of each key the newest.
struct Newest<A: Iterator, B: Iterator> {
    fresh: std::iter::Peekable<A>,
    frozen: std::iter::Peekable<B>,
}

impl<'a, A, B> Iterator for Newest<A, B>
where
    A: Iterator<Item = (&'a Arc<[u8]>, &'a Change)>,
    B: Iterator<Item = (&'a Arc<[u8]>, &'a Change)>,
{
    type Item = (&'a Arc<[u8]>, &'a Change);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.fresh.peek(), self.frozen.peek()) {
            (Some((fresh, _)), Some((frozen, _))) => fresh.cmp(frozen),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => self.fresh.next(),
            Ordering::Greater => self.frozen.next(),
            Ordering::Equal => {
                self.frozen.next();
                self.fresh.next()
            }
        }
    }
}

impl ReadTables for Layers {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, StorageFailure> {
        let key = full_key(table, key);
        let decode = |row: &[u8]| wire::decode_row(table, row).map_err(failure);
        match self.in_memory(&key) {
            Some(Some(row)) => decode(row).map(Some),
            Some(None) => Ok(None),
            None => {
                let found = self.file.get(key.as_slice()).map_err(failure)?;
                found.map(|row| decode(row.value())).transpose()
            }
        }
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Row) -> ControlFlow<()>,
    ) -> Result<(), StorageFailure> {
        let start = full_key(table, from);
        let end = to.map_or_else(|| vec![table.number() + 1], |to| full_key(table, to));
        self.visit(&start, &end, |key, row| {
            let row = wire::decode_row(table, row).map_err(|e| ScanFailure(failure(e)))?;
            Ok(visit(&key[1..], row))
        })
        .map_err(|ScanFailure(why)| why)
    }
}

/// Either side's failure of a scan.
struct ScanFailure(StorageFailure);

impl From<redb::StorageError> for ScanFailure {
    fn from(error: redb::StorageError) -> Self {
        ScanFailure(failure(error))
    }
}

impl Tables for Layers {
    fn put(&mut self, table: TableId, key: &[u8], row: Row) -> Result<(), StorageFailure> {
        let bytes = wire::encode_row(&row);
        self.fresh.set(&full_key(table, key), Some(&bytes));
        Ok(())
    }

    fn remove(&mut self, table: TableId, key: &[u8]) -> Result<(), StorageFailure> {
        self.fresh.set(&full_key(table, key), None);
        Ok(())
    }
}

/// One state, shared by all readers until the next batch is applied.
pub(crate) struct View {
    pub(crate) rows: Layers,
    /// The last entry that it has seen.
    pub(crate) applied: Option<LogId>,
}

impl View {
    /// How many rows a table has, counted up to `max`. Blocks; runs off the runtime.
    pub(crate) fn count(&self, table: TableId, max: usize) -> Result<usize, StorageFailure> {
        let mut count = 0;
        let counted =
            self.rows
                .visit::<ScanFailure>(&[table.number()], &[table.number() + 1], |_, _| {
                    count += 1;
                    Ok(if count < max {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    })
                });
        counted.map_err(|ScanFailure(why)| why)?;
        Ok(count)
    }
}
