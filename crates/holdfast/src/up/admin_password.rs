//! The password of `admin`, drawn for the run that first has rights asked for, and in no log of a node.
//!
//! The nodes read it from a file that only its owner can read. The file is removed once it is shown: a run that ends before
//! leaves it, and the next one shows it. Whether the cluster has its administrator is remembered in the plan.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::failure::Failure;

const FILE: &str = "admin-password";

/// A password on its way.
pub struct AdminPassword {
    path: PathBuf,
    text: Zeroizing<String>,
}

impl AdminPassword {
    /// The one that an earlier run has left, or a new one.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn draw(folder: &Path) -> Result<AdminPassword, Failure> {
        let path = folder.join(FILE);
        let text = kept(&path).map_err(|error| {
            Failure::new(format!(
                "the password of admin cannot be written to {}: {error}; choose another folder with --data DIR",
                path.display()
            ))
        })?;
        Ok(AdminPassword { path, text })
    }

    /// Where the nodes read it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The password, to be shown.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Removes the file: it was shown.
    pub fn forget(&self) {
        // What cannot be removed now is shown again, which harms nobody who may read it.
        let _ = fs::remove_file(&self.path);
    }
}

fn kept(path: &Path) -> io::Result<Zeroizing<String>> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(Zeroizing::new(text.trim().to_owned())),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let text = auth::new_password();
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn password_is_the_same_until_it_is_shown_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = AdminPassword::draw(folder.path()).unwrap();
        let again = AdminPassword::draw(folder.path()).unwrap();
        assert_eq!(first.text(), again.text());
        let mode = fs::metadata(first.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        first.forget();
        assert!(!first.path().exists());
        let next = AdminPassword::draw(folder.path()).unwrap();
        assert_ne!(first.text(), next.text());
    }
}
