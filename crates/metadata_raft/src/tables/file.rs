//! The redb file: opening, creating, and what is written beside the rows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{Database, ReadableDatabase, WriteTransaction};

use super::adapter::{APPLIED, FileRows, META, ROWS};
use super::layer::Layer;
use super::store::{Applied, ApplyError};
use crate::types::{StoredRecordError, applied_from_wire, applied_to_wire};
use durable_files::sync_folder;

/// Files up to this size are checked whole when they are opened; larger ones would delay the start too long.
const CHECKED_WHOLE_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub(crate) fn builder(cache_bytes: usize, check: bool) -> redb::Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(cache_bytes)
        .set_check_integrity_on_open(check);
    builder
}

/// `None` when the file is damaged; it is then out of the way.
pub(crate) fn open_existing(path: &Path, cache_bytes: usize) -> Option<Database> {
    let small = path
        .metadata()
        .is_ok_and(|meta| meta.len() <= CHECKED_WHOLE_BYTES_MAX);
    // redb says that opening a damaged file may panic. A file that it cannot judge is as good as damaged.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = builder(cache_bytes, small)
            .open(path)
            .map_err(|e| e.to_string())?;
        read_applied(&database).map_err(|e| e.to_string())?;
        Ok::<_, String>(database)
    }));
    let problem = match opened {
        Ok(Ok(database)) => return Some(database),
        Ok(Err(problem)) => problem,
        Err(_) => "its pages contradict each other".to_owned(),
    };
    let aside = path.with_extension("redb.damaged");
    let moved = std::fs::rename(path, &aside);
    tracing::error!(
        %problem,
        aside = %aside.display(),
        moved = moved.is_ok(),
        "the metadata tables are damaged: they are rebuilt from the last snapshot and the log"
    );
    None
}

pub(crate) fn create(path: &Path, cache_bytes: usize) -> Result<Database, ApplyError> {
    let database = builder(cache_bytes, false).create(path)?;
    let transaction = begin_durable(&database)?;
    transaction.open_table(ROWS)?;
    transaction.open_table(META)?;
    transaction.commit()?;
    if let Some(folder) = path.parent() {
        sync_folder(folder)?;
    }
    Ok(database)
}

/// A transaction whose commit is durable. Restarts stay quick however large the file is: the allocator's state is part of
/// the commit.
pub(crate) fn begin_durable(database: &Database) -> Result<WriteTransaction, ApplyError> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// The rows as they are in the file.
pub(crate) fn rows_of(database: &Database) -> Result<FileRows, ApplyError> {
    Ok(database.begin_read()?.open_table(ROWS)?)
}

/// Writes the changes of a layer over the rows.
pub(crate) fn write_changes(
    transaction: &WriteTransaction,
    changes: &Layer,
) -> Result<(), ApplyError> {
    let mut rows = transaction.open_table(ROWS)?;
    for (key, row) in changes.iter() {
        match row {
            Some(row) => drop(rows.insert(key.as_ref(), row.as_ref())?),
            None => drop(rows.remove(key.as_ref())?),
        }
    }
    Ok(())
}

pub(crate) fn read_applied(database: &Database) -> Result<Applied, ApplyError> {
    let meta = database.begin_read()?.open_table(META)?;
    let Some(bytes) = meta.get(APPLIED)? else {
        return Ok(Applied::default());
    };
    let (last, membership) = applied_from_wire(
        wire::decode_applied_state(bytes.value()).map_err(StoredRecordError::from)?,
    )?;
    Ok(Applied { last, membership })
}

pub(crate) fn write_applied(
    transaction: &WriteTransaction,
    applied: &Applied,
) -> Result<(), ApplyError> {
    let record =
        wire::encode_applied_state(&applied_to_wire(applied.last.as_ref(), &applied.membership));
    transaction
        .open_table(META)?
        .insert(APPLIED, record.as_slice())?;
    Ok(())
}
