//! Making names last: which folders are known to survive a loss of power, and how others come to.
//!
//! A folder is known only after the folder above it was synced *by this process*. One that merely exists may have
//! been made by another thread that has not synced it yet, or by a process that was killed before it did.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
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
        let missing: Vec<&Path> = root
            .ancestors()
            .take_while(|folder| !folder.exists())
            .collect();
        fs::create_dir_all(root)?;
        for made in missing {
            if let Some(above) = made.parent() {
                sync_folder(if above.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    above
                })?;
            }
        }
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
        match fs::create_dir(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            made => made?,
        }
        sync_folder(parent(folder))?;
        self.known.lock().insert(folder.to_owned());
        Ok(())
    }
}

/// Has the names in a folder on the disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that a name of ours lies in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .expect("every path of the layout lies below its root")
}
