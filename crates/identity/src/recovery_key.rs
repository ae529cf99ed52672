//! The recovery key: the key of the cluster's secrets, in neither log nor bucket, and written down by people.
//!
//! Members get it when they join, over a connection that both sides have proven; `cluster init` shows it once. It is shown
//! in Crockford's base32 (no I, L, O, U), in groups of four, with a checksum, and is read leniently.
//!
//! ```text
//! 56 characters = base32( key 32 | checksum 3 ), the checksum being the beginning of a SHA-256 over the key
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::{Zeroize, Zeroizing};

use crate::durable_file::{self, FileError};
use crate::fingerprint::sha256;
use crate::random;

/// Crockford's digits, by value.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const KEY_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 3;
const ALL_BYTES: usize = KEY_BYTES + CHECKSUM_BYTES;

/// How many characters a key has, without what separates its groups. Invariant: five bits each, and none left over.
const CHARS: usize = ALL_BYTES * 8 / 5;
const GROUP_CHARS: usize = 4;

/// The file of the key on a member.
const FILE: &str = "cluster.key";

/// What to do about a damaged file.
const WRITE_AGAIN: &str = "write the recovery key that `cluster init` showed into it";

/// 256 random bits that open the cluster's secrets. Its `Display` is the key, for the one who shall write it down; its
/// `Debug` is only its short name. Wiped when it is dropped.
#[derive(Clone)]
pub struct RecoveryKey([u8; KEY_BYTES]);

impl RecoveryKey {
    /// A new key.
    pub fn generate() -> RecoveryKey {
        RecoveryKey(random::bytes())
    }

    /// The key that a member handed over.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> RecoveryKey {
        RecoveryKey(bytes)
    }

    /// The key, to hand it to a member that joins.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// A short name of the key, which is no secret: it tells which of two keys one has.
    pub fn id(&self) -> [u8; 8] {
        let hash = self.named_hash(b"holdfast recovery key id 1");
        std::array::from_fn(|at| hash[at])
    }

    /// The key in `folder`, or that there is none. Reads files: call it off the runtime's threads.
    pub fn load(folder: &Path) -> Result<Option<RecoveryKey>, FileError> {
        let path = RecoveryKey::path(folder);
        let Some(text) = durable_file::read_secret(&path)? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|error: RecoveryKeyError| {
            FileError::damaged(&path, error.to_string(), WRITE_AGAIN)
        })
    }

    /// Keeps the key in `folder`, durably and for its owner only. Writes with fsync: call it off the runtime's threads.
    pub fn save(&self, folder: &Path) -> Result<(), FileError> {
        let text = Zeroizing::new(format!("{self}\n"));
        durable_file::write_secret(&RecoveryKey::path(folder), text.as_bytes())
    }

    /// The file that [`save`](RecoveryKey::save) writes.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    fn checksum(&self) -> [u8; CHECKSUM_BYTES] {
        let [a, b, c, ..] = self.named_hash(b"holdfast recovery key checksum 1");
        [a, b, c]
    }

    fn named_hash(&self, name: &[u8]) -> [u8; 32] {
        let all = Zeroizing::new([name, &self.0].concat());
        sha256(&all)
    }
}

impl fmt::Display for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = Zeroizing::new([&self.0[..], &self.checksum()].concat());
        let mut bits: u64 = 0;
        let mut count = 0;
        let mut written = 0;
        for byte in all.iter() {
            bits = (bits << 8 | u64::from(*byte)) & 0xfff;
            count += 8;
            while count >= 5 {
                count -= 5;
                if written > 0 && written % GROUP_CHARS == 0 {
                    f.write_str("-")?;
                }
                let digit = usize::try_from(bits >> count & 31).expect("five bits");
                write!(f, "{}", char::from(DIGITS[digit]))?;
                written += 1;
            }
        }
        Ok(())
    }
}

/// Small letters, spaces, line breaks and hyphens anywhere, `O` for zero, `I` and `L` for one: all are read.
impl FromStr for RecoveryKey {
    type Err = RecoveryKeyError;

    fn from_str(text: &str) -> Result<RecoveryKey, RecoveryKeyError> {
        let mut all = Zeroizing::new(Vec::with_capacity(ALL_BYTES));
        let mut bits: u64 = 0;
        let mut count = 0;
        let mut read = 0;
        let characters = text
            .chars()
            .filter(|character| !character.is_whitespace() && *character != '-');
        for character in characters {
            read += 1;
            if read > CHARS {
                return Err(RecoveryKeyError::Long);
            }
            bits = (bits << 5 | value(character, read)?) & 0xfff;
            count += 5;
            if count >= 8 {
                count -= 8;
                all.push(u8::try_from(bits >> count & 255).expect("eight bits"));
            }
        }
        if read < CHARS {
            return Err(RecoveryKeyError::Short {
                missing: CHARS - read,
            });
        }
        let (key, checksum) = all.split_at(KEY_BYTES);
        let key = RecoveryKey(key.try_into().expect("split at the length of a key"));
        if key.checksum() != *checksum {
            return Err(RecoveryKeyError::Checksum);
        }
        Ok(key)
    }
}

fn value(character: char, position: usize) -> Result<u64, RecoveryKeyError> {
    let digit = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    DIGITS
        .iter()
        .position(|known| char::from(*known) == digit)
        .and_then(|value| u64::try_from(value).ok())
        .ok_or(RecoveryKeyError::Character { position })
}

impl Drop for RecoveryKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryKey({})", hex::encode(self.id()))
    }
}

/// Why a text is no recovery key. The text itself is in no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryKeyError {
    /// A character that no key has.
    #[error(
        "character {position} of the recovery key is none that it can have: digits and letters without U"
    )]
    Character {
        /// Which, counted from one, without spaces and hyphens.
        position: usize,
    },
    /// Its end is missing.
    #[error("the recovery key is too short: {missing} of {CHARS} characters are missing")]
    Short {
        /// How many.
        missing: usize,
    },
    /// There is something after its end.
    #[error("the recovery key is too long: it has {CHARS} characters")]
    Long,
    /// Some character is another.
    #[error("the recovery key has a mistake in it: its checksum is wrong")]
    Checksum,
}

#[cfg(test)]
#[path = "recovery_key_tests.rs"]
mod tests;
