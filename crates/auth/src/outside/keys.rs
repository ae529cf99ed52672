//! The keys of others, from certificates, public keys (PEM) and JWK sets, under every name that a token may call them by.
//!
//! A key is called by the `kid` of its set, by its libtrust fingerprint (as docker's and GitLab's tokens do) or by its RFC 7638
//! thumbprint; or a token brings its certificates (`x5c`), which have to lead to one that is trusted.
//!
//! Spec: RFC 7517; RFC 7638; "Token Authentication Implementation" of the distribution project; libtrust's `FromPublicKey`.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Header};
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::Value;
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert,
};
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::proof::ProofError;

/// The most keys of one issuer.
const COUNT_MAX: usize = 200;
/// The most keys that are tried for a token that names none.
const TRIED_MAX: usize = 20;
/// The most certificates that a token may bring.
const CHAIN_MAX: usize = 8;
/// Of a libtrust fingerprint: the bytes of the hash that count, and the characters of a group.
const FINGERPRINT_BYTES: usize = 30;
const FINGERPRINT_GROUP: usize = 4;

/// Why keys were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// It is no PEM file with certificates or public keys.
    #[error("no PEM file of certificates and public keys")]
    Pem,
    /// It is no JWK set.
    #[error("no set of keys (JWK set)")]
    Set,
    /// None of the keys is of a kind that counts here.
    #[error("no key of a kind that counts: RSA of 2048 bits and more, P-256, P-384 or Ed25519")]
    Empty,
    /// More than anybody has.
    #[error("more than {COUNT_MAX} keys")]
    TooMany,
}

/// The keys of one issuer.
#[derive(Clone, Default)]
pub struct OutsideKeys {
    keys: Vec<OutsideKey>,
    /// What certificates of tokens may lead to (DER).
    anchors: Vec<Vec<u8>>,
}

/// One key. Cloning copies it.
#[derive(Clone)]
pub(super) struct OutsideKey {
    /// What it may be called; empty: its set gives no name.
    names: Vec<String>,
    /// What it signs with: a set may say less than the kind of key allows.
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl OutsideKey {
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    fn is_named(&self, kid: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name == kid)
    }
}

