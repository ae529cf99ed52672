//! The join token: one line of text that lets one node into the cluster, once.
//!
//! It says where the node belongs (the cluster, and the authority's fingerprint by which the node recognises it) and
//! carries a secret by which the cluster recognises the node. The log keeps only the secret's hash. The token's own role
//! and expiry are there to tell people early; what the log recorded for the token's id is what counts.
//!
//! ```text
//! "hf1." base64url( version 1 | cluster 16 | fingerprint 32 | token id 16 | secret 32 | role 1 | expiry 8 | checksum 4 )
//! ```
//!
//! Numbers are big-endian; the checksum is the beginning of the SHA-256 of everything before it, the prefix included.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use metadata::ClusterId;
pub use metadata::JoinTokenId as TokenId;
use zeroize::{Zeroize, Zeroizing};

use crate::fingerprint::{AuthorityFingerprint, sha256};
use crate::node::{Role, UnixSeconds};
use crate::random;

const PREFIX: &str = "hf1.";
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
const BODY_BYTES: usize = 1 + 16 + 32 + 16 + 32 + 1 + 8;
const TOKEN_BYTES: usize = BODY_BYTES + CHECKSUM_BYTES;

/// How many characters a token has.
const TEXT_CHARS: usize = PREFIX.len() + (TOKEN_BYTES * 4).div_ceil(3);

/// The secret of a join token. Its `Debug` does not show it, and it is wiped when it is dropped.
#[derive(Clone)]
pub struct TokenSecret([u8; 32]);

impl TokenSecret {
    /// The secret that a joining node sent.
    pub fn from_bytes(bytes: [u8; 32]) -> TokenSecret {
        TokenSecret(bytes)
    }

    /// The secret as it travels; only ever over a connection to the token's cluster.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the log keeps of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(sha256(&self.0))
    }
}

impl Drop for TokenSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

/// The SHA-256 of a token's secret: enough to recognise the secret, and of no use to whoever reads the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Whether `secret` is the one; takes the same time whatever it is.
    pub fn matches(&self, secret: &TokenSecret) -> bool {
        verify_slices_are_equal(&self.0, &secret.hash().0).is_ok()
    }
}

/// A join token. Its `Display` is the token itself, for the one who asked for it; its `Debug` hides the secret.
#[derive(Debug, Clone)]
pub struct JoinToken {
    cluster: ClusterId,
    authority: AuthorityFingerprint,
    id: TokenId,
    secret: TokenSecret,
    role: Role,
    expires: UnixSeconds,
}

impl JoinToken {
    /// A new token, with a random id and secret, for one node that becomes a `role` before `expires`.
    pub fn create(
        cluster: ClusterId,
        authority: AuthorityFingerprint,
        role: Role,
        expires: UnixSeconds,
    ) -> JoinToken {
        JoinToken {
            cluster,
            authority,
            id: TokenId(u128::from_be_bytes(random::bytes())),
            secret: TokenSecret(random::bytes()),
            role,
            expires,
        }
    }

    /// The cluster that it lets a node into.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// By which the node recognises the cluster: for [`joining_client_config`](crate::joining_client_config).
    pub fn authority(&self) -> AuthorityFingerprint {
        self.authority
    }

    /// Its name in the log.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// What the node shows to be let in.
    pub fn secret(&self) -> &TokenSecret {
        &self.secret
    }

    /// What the log keeps of the secret.
    pub fn hash(&self) -> TokenHash {
        self.secret.hash()
    }

    /// What the node becomes.
    pub fn role(&self) -> Role {
        self.role
    }

    /// From this moment on it lets nobody in.
    pub fn expires(&self) -> UnixSeconds {
        self.expires
    }

