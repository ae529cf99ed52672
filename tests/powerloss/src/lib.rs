//! A disk that forgets what was not synced, for any program on a plain machine.
//!
//! The C library's calls on files are defined here once more ([`calls`]). Below a watched root folder each change is noted
//! in a journal, with what was there before, until an fsync makes it durable. When the process is dead, [`lose_power`]
//! takes back everything that was not: names that no fsync of their folder covered, bytes and sizes that no fsync of their
//! file did. So much a power failure may take; a random part of it may survive instead ([`Survives::Some`]), sector by
//! sector.
//!
//! Loaded before a program (`LD_PRELOAD`), the root and the journal come from [`ROOT_VARIABLE`] and [`JOURNAL_VARIABLE`].
//! Linked into a simulation, [`watch`] says them, each member has a root of its own, and [`crash_after`] makes its disk
//! fail in the middle of what it does.
//!
//! What it does not see: calls that go past the C library (`io_uring`, raw system calls), and files of the root that another
//! process writes. That nothing of Holdfast does so is tried with [`FORGETS_VARIABLE`]. A shared writable mapping is refused.

pub mod calls;
mod journal;
mod restore;
mod system;
mod watched;

use std::path::{Path, PathBuf};

pub use restore::{Lost, Survives, lose_power};
pub use watched::{
    crash, crash_after, has_crashed, looking_away, mutations, revive, steady, unwatch, watch,
};

/// The folder whose files are watched in a program that was started with this library.
pub const ROOT_VARIABLE: &str = "HOLDFAST_POWERLOSS_ROOT";
/// Where such a program's journal is: outside of the root, on the same file system.
pub const JOURNAL_VARIABLE: &str = "HOLDFAST_POWERLOSS_JOURNAL";

/// Such a program dies at the so many-th change or sync below the root, before it is made.
pub const DIE_AFTER_VARIABLE: &str = "HOLDFAST_POWERLOSS_DIE_AFTER";
/// When it is set, nothing is ever durable for such a program: so everything that it writes can be taken back, and what is
/// left was written past this library.
pub const FORGETS_VARIABLE: &str = "HOLDFAST_POWERLOSS_FORGETS";

/// This library as a file, to be loaded before a program: cargo puts it beside a program that it built, into `deps` below that,
/// or above, and not each time into all of them. `None` when it was not built.
#[must_use]
pub fn library(program: &Path) -> Option<PathBuf> {
    let beside = program.parent()?;
    ["", "deps", ".."]
        .iter()
        .map(|place| beside.join(place).join("libpowerloss.so"))
        .filter_map(|path| {
            Some((
                path.metadata().and_then(|found| found.modified()).ok()?,
                path,
            ))
        })
        .max()
        .map(|(_, path)| path)
}

/// What survives in parts.
pub const SECTOR_BYTES: u64 = 512;
