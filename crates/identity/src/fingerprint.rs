//! The fingerprint by which a node that has no certificate yet knows the authority of its cluster.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};

const PREFIX: &str = "sha256:";

/// The SHA-256 of an authority's certificate in DER; written as `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorityFingerprint(pub [u8; 32]);

impl AuthorityFingerprint {
    /// The fingerprint of the certificate `der`.
    pub fn of(der: &[u8]) -> AuthorityFingerprint {
        AuthorityFingerprint(sha256(der))
    }
}

/// SHA-256 as an array.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes)
        .as_ref()
        .try_into()
        .expect("SHA-256 has 32 bytes")
}

impl fmt::Display for AuthorityFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(self.0))
    }
}

impl FromStr for AuthorityFingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<AuthorityFingerprint, FingerprintError> {
        let digits = text.strip_prefix(PREFIX).ok_or(FingerprintError)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| FingerprintError)?;
        Ok(AuthorityFingerprint(bytes))
    }
}

/// The text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint of an authority is `sha256:` and 64 hexadecimal digits")]
pub struct FingerprintError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_reads_what_it_writes_and_nothing_else() {
        let fingerprint = AuthorityFingerprint::of(b"certificate");
        let text = fingerprint.to_string();
        assert_eq!(text.parse(), Ok(fingerprint));
        for wrong in ["", "sha256:", &text[7..], &text[..70], &format!("{text}0")] {
            assert_eq!(
                wrong.parse::<AuthorityFingerprint>(),
                Err(FingerprintError),
                "{wrong}"
            );
        }
    }
}
