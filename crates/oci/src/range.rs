//! The `Range` header of a download.
//!
//! A header that is outside the grammar, of another unit, or greedy is ignored, as RFC 9110 allows: the whole is sent.
//! What [`RangeSet::resolve`] answers never names a byte twice, so a request cannot make a reply larger than the blob.
//!
//! Spec: RFC 9110 sections 14.1 and 14.2; distribution-spec 1.1, "Pulling blobs".

use std::fmt;

/// The most ranges that one request is given; with more, the whole is sent.
pub const RANGES_MAX: usize = 32;

/// One range as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteRange {
    /// `FIRST-LAST`, both included. With `last < first` nothing satisfies it: RFC 9110 lets a server ignore or reject
    /// such a range, and the conformance suite of distribution-spec wants 416.
    Inclusive {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// `FIRST-`: everything from there.
    From {
        /// The first byte.
        first: u64,
    },
    /// `-LEN`: that many bytes at the end.
    Suffix {
        /// How many bytes.
        len: u64,
    },
}

/// The ranges of one request, in the order asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RangeSet {
    /// Invariant: at least one, at most `RANGES_MAX`.
    ranges: Vec<ByteRange>,
}

/// Bytes of a blob: `len` of them from `start`. Never empty when it comes from [`RangeSet::resolve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteSpan {
    /// The offset of the first byte.
    pub start: u64,
    /// How many bytes.
    pub len: u64,
}

impl ByteSpan {
    /// The offset after the last byte.
    pub const fn end(self) -> u64 {
        self.start + self.len
    }
}

/// What to send for a request with ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// Everything, as if no range had been asked for (200).
    Whole,
    /// These spans, disjoint, each within the blob (206). At least one.
    Ranges(Vec<ByteSpan>),
    /// Nothing of what was asked for is there (416).
    Unsatisfiable,
}

impl RangeSet {
    /// Reads the value of a `Range` header. `None` means: send the whole, as without the header.
    pub fn parse(header: &str) -> Option<RangeSet> {
        let (unit, specs) = header.split_once('=')?;
        if !unit.trim_matches(SPACE).eq_ignore_ascii_case("bytes") {
            return None;
        }
        let mut ranges = Vec::new();
        for spec in specs
            .split(',')
            .map(|spec| spec.trim_matches(SPACE))
            .filter(|spec| !spec.is_empty())
        {
            if ranges.len() == RANGES_MAX {
                return None;
            }
            ranges.push(parse_spec(spec)?);
        }
        (!ranges.is_empty()).then_some(RangeSet { ranges })
    }

    /// What was asked for.
    pub fn ranges(&self) -> &[ByteRange] {
        &self.ranges
    }

    /// What to send of a blob of `total` bytes. Ranges are clamped; those that lie outside are left out; those that
    /// overlap are joined. Otherwise the order is the one asked for.
    pub fn resolve(&self, total: u64) -> Resolved {
        let mut spans = Vec::with_capacity(self.ranges.len());
        for range in &self.ranges {
            match range.resolve(total) {
                Some(span) if span.len == 0 => return Resolved::Whole,
                Some(span) => spans.push(span),
                None => {}
            }
        }
        if spans.is_empty() {
            Resolved::Unsatisfiable
        } else {
            Resolved::Ranges(disjoint(spans))
        }
    }
}

impl ByteRange {
    /// The bytes that it means in a blob of `total` bytes; `None` when it cannot be satisfied. The span is empty only
    /// for a suffix of an empty blob, which is satisfied by nothing.
    fn resolve(self, total: u64) -> Option<ByteSpan> {
        match self {
            ByteRange::Inclusive { first, last } if first <= last && first < total => {
                let last = last.min(total - 1);
                Some(ByteSpan {
                    start: first,
                    len: last - first + 1,
                })
            }
            ByteRange::From { first } if first < total => Some(ByteSpan {
                start: first,
                len: total - first,
            }),
            ByteRange::Suffix { len } if len > 0 => {
                let len = len.min(total);
                Some(ByteSpan {
                    start: total - len,
                    len,
                })
            }
            ByteRange::Inclusive { .. } | ByteRange::From { .. } | ByteRange::Suffix { .. } => None,
        }
    }
}

const SPACE: [char; 2] = [' ', '\t'];

fn parse_spec(spec: &str) -> Option<ByteRange> {
    let (first, last) = spec.split_once('-')?;
    match (first, last) {
        ("", len) => Some(ByteRange::Suffix { len: number(len)? }),
        (first, "") => Some(ByteRange::From {
            first: number(first)?,
        }),
        (first, last) => Some(ByteRange::Inclusive {
            first: number(first)?,
            last: number(last)?,
        }),
    }
}

/// Digits only. What is too large for any blob is as good as the largest number.
fn number(digits: &str) -> Option<u64> {
    let well_formed = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    well_formed.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Joins spans that overlap. Spans that do not are left in their order.
fn disjoint(spans: Vec<ByteSpan>) -> Vec<ByteSpan> {
    let mut sorted = spans.clone();
    sorted.sort_by_key(|span| span.start);
    if sorted.windows(2).all(|pair| pair[0].end() <= pair[1].start) {
        return spans;
    }
    let mut joined: Vec<ByteSpan> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match joined.last_mut() {
            Some(last) if span.start < last.end() => {
                last.len = last.end().max(span.end()) - last.start
            }
            _ => joined.push(span),
        }
    }
    joined
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ByteRange::Inclusive { first, last } => write!(f, "{first}-{last}"),
            ByteRange::From { first } => write!(f, "{first}-"),
            ByteRange::Suffix { len } => write!(f, "-{len}"),
        }
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, range) in self.ranges.iter().enumerate() {
            write!(f, "{}{range}", if position == 0 { "bytes=" } else { "," })?;
        }
        Ok(())
    }
}
