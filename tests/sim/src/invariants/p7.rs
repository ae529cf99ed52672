//! P7, bounded: how much there was of anything at once, and that it was not more than it may be.
//!
//! The queues and buffers of the product note by themselves how long they get ([`marks`]). What a simulation alone sees is noted
//! here: bytes on their way into the store, rows that one entry touches, the size of a call.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metadata::ROWS_PER_ENTRY_MAX;

use crate::census::Kind;
use crate::log::Applied;
use crate::world::World;

/// Something was within its bound.
pub const BOUNDED: &str = "P7 bounded";
/// An entry touched no more rows than it may.
pub const ROWS: &str = "P7 rows of an entry";

/// Queues and buffers of the product, as they name themselves.
pub const MARKS: &[&str] = &[
    "bytes of a piece",
    "chunks to be hashed",
    "members asked at once",
    "objects of a sweep",
    "parts on their way",
    "parts without an entry",
    "silent members",
];

/// An upload holds at most so many parts: two on their way, and the one that is being filled.
const PARTS_PER_UPLOAD: u64 = 3;
/// More uploads than clients: those of clients that are gone still end.
const UPLOADS_MAX: u64 = 64;
/// The most bytes of a call between nodes: a large manifest's entry, and what describes it.
const CALL_BYTES_MAX: usize = 64 * 1024;

/// High-water marks.
#[derive(Debug, Default)]
pub struct Marks {
    staged: AtomicU64,
}

impl Marks {
    /// So many bytes are held on their way into the store.
    pub fn staged(&self, world: &World, bytes: u64) {
        self.staged.fetch_max(bytes, Relaxed);
        world.census.count(Kind::Invariant, BOUNDED);
        let large_manifest = 64 * 1024;
        let max = UPLOADS_MAX
            * (PARTS_PER_UPLOAD * u64::from(world.plan.settings.part_size) + large_manifest);
        if bytes > max {
            world.breach(
                "P7",
                format!("{bytes} bytes are held on their way into the store"),
            );
        }
    }

    /// An entry was applied, for the first time.
    pub fn applied(&self, world: &World, applied: &Applied) {
        world.census.count(Kind::Invariant, ROWS);
        let rows = applied.changes.len();
        if rows > ROWS_PER_ENTRY_MAX {
            let said = format!("entry {} touches {rows} rows", applied.index);
            world.breach("P7", said);
        }
    }

    /// A call of so many bytes is made.
    pub fn called(&self, world: &World, bytes: usize) {
        world.census.count(Kind::Invariant, BOUNDED);
        if bytes > CALL_BYTES_MAX {
            world.breach("P7", format!("a call between nodes has {bytes} bytes"));
        }
    }
}

/// Compares the marks of the product with their bounds, and counts how often each was noted.
pub fn check_marks(world: &World) {
    for mark in marks::all() {
        world.census.add(Kind::Mark, mark.name, mark.noted);
        if mark.overflowed {
            let (name, highest, bound) = (mark.name, mark.highest, mark.bound);
            let said = format!("{name}: there were {highest}, and there may be {bound}");
            world.breach("P7", said);
        }
    }
}
