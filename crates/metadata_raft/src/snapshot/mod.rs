//! Snapshots: one file with a header, chunks of rows in the order of keys, and an end, each with its checksum.
//!
//! ```text
//! chunk   kind 1 · zeros 3 · length 4 · CRC32 4 · bytes (`wire`'s SnapshotHeader, SnapshotRows or SnapshotEnd)
//! ```
//!
//! A snapshot has its name only when it is whole and durable. Must never be built from tables that are not durable as
//! far as it reaches, because the log is purged up to it.

mod incoming;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use metadata::TableId;

use crate::metric;
use crate::steps;
use crate::tables::View;
use durable_files::sync_folder;
pub(crate) use incoming::Incoming;

pub(crate) const KIND_HEADER: u8 = 1;
pub(crate) const KIND_ROWS: u8 = 2;
pub(crate) const KIND_END: u8 = 3;
/// A chunk takes no more rows once it has this many bytes.
const CHUNK_BYTES: usize = 256 * 1024;
/// No chunk is larger: a row is far smaller.
const CHUNK_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// A snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotFailure {
    #[error("the snapshot cannot be read or written: {0}")]
    Io(#[from] io::Error),
    #[error("the snapshot {path} is damaged: {problem}")]
    Damaged { path: String, problem: String },
    #[error("the tables cannot take or give a snapshot: {0}")]
    Store(String),
}

impl From<redb::StorageError> for SnapshotFailure {
    fn from(error: redb::StorageError) -> Self {
        SnapshotFailure::Store(error.to_string())
    }
}

/// A whole snapshot.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFile {
    file: Arc<File>,
    path: PathBuf,
}

/// The folder of snapshots; keeps the newest.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFolder {
    path: PathBuf,
}

impl SnapshotFolder {
    pub(crate) fn open(path: PathBuf) -> io::Result<SnapshotFolder> {
        durable_files::create_folder(&path)?;
        for entry in std::fs::read_dir(&path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "new") {
                std::fs::remove_file(path)?;
            }
        }
        Ok(SnapshotFolder { path })
    }

    /// Where a snapshot of a peer is gathered.
    pub(crate) fn incoming(&self) -> Incoming {
        Incoming::new(self.path.clone())
    }

    /// The newest snapshot that is whole, and the state that it holds. One that is damaged is passed over.
    pub(crate) fn newest(&self) -> io::Result<Option<(wire::AppliedState, SnapshotFile)>> {
        for path in self.paths()?.into_iter().rev() {
            let snapshot = SnapshotFile {
                file: Arc::new(File::open(&path)?),
                path,
            };
            match snapshot.read(|_| Ok(())) {
                Ok(state) => return Ok(Some((state, snapshot))),
                Err(error) => tracing::error!(%error, "a snapshot is passed over"),
            }
        }
        Ok(None)
    }

    fn paths(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "snapshot")
            {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// Writes `view`, which holds `state`, and then removes older snapshots. Blocks; runs off the runtime.
    pub(crate) fn write(
        &self,
        state: wire::AppliedState,
        view: &View,
    ) -> Result<SnapshotFile, SnapshotFailure> {
        let fresh = self.path.join("snapshot.new");
        steps::reached(steps::SNAPSHOT_BEFORE_WRITE);
        write_file(&fresh, &state, view)?;
        self.keep(&fresh, &state)
    }

    /// Takes over a snapshot that came from elsewhere, which has been read whole.
    pub(crate) fn adopt(
        &self,
        state: &wire::AppliedState,
        from: &SnapshotFile,
    ) -> Result<SnapshotFile, SnapshotFailure> {
        let fresh = self.path.join("adopted.new");
        std::fs::copy(&from.path, &fresh)?;
        File::open(&fresh)?.sync_all()?;
        self.keep(&fresh, state)
    }

    fn keep(
        &self,
        fresh: &Path,
        state: &wire::AppliedState,
    ) -> Result<SnapshotFile, SnapshotFailure> {
        let (term, node, index) = state
            .applied
            .map_or((0, 0, 0), |id| (id.term, id.node, id.index + 1));
        let path = self
            .path
            .join(format!("{index:016x}-{term:016x}-{node:016x}.snapshot"));
        steps::reached(steps::SNAPSHOT_BEFORE_RENAME);
        std::fs::rename(fresh, &path)?;
        sync_folder(&self.path)?;
        steps::reached(steps::SNAPSHOT_AFTER_RENAME);
        for older in self.paths()?.into_iter().filter(|other| *other < path) {
            std::fs::remove_file(older)?;
        }
        let file = File::open(&path)?;
        metric::snapshot_kept(file.metadata()?.len());
        Ok(SnapshotFile {
            file: Arc::new(file),
            path,
        })
    }
}

