//! Small secret files that are either what they were or what they become, whatever dies in between.
//!
//! A file is written beside its place, made durable, and renamed into it; then the folder is made durable. It never has
//! rights for others, not even for a moment, and one that others may read is refused.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// What a file of secrets may be used for: reading and writing by its owner.
const SECRET_MODE: u32 = 0o600;

/// The most bytes that one of these files has: a key and three certificates are some 4 KiB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// A file could not be read or written, or what it holds is unusable. The message names the file and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused. May pass.
    #[error("{path}: cannot {what}: {source}; check the owner and the free space of its folder", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read it.
    #[error("{path}: others may read this secret (mode {mode:o}); run `chmod 600 {path}`", path = path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its rights.
        mode: u32,
    },
    /// What it holds cannot be used.
    #[error("{path}: {what}; {fix}", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do about it.
        fix: &'static str,
    },
}

impl FileError {
    pub(crate) fn damaged(path: &Path, what: impl Into<String>, fix: &'static str) -> FileError {
        FileError::Damaged {
            path: path.to_owned(),
            what: what.into(),
            fix,
        }
    }

    pub(crate) fn io(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> FileError {
        let path = path.to_owned();
        move |source| FileError::Io { path, what, source }
    }
}

/// Replaces the file at `path`, which then holds `content` and is its owner's alone, or is what it was before.
pub(crate) fn write_secret(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let folder = folder_of(path);
    let beside = path.with_extension("new");
    durable_files::create_folder(folder).map_err(FileError::io(folder, "create this folder"))?;
    // A leaving of a crash may have other rights, and `mode` counts for new files only.
    remove_if_there(&beside).map_err(FileError::io(&beside, "remove what a crash left"))?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(SECRET_MODE)
        .open(&beside)
        .and_then(|mut file| {
            file.set_permissions(Permissions::from_mode(SECRET_MODE))?;
            file.write_all(content)?;
            file.sync_all()
        });
    written.map_err(FileError::io(&beside, "write"))?;
    fs::rename(&beside, path).map_err(FileError::io(path, "put the new file in place"))?;
    durable_files::sync_folder(folder).map_err(FileError::io(folder, "make this folder durable"))
}

/// What the file at `path` holds, or that there is none.
pub(crate) fn read_secret(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io(path, "look at")(error)),
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & !SECRET_MODE & 0o077 != 0 {
        return Err(FileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(FileError::damaged(
            path,
            format!("it has {} bytes, which none of ours has", metadata.len()),
            "put the right file in its place",
        ));
    }
    let text = fs::read_to_string(path).map_err(FileError::io(path, "read"))?;
    Ok(Some(Zeroizing::new(text)))
}

/// Removes the file at `path` durably, if there is one.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    let removed = durable_files::remove_file(path);
    removed.map(drop).map_err(FileError::io(path, "remove"))
}

fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .expect("the callers join the name of a file to a folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn file_is_its_owners_alone_even_over_what_a_crash_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/secret.pem");
        write_secret(&path, b"one").unwrap();
        fs::write(path.with_extension("new"), b"torn").unwrap();
        fs::set_permissions(path.with_extension("new"), Permissions::from_mode(0o666)).unwrap();
        write_secret(&path, b"two").unwrap();
        assert_eq!(read_secret(&path).unwrap().unwrap().as_str(), "two");
        assert_eq!(mode(&path), 0o600);
        assert!(!path.with_extension("new").exists());
    }

    #[test]
    fn file_that_others_may_read_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.pem");
        write_secret(&path, b"secret").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let message = read_secret(&path).unwrap_err().to_string();
        assert!(message.contains("secret.pem: others may read"), "{message}");
        assert!(message.contains("chmod 600"), "{message}");
    }

    #[test]
    fn removing_what_is_not_there_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.pem");
        remove(&path).unwrap();
        write_secret(&path, b"secret").unwrap();
        remove(&path).unwrap();
        assert!(read_secret(&path).unwrap().is_none());
    }
}
