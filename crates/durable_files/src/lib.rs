//! Names and small files that survive a loss of power.
//!
//! What is written to a file is lost unless the file is synced, and its name is lost unless the folder that it lies in is:
//! however durable a file is, without the names of the folders above it nothing leads to it. Everything here blocks, and is
//! durable when it returns. It must never leave a file that is half the old one and half the new.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

/// Has the names in a folder on the disk: what was created, renamed or removed there.
///
/// # Errors
/// When the system refuses. What was done in the folder may be lost.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Creates a folder and those above it that are missing, and has their names on the disk.
///
/// A folder that is there already may have been made by a process that was killed before it synced the one above: so its name
/// is synced once more. The ones above that need no look, since each is made after the name of the one above it was synced.
///
/// # Errors
/// When the system refuses, or a file is in the way.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    let above = folder_of(folder);
    if folder.is_dir() {
        return match sync_folder(above) {
            // Who may not look into the folder above did not make one in it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        };
    }
    if folder.parent().is_some() && above != Path::new(".") {
        create_missing(above)?;
    }
    make(folder, above)
}

/// As [`create_folder`], for a folder that is of no use to look at when it is there.
fn create_missing(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    create_folder(folder)
}

fn make(folder: &Path, above: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        // Another thread was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    sync_folder(above)
}

/// Replaces the file of this name, which then holds `bytes`, or is what it was before.
///
/// # Errors
/// When the system refuses. The file is what it was before, or the new one.
pub fn replace_file(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let fresh = folder.join(format!("{name}.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, folder.join(name))?;
    sync_folder(folder)
}

/// Removes a file; gives whether there was one.
///
/// # Errors
/// When the system refuses.
pub fn remove_file(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The folder that a name lies in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        Some(_) => Path::new("."),
        None => path,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_and_may_be_there() {
        let base = tempfile::tempdir().unwrap();
        let deep = base.path().join("a/b/c");
        create_folder(&deep).unwrap();
        create_folder(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(deep.join("file"), "").unwrap();
        assert!(create_folder(&deep.join("file")).is_err());
        assert!(create_folder(&deep.join("file/below")).is_err());
        create_folder(Path::new("/")).unwrap();
    }

    #[test]
    fn file_is_replaced_and_nothing_is_left_beside_it() {
        let base = tempfile::tempdir().unwrap();
        for content in ["one", "two"] {
            replace_file(base.path(), "name", content.as_bytes()).unwrap();
            assert_eq!(
                fs::read_to_string(base.path().join("name")).unwrap(),
                content
            );
        }
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
        assert!(remove_file(&base.path().join("name")).unwrap());
        assert!(!remove_file(&base.path().join("name")).unwrap());
    }
}
