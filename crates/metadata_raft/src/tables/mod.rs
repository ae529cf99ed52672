//! The tables: one redb file whose rows `wire` encodes, what was changed since it was written, in memory, and the adapters
//! through which `metadata` sees both as one.
//!
//! Applying an entry changes memory only; now and then the changes are written to the file in one transaction, with the last
//! applied entry and the membership. The log has the entries, and a restart applies again what the file lacks. Must never
//! be reported durable further than [`TableStore::make_durable`] has come. Why: `docs/decisions/0016`.

mod adapter;
mod file;
mod layer;
#[cfg(test)]
mod layer_tests;
mod store;

pub(crate) use adapter::View;
pub(crate) use store::{ApplyError, Backlog, TableSettings, TableStore};
