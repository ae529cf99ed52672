//! P7, bounded: how much there was of anything at once, and that it was not more than it may be.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metadata::MemoryTables;

use crate::census::Kind;
use crate::world::World;

/// Something was within its bound.
pub const BOUNDED: &str = "P7 bounded";

/// An upload holds at most so many parts: two on their way, and the one that is being filled.
const PARTS_PER_UPLOAD: u64 = 3;
/// More uploads than clients: those of clients that are gone still end.
const UPLOADS_MAX: u64 = 64;

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
}

/// Checks how many rows there are of what grows with time.
pub fn check_tables(_world: &World, _tables: &MemoryTables) {}
