//! The `Content-Range` of a chunk of an upload.
//!
//! The specification writes `0-1023`; clients that were made for HTTP write `bytes 0-1023/*`. Both are read. Whether
//! the range fits the upload is not decided here.
//!
//! Spec: distribution-spec 1.1, "Pushing a blob in chunks"; RFC 9110 section 14.4.

use std::fmt;
use std::str::FromStr;

/// The bytes that a chunk claims to be: first and last, both included. Never empty, and its length fits a `u64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkRange {
    start: u64,
    end: u64,
}

/// The text is no chunk range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid Content-Range: expected START-END in bytes, both included, END not below START")]
pub struct ChunkRangeError;

impl ChunkRange {
    /// The range from `start` to `end`, both included; `None` when it is empty or too long to be counted.
    pub fn new(start: u64, end: u64) -> Option<ChunkRange> {
        let len = end.checked_sub(start)?.checked_add(1);
        len.map(|_| ChunkRange { start, end })
    }

    /// Reads `START-END`, or `bytes START-END/TOTAL` whose total is `*` or a number beyond the end.
    pub fn parse(text: &str) -> Result<ChunkRange, ChunkRangeError> {
        let text = text.trim_matches([' ', '\t']);
        let (range, total) = match strip_unit(text) {
            Some(rest) => rest
                .split_once('/')
                .map_or((rest, "*"), |(range, total)| (range, total)),
            None => (text, "*"),
        };
        let (start, end) = range.split_once('-').ok_or(ChunkRangeError)?;
        let (start, end) = (number(start)?, number(end)?);
        if total != "*" && number(total)? <= end {
            return Err(ChunkRangeError);
        }
        ChunkRange::new(start, end).ok_or(ChunkRangeError)
    }

    /// The offset of the first byte.
    pub const fn start(self) -> u64 {
        self.start
    }

    /// The offset of the last byte.
    pub const fn end(self) -> u64 {
        self.end
    }

    /// How many bytes it is.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(self) -> u64 {
        // Invariant: `new` has checked that this does not overflow.
        self.end - self.start + 1
    }
}

fn strip_unit(text: &str) -> Option<&str> {
    let (unit, rest) = text.split_at_checked(5)?;
    let rest = rest.strip_prefix(' ')?;
    unit.eq_ignore_ascii_case("bytes")
        .then(|| rest.trim_start_matches(' '))
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Result<u64, ChunkRangeError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ChunkRangeError);
    }
    text.parse().map_err(|_| ChunkRangeError)
}

impl fmt::Display for ChunkRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

impl FromStr for ChunkRange {
    type Err = ChunkRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ChunkRange::parse(text)
    }
}
