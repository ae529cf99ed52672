//! Claims about a person: whether an ID token is for this registry and this login, and whom it names. Pure.
//!
//! Spec: OpenID Connect Core 1.0 section 3.1.3.7.

use std::time::SystemTime;

use metadata::access::Source;
use serde_json::{Map, Value};

use super::OpenIdError;
use super::settings::OpenIdSettings;
use crate::outside::keys::OutsideKeys;
use crate::outside::login::{self, Login, LoginError};
use crate::outside::proof::{self, Proof, ProofError};

/// The longest subject, as the specification has it.
const SUBJECT_BYTES_MAX: usize = 255;

/// Checks an ID token that came for the login of `nonce`.
pub(super) fn check(
    settings: &OpenIdSettings,
    keys: &OutsideKeys,
    token: &str,
    nonce: &str,
    now: SystemTime,
) -> Result<Proof, ProofError> {
    let proof = proof::check(keys, &settings.issuer, token, now)?;
    let client = &settings.client_id;
    if !proof.is_for(client) {
        return Err(ProofError::Audience);
    }
    let audiences = proof.claims.get("aud").and_then(Value::as_array);
    match proof.claims.get("azp") {
        Some(party) if party.as_str() != Some(client) => return Err(ProofError::Audience),
        None if audiences.is_some_and(|many| many.len() > 1) => return Err(ProofError::Audience),
        _ => {}
    }
    match proof.text("nonce") == Some(nonce) {
        true => Ok(proof),
        false => Err(ProofError::Nonce),
    }
}

/// Whether claims lack what a login is made of.
pub(super) fn lacks(settings: &OpenIdSettings, claims: &Map<String, Value>) -> bool {
    let groups = settings.groups_claim.as_ref();
    !claims.contains_key(&settings.user_claim)
        || groups.is_some_and(|claim| !claims.contains_key(claim))
}

/// Whom claims name.
pub(super) fn login(
    settings: &OpenIdSettings,
    claims: &Map<String, Value>,
) -> Result<Login, OpenIdError> {
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    let subject = text("sub").unwrap_or_default();
    if !(1..=SUBJECT_BYTES_MAX).contains(&subject.len()) {
        return Err(OpenIdError::Nonsense("its token has no subject"));
    }
    let claim = &settings.user_claim;
    let is_verified = claims.get("email_verified") == Some(&Value::Bool(true));
    if claim == "email" && !is_verified && !settings.accept_unverified_email {
        return Err(LoginError::UnverifiedEmail.into());
    }
    let name = text(claim).ok_or_else(|| LoginError::NoName {
        what: claim.clone(),
    })?;
    let groups = settings.groups_claim.as_ref().map(|claim| {
        let names: Vec<&str> = match claims.get(claim) {
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one],
            // Many providers leave out what is empty.
            _ => Vec::new(),
        };
        settings.groups.groups(names)
    });
    Ok(Login {
        user: settings.name.name(name)?,
        source: Source::OpenId {
            issuer: settings.issuer.as_str().into(),
            subject: subject.into(),
        },
        email: text("email").and_then(login::email),
        groups: groups.transpose()?,
    })
}
