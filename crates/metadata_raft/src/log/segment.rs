//! The format of a log segment: pure functions between bytes and frames, no I/O.
//!
//! ```text
//! segment  header (128 bytes), frames, zeros to the end of the file
//! frame    magic 4 · body length 4 · sequence 8 · kind 1 · zeros 3 · CRC32 4 · body; each begins at a multiple of 16
//! body     of entries: committed hint 32 · records;  of a truncation: 1 + 8;  of a purge: 24;  of a close: nothing
//! record   length 4 · CRC32 4 · index 8 · term 8 · node 8 · payload (`wire`'s LogEntry)
//! ```
//!
//! A frame is what one fdatasync made durable. The next frame is written only after it, so a bad frame is a torn write
//! exactly when no good frame follows; else it is damage. Nothing is overwritten: a truncation is a frame too. The
//! CRC of a frame begins with the segment's random salt, so that no stored payload can pass for a frame.

use crate::types::{LogId, log_id_from_wire, log_id_to_wire};

pub(crate) const HEADER_BYTES: usize = 128;
pub(crate) const FRAME_HEADER_BYTES: usize = 24;
pub(crate) const RECORD_HEADER_BYTES: usize = 32;
pub(crate) const ALIGNMENT: usize = 16;
const COMMITTED_BYTES: usize = 32;
const SEGMENT_MAGIC: &[u8; 8] = b"HFLOG\0\0\x01";
const FRAME_MAGIC: u32 = 0x4846_4652;

