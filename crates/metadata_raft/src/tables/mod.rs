//! The tables on disk: one redb file whose rows `wire` encodes, and the adapters through which `metadata` sees them.
//!
//! Rows, last applied entry and membership change in one transaction. Most commits are not made durable at once: the
//! log has the entries, and a restart applies them again. Must never be reported durable further than
//! [`TableStore::make_durable`] has come.

mod adapter;
mod store;

pub(crate) use adapter::View;
pub(crate) use store::{ApplyError, TableSettings, TableStore};