fn write_file(path: &Path, state: &wire::AppliedState, view: &View) -> Result<(), SnapshotFailure> {
    let mut out = BufWriter::new(File::create(path)?);
    let header = wire::SnapshotHeader {
        state: state.clone(),
    };
    write_chunk(
        &mut out,
        KIND_HEADER,
        &wire::encode_snapshot_header(&header),
    )?;
    let mut count = 0;
    let mut rows = Vec::new();
    let mut bytes = 0;
    let (first, end) = ([0], [u8::MAX]);
    view.rows
        .visit(&first, &end, |key, row| -> Result<_, SnapshotFailure> {
            let (number, key) = key
                .split_first()
                .ok_or_else(|| SnapshotFailure::Store("an empty key".into()))?;
            let table = TableId::from_number(*number).ok_or_else(|| {
                SnapshotFailure::Store(format!("table {number} is unknown to this build"))
            })?;
            bytes += key.len() + row.len();
            count += 1;
            rows.push(wire::SnapshotRow {
                table,
                key: Bytes::copy_from_slice(key),
                row: Bytes::copy_from_slice(row),
            });
            if bytes >= CHUNK_BYTES {
                write_chunk(&mut out, KIND_ROWS, &wire::encode_snapshot_rows(&rows))?;
                rows.clear();
                bytes = 0;
            }
            Ok(ControlFlow::Continue(()))
        })?;
    if mutants::active!("snapshot_without_the_last_row") && rows.pop().is_some() {
        count -= 1;
    }
    if !rows.is_empty() {
        write_chunk(&mut out, KIND_ROWS, &wire::encode_snapshot_rows(&rows))?;
    }
    write_chunk(
        &mut out,
        KIND_END,
        &wire::encode_snapshot_end(&wire::SnapshotEnd { rows: count }),
    )?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(())
}

pub(crate) fn write_chunk(out: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut head = [0_u8; 12];
    head[0] = kind;
    head[4..8].copy_from_slice(&len.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..8]);
    hasher.update(bytes);
    head[8..12].copy_from_slice(&hasher.finalize().to_le_bytes());
    out.write_all(&head)?;
    out.write_all(bytes)
}

impl SnapshotFile {
    /// One that lies elsewhere; it is not known to be whole before it was read.
    pub(crate) fn new(file: File, path: &Path) -> SnapshotFile {
        SnapshotFile {
            file: Arc::new(file),
            path: path.to_owned(),
        }
    }

    /// How long it is, and the CRC-32 of all its bytes. Reads it whole.
    pub(crate) fn size_and_crc32(&self) -> io::Result<(u64, u32)> {
        let mut input = BufReader::with_capacity(
            CHUNK_BYTES,
            FileFrom {
                file: &self.file,
                at: 0,
            },
        );
        let (mut size, mut sum) = (0, crc32fast::Hasher::new());
        loop {
            let bytes = io::BufRead::fill_buf(&mut input)?;
            if bytes.is_empty() {
                return Ok((size, sum.finalize()));
            }
            sum.update(bytes);
            let len = bytes.len();
            size += len as u64;
            io::BufRead::consume(&mut input, len);
        }
    }

    /// `len` bytes from `at` on.
    pub(crate) fn piece(&self, at: u64, len: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; len];
        std::os::unix::fs::FileExt::read_exact_at(&*self.file, &mut bytes, at)?;
        Ok(bytes.into())
    }

    /// Removes the file; what reads it meanwhile reads on.
    pub(crate) fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Reads it from start to end: gives each row to `visit` and returns the state that it holds. Fails unless every
    /// checksum and the number of rows are right, after some rows were visited already.
    pub(crate) fn read(
        &self,
        visit: impl FnMut(wire::SnapshotRow) -> Result<(), SnapshotFailure>,
    ) -> Result<wire::AppliedState, SnapshotFailure> {
        let input = FileFrom {
            file: &self.file,
            at: 0,
        };
        read_from(BufReader::new(input), &self.path, visit)
    }
}

/// Reads what [`SnapshotFile::read`] reads.
pub(crate) fn read_from(
    mut input: impl Read,
    path: &Path,
    mut visit: impl FnMut(wire::SnapshotRow) -> Result<(), SnapshotFailure>,
) -> Result<wire::AppliedState, SnapshotFailure> {
    let damaged = |problem: String| SnapshotFailure::Damaged {
        path: path.display().to_string(),
        problem,
    };
    let (kind, bytes) = read_chunk(&mut input).map_err(|e| damaged(e.to_string()))?;
    if kind != KIND_HEADER {
        return Err(damaged("it does not begin with a header".to_owned()));
    }
    let header = wire::decode_snapshot_header(&bytes).map_err(|e| damaged(e.to_string()))?;
    let mut count = 0;
    loop {
        let (kind, bytes) = read_chunk(&mut input).map_err(|e| damaged(e.to_string()))?;
        match kind {
            KIND_ROWS => {
                for row in wire::decode_snapshot_rows(&bytes).map_err(|e| damaged(e.to_string()))? {
                    count += 1;
                    visit(row)?;
                }
            }
            KIND_END => {
                let end = wire::decode_snapshot_end(&bytes).map_err(|e| damaged(e.to_string()))?;
                if end.rows != count {
                    return Err(damaged("rows are missing".to_owned()));
                }
                return Ok(header.state);
            }
            _ => {
                return Err(damaged(format!(
                    "a chunk of kind {kind} is unknown to this build"
                )));
            }
        }
    }
}

/// How long the chunk at `at` says that it is, and where it ends; `None` when it is not whole.
#[cfg(feature = "parsers")]
pub(crate) fn chunk_at(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let len = bytes.get(at + 4..at + 8)?;
    let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
    let end = at.checked_add(12)?.checked_add(len)?;
    (end <= bytes.len()).then_some((len, end))
}

fn read_chunk(input: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0_u8; 12];
    input.read_exact(&mut head)?;
    let number =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let len = number(4);
    if len > CHUNK_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a chunk is too long",
        ));
    }
    let mut bytes = Vec::new();
    input.take(u64::from(len)).read_to_end(&mut bytes)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..8]);
    hasher.update(&bytes);
    if bytes.len() != len as usize || hasher.finalize() != number(8) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a chunk's checksum is wrong",
        ));
    }
    Ok((head[0], bytes))
}

/// Reads a shared file from a position of its own.
struct FileFrom<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FileFrom<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
