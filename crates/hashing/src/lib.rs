//! The streaming hash whose state can be stored and taken up again, on another node and by another build.
//!
//! An upload is hashed while it arrives and may go on elsewhere; no acknowledged byte is read back to be hashed. So the
//! state between two requests is a value, a [`Midstate`], in one canonical form, whatever library made it.
//!
//! This is the one crate with `unsafe`, and all of it is in `context.rs`. Why it is worth it: hashing is most of what a
//! push costs. Where the processor has no SHA instructions, the `sha2` crate takes twice the time of aws-lc, and
//! aws-lc's safe wrappers give no access to the state. The unsafe part is six calls on plain structs that this crate
//! owns; their results are compared with `sha2`, state by state, in `tests/`.
//!
//! It never blocks, allocates per update, or keeps what was hashed beyond one unfinished block. Hash long inputs off
//! the runtime's threads.
//!
//! Spec: FIPS 180-4.

#[expect(
    unsafe_code,
    reason = "the calls to aws-lc, defended in the crate's header and one by one there"
)]
mod context;
mod midstate;

use std::fmt;

use oci::{Algorithm, Digest};

use crate::context::Context;
pub use crate::midstate::{Midstate, MidstateError};

/// The most bytes that one hash takes: SHA-256 counts bits in 64.
pub const CONTENT_BYTES_MAX: u64 = u64::MAX / 8;

/// A hash in progress. Plain data: it may be cloned to try something, dropped, and sent between threads.
#[derive(Clone)]
pub struct Hasher {
    context: Context,
    /// Invariant: at most `CONTENT_BYTES_MAX`, and what the context has counted.
    len: u64,
}

impl Hasher {
    /// The hash of nothing yet.
    pub fn new(algorithm: Algorithm) -> Hasher {
        Hasher {
            context: Context::new(algorithm),
            len: 0,
        }
    }

    /// Goes on where [`Hasher::midstate`] was taken. The error is that of a midstate that was made by a newer format;
    /// midstates that were made or read by this build have none.
    pub fn resume(midstate: &Midstate) -> Result<Hasher, MidstateError> {
        let parts = midstate.parts()?;
        Ok(Hasher {
            len: parts.len,
            context: Context::from_parts(&parts),
        })
    }

    /// Appends content. At most [`CONTENT_BYTES_MAX`] in all, which no machine reaches.
    pub fn update(&mut self, content: &[u8]) {
        let len = self
            .len
            .checked_add(content.len() as u64)
            .filter(|len| *len <= CONTENT_BYTES_MAX);
        self.len =
            len.expect("two exabytes take years to arrive, and uploads are bounded far below");
        self.context.update(content);
    }

    /// The digest of all that was appended.
    pub fn finish(self) -> Digest {
        self.context.finish()
    }

    /// Which digest it makes.
    pub fn algorithm(&self) -> Algorithm {
        self.context.algorithm()
    }

    /// How many bytes were appended, those before a [`Hasher::resume`] included.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is needed to go on later. The hash itself goes on undisturbed.
    pub fn midstate(&self) -> Midstate {
        Midstate::from_parts(&self.context.parts(self.len))
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("algorithm", &self.algorithm())
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
