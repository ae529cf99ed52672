//! Logins and tokens that somebody else checks or gives: an issuer of tokens such as GitLab, OpenID providers, LDAP directories,
//! files of passwords, and the authorities of client certificates.
//!
//! Each of them says who somebody is, never what they may do, but for [`issuer`], whose tokens carry both. Each way ends in the
//! same small [`Login`], from which the log makes or renews the user. None may cost those anything who come another way: every
//! call has a deadline, every answer a bound, and who is not answered is not asked again at once.
//!
//! Secrets (passwords, client secrets, codes, tokens) never show in an error or in `Debug`.

pub mod certificate;
mod elsewhere;
#[cfg(test)]
pub(crate) mod fixture;
mod form;
mod https;
pub mod issuer;
mod keys;
pub mod ldap;
mod login;
pub mod openid;
mod proof;
mod settings;
mod trust;

pub use elsewhere::{Elsewhere, Found};
pub use form::{Form, FormError};
pub use https::FetchError;
pub use keys::{KeysError, OutsideKeys};
pub use login::{GroupRule, Login, LoginError, NameRule};
pub use proof::ProofError;
pub use settings::{HtpasswdSettings, Outside, OutsideError, OutsideSettings};
pub use trust::TrustError;

/// The longest time that others may be given to answer, in milliseconds.
const TIMEOUT_MS_MAX: u64 = 60_000;