    /// Whether a node that is to be a `role` may try it at `now`. Asked by the node that has it; the cluster decides by
    /// what its log says of the token.
    pub fn check(&self, role: Role, now: UnixSeconds) -> Result<(), TokenRefusal> {
        if role != self.role {
            return Err(TokenRefusal::OtherRole {
                token: self.role,
                node: role,
            });
        }
        if now >= self.expires {
            return Err(TokenRefusal::Expired {
                seconds: now.0 - self.expires.0,
            });
        }
        Ok(())
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES));
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.cluster.0.to_be_bytes());
        bytes.extend_from_slice(&self.authority.0);
        bytes.extend_from_slice(&self.id.0.to_be_bytes());
        bytes.extend_from_slice(self.secret.as_bytes());
        bytes.push(match self.role {
            Role::Member => 1,
            Role::Gateway => 2,
        });
        bytes.extend_from_slice(&self.expires.0.to_be_bytes());
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<JoinToken, TokenError> {
        let (body, sum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or(TokenError::Damaged)?;
        if checksum(body) != *sum {
            return Err(TokenError::Damaged);
        }
        let mut fields = Fields(body);
        if fields.take::<1>()? != [VERSION] {
            return Err(TokenError::Newer);
        }
        let token = JoinToken {
            cluster: ClusterId(u128::from_be_bytes(fields.take()?)),
            authority: AuthorityFingerprint(fields.take()?),
            id: TokenId(u128::from_be_bytes(fields.take()?)),
            secret: TokenSecret(fields.take()?),
            role: match fields.take()? {
                [1] => Role::Member,
                [2] => Role::Gateway,
                _ => return Err(TokenError::Newer),
            },
            expires: UnixSeconds(u64::from_be_bytes(fields.take()?)),
        };
        fields.end()?;
        Ok(token)
    }
}

/// What is still to be read of a token's body.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], TokenError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(TokenError::Damaged)?;
        self.0 = rest;
        Ok(*field)
    }

    fn end(&self) -> Result<(), TokenError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(TokenError::Damaged)
        }
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut all = Zeroizing::new(Vec::with_capacity(PREFIX.len() + TOKEN_BYTES));
    all.extend_from_slice(PREFIX.as_bytes());
    all.extend_from_slice(body);
    let [a, b, c, d, ..] = sha256(&all);
    [a, b, c, d]
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*self.to_bytes()));
        write!(f, "{PREFIX}{}", *text)
    }
}

/// White space around the token is ignored; everything else has to be as it was written.
impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<JoinToken, TokenError> {
        let text = text.trim();
        let digits = text.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        if text.len() < TEXT_CHARS {
            return Err(TokenError::Short {
                missing: TEXT_CHARS - text.len(),
            });
        }
        if text.len() > TEXT_CHARS {
            return Err(TokenError::Damaged);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(digits)
            .map(Zeroizing::new)
            .map_err(|_| TokenError::Damaged)?;
        JoinToken::from_bytes(&bytes)
    }
}

/// Why a text is no join token. The text itself is in no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin like one.
    #[error("this is no join token: one begins with `{PREFIX}`")]
    Prefix,
    /// Its end is missing.
    #[error(
        "the join token is cut off: {missing} characters are missing at its end; copy the whole line"
    )]
    Short {
        /// How many characters.
        missing: usize,
    },
    /// It was changed on its way.
    #[error("the join token is damaged: its checksum is wrong; copy the whole line again")]
    Damaged,
    /// It was made by a newer build.
    #[error("the join token was made by a newer version of Holdfast: upgrade this node first")]
    Newer,
}

/// Why a good token is not for this node now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Its time is over.
    #[error("the join token expired {seconds} seconds ago: make a new one on a member")]
    Expired {
        /// How long ago.
        seconds: u64,
    },
    /// It was made for a node of another kind.
    #[error("the join token is for a {token}, and this node is started as a {node}")]
    OtherRole {
        /// What it makes of a node.
        token: Role,
        /// What this node is to be.
        node: Role,
    },
}

#[cfg(test)]
#[path = "join_token_tests.rs"]
mod tests;
