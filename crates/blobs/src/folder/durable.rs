//! Making names last: which folders are known to survive a loss of power, and how others come to.
//!
//! A folder is known only after the folder above it was synced *by this process*. One that merely exists may have
//! been made by another thread that has not synced it yet, or by a process that was killed before it did.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// The folders whose names are on the disk. Bounded: objects share 256 folders per cluster and kind.
#[derive(Debug)]
pub(super) struct DurableFolders {
    known: Mutex<HashSet<PathBuf>>,
}

impl DurableFolders {
    /// Makes `root`, and what is missing above it, and has their names on the disk.
    pub(super) fn below(root: &Path) -> io::Result<DurableFolders> {
        durable_files::create_folder(root)?;
        Ok(DurableFolders {
            known: Mutex::new(HashSet::from([root.to_owned()])),
        })
    }

    /// Makes `folder`, which lies below the root, and those between, and has their names on the disk.
    pub(super) fn ensure(&self, folder: &Path) -> io::Result<()> {
        if self.known.lock().contains(folder) {
            return Ok(());
        }
        self.ensure(parent(folder))?;
        durable_files::create_folder(folder)?;
        self.known.lock().insert(folder.to_owned());
        Ok(())
    }
}

/// The folder that a name of ours lies in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .expect("every path of the layout lies below its root")
}
