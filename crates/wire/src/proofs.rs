//! What a gateway has a member prove and sign: plain types, and their bytes. Their secrets show in no `Debug`.

use std::fmt;

use metadata::access::{AccountName, TokenId};
use prost::Message;
use zeroize::{Zeroize as _, Zeroizing};

use crate::access::{account_from, token_from, token_to};
use crate::error::{DecodeError, required};
use crate::peer::PeerMessage;
use crate::{pb, strict};

/// Asks whether a name and a secret belong together.
#[derive(Clone, PartialEq, Eq)]
pub struct ProveRequest {
    /// Whose.
    pub name: AccountName,
    /// A password, a robot's secret, or a personal access token.
    pub secret: Zeroizing<String>,
    /// For how long the caller waits, in milliseconds.
    pub patience_ms: u64,
    /// Whether the last state that is known is good enough.
    pub may_be_stale: bool,
}

impl fmt::Debug for ProveRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProveRequest")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// An account that proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenAccount {
    /// Which.
    pub name: AccountName,
    /// Its generation.
    pub generation: u64,
    /// The personal access token that was shown.
    pub token: Option<TokenId>,
}

/// The answer to a [`ProveRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProveReply {
    /// They do.
    Proved(ProvenAccount),
    /// They do not, or nobody has this name.
    Wrong,
    /// Too many passwords are being checked.
    Busy,
    /// This member cannot tell; another one may.
    Unavailable(String),
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPurpose {
    /// Shown with each request.
    Access,
    /// Exchanged for others.
    Refresh,
}

/// Asks for a token. The caller has made sure of what it claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignRequest {
    /// What it is for.
    pub purpose: TokenPurpose,
    /// Whose it is; `None`: nobody's.
    pub account: Option<ProvenAccount>,
    /// What it is good for, as clients write it.
    pub scopes: Vec<String>,
    /// For how long it counts, in milliseconds.
    pub life_ms: u64,
    /// For which service.
    pub service: String,
    /// For how long the caller waits, in milliseconds.
    pub patience_ms: u64,
    /// Whether the last state that is known is good enough.
    pub may_be_stale: bool,
}

/// The answer to a [`SignRequest`].
#[derive(Clone, PartialEq, Eq)]
pub enum SignReply {
    /// The token.
    Signed(String),
    /// This member cannot sign; another one may.
    Unavailable(String),
}

impl fmt::Debug for SignReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignReply::Signed(_) => f.write_str("Signed(..)"),
            SignReply::Unavailable(why) => f.debug_tuple("Unavailable").field(why).finish(),
        }
    }
}

impl From<&ProvenAccount> for pb::ProvenAccount {
    fn from(account: &ProvenAccount) -> Self {
        pb::ProvenAccount {
            name: account.name.to_string(),
            generation: account.generation,
            token: account.token.map(token_to),
            key: None,
        }
    }
}

impl TryFrom<pb::ProvenAccount> for ProvenAccount {
    type Error = DecodeError;

    fn try_from(account: pb::ProvenAccount) -> Result<Self, DecodeError> {
        if account.key.is_some() {
            let problem = "it is of one who showed a secret, and names a key";
            return Err(DecodeError::new("an account that proved itself", problem));
        }
        Ok(ProvenAccount {
            name: account_from(&account.name)?,
            generation: account.generation,
            token: account.token.as_deref().map(token_from).transpose()?,
        })
    }
}

/// The text of a secret.
fn secret_from(mut bytes: Vec<u8>) -> Result<Zeroizing<String>, DecodeError> {
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(Zeroizing::new(String::from_utf8(bytes).unwrap_or_default())),
        Err(_) => {
            bytes.zeroize();
            Err(DecodeError::new("a secret", "it is no text"))
        }
    }
}

impl PeerMessage for ProveRequest {
    fn encode(&self) -> Vec<u8> {
        pb::ProveRequest {
            name: self.name.to_string(),
            secret: bytes::Bytes::copy_from_slice(self.secret.as_bytes()),
            patience_ms: self.patience_ms,
            may_be_stale: self.may_be_stale,
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let request = strict::<pb::ProveRequest>(bytes, "a request for a proof")?;
        Ok(ProveRequest {
            name: account_from(&request.name)?,
            secret: secret_from(request.secret.into())?,
            patience_ms: request.patience_ms,
            may_be_stale: request.may_be_stale,
        })
    }
}

impl PeerMessage for ProveReply {
    fn encode(&self) -> Vec<u8> {
        use pb::prove_reply::Outcome;
        let outcome = match self {
            ProveReply::Proved(account) => Outcome::Proved(account.into()),
            ProveReply::Wrong => Outcome::Wrong(pb::Empty {}),
            ProveReply::Busy => Outcome::Busy(pb::Empty {}),
            ProveReply::Unavailable(why) => Outcome::Unavailable(why.clone()),
        };
        pb::ProveReply {
            outcome: Some(outcome),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::prove_reply::Outcome;
        let what = "the reply to a request for a proof";
        let message = strict::<pb::ProveReply>(bytes, what)?;
        Ok(match required(message.outcome, what)? {
            Outcome::Proved(account) => ProveReply::Proved(account.try_into()?),
            Outcome::Wrong(pb::Empty {}) => ProveReply::Wrong,
            Outcome::Busy(pb::Empty {}) => ProveReply::Busy,
            Outcome::Unavailable(why) => ProveReply::Unavailable(why),
        })
    }
}

fn purpose_from(number: i32) -> Result<TokenPurpose, DecodeError> {
    match pb::TokenPurpose::try_from(number) {
        Ok(pb::TokenPurpose::Access) => Ok(TokenPurpose::Access),
        Ok(pb::TokenPurpose::Refresh) => Ok(TokenPurpose::Refresh),
        Ok(pb::TokenPurpose::Unspecified) | Err(_) => Err(DecodeError::new(
            "what a token is for",
            format!("{number} is unknown to this build"),
        )),
    }
}

impl PeerMessage for SignRequest {
    fn encode(&self) -> Vec<u8> {
        let purpose = match self.purpose {
            TokenPurpose::Access => pb::TokenPurpose::Access,
            TokenPurpose::Refresh => pb::TokenPurpose::Refresh,
        };
        pb::SignRequest {
            purpose: purpose.into(),
            account: self.account.as_ref().map(Into::into),
            scopes: self.scopes.clone(),
            life_ms: self.life_ms,
            service: self.service.clone(),
            patience_ms: self.patience_ms,
            may_be_stale: self.may_be_stale,
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let request = strict::<pb::SignRequest>(bytes, "a request for a token")?;
        Ok(SignRequest {
            purpose: purpose_from(request.purpose)?,
            account: request.account.map(TryInto::try_into).transpose()?,
            scopes: request.scopes,
            life_ms: request.life_ms,
            service: request.service,
            patience_ms: request.patience_ms,
            may_be_stale: request.may_be_stale,
        })
    }
}

impl PeerMessage for SignReply {
    fn encode(&self) -> Vec<u8> {
        use pb::sign_reply::Outcome;
        let outcome = match self {
            SignReply::Signed(token) => Outcome::Token(token.clone()),
            SignReply::Unavailable(why) => Outcome::Unavailable(why.clone()),
        };
        pb::SignReply {
            outcome: Some(outcome),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::sign_reply::Outcome;
        let what = "the reply to a request for a token";
        let message = strict::<pb::SignReply>(bytes, what)?;
        Ok(match required(message.outcome, what)? {
            Outcome::Token(token) => SignReply::Signed(token),
            Outcome::Unavailable(why) => SignReply::Unavailable(why),
        })
    }
}
