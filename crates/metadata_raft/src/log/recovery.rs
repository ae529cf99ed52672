//! Reads the log's folder at start: drops a torn last frame, and refuses to go on over damage.
//!
//! Must never repair damage by itself: an entry that was acknowledged and cannot be read is for people to decide about.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::{Index, SegmentFile};
use super::segment::{Frame, HEADER_BYTES, SegmentHeader, any_frame_after, frame_at};

/// What the folder held.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) index: Index,
    /// The last segment; `None` when the folder is new.
    pub(crate) tail: Option<Tail>,
}

/// Where the log goes on.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<File>,
    pub(crate) len: u64,
    /// Where the next frame is written.
    pub(crate) position: u64,
    pub(crate) next_frame: u64,
    /// The index that the next entry to be written has.
    pub(crate) next_index: u64,
}

/// The name of the segment whose first frame has this sequence.
pub(crate) fn segment_name(first_frame: u64) -> String {
    format!("{first_frame:016x}.segment")
}

fn damaged(path: &Path, at: usize, what: &str) -> io::Error {
    let message = format!(
        "the metadata log is damaged: {} at byte {at}: {what}. Entries that were acknowledged may be unreadable, so this \
         node does not start. Check the disk, then restore the data folder from a backup; in a cluster, empty the \
         folder and let the node join again",
        path.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn segment_paths(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if let Some(sequence) = name.strip_suffix(".segment") {
            let sequence = u64::from_str_radix(sequence, 16)
                .map_err(|_| damaged(&path, 0, "its name is not one that Holdfast gives"))?;
            paths.push((sequence, path));
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads every segment of `folder`.
pub(crate) fn recover(folder: &Path, cached_bytes_max: usize) -> io::Result<Recovered> {
    let paths = segment_paths(folder)?;
    let mut index = Index::new(None, cached_bytes_max);
    let mut tail: Option<Tail> = None;
    let count = paths.len();
    let mut next_index = 0;
    for (number, (sequence, path)) in paths.into_iter().enumerate() {
        let last = number + 1 == count;
        let bytes = std::fs::read(&path)?;
        let header =
            SegmentHeader::decode(&bytes).ok_or_else(|| damaged(&path, 0, "its header is bad"))?;
        if header.first_frame != sequence {
            return Err(damaged(&path, 0, "its header belongs to another file"));
        }
        match &tail {
            None => {
                index = Index::new(header.purged, cached_bytes_max);
                next_index = header.next_index;
            }
            Some(before) if before.next_frame != sequence || next_index != header.next_index => {
                return Err(damaged(&path, 0, "what comes before it is missing or bad"));
            }
            Some(_) => {}
        }
        let file = Arc::new(File::options().read(true).write(true).open(&path)?);
        index.segments.insert(
            sequence,
            SegmentFile {
                file: Arc::clone(&file),
                last_index: None,
            },
        );
        let mut scan = Scan {
            path: &path,
            bytes: &bytes,
            header,
            next_index,
            index: &mut index,
        };
        let (position, next_frame) = scan.replay()?;
        if last {
            scan.check_end(position)?;
            clear_after(&file, &bytes, position)?;
        }
        next_index = scan.next_index;
        if last && mutants::active!("lose_the_tail") {
            next_index = next_index.saturating_sub(1);
            index.truncate_after(next_index.checked_sub(1));
        }
        if last && (index.next_index() != next_index || index.begins_with_a_gap()) {
            return Err(damaged(&path, 0, "entries before it are missing"));
        }
        tail = Some(Tail {
            header,
            file,
            len: bytes.len() as u64,
            position: position as u64,
            next_frame,
            next_index,
        });
    }
    Ok(Recovered { index, tail })
}

/// Replays one segment as if it were the whole log, without a file. Gives how many entries it has.
#[cfg(feature = "parsers")]
pub(crate) fn replay_alone(bytes: &[u8]) -> io::Result<usize> {
    let path = Path::new("segment");
    let header =
        SegmentHeader::decode(bytes).ok_or_else(|| damaged(path, 0, "its header is bad"))?;
    let mut index = Index::new(header.purged, usize::MAX);
    let mut scan = Scan {
        path,
        bytes,
        header,
        next_index: header.next_index,
        index: &mut index,
    };
    let (position, _) = scan.replay()?;
    scan.check_end(position)?;
    let next_index = scan.next_index;
    if index.next_index() != next_index || index.begins_with_a_gap() {
        return Err(damaged(path, 0, "entries before it are missing"));
    }
    let mut count = 0;
    for (record, payload) in index.recovered_payloads(bytes) {
        if crc32fast::hash(payload) != record.crc {
            return Err(damaged(path, 0, "an entry's checksum is wrong"));
        }
        crate::types::decode_entry(payload).map_err(io::Error::other)?;
        count += 1;
    }
    Ok(count)
}

/// The replay of one segment.
struct Scan<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    header: SegmentHeader,
    /// The index that the next entry must have.
    next_index: u64,
    index: &'a mut Index,
}

impl Scan<'_> {
    /// Replays the good frames. Gives where they end and the sequence of the frame that comes next.
    fn replay(&mut self) -> io::Result<(usize, u64)> {
        let mut at = HEADER_BYTES;
        let mut expected = self.header.first_frame;
        while let Some((sequence, frame, next)) = frame_at(self.bytes, at, self.header.salt) {
            if sequence != expected {
                return Err(damaged(self.path, at, "a frame is out of order"));
            }
            self.replay_frame(frame, at)?;
            at = next;
            expected = expected
                .checked_add(1)
                .ok_or_else(|| damaged(self.path, at, "no number is left for the next frame"))?;
        }
        Ok((at, expected))
    }

    fn replay_frame(&mut self, frame: Frame, at: usize) -> io::Result<()> {
        match frame {
            Frame::Entries { committed, records } => {
                for record in records {
                    if record.id.index != self.next_index {
                        return Err(damaged(self.path, at, "an entry is out of order"));
                    }
                    self.next_index += 1;
                    self.index.recovered(self.header.first_frame, record);
                }
                self.index.committed = self.index.committed.max(committed);
            }
            Frame::Truncated { last } => {
                self.index.truncate_after(last);
                self.next_index = last.map_or(0, |last| last + 1);
            }
            Frame::Purged { last } => {
                self.index.purge(last);
                self.next_index = self.next_index.max(last.index + 1);
            }
            Frame::Closed => {}
        }
        Ok(())
    }

    /// Checks that nothing good follows the last good frame.
    fn check_end(&self, at: usize) -> io::Result<()> {
        if any_frame_after(self.bytes, at, self.header.salt) {
            return Err(damaged(
                self.path,
                at,
                "a frame is bad and good ones follow it",
            ));
        }
        if self
            .bytes
            .get(at..)
            .is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
        {
            tracing::warn!(
                segment = %self.path.display(),
                at,
                "dropped a torn write at the end of the metadata log: the process or the machine stopped before it \
                 was durable, so nobody was told that it was"
            );
        }
        Ok(())
    }
}

/// Clears what a torn write left, so that it can never be taken for something later.
fn clear_after(file: &File, bytes: &[u8], position: usize) -> io::Result<()> {
    let Some(rest) = bytes.get(position..) else {
        return Ok(());
    };
    if let Some(last) = rest.iter().rposition(|byte| *byte != 0) {
        file.write_all_at(&vec![0; last + 1], position as u64)?;
        file.sync_data()?;
    }
    Ok(())
}