impl OutsideKeys {
    /// Reads certificates and public keys. Certificates are also what those of tokens may lead to.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn from_pem(text: &str) -> Result<OutsideKeys, KeysError> {
        let mut read = OutsideKeys::default();
        for block in pem::parse_many(text).map_err(|_| KeysError::Pem)? {
            let der = block.contents();
            match block.tag() {
                "CERTIFICATE" => {
                    let (_, certificate) =
                        X509Certificate::from_der(der).map_err(|_| KeysError::Pem)?;
                    read.keys.extend(of_spki(certificate.public_key()));
                    read.anchors.push(der.to_vec());
                }
                "PUBLIC KEY" => {
                    let (_, spki) =
                        SubjectPublicKeyInfo::from_der(der).map_err(|_| KeysError::Pem)?;
                    read.keys.extend(of_spki(&spki));
                }
                _ => {}
            }
        }
        read.checked()
    }

    /// Reads a JWK set. Keys that do not count here (of other kinds, or for encryption) are passed over.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn from_jwk_set(text: &[u8]) -> Result<OutsideKeys, KeysError> {
        let set: Value = serde_json::from_slice(text).map_err(|_| KeysError::Set)?;
        let members = set.get("keys").and_then(Value::as_array);
        let members = members.ok_or(KeysError::Set)?;
        if members.len() > COUNT_MAX {
            return Err(KeysError::TooMany);
        }
        let read = OutsideKeys {
            keys: members.iter().filter_map(of_jwk).collect(),
            anchors: Vec::new(),
        };
        read.checked()
    }

    /// Adds another's.
    ///
    /// # Errors
    /// [`KeysError::TooMany`].
    pub fn add(&mut self, other: OutsideKeys) -> Result<(), KeysError> {
        self.keys.extend(other.keys);
        self.anchors.extend(other.anchors);
        match self.keys.len() > COUNT_MAX {
            true => Err(KeysError::TooMany),
            false => Ok(()),
        }
    }

    fn checked(self) -> Result<OutsideKeys, KeysError> {
        match self.keys.len() {
            0 => Err(KeysError::Empty),
            1..=COUNT_MAX => Ok(self),
            _ => Err(KeysError::TooMany),
        }
    }

    /// Whether a key is called so.
    pub(super) fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.is_named(kid))
    }

    /// The keys that may have signed what has this header.
    pub(super) fn candidates(
        &self,
        header: &Header,
        now: SystemTime,
    ) -> Result<Vec<OutsideKey>, ProofError> {
        let named: Vec<OutsideKey> = match &header.kid {
            Some(kid) => {
                let named = self.keys.iter().filter(|key| key.is_named(kid));
                named.take(TRIED_MAX).cloned().collect()
            }
            None if header.x5c.is_none() => self.keys.iter().take(TRIED_MAX).cloned().collect(),
            None => Vec::new(),
        };
        match (&header.x5c, named.is_empty()) {
            (_, false) => Ok(named),
            (Some(chain), true) => Ok(vec![self.of_chain(chain, now)?]),
            (None, true) => Err(ProofError::UnknownKey),
        }
    }

    /// The key of the first of a token's certificates, if they lead to one that is trusted.
    fn of_chain(&self, chain: &[String], now: SystemTime) -> Result<OutsideKey, ProofError> {
        if chain.len() > CHAIN_MAX {
            return Err(ProofError::Chain);
        }
        let decoded: Result<Vec<CertificateDer<'static>>, _> = chain
            .iter()
            .map(|text| STANDARD.decode(text).map(CertificateDer::from))
            .collect();
        let decoded = decoded.map_err(|_| ProofError::Chain)?;
        let (leaf, between) = decoded.split_first().ok_or(ProofError::Chain)?;
        let is_trusted = self.anchors.iter().any(|anchor| anchor[..] == leaf[..]);
        if !is_trusted {
            self.leads_to_an_anchor(leaf, between, now)
                .ok_or(ProofError::Chain)?;
        }
        let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| ProofError::Chain)?;
        of_spki(certificate.public_key()).ok_or(ProofError::Chain)
    }

    fn leads_to_an_anchor(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Option<()> {
        let anchors: Vec<CertificateDer<'_>> = self
            .anchors
            .iter()
            .map(|der| CertificateDer::from(&der[..]))
            .collect();
        let anchors: Vec<_> = anchors
            .iter()
            .filter_map(|anchor| anchor_from_trusted_cert(anchor).ok())
            .collect();
        let leaf = EndEntityCert::try_from(leaf).ok()?;
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).ok()?);
        leaf.verify_for_usage(algorithms, &anchors, between, now, AnyUsage, None, None)
            .ok()?;
        Some(())
    }
}

/// Certificates of issuers of tokens have no usage of their own.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

fn of_spki(spki: &SubjectPublicKeyInfo<'_>) -> Option<OutsideKey> {
    let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (key, algorithms, canonical) = match spki.parsed().ok()? {
        PublicKey::RSA(rsa) => {
            let unsigned = |bytes: &'_ [u8]| -> Vec<u8> {
                bytes
                    .iter()
                    .copied()
                    .skip_while(|byte| *byte == 0)
                    .collect()
            };
            let (n, e) = (unsigned(rsa.modulus), unsigned(rsa.exponent));
            let canonical = format!(
                r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
                base64(&e),
                base64(&n)
            );
            let key = DecodingKey::from_rsa_raw_components(&n, &e);
            (key, rsa_algorithms().to_vec(), canonical)
        }
        PublicKey::EC(point) => {
            let (algorithm, curve, bytes) = match point.data().len() {
                65 => (Algorithm::ES256, "P-256", 32),
                97 => (Algorithm::ES384, "P-384", 48),
                _ => return None,
            };
            let (x, y) = point.data().get(1..)?.split_at(bytes);
            let canonical = format!(
                r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#,
                base64(x),
                base64(y)
            );
            (
                DecodingKey::from_ec_der(point.data()),
                vec![algorithm],
                canonical,
            )
        }
        _ if spki.algorithm.algorithm == OID_SIG_ED25519 => {
            let point = &spki.subject_public_key.data;
            let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64(point));
            (
                DecodingKey::from_ed_der(point),
                vec![Algorithm::EdDSA],
                canonical,
            )
        }
        _ => return None,
    };
    let thumbprint = digest::digest(&digest::SHA256, canonical.as_bytes());
    Some(OutsideKey {
        names: vec![libtrust_fingerprint(spki.raw), base64(thumbprint.as_ref())],
        algorithms,
        key,
    })
}

