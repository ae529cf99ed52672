//! Proofs of who asks: passwords, secrets, tokens, and what a token was asked for.
//!
//! What somebody may do is decided by `metadata::access` at each request; here it is only made sure who they are, and that a
//! token is used for no more than it was given for. Secrets never show in an error or in `Debug`.
//!
//! Spec: RFC 7519 (JSON Web Token), RFC 7518 section 3.4 (ES256), RFC 7517 (JSON Web Key), and the token authentication of
//! the distribution project ("Token Authentication Specification", "Token Scope Documentation").

mod doorkeeper;
mod htpasswd;
mod key;
pub mod outside;
#[cfg(feature = "parsers")]
pub mod parsers;
mod password;
mod remembered;
mod scope;
mod secret;
mod signer;
mod token;

pub use doorkeeper::{
    Admitted, Doorkeeper, Gate, MemberProver, NotAdmitted, ProofFailure, Prover, TokenKeys,
    describe_metrics,
};
pub use htpasswd::{Htpasswd, HtpasswdError};
pub use key::{KeyError, NewKey, SigningKey, VerifyingKeys};
pub use password::{PASSWORD_BYTES_MAX, PasswordChecker, PasswordError};
pub use remembered::{Remembered, Tag};
pub use scope::{SCOPES_MAX, Scope, ScopeError, covers, intersection, parse_scopes};
pub use secret::{AccessToken, new_access_token, new_password, new_robot_secret, secret_matches};
pub use signer::Signer;
pub use token::{
    ACCESS_LIFE, Claims, Proved, Purpose, REFRESH_LIFE, TokenError, TokenIssuer, Verified, verify,
};
