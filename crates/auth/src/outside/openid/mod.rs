//! OpenID providers: people log in there by their browsers, and jobs show the tokens that theirs gave them.
//!
//! A provider that is away, slow or wrong keeps nobody waiting but those who log in by it. Its keys are kept; what renews them may
//! fail without an end to what was known.
//!
//! Spec: OpenID Connect Core 1.0, Discovery 1.0; RFC 6749, RFC 7636 (PKCE), RFC 9207 (`iss` in answers).

mod discovery;
mod flow;
mod identity;
mod provider;
mod settings;
mod workload;

pub use flow::{Callback, Pending};
pub use provider::Provider;
pub use settings::{OpenIdSettings, WorkloadRule, WorkloadSettings};
pub use workload::{WorkloadProof, Workloads};

use super::https::FetchError;
use super::login::LoginError;
use super::proof::ProofError;
use super::trust::TrustError;

/// Why a login by an OpenID provider, or a token of one, came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdError {
    /// What is configured cannot be.
    #[error("the settings of an OpenID provider cannot be: {0}")]
    Settings(String),
    /// Nobody can be trusted for it.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// It does not answer, or with nothing of use.
    #[error("the OpenID provider: {0}")]
    Fetch(#[from] FetchError),
    /// It was not reached a moment ago, and is not asked again yet.
    #[error("the OpenID provider could not be reached a moment ago")]
    Away,
    /// What it says of itself or answers is not what the specification asks for.
    #[error("the OpenID provider says something that cannot be used: {0}")]
    Nonsense(&'static str),
    /// The answer is none to this login.
    #[error("this is no answer to a login that was begun here")]
    State,
    /// The login was begun too long ago.
    #[error("the login took too long; begin again")]
    TooLate,
    /// The provider refused.
    #[error("the OpenID provider refused: {0}")]
    Refused(String),
    /// The token does not count.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Whom it names cannot log in here.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The token is good, but nobody acts for it.
    #[error("no rule says as whom the bearer of this token acts")]
    NoRule,
}

impl OpenIdError {
    /// Whether the same may work later: the provider was away, not unwilling.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, OpenIdError::Fetch(_) | OpenIdError::Away)
    }
}

#[cfg(test)]
mod tests;
