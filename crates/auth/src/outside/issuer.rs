//! Tokens of an outside issuer, as GitLab and other token servers make them for a registry: what the bearer may do stands in the
//! token. A registry with such an issuer sends clients to it (`realm`) and takes what they bring back.
//!
//! Nothing is ever asked of the issuer: its keys are files. A file that cannot be read any more changes nothing.
//!
//! Spec: "Token Authentication Specification" and "Token Authentication Implementation" of the distribution project.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use metadata::PrincipalName;
use metadata::access::Who;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keys::{KeysError, OutsideKeys};
use super::proof::{self, ProofError};
use crate::scope::{AccessClaim, SCOPES_MAX, Scope};

/// The largest file of keys.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The longest name of somebody outside.
const NAME_BYTES_MAX: usize = 200;

/// Who the issuer is, as docker's registry has it under `auth.token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// Where clients get tokens: the address in the challenge.
    pub realm: String,
    /// For whom tokens have to be (`aud`), and what clients ask for.
    pub service: String,
    /// Who has to have made them (`iss`).
    pub issuer: String,
    /// Files of certificates or public keys (PEM); docker's `rootcertbundle`.
    #[serde(default)]
    pub certificates: Vec<PathBuf>,
    /// Files of JWK sets; docker's `jwks`.
    #[serde(default)]
    pub key_sets: Vec<PathBuf>,
}

/// Why the keys of an issuer were not taken.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// No file is named.
    #[error("an issuer of tokens needs `certificates` or `key_sets`")]
    NoFiles,
    /// Without these names every token of the issuer's, for whatever, would count.
    #[error("an issuer of tokens needs `realm`, `service` and `issuer`")]
    NoName,
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{path}: {source}", path = path.display())]
    Keys {
        /// Which.
        path: PathBuf,
        /// Why.
        source: KeysError,
    },
}

/// Somebody for whom the issuer vouches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideProof {
    /// Who: [`Who::Outside`].
    pub who: Who,
    /// What they may do, and nothing else.
    pub scopes: Vec<Scope>,
    /// Until when, by this node's clock.
    pub until: SystemTime,
}

/// An issuer and its keys.
pub struct Issuer {
    settings: IssuerSettings,
    read: RwLock<Read>,
}

struct Read {
    modified: Vec<Option<SystemTime>>,
    keys: Arc<OutsideKeys>,
}

impl Issuer {
    /// Reads the files: not to be called where nothing may block.
    ///
    /// # Errors
    /// See [`IssuerError`].
    pub fn open(settings: IssuerSettings) -> Result<Issuer, IssuerError> {
        let names = [&settings.realm, &settings.service, &settings.issuer];
        if names.iter().any(|name| name.is_empty()) {
            return Err(IssuerError::NoName);
        }
        let read = RwLock::new(read(&settings)?);
        Ok(Issuer { settings, read })
    }

    /// Who it is.
    #[must_use]
    pub fn settings(&self) -> &IssuerSettings {
        &self.settings
    }

    /// Reads the files again if one has changed, and tells whether one had. To be asked now and then, where a read may block.
    ///
    /// # Errors
    /// See [`IssuerError`]; what was read before goes on counting.
    pub fn refresh(&self) -> Result<bool, IssuerError> {
        if modified(&self.settings) == self.read.read().modified {
            return Ok(false);
        }
        let read = read(&self.settings)?;
        *self.read.write() = read;
        Ok(true)
    }

    /// Checks a token that was shown at `now`.
    ///
    /// # Errors
    /// See [`ProofError`].
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<OutsideProof, ProofError> {
        let keys = Arc::clone(&self.read.read().keys);
        verify(&self.settings, &keys, token, now)
    }
}

fn verify(
    settings: &IssuerSettings,
    keys: &OutsideKeys,
    token: &str,
    now: SystemTime,
) -> Result<OutsideProof, ProofError> {
    let proof = proof::check(keys, &settings.issuer, token, now)?;
    if !proof.is_for(&settings.service) {
        return Err(ProofError::Audience);
    }
    let access: Vec<AccessClaim> = match proof.claims.get("access") {
        None | Some(Value::Null) => Vec::new(),
        Some(access) => Vec::deserialize(access.clone()).map_err(|_| ProofError::Malformed)?,
    };
    if access.len() > SCOPES_MAX {
        return Err(ProofError::Malformed);
    }
    let name = name(&settings.issuer, proof.text("sub").unwrap_or_default());
    Ok(OutsideProof {
        who: Who::Outside(name.ok_or(ProofError::Malformed)?),
        scopes: access.iter().filter_map(AccessClaim::scope).collect(),
        until: proof.until,
    })
}

/// As the audit has them: the issuer's name comes first, and the colon is in no name of an account, so that nobody outside is
/// taken for somebody here.
fn name(issuer: &str, subject: &str) -> Option<PrincipalName> {
    let is_good = subject.len() <= NAME_BYTES_MAX && !subject.chars().any(char::is_control);
    let issuer: String = issuer.chars().take(NAME_BYTES_MAX).collect();
    is_good.then(|| PrincipalName(format!("{issuer}:{subject}").into()))
}

fn modified(settings: &IssuerSettings) -> Vec<Option<SystemTime>> {
    let files = settings.certificates.iter().chain(&settings.key_sets);
    files
        .map(|path| {
            std::fs::metadata(path)
                .and_then(|file| file.modified())
                .ok()
        })
        .collect()
}

fn read(settings: &IssuerSettings) -> Result<Read, IssuerError> {
    // Before the files are read: what is written meanwhile is read again.
    let modified = modified(settings);
    let mut keys: Option<OutsideKeys> = None;
    let sets = settings.key_sets.iter().map(|path| (path, true));
    let certificates = settings.certificates.iter().map(|path| (path, false));
    for (path, is_set) in sets.chain(certificates) {
        let wrong = |source| IssuerError::Keys {
            path: path.clone(),
            source,
        };
        let bytes = read_file(path)?;
        let more = match is_set {
            true => OutsideKeys::from_jwk_set(&bytes),
            false => OutsideKeys::from_pem(&String::from_utf8_lossy(&bytes)),
        };
        let more = more.map_err(wrong)?;
        match &mut keys {
            None => keys = Some(more),
            Some(keys) => keys.add(more).map_err(wrong)?,
        }
    }
    Ok(Read {
        modified,
        keys: Arc::new(keys.ok_or(IssuerError::NoFiles)?),
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, IssuerError> {
    let unreadable = |source| IssuerError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(std::io::Error::other("it is too large")));
    }
    std::fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests;
