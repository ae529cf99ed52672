//! The stored form of a hash in progress.
//!
//! Bytes: the format's version (1), the algorithm (1 SHA-256, 2 SHA-512), the eight state words, the total length in
//! bytes as 64 bits, the bytes of the unfinished block. Numbers are big-endian. How many bytes the last field has
//! follows from the length, so each state has one form, and no library's layout is in it.
//!
//! These bytes are in log entries and must be read for ever: a change is a new version, and the golden bytes in
//! `tests/midstate.rs` stay.

use std::fmt;

use oci::Algorithm;

use crate::CONTENT_BYTES_MAX;

const VERSION: u8 = 1;
const WORDS: usize = 8;
const HEADER_LEN: usize = 2;
const TOTAL_LEN: usize = 8;
/// The block of SHA-512; that of SHA-256 is half of it.
const BLOCK_LEN_MAX: usize = 128;

/// A hash in progress, in its canonical form. Equal states are equal bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Midstate {
    /// Invariant: `read` takes it.
    bytes: Box<[u8]>,
}

/// Why bytes are no midstate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MidstateError {
    /// Written in a format that this build does not know.
    #[error("the hash state has format version {0}, and this build knows version 1 only")]
    UnknownVersion(u8),
    /// An algorithm that this build does not know.
    #[error("the hash state is of the unknown algorithm number {0}")]
    UnknownAlgorithm(u8),
    /// Too short, too long, or of a length that it contradicts.
    #[error("the hash state is damaged: its length is wrong")]
    WrongLength,
}

/// The fields of a midstate.
pub(crate) struct Parts {
    pub(crate) words: StateWords,
    /// Bytes hashed in all.
    pub(crate) len: u64,
    /// The unfinished block, zero behind its `len % block` bytes.
    pub(crate) block: [u8; BLOCK_LEN_MAX],
}

/// The chaining value of FIPS 180-4, which says the algorithm too.
#[derive(Clone, Copy)]
pub(crate) enum StateWords {
    Sha256([u32; WORDS]),
    Sha512([u64; WORDS]),
}

impl StateWords {
    fn algorithm(self) -> Algorithm {
        match self {
            StateWords::Sha256(_) => Algorithm::Sha256,
            StateWords::Sha512(_) => Algorithm::Sha512,
        }
    }
}

impl Midstate {
    /// Takes stored bytes, once they are known to be a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Midstate, MidstateError> {
        read(bytes)?;
        Ok(Midstate {
            bytes: bytes.into(),
        })
    }

    /// The bytes to store: at most 201.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Which digest it is on the way to.
    pub fn algorithm(&self) -> Algorithm {
        self.proven().words.algorithm()
    }

    /// How many bytes were hashed.
    pub fn content_len(&self) -> u64 {
        self.proven().len
    }

    pub(crate) fn parts(&self) -> Result<Parts, MidstateError> {
        read(&self.bytes)
    }

    fn proven(&self) -> Parts {
        self.parts()
            .expect("the bytes of a midstate were read when it was made")
    }

    pub(crate) fn from_parts(parts: &Parts) -> Midstate {
        let mut bytes = Vec::with_capacity(HEADER_LEN + WORDS * 8 + TOTAL_LEN + BLOCK_LEN_MAX);
        bytes.push(VERSION);
        bytes.push(algorithm_number(parts.words.algorithm()));
        match parts.words {
            StateWords::Sha256(words) => words
                .iter()
                .for_each(|word| bytes.extend(word.to_be_bytes())),
            StateWords::Sha512(words) => words
                .iter()
                .for_each(|word| bytes.extend(word.to_be_bytes())),
        }
        bytes.extend(parts.len.to_be_bytes());
        bytes.extend(&parts.block[..pending_len(parts.words.algorithm(), parts.len)]);
        Midstate {
            bytes: bytes.into(),
        }
    }
}

const fn algorithm_number(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Sha256 => 1,
        Algorithm::Sha512 => 2,
    }
}

/// How many bytes of `len` are not yet in the state words.
pub(crate) const fn pending_len(algorithm: Algorithm, len: u64) -> usize {
    let block_len = match algorithm {
        Algorithm::Sha256 => BLOCK_LEN_MAX / 2,
        Algorithm::Sha512 => BLOCK_LEN_MAX,
    };
    (len % block_len as u64) as usize
}

fn read(bytes: &[u8]) -> Result<Parts, MidstateError> {
    let (&version, rest) = bytes.split_first().ok_or(MidstateError::WrongLength)?;
    if version != VERSION {
        return Err(MidstateError::UnknownVersion(version));
    }
    let (&number, rest) = rest.split_first().ok_or(MidstateError::WrongLength)?;
    let algorithm = Algorithm::ALL
        .into_iter()
        .find(|algorithm| algorithm_number(*algorithm) == number)
        .ok_or(MidstateError::UnknownAlgorithm(number))?;
    let (words, rest) = rest
        .split_at_checked(algorithm.digest_len())
        .ok_or(MidstateError::WrongLength)?;
    let (len, pending) = rest.split_first_chunk().ok_or(MidstateError::WrongLength)?;
    let len = u64::from_be_bytes(*len);
    if len > CONTENT_BYTES_MAX || pending.len() != pending_len(algorithm, len) {
        return Err(MidstateError::WrongLength);
    }
    let words = match algorithm {
        Algorithm::Sha256 => {
            let words = words.as_chunks().0;
            StateWords::Sha256(std::array::from_fn(|i| u32::from_be_bytes(words[i])))
        }
        Algorithm::Sha512 => {
            let words = words.as_chunks().0;
            StateWords::Sha512(std::array::from_fn(|i| u64::from_be_bytes(words[i])))
        }
    };
    let mut block = [0; BLOCK_LEN_MAX];
    block[..pending.len()].copy_from_slice(pending);
    Ok(Parts { words, len, block })
}

impl fmt::Debug for Midstate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.proven();
        write!(
            f,
            "Midstate({} after {} bytes)",
            parts.words.algorithm(),
            parts.len
        )
    }
}
