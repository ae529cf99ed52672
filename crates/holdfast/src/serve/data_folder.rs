//! The data folder: made when it is missing, used by one process at a time, and refused when its disk is nearly full.
//!
//! ```text
//! <data>/lock        held by the process that uses the folder; its id is in it
//! <data>/metadata/   the log, the tables and the snapshots of the metadata
//! <data>/blobs/      the bytes of blobs, unless they are kept elsewhere
//! ```

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::config::ByteSize;
use crate::failure::Failure;

/// The folder, in use by this process until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// Its lock ends with the process, however that ends.
    _lock: File,
}

impl DataFolder {
    /// Takes the folder into use.
    ///
    /// # Errors
    /// One line that names the fix: it cannot be made or written, another process uses it, or the disk is nearly full.
    pub fn open(path: &Path, free_space_min: ByteSize) -> Result<DataFolder, Failure> {
        let path = std::path::absolute(path).map_err(|error| unusable(path, &error))?;
        make(&path).map_err(|error| unusable(&path, &error))?;
        let lock = lock(&path)?;
        let free = free_space(&path).map_err(|error| unusable(&path, &error))?;
        if free < free_space_min {
            return Err(Failure::new(format!(
                "the disk of the data folder {} is nearly full: {free} are free and {free_space_min} are wanted; free some, choose another folder with --data DIR, or lower server.free_space_min",
                path.display()
            )));
        }
        Ok(DataFolder { path, _lock: lock })
    }

    /// Where it is, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the metadata log, its tables and its snapshots are.
    pub fn metadata(&self) -> PathBuf {
        self.path.join("metadata")
    }

    /// Where blobs are, unless they are kept elsewhere.
    pub fn blobs(&self) -> PathBuf {
        blobs_below(&self.path)
    }
}

/// Where blobs are in a data folder, unless they are kept elsewhere.
pub fn blobs_below(data: &Path) -> PathBuf {
    data.join("blobs")
}

/// Makes the folder, and makes it durable that it exists.
fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|folder| !folder.exists())
        .collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for folder in path.ancestors() {
        let Some(parent) = folder.parent() else { break };
        let synced = File::open(parent).and_then(|parent| parent.sync_all());
        // One that was there before may belong to others and be closed to us. It is synced all the same where that can
        // be: the process that made it may have been killed before it did.
        if missing.contains(&folder) {
            synced?;
        }
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File, Failure> {
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join("lock"));
    let mut file = open.map_err(|error| unusable(folder, &error))?;
    match file.try_lock() {
        Ok(()) => {
            let note = file
                .set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()));
            note.map_err(|error| unusable(folder, &error))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only to help the reader: without it the line is right, too.
            let _ = Read::take(&mut file, 20).read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => String::new(),
                id => format!(" (process {id})"),
            };
            Err(Failure::new(format!(
                "the data folder {} is in use by another holdfast{holder}: stop it, or choose another folder with --data DIR",
                folder.display()
            )))
        }
        Err(TryLockError::Error(error)) => Err(Failure::new(format!(
            "the data folder {} cannot be locked: {error}; choose one on a local file system with --data DIR",
            folder.display()
        ))),
    }
}

fn free_space(folder: &Path) -> io::Result<ByteSize> {
    let space = rustix::fs::statvfs(folder)?;
    // Whole mebibytes read better, and nothing near the limit depends on less.
    let bytes = space.f_bavail.saturating_mul(space.f_frsize);
    Ok(ByteSize(bytes & !((1 << 20) - 1)))
}

/// A line about a folder that cannot be used, with what mends it.
fn unusable(folder: &Path, error: &io::Error) -> Failure {
    let folder = folder.display();
    Failure::new(match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "the data folder {folder} cannot be written by this user: give it to the user that runs holdfast (chown), or choose another with --data DIR"
        ),
        ErrorKind::ReadOnlyFilesystem => format!(
            "the data folder {folder} is on a file system that is mounted read-only: mount it writable, or choose another folder with --data DIR"
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!(
            "the disk of the data folder {folder} is full: free some space, or choose another folder with --data DIR"
        ),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => format!(
            "the data folder {folder} is, or lies below, something that is not a folder: choose another with --data DIR"
        ),
        _ => format!(
            "the data folder {folder} cannot be used: {error}; choose another with --data DIR"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LITTLE: ByteSize = ByteSize(1);

    #[test]
    fn a_missing_folder_is_made_and_is_in_use_until_it_is_dropped() {
        let above = tempfile::tempdir().expect("a temporary folder");
        let path = above.path().join("a/b");
        let first = DataFolder::open(&path, LITTLE).expect("it is made");
        let second = DataFolder::open(&path, LITTLE).expect_err("it is in use");
        assert_eq!(
            second.lines,
            [format!(
                "the data folder {} is in use by another holdfast (process {}): stop it, or choose another folder with --data DIR",
                path.display(),
                std::process::id()
            )]
        );
        drop(first);
        DataFolder::open(&path, LITTLE).expect("it is free again");
    }

    #[test]
    fn a_file_where_the_folder_should_be_is_told() {
        let above = tempfile::tempdir().expect("a temporary folder");
        let file = above.path().join("file");
        std::fs::write(&file, "").expect("write");
        for path in [file.clone(), file.join("below")] {
            let failure = DataFolder::open(&path, LITTLE).expect_err("no folder");
            assert!(
                failure.lines[0].contains("something that is not a folder"),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let failure =
            DataFolder::open(folder.path(), ByteSize(u64::MAX)).expect_err("no disk has so much");
        assert!(failure.lines[0].contains("is nearly full"), "{failure:?}");
    }
}