/// What the head of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The sequence of its first frame, which also names the file.
    pub(crate) first_frame: u64,
    /// Mixed into every CRC of the segment.
    pub(crate) salt: u64,
    /// The index that the next entry had when the segment was begun.
    pub(crate) next_index: u64,
    /// What was purged then.
    pub(crate) purged: Option<LogId>,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0_u8; HEADER_BYTES];
        bytes[..8].copy_from_slice(SEGMENT_MAGIC);
        bytes[8..16].copy_from_slice(&self.first_frame.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.salt.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.next_index.to_le_bytes());
        bytes[32..64].copy_from_slice(&encode_optional_id(self.purged.as_ref()));
        let crc = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` when the bytes are no head of a segment of this format.
    pub(crate) fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let sound = &bytes[..8] == SEGMENT_MAGIC
            && crc32fast::hash(&bytes[..HEADER_BYTES - 4]) == u32_at(bytes, 124)?;
        if !sound {
            return None;
        }
        Some(SegmentHeader {
            first_frame: u64_at(bytes, 8)?,
            salt: u64_at(bytes, 16)?,
            next_index: index_at(bytes, 24)?,
            purged: decode_optional_id(&bytes[32..64])?,
        })
    }
}

/// What a frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Entries that follow what went before.
    Entries {
        committed: Option<LogId>,
        records: Vec<Record>,
    },
    /// Every entry after this index is void (`None`: all).
    Truncated { last: Option<u64> },
    /// Every entry up to this one is no longer needed.
    Purged { last: LogId },
    /// The log was closed in good order.
    Closed,
}

/// Where an entry's bytes are in the segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: LogId,
    /// Of the payload, from the start of the file.
    pub(crate) offset: u32,
    /// Of the payload.
    pub(crate) len: u32,
    /// Of the payload.
    pub(crate) crc: u32,
}

const KIND_ENTRIES: u8 = 1;
const KIND_TRUNCATED: u8 = 2;
const KIND_PURGED: u8 = 3;
const KIND_CLOSED: u8 = 4;

/// Builds one frame.
pub(crate) struct FrameBuilder {
    bytes: Vec<u8>,
    kind: u8,
}

impl FrameBuilder {
    fn new(kind: u8) -> FrameBuilder {
        FrameBuilder {
            bytes: vec![0; FRAME_HEADER_BYTES],
            kind,
        }
    }

    pub(crate) fn entries(committed: Option<&LogId>) -> FrameBuilder {
        let mut frame = FrameBuilder::new(KIND_ENTRIES);
        frame
            .bytes
            .extend_from_slice(&encode_optional_id(committed));
        frame
    }

    pub(crate) fn truncated(last: Option<u64>) -> FrameBuilder {
        let mut frame = FrameBuilder::new(KIND_TRUNCATED);
        frame.bytes.push(u8::from(last.is_some()));
        frame
            .bytes
            .extend_from_slice(&last.unwrap_or_default().to_le_bytes());
        frame
    }

    pub(crate) fn purged(last: &LogId) -> FrameBuilder {
        let mut frame = FrameBuilder::new(KIND_PURGED);
        frame
            .bytes
            .extend_from_slice(&encode_optional_id(Some(last)));
        frame
    }

    pub(crate) fn closed() -> FrameBuilder {
        FrameBuilder::new(KIND_CLOSED)
    }

    /// Adds an entry; gives where its payload will be, from the start of the frame.
    pub(crate) fn push(&mut self, id: &LogId, payload: &[u8]) -> Record {
        let len = u32::try_from(payload.len()).expect("an entry is far smaller than 4 GiB");
        let crc = crc32fast::hash(payload);
        let wire = log_id_to_wire(id);
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(&crc.to_le_bytes());
        for number in [wire.index, wire.term, wire.node] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        let offset = u32::try_from(self.bytes.len()).expect("a frame is far smaller than 4 GiB");
        self.bytes.extend_from_slice(payload);
        Record {
            id: *id,
            offset,
            len,
            crc,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len().next_multiple_of(ALIGNMENT)
    }

    /// The frame's bytes, padded to the alignment.
    pub(crate) fn finish(mut self, sequence: u64, salt: u64) -> Vec<u8> {
        let body = u32::try_from(self.bytes.len() - FRAME_HEADER_BYTES)
            .expect("a frame is far smaller than 4 GiB");
        self.bytes[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        self.bytes[4..8].copy_from_slice(&body.to_le_bytes());
        self.bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
        self.bytes[16] = self.kind;
        let crc = frame_crc(salt, &self.bytes);
        self.bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        self.bytes.resize(self.len(), 0);
        self.bytes
    }
}

fn frame_crc(salt: u64, frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&frame[..20]);
    hasher.update(&frame[FRAME_HEADER_BYTES..]);
    hasher.finalize()
}

/// Reads the frame that begins at `at`. Gives its sequence, the frame, and where the next one begins; `None` when no
/// good frame begins there.
pub(crate) fn frame_at(segment: &[u8], at: usize, salt: u64) -> Option<(u64, Frame, usize)> {
    let head = segment.get(at..at + FRAME_HEADER_BYTES)?;
    if u32_at(head, 0)? != FRAME_MAGIC {
        return None;
    }
    let body = usize::try_from(u32_at(head, 4)?).ok()?;
    let end = at.checked_add(FRAME_HEADER_BYTES)?.checked_add(body)?;
    let bytes = segment.get(at..end)?;
    if frame_crc(salt, bytes) != u32_at(head, 20)? {
        return None;
    }
    let frame = decode_body(
        head[16],
        &bytes[FRAME_HEADER_BYTES..],
        at + FRAME_HEADER_BYTES,
    )?;
    Some((u64_at(head, 8)?, frame, end.next_multiple_of(ALIGNMENT)))
}

fn decode_body(kind: u8, body: &[u8], at: usize) -> Option<Frame> {
    match kind {
        KIND_ENTRIES => {
            let committed = decode_optional_id(body.get(..COMMITTED_BYTES)?)?;
            let mut records = Vec::new();
            let mut position = COMMITTED_BYTES;
            while position < body.len() {
                let head = body.get(position..position + RECORD_HEADER_BYTES)?;
                let len = u32_at(head, 0)?;
                let id = wire::LogId {
                    index: index_at(head, 8)?,
                    term: u64_at(head, 16)?,
                    node: u64_at(head, 24)?,
                };
                position += RECORD_HEADER_BYTES;
                let offset = u32::try_from(at + position).ok()?;
                let payload_end = position.checked_add(usize::try_from(len).ok()?)?;
                body.get(position..payload_end)?;
                position = payload_end;
                records.push(Record {
                    id: log_id_from_wire(id),
                    offset,
                    len,
                    crc: u32_at(head, 4)?,
                });
            }
            Some(Frame::Entries { committed, records })
        }
        KIND_TRUNCATED => {
            let some = *body.first()? == 1;
            Some(Frame::Truncated {
                last: match some {
                    true => Some(index_at(body, 1)?),
                    false => None,
                },
            })
        }
        KIND_PURGED => Some(Frame::Purged {
            last: decode_optional_id(body)??,
        }),
        KIND_CLOSED => Some(Frame::Closed),
        _ => None,
    }
}

/// Whether a good frame begins anywhere from `from` on: then what precedes it was durable once and is damaged now.
pub(crate) fn any_frame_after(segment: &[u8], from: usize, salt: u64) -> bool {
    let magic = FRAME_MAGIC.to_le_bytes();
    let mut at = from.next_multiple_of(ALIGNMENT);
    while let Some(head) = segment.get(at..at + 4) {
        if head == magic && frame_at(segment, at, salt).is_some() {
            return true;
        }
        at += ALIGNMENT;
    }
    false
}

/// Makes every checksum of a segment's header and frames right, as far as it can be taken apart.
#[cfg(feature = "parsers")]
pub(crate) fn mend_checksums(segment: &mut [u8]) {
    if segment.len() < HEADER_BYTES {
        return;
    }
    let crc = crc32fast::hash(&segment[..HEADER_BYTES - 4]);
    segment[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    let salt = u64_at(segment, 16).unwrap_or(0);
    let mut at = HEADER_BYTES;
    while u32_at(segment, at) == Some(FRAME_MAGIC) {
        let body = u32_at(segment, at + 4).unwrap_or(u32::MAX) as usize;
        let end = at + FRAME_HEADER_BYTES + body;
        let Some(frame) = segment.get_mut(at..end) else {
            return;
        };
        let crc = frame_crc(salt, frame);
        frame[20..24].copy_from_slice(&crc.to_le_bytes());
        at = end.next_multiple_of(ALIGNMENT);
    }
}

fn encode_optional_id(id: Option<&LogId>) -> [u8; 32] {
    let mut bytes = [0_u8; 32];
    if let Some(id) = id {
        let id = log_id_to_wire(id);
        bytes[0] = 1;
        bytes[8..16].copy_from_slice(&id.index.to_le_bytes());
        bytes[16..24].copy_from_slice(&id.term.to_le_bytes());
        bytes[24..32].copy_from_slice(&id.node.to_le_bytes());
    }
    bytes
}

fn decode_optional_id(bytes: &[u8]) -> Option<Option<LogId>> {
    match *bytes.first()? {
        0 => Some(None),
        1 => {
            let id = wire::LogId {
                index: index_at(bytes, 8)?,
                term: u64_at(bytes, 16)?,
                node: u64_at(bytes, 24)?,
            };
            Some(Some(log_id_from_wire(id)))
        }
        _ => None,
    }
}

/// An index of the log: one more is a number, too.
fn index_at(bytes: &[u8], at: usize) -> Option<u64> {
    u64_at(bytes, at).filter(|index| *index < u64::MAX)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_index_is_read_after_which_there_is_no_other() {
        let header = |next_index| SegmentHeader {
            first_frame: 1,
            salt: 7,
            next_index,
            purged: None,
        };
        assert!(SegmentHeader::decode(&header(u64::MAX - 1).encode()).is_some());
        assert!(SegmentHeader::decode(&header(u64::MAX).encode()).is_none());
        for last in [u64::MAX - 1, u64::MAX] {
            let frame = FrameBuilder::truncated(Some(last)).finish(1, 7);
            assert_eq!(frame_at(&frame, 0, 7).is_some(), last < u64::MAX);
        }
    }
}
