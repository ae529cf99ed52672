//! What is known of the log without reading the disk: where each entry is, and the recent entries themselves.
//!
//! Pure bookkeeping: no I/O. `append` makes entries readable at once; the writer tells later where they came to lie.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::sync::Arc;

use super::segment::Record;
use crate::types::{LogId, RaftEntry};

/// A segment's file as readers use it.
#[derive(Debug, Clone)]
pub(crate) struct SegmentFile {
    pub(crate) file: Arc<File>,
    /// The highest index of any entry in it; `None` when it has none.
    pub(crate) last_index: Option<u64>,
}

#[derive(Debug)]
struct Slot {
    id: LogId,
    /// The encoded entry's bytes.
    len: u32,
    place: Option<Place>,
    cached: Option<RaftEntry>,
}

/// Where an entry is on disk.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) record: Record,
}

/// An entry as a reader gets at it.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Cached(RaftEntry),
    OnDisk(Arc<File>, Record),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Index {
    slots: VecDeque<Slot>,
    purged: Option<LogId>,
    pub(crate) committed: Option<LogId>,
    /// By the sequence of the first frame.
    pub(crate) segments: BTreeMap<u64, SegmentFile>,
    /// Slots before this position of `slots` have no cached entry.
    cache_start: usize,
    cached_bytes: usize,
    cached_bytes_max: usize,
}

impl Index {
    pub(crate) fn new(purged: Option<LogId>, cached_bytes_max: usize) -> Index {
        Index {
            slots: VecDeque::new(),
            purged,
            committed: None,
            segments: BTreeMap::new(),
            cache_start: 0,
            cached_bytes: 0,
            cached_bytes_max,
        }
    }

    pub(crate) fn purged(&self) -> Option<LogId> {
        self.purged
    }

