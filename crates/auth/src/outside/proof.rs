//! Tokens that others signed: whether one of their keys did, whether it is for us, and whether its time is now.
//!
//! Only algorithms with a public half are taken, and only one that fits the key: neither `none` nor a shared secret is, so that
//! nobody signs with what everybody may know. What a header points to (`jku`, `x5u`, `jwk`) is never looked at.
//!
//! Spec: RFC 7519; RFC 8725 (best current practices).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::keys::OutsideKeys;

/// The longest token that is looked at.
const BYTES_MAX: usize = 64 * 1024;

/// How far the clock of whoever signed may be from ours.
const LEEWAY: Duration = Duration::from_secs(60);

/// What others may sign with.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Why a token of others does not count. None of these tells what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is none, has a header that must be understood, or is too long.
    #[error("this is no token that could be checked")]
    Malformed,
    /// It is not signed, or in a way that does not count.
    #[error("the token is not signed in a way that counts")]
    Algorithm,
    /// Its key is none of the issuer's.
    #[error("the token's key is not known to be its issuer's")]
    UnknownKey,
    /// Its certificates lead to none that is trusted.
    #[error("the token's certificates lead to none that is trusted for it")]
    Chain,
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// It is of another issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// It is for another service.
    #[error("the token is for another service")]
    Audience,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    TooEarly,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It was given for another login.
    #[error("the token was given for another login")]
    Nonce,
}

/// What stands in a token, after its signature, issuer and time were found right.
pub(super) struct Proof {
    pub(super) claims: Map<String, Value>,
    /// Until when it counts, by our clock.
    pub(super) until: SystemTime,
}

#[derive(Deserialize)]
struct Times {
    #[serde(deserialize_with = "seconds")]
    exp: u64,
    #[serde(default, deserialize_with = "seconds")]
    nbf: u64,
}

/// RFC 7519 lets a date have a fraction.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    match number.is_finite() && (0.0..1e15).contains(&number) {
        true => Ok(number as u64),
        false => Err(serde::de::Error::custom("no date")),
    }
}

impl Proof {
    /// The text of a claim.
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// Whether it is for `audience`, alone or among others.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one == audience),
            _ => false,
        }
    }
}

/// The key that a token's header names, and whether it has certificates of its own.
pub(super) fn key_named_by(token: &str) -> Result<(Option<String>, bool), ProofError> {
    if token.len() > BYTES_MAX {
        return Err(ProofError::Malformed);
    }
    let header = decode_header(token).map_err(|_| ProofError::Malformed)?;
    Ok((header.kid, header.x5c.is_some()))
}

/// Checks signature, issuer and times.
pub(super) fn check(
    keys: &OutsideKeys,
    issuer: &str,
    token: &str,
    now: SystemTime,
) -> Result<Proof, ProofError> {
    let claims = signed_claims(keys, token, now)?;
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err(ProofError::Issuer);
    }
    let times = Times::deserialize(Value::Object(claims.clone()));
    let times = times.map_err(|_| ProofError::Malformed)?;
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    if times.nbf > now.saturating_add(LEEWAY.as_secs()) {
        return Err(ProofError::TooEarly);
    }
    let until = times.exp.saturating_add(LEEWAY.as_secs());
    if until <= now {
        return Err(ProofError::Expired);
    }
    Ok(Proof {
        claims,
        until: UNIX_EPOCH + Duration::from_secs(until),
    })
}

fn signed_claims(
    keys: &OutsideKeys,
    token: &str,
    now: SystemTime,
) -> Result<Map<String, Value>, ProofError> {
    if token.len() > BYTES_MAX {
        return Err(ProofError::Malformed);
    }
    let header = decode_header(token).map_err(|_| ProofError::Malformed)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(ProofError::Algorithm);
    }
    if header.crit.is_some() {
        return Err(ProofError::Malformed);
    }
    let candidates = keys.candidates(&header, now)?;
    let fitting = candidates.iter().filter(|key| key.fits(header.alg));
    let mut found = ProofError::Algorithm;
    for key in fitting {
        match decode(token, &key.key, &signature_only(header.alg)) {
            Ok(decoded) => return Ok(decoded.claims),
            Err(error) => {
                use jsonwebtoken::errors::ErrorKind::InvalidSignature;
                found = match error.kind() {
                    InvalidSignature => ProofError::Signature,
                    _ => ProofError::Malformed,
                };
            }
        }
    }
    Err(found)
}

/// Names and times are checked by [`check`], against its own `now`.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}
