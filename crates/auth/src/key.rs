//! The keys that sign tokens: P-256, with the private half on members only and the public one published as a JWK set.
//!
//! A key is named (`kid`) by its RFC 7638 thumbprint, so that no two keys share a name, in whatever cluster they are.
//!
//! Spec: RFC 7517, RFC 7518 section 6.2, RFC 7638.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::json;
use zeroize::Zeroizing;

/// The bytes of a coordinate of a point of P-256.
const COORDINATE_BYTES: usize = 32;
/// What an uncompressed point begins with.
const UNCOMPRESSED: u8 = 4;

/// What is kept as a key is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is kept as a key of tokens is none")]
pub struct KeyError;

/// A key as it was drawn.
pub struct NewKey {
    /// The public half: a point, uncompressed (SEC 1, section 2.3.3).
    pub public: Vec<u8>,
    /// The private half (PKCS #8), to be sealed.
    pub private: Zeroizing<Vec<u8>>,
}

impl NewKey {
    /// Draws a key.
    ///
    /// # Panics
    /// Never: aws-lc ends the process itself when the system has no randomness.
    #[must_use]
    pub fn draw() -> NewKey {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let private = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
            .expect("aws-lc ends the process itself when the system has no randomness");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref())
            .expect("what was drawn a moment ago is a key");
        NewKey {
            public: pair.public_key().as_ref().to_vec(),
            private: Zeroizing::new(private.as_ref().to_vec()),
        }
    }
}

/// The coordinates of a public half, in base64url.
fn coordinates(public: &[u8]) -> Result<(String, String), KeyError> {
    match public.split_first() {
        Some((&UNCOMPRESSED, point)) if point.len() == 2 * COORDINATE_BYTES => {
            let (x, y) = point.split_at(COORDINATE_BYTES);
            Ok((URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
        }
        _ => Err(KeyError),
    }
}

/// The name of a key.
fn kid(x: &str, y: &str) -> String {
    // The members in the order that RFC 7638 asks for, without white space.
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// The key that signs now.
pub struct SigningKey {
    pub(crate) kid: String,
    pub(crate) key: EncodingKey,
}

impl SigningKey {
    /// The key of these halves.
    ///
    /// # Errors
    /// [`KeyError`] when they are none, or of two keys.
    pub fn new(public: &[u8], private: &[u8]) -> Result<SigningKey, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private);
        let pair = pair.map_err(|_| KeyError)?;
        if pair.public_key().as_ref() != public {
            return Err(KeyError);
        }
        let (x, y) = coordinates(public)?;
        Ok(SigningKey {
            kid: kid(&x, &y),
            key: EncodingKey::from_ec_der(private),
        })
    }
}

/// The keys whose signatures count.
#[derive(Clone)]
pub struct VerifyingKeys(Vec<VerifyingKey>);

#[derive(Clone)]
struct VerifyingKey {
    number: u32,
    kid: String,
    x: String,
    y: String,
    key: DecodingKey,
}

impl VerifyingKeys {
    /// The keys of these numbers and public halves.
    ///
    /// # Errors
    /// [`KeyError`] when one of them is none.
    pub fn new<'a>(
        publics: impl IntoIterator<Item = (u32, &'a [u8])>,
    ) -> Result<VerifyingKeys, KeyError> {
        let keys = publics.into_iter().map(|(number, public)| {
            let (x, y) = coordinates(public)?;
            let key = DecodingKey::from_ec_components(&x, &y).map_err(|_| KeyError)?;
            let kid = kid(&x, &y);
            Ok(VerifyingKey {
                number,
                kid,
                x,
                y,
                key,
            })
        });
        keys.collect::<Result<_, _>>().map(VerifyingKeys)
    }

    pub(crate) fn find(&self, kid: &str) -> Option<(u32, &DecodingKey)> {
        let found = self.0.iter().find(|key| key.kid == kid)?;
        Some((found.number, &found.key))
    }

    /// Whether the key of this number is one of them.
    #[must_use]
    pub fn has(&self, number: u32) -> bool {
        self.0.iter().any(|key| key.number == number)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys as others fetch them.
    #[must_use]
    pub fn jwks(&self) -> String {
        let keys = self.0.iter().map(|VerifyingKey { kid, x, y, .. }| {
            json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": x, "y": y})
        });
        json!({"keys": keys.collect::<Vec<_>>()}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_named_as_rfc_7638_says() {
        // The point of RFC 7517, appendix A.1; the thumbprint is what `openssl dgst -sha256` says.
        let (x, y) = (
            "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        );
        assert_eq!(kid(x, y), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
    }

    #[test]
    fn halves_of_two_keys_are_no_key() {
        let (one, two) = (NewKey::draw(), NewKey::draw());
        assert!(SigningKey::new(&one.public, &one.private).is_ok());
        assert!(SigningKey::new(&one.public, &two.private).is_err());
        assert!(SigningKey::new(&one.public, b"nothing").is_err());
        assert!(VerifyingKeys::new([(1, &one.public[1..])]).is_err());
    }

    #[test]
    fn private_half_is_not_published() {
        let key = NewKey::draw();
        let keys = VerifyingKeys::new([(1, &*key.public)]).unwrap();
        let set: serde_json::Value = serde_json::from_str(&keys.jwks()).unwrap();
        let members: Vec<_> = set["keys"][0].as_object().unwrap().keys().collect();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    }
}
