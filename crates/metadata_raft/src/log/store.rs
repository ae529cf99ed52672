//! The log as openraft uses it: appends are readable at once and acknowledged when durable.
//!
//! Must never report a vote, a truncation or an append as done before the writer's fdatasync.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::Stream;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::index::{Found, Index};
use super::recovery::recover;
use super::requests::{Requests, closed};
use super::segment::Record;
use super::space::DiskSpace;
use super::vote_file::VoteFile;
use super::writer::{Done, Request, Writer};
use crate::blocking::blocking;
use crate::types::{LogId, RaftEntry, TypeConfig, Vote, decode_entry, encode_entry};

/// One read from the log gives at most so many bytes of entries, or one entry.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// Sizes of the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogSettings {
    /// Of a segment's file.
    pub(crate) segment_bytes: u64,
    /// Of the recent entries that are kept in memory.
    pub(crate) cached_bytes_max: usize,
}

/// See the module. Clones share one log.
#[derive(Clone)]
pub(crate) struct LogStore {
    index: Arc<Mutex<Index>>,
    vote: Arc<Mutex<Option<Vote>>>,
    requests: Requests,
    appended_bytes: Arc<AtomicU64>,
}

impl LogStore {
    /// Opens the log in `folder`, which exists and belongs to this process, and starts its thread.
    pub(crate) fn open(
        folder: &Path,
        settings: LogSettings,
        space: Arc<DiskSpace>,
    ) -> io::Result<LogStore> {
        let recovered = recover(folder, settings.cached_bytes_max)?;
        if recovered.tail.is_some() && !folder.join("vote").exists() {
            let message = format!(
                "{} has a log but no vote: this member cannot know whom it voted for; restore the folder from a backup",
                folder.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let (vote_file, vote) = VoteFile::open(folder)?;
        let index = Arc::new(Mutex::new(recovered.index));
        let mut writer = Writer::new(
            folder.to_owned(),
            Arc::clone(&index),
            space,
            vote_file,
            settings.segment_bytes,
            recovered.tail,
        );
        writer.prepare()?;
        Ok(LogStore {
            index,
            vote: Arc::new(Mutex::new(vote)),
            requests: Requests::to(writer)?,
            appended_bytes: Arc::new(AtomicU64::new(0)),
        })
    }

    /// Bytes of entries that were appended since the log was opened.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.appended_bytes.load(Ordering::Relaxed)
    }

    /// The last purged entry.
    pub(crate) fn purged(&self) -> Option<LogId> {
        self.index.lock().purged()
    }

    /// Marks the log as closed in good order and ends its thread.
    pub(crate) async fn close(&self) -> io::Result<()> {
        self.request(Request::Close).await
    }

    async fn request(&self, make: impl FnOnce(Done) -> Request) -> io::Result<()> {
        let (done, result) = oneshot::channel();
        self.requests.send(make(done))?;
        result.await.map_err(|_| closed())?
    }

    /// The entry that stands at `index`, or stood there when the log was purged up to it.
    pub(crate) fn id_at(&self, index: u64) -> Option<LogId> {
        self.index.lock().id_at(index)
    }

    /// Entries of `start..end` that are there, at least one and no more than fit one message.
    pub(crate) async fn read(&self, start: u64, end: u64) -> io::Result<Vec<RaftEntry>> {
        let found = self.index.lock().find(start, end, READ_BYTES_MAX);
        if found.iter().all(|found| matches!(found, Found::Cached(_))) {
            return found.into_iter().map(load).collect();
        }
        blocking(move || found.into_iter().map(load).collect())
            .await
            .map_err(io::Error::other)?
    }
}

fn load(found: Found) -> io::Result<RaftEntry> {
    match found {
        Found::Cached(entry) => Ok(entry),
        Found::OnDisk(file, record) => load_record(&file, &record),
    }
}

fn load_record(file: &File, record: &Record) -> io::Result<RaftEntry> {
    let mut payload = vec![0; record.len as usize];
    file.read_exact_at(&mut payload, u64::from(record.offset))?;
    let bad = |problem: String| {
        let message = format!(
            "entry {} of the metadata log cannot be read: {problem}",
            record.id.index
        );
        tracing::error!("{message}");
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    if crc32fast::hash(&payload) != record.crc {
        return Err(bad(
            "its checksum is wrong; check the disk and restore the data folder from a backup"
                .to_owned(),
        ));
    }
    let entry = decode_entry(&payload).map_err(|e| bad(e.to_string()))?;
    if entry.log_id != record.id {
        return Err(bad("another entry lies in its place".to_owned()));
    }
    Ok(entry)
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

#[cfg(feature = "simulation")]
impl LogStore {
    /// See [`Index::cached_bytes`](super::index::Index::cached_bytes).
    pub(crate) fn cached_bytes(&self) -> (usize, usize) {
        self.index.lock().cached_bytes()
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<RaftEntry>, io::Error> {
        let (mut start, end) = bounds(&range);
        let mut entries: Vec<RaftEntry> = Vec::new();
        loop {
            let more = self.read(start, end).await?;
            let Some(last) = more.last() else {
                return Ok(entries);
            };
            start = last.log_id.index + 1;
            entries.extend(more);
        }
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<RaftEntry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        // In pieces, so that a long replay never holds more than one of them.
        let (start, end) = bounds(&range);
        let log = self.clone();
        let pieces = futures::stream::unfold(Some((log, start)), move |state| async move {
            let (log, start) = state?;
            match log.read(start, end).await {
                Ok(entries) => {
                    let next = entries.last()?.log_id.index + 1;
                    let items: Vec<_> = entries.into_iter().map(Ok).collect();
                    Some((items, Some((log, next))))
                }
                Err(error) => Some((vec![Err(error)], None)),
            }
        });
        Box::pin(futures::StreamExt::flat_map(pieces, futures::stream::iter))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(*self.vote.lock())
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<RaftEntry>, io::Error> {
        let mut entries = self.read(start, end).await?;
        // A sender may be at what was purged meanwhile. It would send what follows as if nothing were missing, and the
        // receiver would stop; given nothing, it only says that it is there, until it is told to send a snapshot.
        if entries
            .first()
            .is_some_and(|entry| entry.log_id.index != start)
        {
            entries.clear();
        }
        Ok(entries)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let index = self.index.lock();
        Ok(LogState {
            last_purged_log_id: index.purged(),
            last_log_id: index.last(),
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.request(|done| Request::SaveVote(*vote, done)).await?;
        *self.vote.lock() = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        // A hint: the next frame carries it to the disk. Without it a restart waits for the next commit, no more.
        self.index.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let index = self.index.lock();
        if mutants::active!("apply_before_commit") {
            return Ok(index.last());
        }
        // A torn tail may have taken entries that a later frame's hint would have covered; never claim those.
        Ok(index.committed.min(index.last()))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut encoded = Vec::new();
        let mut bytes = 0;
        {
            let mut appended = Vec::new();
            for entry in entries {
                let payload = encode_entry(&entry);
                bytes += payload.len();
                encoded.push((entry.log_id, payload));
                appended.push(entry);
            }
            let mut index = self.index.lock();
            for (entry, (_, payload)) in appended.into_iter().zip(&encoded) {
                let expected = index.next_index();
                if entry.log_id.index != expected && index.last().is_some() {
                    let message = format!(
                        "entry {} is appended where {expected} is next",
                        entry.log_id.index
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
                }
                let len = u32::try_from(payload.len()).map_err(io::Error::other)?;
                index.append(entry, len);
            }
        }
        self.appended_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
        self.requests.send(Request::Append {
            entries: encoded,
            flushed: callback,
        })
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let last = last_log_id.map(|id| id.index);
        self.index.lock().truncate_after(last);
        self.request(|done| Request::Truncate(last, done)).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.index.lock().purge(log_id);
        self.request(|done| Request::Purge(log_id, done)).await
    }
}
