//! The calls to aws-lc: every `unsafe` block of the product.
//!
//! The contexts are plain C structs without pointers, owned by value; nothing is shared with the library between two
//! calls. Their layout is asserted below at compile time, so that a new version of the library whose layout differs
//! does not build.

use std::mem::{MaybeUninit, offset_of};

use aws_lc_sys::{
    CRYPTO_library_init, SHA256_CTX, SHA256_Final, SHA256_Init, SHA256_Update, SHA512_CTX,
    SHA512_Final, SHA512_Init, SHA512_Update,
};
use oci::{Algorithm, Digest};

use crate::midstate::{Parts, StateWords, pending_len};

const _: () = {
    assert!(size_of::<SHA256_CTX>() == 112);
    assert!(offset_of!(SHA256_CTX, h) == 0);
    assert!(offset_of!(SHA256_CTX, Nl) == 32);
    assert!(offset_of!(SHA256_CTX, Nh) == 36);
    assert!(offset_of!(SHA256_CTX, data) == 40);
    assert!(offset_of!(SHA256_CTX, num) == 104);
    assert!(offset_of!(SHA256_CTX, md_len) == 108);
    assert!(size_of::<SHA512_CTX>() == 216);
    assert!(offset_of!(SHA512_CTX, h) == 0);
    assert!(offset_of!(SHA512_CTX, Nl) == 64);
    assert!(offset_of!(SHA512_CTX, Nh) == 72);
    assert!(offset_of!(SHA512_CTX, p) == 80);
    assert!(offset_of!(SHA512_CTX, num) == 208);
    assert!(offset_of!(SHA512_CTX, md_len) == 212);
};

/// A hash in progress, as aws-lc keeps it.
#[derive(Clone)]
pub(crate) enum Context {
    Sha256(SHA256_CTX),
    Sha512(SHA512_CTX),
}

/// The library's calls report success by 1.
const OK: i32 = 1;

impl Context {
    pub(crate) fn new(algorithm: Algorithm) -> Context {
        // SAFETY: takes no arguments and may be called any number of times, from any thread.
        unsafe { CRYPTO_library_init() };
        match algorithm {
            Algorithm::Sha256 => {
                let mut context = MaybeUninit::<SHA256_CTX>::zeroed();
                // SAFETY: the pointer is to writable memory of the struct's size and alignment, which the call fills.
                let outcome = unsafe { SHA256_Init(context.as_mut_ptr()) };
                assert_eq!(outcome, OK, "SHA256_Init has no way to fail");
                // SAFETY: it was zeroed, and zero is a valid value of each of its integers; `SHA256_Init` set them.
                Context::Sha256(unsafe { context.assume_init() })
            }
            Algorithm::Sha512 => {
                let mut context = MaybeUninit::<SHA512_CTX>::zeroed();
                // SAFETY: as above.
                let outcome = unsafe { SHA512_Init(context.as_mut_ptr()) };
                assert_eq!(outcome, OK, "SHA512_Init has no way to fail");
                // SAFETY: as above.
                Context::Sha512(unsafe { context.assume_init() })
            }
        }
    }

    /// The context that has hashed what led to these parts.
    pub(crate) fn from_parts(parts: &Parts) -> Context {
        // Invariant: `num` is less than the block, which the library relies on: `pending_len` is a remainder.
        match parts.words {
            StateWords::Sha256(words) => {
                let Context::Sha256(mut context) = Context::new(Algorithm::Sha256) else {
                    unreachable!()
                };
                context.h = words;
                context.Nl = (parts.len << 3) as u32;
                context.Nh = (parts.len >> 29) as u32;
                context.data.copy_from_slice(&parts.block[..64]);
                context.num = pending_len(Algorithm::Sha256, parts.len) as u32;
                Context::Sha256(context)
            }
            StateWords::Sha512(words) => {
                let Context::Sha512(mut context) = Context::new(Algorithm::Sha512) else {
                    unreachable!()
                };
                context.h = words;
                context.Nl = parts.len << 3;
                context.Nh = parts.len >> 61;
                context.p = parts.block;
                context.num = pending_len(Algorithm::Sha512, parts.len) as u32;
                Context::Sha512(context)
            }
        }
    }

    /// The state after `len` bytes, which is how many this context was given.
    pub(crate) fn parts(&self, len: u64) -> Parts {
        let pending = pending_len(self.algorithm(), len);
        let mut block = [0; 128];
        let words = match self {
            Context::Sha256(context) => {
                assert_eq!(
                    context.num as usize, pending,
                    "the context counts what it was given"
                );
                block[..pending].copy_from_slice(&context.data[..pending]);
                StateWords::Sha256(context.h)
            }
            Context::Sha512(context) => {
                assert_eq!(
                    context.num as usize, pending,
                    "the context counts what it was given"
                );
                block[..pending].copy_from_slice(&context.p[..pending]);
                StateWords::Sha512(context.h)
            }
        };
        Parts { words, len, block }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Context::Sha256(_) => Algorithm::Sha256,
            Context::Sha512(_) => Algorithm::Sha512,
        }
    }

    pub(crate) fn update(&mut self, content: &[u8]) {
        let (data, len) = (content.as_ptr().cast(), content.len());
        let outcome = match self {
            // SAFETY: the context is initialized and exclusively borrowed; `data` is readable for `len` bytes and does
            // not overlap it.
            Context::Sha256(context) => unsafe { SHA256_Update(context, data, len) },
            // SAFETY: as above.
            Context::Sha512(context) => unsafe { SHA512_Update(context, data, len) },
        };
        assert_eq!(outcome, OK, "updates have no way to fail");
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Context::Sha256(mut context) => {
                let mut digest = [0; 32];
                // SAFETY: the context is initialized and owned; `digest` is writable for the 32 bytes that the call
                // writes.
                let outcome = unsafe { SHA256_Final(digest.as_mut_ptr(), &mut context) };
                assert_eq!(outcome, OK, "SHA256_Final fails for a SHA-224 context only");
                Digest::Sha256(digest)
            }
            Context::Sha512(mut context) => {
                let mut digest = [0; 64];
                // SAFETY: as above, with 64 bytes.
                let outcome = unsafe { SHA512_Final(digest.as_mut_ptr(), &mut context) };
                assert_eq!(outcome, OK, "SHA512_Final has no way to fail");
                Digest::Sha512(digest)
            }
        }
    }
}
