//! The thread that alone writes the log: it gathers what waits, writes it as one frame, makes it durable with one
//! fdatasync, and then tells everyone. Nothing else may write the log's files.
//!
//! A write or sync that fails is never tried again: the kernel may have dropped the dirty pages, so a second sync that
//! succeeds proves nothing. The thread then answers every later request with the same failure and the member stops.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::index::{Index, SegmentFile};
use super::recovery::{Tail, segment_name};
use super::segment::{FrameBuilder, HEADER_BYTES, Record, SegmentHeader};
use super::space::{DiskSpace, has_room_for};
use super::vote_file::VoteFile;
use crate::files::create_filled;
use crate::metric;
use crate::steps;
use crate::types::{LogId, TypeConfig, Vote};
use durable_files::sync_folder;

/// A frame takes no more entries once it has this many bytes.
const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// How long the thread waits before it tries again to prepare a segment that found no room.
const SPARE_RETRY: Duration = Duration::from_secs(1);
const SPARE_NAME: &str = "next";
const RESERVE_NAME: &str = "reserve";

pub(crate) type Done = oneshot::Sender<io::Result<()>>;

/// What the thread is asked to do, in order.
pub(crate) enum Request {
    Append {
        entries: Vec<(LogId, Vec<u8>)>,
        flushed: IOFlushed<TypeConfig>,
    },
    SaveVote(Vote, Done),
    Truncate(Option<u64>, Done),
    Purge(LogId, Done),
    Close(Done),
}

/// See the module.
pub(crate) struct Writer {
    pub(crate) folder: PathBuf,
    pub(crate) index: Arc<Mutex<Index>>,
    pub(crate) space: Arc<DiskSpace>,
    pub(crate) vote: VoteFile,
    pub(crate) segment_bytes: u64,
    tail: Option<Tail>,
    spare: Option<File>,
    /// The last purge that is recorded or about to be: never ahead of the frames.
    purged: Option<LogId>,
    failed: Option<(io::ErrorKind, String)>,
    waiting: Option<Request>,
}

impl Writer {
    pub(crate) fn new(
        folder: PathBuf,
        index: Arc<Mutex<Index>>,
        space: Arc<DiskSpace>,
        vote: VoteFile,
        segment_bytes: u64,
        tail: Option<Tail>,
    ) -> Writer {
        let purged = index.lock().purged();
        Writer {
            folder,
            index,
            space,
            vote,
            segment_bytes,
            tail,
            spare: None,
            purged,
            failed: None,
            waiting: None,
        }
    }

    /// Prepares the first files, so that a disk without room is told at the start and not at the first write.
    pub(crate) fn prepare(&mut self) -> io::Result<()> {
        for leftover in [SPARE_NAME, RESERVE_NAME] {
            match std::fs::remove_file(self.folder.join(leftover)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                Ok(()) | Err(_) => {}
            }
        }
        if self.tail.is_none() {
            self.roll(0)?;
        }
        self.prepare_spare();
        Ok(())
    }

