//! The cluster's recovery key: printed once by the cluster, and kept in a file that only its owner can read.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::failure::Failure;

const FILE: &str = "recovery-key";

/// Writes it down.
///
/// # Errors
/// When the folder cannot be written.
pub fn keep(folder: &Path, key: &str) -> Result<(), Failure> {
    let path = folder.join(FILE);
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        writeln!(file, "{key}")?;
        file.sync_all()
    };
    write().map_err(|error| {
        Failure::new(format!(
            "the recovery key cannot be written to {}: {error}",
            path.display()
        ))
    })
}