fn rsa_algorithms() -> &'static [Algorithm] {
    use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
    &[RS256, RS384, RS512, PS256, PS384, PS512]
}

fn of_jwk(member: &Value) -> Option<OutsideKey> {
    let jwk: Jwk = serde_json::from_value(member.clone()).ok()?;
    if matches!(&jwk.common.public_key_use, Some(used) if *used != PublicKeyUse::Signature) {
        return None;
    }
    let algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => rsa_algorithms().to_vec(),
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(curve) if curve.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        _ => return None,
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    // What the set says of the algorithm may only say less.
    let said = member.get("alg").and_then(Value::as_str);
    let algorithms: Vec<Algorithm> = match said {
        None => algorithms,
        Some(said) => {
            let said: Algorithm = said.parse().ok()?;
            algorithms.into_iter().filter(|one| *one == said).collect()
        }
    };
    let is_public = key.family() != AlgorithmFamily::Hmac && !algorithms.is_empty();
    is_public.then(|| OutsideKey {
        names: jwk.common.key_id.into_iter().collect(),
        algorithms,
        key,
    })
}

/// The first 30 bytes of the SHA-256 of a public key (DER), in base32, in groups of four.
fn libtrust_fingerprint(spki: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = digest::digest(&digest::SHA256, spki);
    let mut characters = Vec::new();
    // Five bytes are eight characters: nothing is left over of thirty.
    for five in hash.as_ref()[..FINGERPRINT_BYTES].chunks(5) {
        let bits = five
            .iter()
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for at in (0..8).rev() {
            let index = (bits >> (5 * at)) & 31;
            characters.push(char::from(
                ALPHABET[usize::try_from(index).unwrap_or_default()],
            ));
        }
    }
    let groups: Vec<String> = characters
        .chunks(FINGERPRINT_GROUP)
        .map(|group| group.iter().collect())
        .collect();
    groups.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::fixture::{Kind, Signer};

    #[test]
    fn key_is_called_as_libtrust_and_rfc_7638_say() {
        // The point of RFC 7517, appendix A.1; the fingerprint is what Python's hashlib and base64 say.
        let pem = "-----BEGIN PUBLIC KEY-----\n\
            MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMKBCTNIcKUSDii11ySs3526iDZ8A\n\
            iTo7Tu6KPAqv7D7gS2XpJFbZiItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==\n\
            -----END PUBLIC KEY-----\n";
        let keys = OutsideKeys::from_pem(pem).unwrap();
        assert!(keys.knows("KG4U:JTP2:KRGU:YMTT:VJV7:GUDC:LJ65:KO53:NJYX:EMTU:6U4L:DGRA"));
        assert!(keys.knows("cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"));
        assert!(!keys.knows(""));
    }

    #[test]
    fn set_may_have_keys_that_do_not_count() {
        let good = Signer::draw(Kind::P256);
        let mut for_encryption = Signer::draw(Kind::Rsa).jwk("enc");
        for_encryption["use"] = "enc".into();
        let secret = serde_json::json!({"kty": "oct", "k": "AAAA", "kid": "secret"});
        let odd = serde_json::json!({"kty": "AKP", "kid": "odd"});
        let set = serde_json::json!({"keys": [for_encryption, secret, odd, good.jwk("good"), 7]});
        let keys = OutsideKeys::from_jwk_set(set.to_string().as_bytes()).unwrap();
        assert_eq!(keys.keys.len(), 1);
        assert!(keys.knows("good"));
    }

    #[test]
    fn what_holds_no_keys_is_told_apart() {
        let refused = |text: &str| OutsideKeys::from_jwk_set(text.as_bytes()).err();
        assert_eq!(refused("no"), Some(KeysError::Set));
        assert_eq!(refused("{}"), Some(KeysError::Set));
        assert_eq!(refused(r#"{"keys":[]}"#), Some(KeysError::Empty));
        let many = vec!["1"; COUNT_MAX + 1].join(",");
        assert_eq!(
            refused(&format!(r#"{{"keys":[{many}]}}"#)),
            Some(KeysError::TooMany)
        );
        let refused = |text: &str| OutsideKeys::from_pem(text).err();
        assert_eq!(refused(""), Some(KeysError::Empty));
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(refused(junk), Some(KeysError::Pem));
    }
}
