//! A piece of bytes as a file: written below `staging`, then given its final name and made durable.
//!
//! The order is what a loss of power may not break, and it is this: all bytes are written; the file gets its final
//! name; the file is synced; the folder of that name is synced; only then is the piece acknowledged. The name comes
//! before the sync because nobody reads a key, or lists a part, before the log names it. A sync that failed is never
//! tried again: the system may have dropped the bytes and would report success. Everything here blocks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Seek, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ports::BlobFailure;

use durable_files::sync_folder;

use super::durable::parent;
use super::failure;
use crate::steps::{self, step};

/// The file of a piece. Dropping it removes what has no final name.
#[derive(Debug)]
pub(super) struct Piece {
    staging_path: PathBuf,
    file: Option<File>,
    stored_at: Option<PathBuf>,
    is_synced: bool,
    broken: Option<(ErrorKind, String)>,
}

impl Piece {
    /// A piece whose file will be made, under this fresh name, when there are bytes.
    pub(super) fn new(staging_path: PathBuf) -> Piece {
        Piece {
            staging_path,
            file: None,
            stored_at: None,
            is_synced: false,
            broken: None,
        }
    }

    /// Adds bytes to the file. After a failure the piece is good for nothing, and every call says why.
    pub(super) fn write(&mut self, batch: &[Bytes]) -> Result<(), BlobFailure> {
        self.attempt("write", |piece| {
            let path = &piece.staging_path;
            let file = match &mut piece.file {
                Some(file) => file,
                none => none.insert(create(path)?),
            };
            write_all(file, batch)
        })
    }

    /// Gives the file the name `target`, in a folder that is durable, and has both on the disk.
    /// `Ok(false)` when that folder does not exist.
    pub(super) fn store(&mut self, target: &Path) -> Result<bool, BlobFailure> {
        self.attempt("write", |piece| {
            if piece.file.is_none() {
                piece.file = Some(create(&piece.staging_path)?);
            }
            step(steps::FOLDER_WRITTEN)
        })?;
        match self.place(target) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound && !parent(target).exists() => {
                return Ok(false);
            }
            Err(error) => return Err(failure::failure(&error, "name", target)),
        }
        self.attempt("sync", |piece| {
            step(steps::FOLDER_PLACED)?;
            if !piece.is_synced {
                piece
                    .file
                    .as_ref()
                    .expect("it was created above")
                    .sync_all()?;
                piece.is_synced = true;
            }
            step(steps::FOLDER_FILE_SYNCED)?;
            sync_folder(parent(target))?;
            step(steps::FOLDER_ENTRY_SYNCED)
        })?;
        Ok(true)
    }

    fn place(&mut self, target: &Path) -> io::Result<()> {
        match &self.stored_at {
            None => {
                fs::rename(&self.staging_path, target)?;
                self.stored_at = Some(target.to_owned());
                Ok(())
            }
            Some(first) if first == target => Ok(()),
            Some(first) => {
                // A name that a retry finds taken is replaced, which a plain link would refuse. Where file systems
                // know no links, and when the first name is gone by now, the bytes are copied.
                if fs::hard_link(first, &self.staging_path).is_err() {
                    self.copy()?;
                }
                let placed = fs::rename(&self.staging_path, target);
                // To rename one name of a file to another of its names does nothing and leaves both.
                remove_if_there(&self.staging_path)?;
                placed
            }
        }
    }

    /// Has a copy under the staging name, synced.
    fn copy(&mut self) -> io::Result<()> {
        let mut copy = create(&self.staging_path)?;
        let from = self
            .file
            .as_mut()
            .expect("a piece that was stored has its file");
        from.rewind()?;
        io::copy(from, &mut copy)?;
        copy.sync_all()
    }

    /// Does `work`, unless the piece is broken; remembers its failure.
    fn attempt(
        &mut self,
        what: &str,
        work: impl FnOnce(&mut Piece) -> io::Result<()>,
    ) -> Result<(), BlobFailure> {
        if let Some((kind, reason)) = &self.broken {
            return Err(failure::of_kind(*kind, reason.clone()));
        }
        work(self).map_err(|error| {
            let reason = format!("cannot {what} {}: {error}", self.staging_path.display());
            self.broken = Some((error.kind(), reason.clone()));
            failure::of_kind(error.kind(), reason)
        })
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if self.file.is_some() && self.stored_at.is_none() {
            // What cannot be removed now goes when the store is next opened.
            let _ = remove_if_there(&self.staging_path);
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
}

/// Removes a file; one that is not there is no error.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Writes all of the batch with as few calls as the system allows and without copying.
fn write_all(file: &mut File, batch: &[Bytes]) -> io::Result<()> {
    /// Linux takes no more slices in one call.
    const SLICES_MAX: usize = 1024;
    for group in batch.chunks(SLICES_MAX) {
        let mut slices: Vec<IoSlice<'_>> = group.iter().map(|bytes| IoSlice::new(bytes)).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match file.write_vectored(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
