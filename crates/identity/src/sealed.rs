//! Sealing the secrets that the log keeps: who has the log and not the recovery key learns nothing but their length.
//!
//! ```text
//! version 1 | key id 8 | nonce 12 | ciphertext and tag (AES-256-GCM)
//! ```
//!
//! The key of the cipher is derived from the recovery key (HKDF-SHA256), so that other uses of the recovery key can never
//! meet this one. Version, key id and the associated data are authenticated. What is sealed for one place in the log does
//! not open in another, if the associated data names the place. The nonce is random: at most 2^32 seals with one key.
//!
//! Spec: RFC 5116, RFC 5869.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::recovery_key::RecoveryKey;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES;
const DERIVATION: &[u8] = b"holdfast sealed envelope 1";

/// Seals `plaintext` in an envelope that only `key` opens, and only together with the same `associated` data. That data is
/// not kept: it names the place of the secret, such as its table and key.
pub fn seal(key: &RecoveryKey, associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let header = header(key);
    // Room for the tag, so that growing leaves no copy of the plaintext behind.
    let mut content = Vec::with_capacity(plaintext.len() + AES_256_GCM.tag_len());
    content.extend_from_slice(plaintext);
    let nonce = cipher(key)
        .seal_in_place_append_tag(authenticated(&header, associated), &mut content)
        .expect("a secret is far shorter than the 64 GiB that AES-GCM seals");
    [&header[..], nonce.as_ref(), &content].concat()
}

/// What was sealed in `envelope` with `key` and the same `associated` data.
pub fn open(
    key: &RecoveryKey,
    associated: &[u8],
    envelope: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (found, rest) = envelope
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(OpenError::Damaged)?;
    if found[0] != VERSION {
        return Err(OpenError::Version(found[0]));
    }
    if found != &header(key) {
        return Err(OpenError::OtherKey);
    }
    let (nonce, content) = rest
        .split_first_chunk::<NONCE_LEN>()
        .ok_or(OpenError::Damaged)?;
    let mut content = Zeroizing::new(content.to_vec());
    let length = cipher(key)
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            authenticated(found, associated),
            &mut content,
        )
        .map_err(|_| OpenError::Damaged)?
        .len();
    content.truncate(length);
    Ok(content)
}

fn header(key: &RecoveryKey) -> [u8; HEADER_BYTES] {
    let mut header = [VERSION; HEADER_BYTES];
    header[1..].copy_from_slice(&key.id());
    header
}

fn authenticated(header: &[u8; HEADER_BYTES], associated: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([&header[..], associated].concat())
}

fn cipher(key: &RecoveryKey) -> RandomizedNonceKey {
    let mut derived = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(key.as_bytes())
        .expand(&[DERIVATION], hkdf::HKDF_SHA256)
        .and_then(|material| material.fill(&mut *derived))
        .expect("HKDF-SHA256 gives up to 8160 bytes");
    RandomizedNonceKey::new(&AES_256_GCM, &*derived).expect("AES-256 takes 32 bytes")
}

/// Why an envelope does not open. None of it passes by trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was sealed by a newer build.
    #[error("the secret is sealed in format {0}, which this version of Holdfast does not know")]
    Version(u8),
    /// It was sealed with another key.
    #[error("the secret is sealed with another recovery key than this one")]
    OtherKey,
    /// It was changed, or belongs to another place.
    #[error("the sealed secret is damaged, or was sealed for another place")]
    Damaged,
}

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
