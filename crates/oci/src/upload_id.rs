//! The identifier of an upload: 128 bits, written as a UUID is.
//!
//! It is chosen by whoever begins the upload; this file only reads and writes it. It has one spelling, since it is part
//! of object keys.

use std::fmt;
use std::str::FromStr;

/// An upload's identifier. Ordered as its text is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(u128);

/// The text is no canonical upload identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid upload identifier: expected 32 lower-case hexadecimal digits in groups of 8, 4, 4, 4 and 12"
)]
pub struct UploadIdError;

/// Where the hyphens stand in the canonical text.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const TEXT_LEN: usize = 36;

impl UploadId {
    /// The identifier with these bits.
    pub const fn from_u128(bits: u128) -> UploadId {
        UploadId(bits)
    }

    /// The bits.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// Reads the canonical text only: hyphens in their places, lower case.
    pub fn parse(text: &str) -> Result<UploadId, UploadIdError> {
        if text.len() != TEXT_LEN {
            return Err(UploadIdError);
        }
        let mut bits = 0_u128;
        for (position, byte) in text.bytes().enumerate() {
            if HYPHENS.contains(&position) {
                if byte != b'-' {
                    return Err(UploadIdError);
                }
                continue;
            }
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return Err(UploadIdError),
            };
            bits = bits << 4 | u128::from(digit);
        }
        Ok(UploadId(bits))
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |shift: u32, digits: u32| (self.0 >> shift) & ((1 << (4 * digits)) - 1);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            group(96, 8),
            group(80, 4),
            group(64, 4),
            group(48, 4),
            group(0, 12)
        )
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadId({self})")
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        UploadId::parse(text)
    }
}
