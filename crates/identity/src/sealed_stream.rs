//! Sealing contents that are too large for one piece of memory: the copy of the metadata log that lies beside the blobs.
//!
//! ```text
//! version 1 | key id 8 | piece*      a piece: up to 64 KiB of content, encrypted, and its tag 16 (AES-256-GCM)
//! ```
//!
//! Each content has a key of its own, derived (HKDF-SHA256) from the recovery key and the content's name, which is never
//! used for two contents: so the nonce of a piece may be its number, and no two pieces ever share key and nonce. The nonce
//! also says whether a piece is the last. All pieces but the last are full. Therefore pieces that are missing, added,
//! changed, in another order or of another content do not open. Must never seal two contents under one name.
//!
//! Spec: RFC 5116, RFC 5869; the numbering of pieces is the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::recovery_key::RecoveryKey;
use crate::sealed::OpenError;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES;
const TAG_BYTES: usize = 16;
/// The content of a full piece.
const PIECE_BYTES: usize = 64 * 1024;
const SEALED_PIECE_BYTES: usize = PIECE_BYTES + TAG_BYTES;
const DERIVATION: &[u8] = b"holdfast sealed stream 1";

/// What both directions count on.
struct Pieces {
    key: LessSafeKey,
    header: [u8; HEADER_BYTES],
    /// The number of the next piece.
    next: u64,
}

impl Pieces {
    fn new(key: &RecoveryKey, name: &str) -> Pieces {
        let mut derived = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
            .extract(key.as_bytes())
            .expand(&[DERIVATION, name.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|material| material.fill(&mut *derived))
            .expect("HKDF-SHA256 gives up to 8160 bytes");
        let unbound = UnboundKey::new(&AES_256_GCM, &*derived).expect("AES-256 takes 32 bytes");
        let mut header = [VERSION; HEADER_BYTES];
        header[1..].copy_from_slice(&key.id());
        Pieces {
            key: LessSafeKey::new(unbound),
            header,
            next: 0,
        }
    }

    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&self.next.to_be_bytes());
        nonce[NONCE_LEN - 1] = u8::from(is_last);
        self.next += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    fn authenticated(&self) -> Aad<[u8; HEADER_BYTES]> {
        Aad::from(self.header)
    }
}

/// Seals a content as it comes.
pub struct StreamSealer {
    pieces: Pieces,
    /// Less than a piece, or one that may be the last.
    waiting: Vec<u8>,
    begun: bool,
}

impl StreamSealer {
    /// Seals a content that only `key` opens, and only under the same `name`, which no other content ever has.
    #[must_use]
    pub fn new(key: &RecoveryKey, name: &str) -> StreamSealer {
        StreamSealer {
            pieces: Pieces::new(key, name),
            waiting: Vec::with_capacity(SEALED_PIECE_BYTES),
            begun: false,
        }
    }

    /// Takes more of the content, and adds what is sealed so far to `sealed`.
    pub fn add(&mut self, mut content: &[u8], sealed: &mut Vec<u8>) {
        while !content.is_empty() {
            if self.waiting.len() == PIECE_BYTES {
                self.seal(false, sealed);
            }
            let taken = content.len().min(PIECE_BYTES - self.waiting.len());
            let (piece, rest) = content.split_at(taken);
            self.waiting.extend_from_slice(piece);
            content = rest;
        }
    }

    /// Ends the content.
    pub fn finish(mut self, sealed: &mut Vec<u8>) {
        self.seal(true, sealed);
    }

    fn seal(&mut self, is_last: bool, sealed: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            sealed.extend_from_slice(&self.pieces.header);
        }
        let nonce = self.pieces.nonce(is_last);
        self.pieces
            .key
            .seal_in_place_append_tag(nonce, self.pieces.authenticated(), &mut self.waiting)
            .expect("a piece is far shorter than the 64 GiB that AES-GCM seals");
        sealed.append(&mut self.waiting);
    }
}

/// Opens what [`StreamSealer`] sealed, as it comes. What it gives is true; that it is whole is known when it is finished.
pub struct StreamOpener {
    pieces: Pieces,
    waiting: Vec<u8>,
    begun: bool,
}

impl StreamOpener {
    /// Opens what was sealed with this key and under this name.
    #[must_use]
    pub fn new(key: &RecoveryKey, name: &str) -> StreamOpener {
        StreamOpener {
            pieces: Pieces::new(key, name),
            waiting: Vec::with_capacity(2 * SEALED_PIECE_BYTES),
            begun: false,
        }
    }

    /// Takes more of what was sealed, and adds what is opened so far to `content`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn add(&mut self, sealed: &[u8], content: &mut Vec<u8>) -> Result<(), OpenError> {
        let mut rest = sealed;
        while !rest.is_empty() {
            let taken = rest.len().min(SEALED_PIECE_BYTES);
            self.waiting.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            self.begin()?;
            // A full piece is the last one unless something follows.
            while self.begun && self.waiting.len() > SEALED_PIECE_BYTES {
                let after = self.waiting.split_off(SEALED_PIECE_BYTES);
                self.open(false, content)?;
                self.waiting = after;
            }
        }
        Ok(())
    }

    /// The content has ended: gives the rest of it.
    ///
    /// # Errors
    /// See [`OpenError`]; [`OpenError::Damaged`] also when the end is missing.
    pub fn finish(mut self, content: &mut Vec<u8>) -> Result<(), OpenError> {
        if !self.begun {
            return Err(OpenError::Damaged);
        }
        self.open(true, content)
    }

    fn begin(&mut self) -> Result<(), OpenError> {
        if self.begun || self.waiting.len() < HEADER_BYTES {
            return Ok(());
        }
        let rest = self.waiting.split_off(HEADER_BYTES);
        let found = std::mem::replace(&mut self.waiting, rest);
        if found[0] != VERSION {
            return Err(OpenError::Version(found[0]));
        }
        if found != self.pieces.header {
            return Err(OpenError::OtherKey);
        }
        self.begun = true;
        Ok(())
    }

    fn open(&mut self, is_last: bool, content: &mut Vec<u8>) -> Result<(), OpenError> {
        let nonce = self.pieces.nonce(is_last);
        let aad = self.pieces.authenticated();
        let opened = self.pieces.key.open_in_place(nonce, aad, &mut self.waiting);
        content.extend_from_slice(opened.map_err(|_| OpenError::Damaged)?);
        Ok(())
    }
}

#[cfg(test)]
#[path = "sealed_stream_tests.rs"]
mod tests;
