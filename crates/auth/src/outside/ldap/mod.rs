//! Logins that an LDAP directory checks: find the user's entry, bind as it with the password, read its groups.
//!
//! Nothing is cached here and nothing is kept open. The directory has a bounded number of connections and a bounded time for each
//! login; when it is away, a breaker says so at once to those who log in by it, and nobody else notices.
//!
//! Spec: RFC 4511, RFC 4513 (5.1.2: no password is no proof), RFC 4515 (filters), RFC 4514 (names).

mod breaker;
mod directory;
pub(crate) mod names;
mod settings;

pub use directory::Directory;
pub use settings::{GroupSearch, LdapSettings};

use super::login::LoginError;
use super::trust::TrustError;

/// Why a login by LDAP came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LdapError {
    /// What is configured cannot be.
    #[error("the settings of LDAP cannot be: {0}")]
    Settings(String),
    /// Nobody can be trusted for it.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Nobody of this name, or another password: which of them is not told.
    #[error("unknown user or wrong password")]
    Refused,
    /// Whom the directory names cannot log in here.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The directory does not answer, or with nothing of use.
    #[error("the LDAP directory: {0}")]
    Failed(String),
    /// It did not answer a moment ago, and is not asked again yet.
    #[error("the LDAP directory did not answer a moment ago")]
    Away,
}

impl LdapError {
    /// Whether the same may work later: the directory was away, not unwilling.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, LdapError::Failed(_) | LdapError::Away)
    }
}