    /// The last entry, or the last purged one.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.slots.back().map(|slot| slot.id).or(self.purged)
    }

    /// The index that the next entry has.
    pub(crate) fn next_index(&self) -> u64 {
        self.last().map_or(0, |id| id.index + 1)
    }

    /// The index of the first entry that is there.
    pub(crate) fn first_index(&self) -> u64 {
        self.slots
            .front()
            .map_or_else(|| self.next_index(), |slot| slot.id.index)
    }

    /// Adds an entry whose bytes are not on the disk yet. The caller has checked that it follows the last.
    pub(crate) fn append(&mut self, entry: RaftEntry, len: u32) {
        self.cached_bytes += len as usize;
        self.slots.push_back(Slot {
            id: entry.log_id,
            len,
            place: None,
            cached: Some(entry),
        });
    }

    /// Adds an entry that recovery found on the disk.
    pub(crate) fn recovered(&mut self, segment: u64, record: Record) {
        let place = Some(Place { segment, record });
        self.slots.push_back(Slot {
            id: record.id,
            len: record.len,
            place,
            cached: None,
        });
        self.cache_start = self.slots.len();
        if let Some(file) = self.segments.get_mut(&segment) {
            file.last_index = file.last_index.max(Some(record.id.index));
        }
    }

    /// The entries that recovery found in a segment, with their bytes.
    #[cfg(feature = "parsers")]
    pub(crate) fn recovered_payloads<'a>(
        &'a self,
        segment: &'a [u8],
    ) -> impl Iterator<Item = (Record, &'a [u8])> {
        self.slots.iter().filter_map(|slot| {
            let record = slot.place.as_ref()?.record;
            let (start, len) = (record.offset as usize, record.len as usize);
            Some((record, segment.get(start..start + len)?))
        })
    }

    /// Whether entries between the last purged one and the first are missing.
    pub(crate) fn begins_with_a_gap(&self) -> bool {
        let wanted = self.purged.map_or(0, |id| id.index + 1);
        self.slots
            .front()
            .is_some_and(|slot| slot.id.index != wanted)
    }

    /// Notes where entries came to lie, unless they were truncated or purged in the meantime.
    pub(crate) fn written(&mut self, segment: u64, records: &[Record]) {
        for record in records {
            if let Some(position) = self.position(record.id.index) {
                let slot = &mut self.slots[position];
                if slot.id == record.id {
                    slot.place = Some(Place {
                        segment,
                        record: *record,
                    });
                }
            }
            if let Some(file) = self.segments.get_mut(&segment) {
                file.last_index = file.last_index.max(Some(record.id.index));
            }
        }
        self.shrink_cache();
    }

    /// The entries that are kept in memory, and the most: more than the setting says only what is not on the disk yet, which is
    /// what one batch of a leader may bring.
    #[cfg(feature = "simulation")]
    pub(crate) fn cached_bytes(&self) -> (usize, usize) {
        const NOT_WRITTEN_BYTES_MAX: usize = 2 * 1024 * 1024;
        (
            self.cached_bytes,
            self.cached_bytes_max + NOT_WRITTEN_BYTES_MAX,
        )
    }

    fn shrink_cache(&mut self) {
        while self.cached_bytes > self.cached_bytes_max && self.cache_start < self.slots.len() {
            let slot = &mut self.slots[self.cache_start];
            if slot.place.is_none() {
                break;
            }
            if slot.cached.take().is_some() {
                self.cached_bytes -= slot.len as usize;
            }
            self.cache_start += 1;
        }
    }

    /// The entry that stands at `index`; also the last that was purged.
    pub(crate) fn id_at(&self, index: u64) -> Option<LogId> {
        match self.position(index) {
            Some(position) => Some(self.slots[position].id),
            None => self.purged.filter(|purged| purged.index == index),
        }
    }

    fn position(&self, index: u64) -> Option<usize> {
        let position = usize::try_from(index.checked_sub(self.slots.front()?.id.index)?).ok()?;
        (position < self.slots.len()).then_some(position)
    }

    /// The entries of `start..end` that are there, until their bytes exceed `bytes_max`; at least one.
    pub(crate) fn find(&self, start: u64, end: u64, bytes_max: usize) -> Vec<Found> {
        let start = start.max(self.first_index());
        let mut found = Vec::new();
        let mut bytes = 0;
        for index in start..end.min(self.next_index()) {
            let Some(position) = self.position(index) else {
                break;
            };
            let slot = &self.slots[position];
            bytes += slot.len as usize;
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(match (&slot.cached, &slot.place) {
                (Some(entry), _) => Found::Cached(entry.clone()),
                (None, Some(place)) => match self.segments.get(&place.segment) {
                    Some(segment) => Found::OnDisk(Arc::clone(&segment.file), place.record),
                    None => break,
                },
                (None, None) => {
                    unreachable!("an entry leaves the cache only once it is on the disk")
                }
            });
        }
        found
    }

    /// Forgets what comes after `last`.
    pub(crate) fn truncate_after(&mut self, last: Option<u64>) {
        while self
            .slots
            .back()
            .is_some_and(|slot| last.is_none_or(|last| slot.id.index > last))
        {
            if let Some(slot) = self.slots.pop_back()
                && slot.cached.is_some()
            {
                self.cached_bytes -= slot.len as usize;
            }
        }
        self.cache_start = self.cache_start.min(self.slots.len());
    }

    /// Forgets what is not after `last`, which may lie beyond the end.
    pub(crate) fn purge(&mut self, last: LogId) {
        while self
            .slots
            .front()
            .is_some_and(|slot| slot.id.index <= last.index)
        {
            if let Some(slot) = self.slots.pop_front()
                && slot.cached.is_some()
            {
                self.cached_bytes -= slot.len as usize;
            }
            self.cache_start = self.cache_start.saturating_sub(1);
        }
        self.purged = self.purged.max(Some(last));
    }

    /// The segments before `current` that hold nothing but purged entries, oldest first.
    pub(crate) fn deletable_segments(&self, current: u64) -> Vec<u64> {
        let purged = self.purged.map(|id| id.index);
        self.segments
            .range(..current)
            .take_while(|(_, segment)| segment.last_index <= purged)
            .map(|(sequence, _)| *sequence)
            .collect()
    }
}
