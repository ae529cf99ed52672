//! Content digests: an algorithm and the bytes that it made.
//!
//! A [`Digest`] always has the length of its algorithm and one spelling, so equal content is equal text. It never
//! becomes part of a path or an object key.
//!
//! Spec: image-spec 1.1, descriptor.md, "Digests".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

/// A registered digest algorithm. Both are served by every repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, what nearly every client uses.
    Sha256,
    /// SHA-512, optional in the specification.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, the default first.
    pub const ALL: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

    /// The name in front of the colon: `sha256` or `sha512`.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// How many bytes a digest has: 32 or 64. Its text has twice as many hexadecimal digits.
    pub const fn digest_len(self) -> usize {
        match self {
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no algorithm that this registry knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown digest algorithm; known are sha256 and sha512")]
pub struct AlgorithmError;

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Algorithm::ALL
            .into_iter()
            .find(|a| a.name() == text)
            .ok_or(AlgorithmError)
    }
}

/// Why a text is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not `algorithm:encoded`, or not the lower-case hexadecimal digits that the algorithm needs.
    #[error(
        "malformed digest; expected sha256: with 64 or sha512: with 128 lower-case hexadecimal digits"
    )]
    Malformed,
    /// Well-formed, but of an algorithm that this registry does not compute.
    #[error("unknown digest algorithm; known are sha256 and sha512")]
    UnknownAlgorithm,
}

/// The digest of some content. Ordered as its text is: by algorithm, then by bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Digest {
    /// `sha256:` and 64 digits.
    Sha256([u8; 32]),
    /// `sha512:` and 128 digits.
    Sha512([u8; 64]),
}

impl Digest {
    /// Reads `sha256:…` or `sha512:…`. Upper-case digits are refused: a digest has one spelling.
    pub fn parse(text: &str) -> Result<Digest, DigestError> {
        let (name, encoded) = text.split_once(':').ok_or(DigestError::Malformed)?;
        let well_formed = is_algorithm_name(name)
            && !encoded.is_empty()
            && encoded
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-'));
        if !well_formed {
            return Err(DigestError::Malformed);
        }
        let algorithm = Algorithm::from_str(name).map_err(|_| DigestError::UnknownAlgorithm)?;
        if encoded.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(DigestError::Malformed);
        }
        let mut bytes = [0_u8; 64];
        let bytes = &mut bytes[..algorithm.digest_len()];
        hex::decode_to_slice(encoded, bytes).map_err(|_| DigestError::Malformed)?;
        Digest::from_bytes(algorithm, bytes).ok_or(DigestError::Malformed)
    }

    /// The digest with these bytes; `None` when their number is not the algorithm's.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Digest> {
        match algorithm {
            Algorithm::Sha256 => bytes.try_into().ok().map(Digest::Sha256),
            Algorithm::Sha512 => bytes.try_into().ok().map(Digest::Sha512),
        }
    }

    /// Hashes small content, such as a manifest. What streams is hashed by the `hashing` crate.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Digest {
        match algorithm {
            Algorithm::Sha256 => Digest::Sha256(Sha256::digest(content).into()),
            Algorithm::Sha512 => Digest::Sha512(Sha512::digest(content).into()),
        }
    }

    /// Which algorithm made it.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Digest::Sha256(_) => Algorithm::Sha256,
            Digest::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The bytes, as many as [`Algorithm::digest_len`] says.
    pub const fn bytes(&self) -> &[u8] {
        match self {
            Digest::Sha256(bytes) => bytes,
            Digest::Sha512(bytes) => bytes,
        }
    }

    /// The part behind the colon: lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        hex::encode(self.bytes())
    }
}

/// `algorithm-component ( algorithm-separator algorithm-component )*`.
fn is_algorithm_name(name: &str) -> bool {
    name.split(['+', '.', '_', '-']).all(|part| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; 128];
        let text = &mut text[..2 * self.algorithm().digest_len()];
        hex::encode_to_slice(self.bytes(), text).expect("two digits for each byte");
        let text = std::str::from_utf8(text).expect("hexadecimal digits are ASCII");
        write!(f, "{}:{text}", self.algorithm())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Digest::parse(text)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Digest::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}
