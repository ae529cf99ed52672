//! Rows that were changed since the file was written, in memory: what is newer hides what lies beneath.
//!
//! A layer is copied in constant time, so that every reader has a state of its own that later changes leave alone.

use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;

/// What a change takes in memory besides its key and its row, about.
const CHANGE_BYTES: usize = 96;

/// A row as `wire` encodes it; `None` is one that was removed.
pub(crate) type Change = Option<Arc<[u8]>>;

/// See the module. Keys begin with the table's number.
#[derive(Clone, Default)]
pub(crate) struct Layer {
    changes: OrdMap<Arc<[u8]>, Change>,
    bytes: usize,
}

impl Layer {
    /// What this layer knows of a key: nothing, or a change.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Change> {
        self.changes.get(key)
    }

    pub(crate) fn set(&mut self, key: &[u8], row: Option<&[u8]>) {
        self.bytes += CHANGE_BYTES + key.len() + row.map_or(0, <[u8]>::len);
        self.changes.insert(Arc::from(key), row.map(Arc::from));
    }

    /// The changes with `start <= key < end`, in the order of keys.
    pub(crate) fn range<'a>(
        &'a self,
        start: &'a [u8],
        end: &'a [u8],
    ) -> impl Iterator<Item = (&'a Arc<[u8]>, &'a Change)> {
        self.changes
            .range::<_, [u8]>((Bound::Included(start), Bound::Excluded(end)))
    }

    /// All changes, in the order of keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<[u8]>, &Change)> {
        self.changes.iter()
    }

    /// What was ever set in this layer takes at most so much memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
