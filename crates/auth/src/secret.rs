//! Secrets that a machine draws: of robots, and personal access tokens.
//!
//! They have 256 random bits, so that a plain SHA-256 of them may be kept: there is nothing to guess.

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use metadata::access::{SecretHash, TokenId};
use zeroize::Zeroizing;

/// What a personal access token begins with, so that scanners of leaked secrets know it.
const TOKEN_PREFIX: &str = "hfp_";
/// What a robot's secret begins with.
const ROBOT_PREFIX: &str = "hfr_";
const SECRET_BYTES: usize = 32;
/// How long a password is that is drawn.
const PASSWORD_LETTERS: usize = 24;
/// What it is made of: 32 letters and digits of which no two look alike.
const PASSWORD_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const ID_BYTES: usize = 16;

/// A personal access token as it was shown.
pub struct AccessToken {
    /// Which one it says that it is.
    pub token: TokenId,
    /// The hash of the whole text.
    pub hash: SecretHash,
}

impl AccessToken {
    /// Reads a token; `None` when the text is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<AccessToken> {
        let body = text.strip_prefix(TOKEN_PREFIX)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(body).ok()?);
        if bytes.len() != ID_BYTES + SECRET_BYTES {
            return None;
        }
        let (id, _) = bytes.split_first_chunk::<ID_BYTES>()?;
        Some(AccessToken {
            token: TokenId(u128::from_be_bytes(*id)),
            hash: hash(text),
        })
    }
}

fn hash(text: &str) -> SecretHash {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    SecretHash(digest.as_ref().try_into().expect("a SHA-256 has 32 bytes"))
}

fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(&mut *bytes)
        .expect("aws-lc ends the process itself when the system has no randomness");
    bytes
}

/// Draws a personal access token: its text, which is shown once, its id and its hash.
#[must_use]
pub fn new_access_token() -> (Zeroizing<String>, TokenId, SecretHash) {
    let bytes = random::<{ ID_BYTES + SECRET_BYTES }>();
    let (id, _) = bytes
        .split_first_chunk::<ID_BYTES>()
        .expect("there are more bytes than an id has");
    let token = TokenId(u128::from_be_bytes(*id));
    let text = Zeroizing::new(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(*bytes)));
    let hash = hash(&text);
    (text, token, hash)
}

/// Draws a robot's secret: its text, which is shown once, and its hash.
#[must_use]
pub fn new_robot_secret() -> (Zeroizing<String>, SecretHash) {
    let bytes = random::<SECRET_BYTES>();
    let text = Zeroizing::new(format!("{ROBOT_PREFIX}{}", URL_SAFE_NO_PAD.encode(*bytes)));
    let hash = hash(&text);
    (text, hash)
}

/// Draws a password that people can copy by hand: its text, which is shown once. 120 random bits.
#[must_use]
pub fn new_password() -> Zeroizing<String> {
    let bytes = random::<PASSWORD_LETTERS>();
    let letter = |byte: &u8| char::from(PASSWORD_ALPHABET[usize::from(byte % 32)]);
    let mut text = Zeroizing::new(String::with_capacity(PASSWORD_LETTERS));
    text.extend(bytes.iter().map(letter));
    text
}

/// Whether a secret that was shown is the one whose hash is kept; takes as long for every wrong one.
#[must_use]
pub fn secret_matches(shown: &str, kept: &SecretHash) -> bool {
    constant_time::verify_slices_are_equal(&hash(shown).0, &kept.0).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_read_as_it_was_drawn_and_no_other_way() {
        let (text, token, hash) = new_access_token();
        let read = AccessToken::parse(&text).unwrap();
        assert_eq!(read.token, token);
        assert!(read.hash == hash && secret_matches(&text, &hash));
        let cut = &text[..text.len() - 1];
        let other = text.replace("hfp_", "hfr_");
        for bad in ["", "hfp_", "hfp_AAAA", cut, &other, "hfp_!"] {
            assert!(AccessToken::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn passwords_are_long_and_differ() {
        let (one, two) = (new_password(), new_password());
        assert_ne!(*one, *two);
        for text in [one, two] {
            assert_eq!(text.len(), PASSWORD_LETTERS);
            assert!(
                text.bytes()
                    .all(|letter| PASSWORD_ALPHABET.contains(&letter))
            );
        }
    }

    #[test]
    fn secrets_differ_and_match_only_themselves() {
        let ((one, one_hash), (two, two_hash)) = (new_robot_secret(), new_robot_secret());
        assert!(secret_matches(&one, &one_hash) && secret_matches(&two, &two_hash));
        assert!(!secret_matches(&one, &two_hash) && !secret_matches("", &one_hash));
    }
}