    /// Serves requests until the log is closed.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let request = match self.waiting.take() {
                Some(request) => request,
                None => match self.next(requests) {
                    Some(request) => request,
                    None => return,
                },
            };
            if !self.serve(request, requests) {
                return;
            }
        }
    }

    /// The same as [`Writer::run`], in a task, as simulations have it.
    #[cfg(feature = "simulation")]
    pub(crate) async fn run_as_task(
        mut self,
        requests: Receiver<Request>,
        arrived: Arc<tokio::sync::Notify>,
    ) {
        loop {
            let request = match self.waiting.take() {
                Some(request) => Ok(request),
                None => requests.try_recv(),
            };
            let request = match request {
                Ok(request) => request,
                Err(std::sync::mpsc::TryRecvError::Empty) => {
                    arrived.notified().await;
                    continue;
                }
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
            };
            crate::simulation::disk_pause().await;
            if !self.serve(request, &requests) {
                return;
            }
        }
    }

    /// Does what is asked for; `false` when that was the last.
    fn serve(&mut self, request: Request, requests: &Receiver<Request>) -> bool {
        match request {
            Request::Append { entries, flushed } => self.append(entries, flushed, requests),
            Request::SaveVote(vote, done) => {
                let result = self.attempt(|writer| writer.vote.save(&vote));
                drop(done.send(result));
            }
            Request::Truncate(last, done) => {
                let result = self.attempt(|writer| writer.truncate(last));
                drop(done.send(result));
            }
            Request::Purge(last, done) => {
                let result = self.attempt(|writer| writer.purge(&last));
                drop(done.send(result));
            }
            Request::Close(done) => {
                let result =
                    self.attempt(|writer| writer.write_frame(FrameBuilder::closed(), Vec::new()));
                drop(done.send(result));
                return false;
            }
        }
        if self.spare.is_none() && !self.space.is_full() && self.failed.is_none() {
            self.prepare_spare();
        }
        true
    }

    fn next(&mut self, requests: &Receiver<Request>) -> Option<Request> {
        loop {
            if self.spare.is_some() {
                return requests.recv().ok();
            }
            match requests.recv_timeout(SPARE_RETRY) {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Timeout) => self.prepare_spare(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Runs a step unless an earlier one failed; the first failure is kept for ever.
    fn attempt(&mut self, step: impl FnOnce(&mut Writer) -> io::Result<()>) -> io::Result<()> {
        if self.failed.is_none()
            && let Err(error) = step(self)
        {
            tracing::error!(%error, folder = %self.folder.display(), "the metadata log cannot be written: this member stops");
            self.failed = Some((error.kind(), error.to_string()));
        }
        match &self.failed {
            None => Ok(()),
            Some((kind, message)) => Err(io::Error::new(*kind, message.clone())),
        }
    }

    /// Writes `entries` and whatever other appends wait, as one frame.
    fn append(
        &mut self,
        entries: Vec<(LogId, Vec<u8>)>,
        flushed: IOFlushed<TypeConfig>,
        requests: &Receiver<Request>,
    ) {
        let committed = self.index.lock().committed;
        let mut frame = FrameBuilder::entries(committed.as_ref());
        let mut records = Vec::with_capacity(entries.len());
        let mut callbacks = vec![flushed];
        records.extend(entries.iter().map(|(id, payload)| frame.push(id, payload)));
        while frame.len() < FRAME_BYTES_MAX {
            match requests.try_recv() {
                Ok(Request::Append { entries, flushed }) => {
                    records.extend(entries.iter().map(|(id, payload)| frame.push(id, payload)));
                    callbacks.push(flushed);
                }
                Ok(other) => {
                    self.waiting = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        metrics::histogram!(metric::APPEND_BATCH).record(records.len() as f64);
        let result = self.attempt(|writer| writer.write_frame(frame, records));
        for callback in callbacks {
            callback.io_completed(match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            });
        }
    }

    /// Writes one frame, in a new segment if it does not fit, and makes it durable.
    fn write_frame(&mut self, frame: FrameBuilder, mut records: Vec<Record>) -> io::Result<()> {
        let len = frame.len() as u64;
        if self
            .tail
            .as_ref()
            .is_none_or(|tail| tail.position + len > tail.len)
        {
            self.roll_before(len)?;
        }
        let tail = self.tail.as_mut().expect("a segment was begun above");
        let bytes = frame.finish(tail.next_frame, tail.header.salt);
        steps::reached(steps::APPEND_BEFORE_WRITE);
        tail.file.write_all_at(&bytes, tail.position)?;
        steps::reached(steps::APPEND_BEFORE_SYNC);
        let started = Instant::now();
        steps::sync_may_fail()?;
        if !mutants::active!("acknowledge_before_fsync") {
            tail.file.sync_data()?;
        }
        metrics::histogram!(metric::FSYNC_SECONDS).record(started.elapsed().as_secs_f64());
        metrics::counter!(metric::LOG_BYTES).increment(bytes.len() as u64);
        steps::reached(steps::APPEND_AFTER_SYNC);
        let base = u32::try_from(tail.position).expect("a segment is smaller than 4 GiB");
        for record in &mut records {
            record.offset += base;
        }
        tail.position += bytes.len() as u64;
        tail.next_frame += 1;
        if let Some(last) = records.last() {
            tail.next_index = last.id.index + 1;
        }
        self.index.lock().written(tail.header.first_frame, &records);
        Ok(())
    }

    fn truncate(&mut self, last: Option<u64>) -> io::Result<()> {
        if mutants::active!("forget_the_truncation") {
            return Ok(());
        }
        self.write_frame(FrameBuilder::truncated(last), Vec::new())?;
        let tail = self.tail.as_mut().expect("a frame was just written to it");
        tail.next_index = last.map_or(0, |last| last + 1);
        Ok(())
    }

    fn roll_before(&mut self, frame_len: u64) -> io::Result<()> {
        let needed = HEADER_BYTES as u64 + frame_len;
        if needed > self.segment_bytes {
            // Larger than a segment: it gets one of its own size.
            self.spare = None;
        }
        self.roll(needed)
    }

    /// Begins a new segment. It appears under its name only when it is whole.
    fn roll(&mut self, needed: u64) -> io::Result<()> {
        let len = self.segment_bytes.max(needed);
        let spare = self.folder.join(SPARE_NAME);
        let file = match self.spare.take() {
            Some(file) => file,
            None => match create_filled(&spare, len) {
                Err(e) if e.kind() == io::ErrorKind::StorageFull => {
                    std::fs::remove_file(self.folder.join(RESERVE_NAME))?;
                    create_filled(&spare, len)?
                }
                other => other?,
            },
        };
        let (first_frame, next_index) = self
            .tail
            .as_ref()
            .map_or((1, 0), |tail| (tail.next_frame, tail.next_index));
        let purged = self.purged;
        let salt = uuid::Uuid::new_v4().as_u64_pair().0;
        let header = SegmentHeader {
            first_frame,
            salt,
            next_index,
            purged,
        };
        file.write_all_at(&header.encode(), 0)?;
        file.sync_data()?;
        steps::reached(steps::ROLL_BEFORE_RENAME);
        std::fs::rename(&spare, self.folder.join(segment_name(first_frame)))?;
        if !mutants::active!("forget_the_name_of_a_segment") {
            sync_folder(&self.folder)?;
        }
        steps::reached(steps::ROLL_AFTER_RENAME);
        let file = Arc::new(file);
        let segment = SegmentFile {
            file: Arc::clone(&file),
            last_index: None,
        };
        self.index.lock().segments.insert(first_frame, segment);
        let position = HEADER_BYTES as u64;
        self.tail = Some(Tail {
            header,
            file,
            len,
            position,
            next_frame: first_frame,
            next_index,
        });
        Ok(())
    }

    /// Makes the next segment ready, and the reserve that is given up when there is no room for one. Without room,
    /// proposals are refused while there is still space for what is on its way.
    fn prepare_spare(&mut self) {
        let make = |name: &str| -> io::Result<File> {
            let path = self.folder.join(name);
            // Trying would take the last room away, for a moment, from those who need little.
            has_room_for(&self.folder, self.segment_bytes)?;
            create_filled(&path, self.segment_bytes)
                .inspect_err(|_| drop(std::fs::remove_file(&path)))
        };
        let prepared = if self.folder.join(RESERVE_NAME).exists() {
            Ok(())
        } else {
            make(RESERVE_NAME).map(drop)
        };
        match prepared.and_then(|()| make(SPARE_NAME)) {
            Ok(file) => {
                self.spare = Some(file);
                self.space.set_no_spare(false);
            }
            Err(error) => {
                tracing::debug!(%error, "no room for the next segment of the metadata log");
                self.space.set_no_spare(true);
            }
        }
    }

    /// Records the purge if that frees or skips anything, and deletes the segments that hold nothing else.
    fn purge(&mut self, last: &LogId) -> io::Result<()> {
        let current = self.tail.as_ref().map_or(0, |tail| tail.header.first_frame);
        let (deletable, skips) = {
            let index = self.index.lock();
            (
                index.deletable_segments(current),
                index.last() == index.purged(),
            )
        };
        if deletable.is_empty() && !skips {
            return Ok(());
        }
        self.write_frame(FrameBuilder::purged(last), Vec::new())?;
        self.purged = Some(*last);
        if let Some(tail) = &mut self.tail {
            tail.next_index = tail.next_index.max(last.index + 1);
        }
        steps::reached(steps::PURGE_BEFORE_DELETE);
        for sequence in &deletable {
            std::fs::remove_file(self.folder.join(segment_name(*sequence)))?;
            self.index.lock().segments.remove(sequence);
        }
        steps::reached(steps::PURGE_AFTER_DELETE);
        sync_folder(&self.folder)
    }
}
