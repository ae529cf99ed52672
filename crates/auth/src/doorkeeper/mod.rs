//! Who asks, from what a request shows: a name with a secret, or a token.
//!
//! It makes sure who somebody is and lets nobody do anything: the log does that with each request. So what was verified a
//! moment ago may be remembered here, and is forgotten as soon as the log says that it counts no more. Rules 8.1 and 8.2.

mod credentials;
mod keys;
mod login;
mod prover;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metadata::access::Who;
use oci::RepositoryName;
use ports::Deadline;
use zeroize::Zeroizing;

use crate::remembered::Tag;
use crate::{
    Proved, Purpose, Remembered, Scope, TokenError, TokenIssuer, VerifyingKeys, covers, verify,
};
use credentials::Credentials;
pub use keys::TokenKeys;
pub use login::{Gate, describe_metrics};
pub use prover::{MemberProver, ProofFailure, Prover};

/// What was verified is remembered for so long at most.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// Somebody whose proof holds, as far as this node can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Who.
    pub who: Who,
    /// What their token is good for; `None`: they showed none that is limited.
    pub scopes: Option<Arc<[Scope]>>,
    tag: Option<Tag>,
}

impl Admitted {
    /// Somebody who shows nothing.
    #[must_use]
    pub fn anonymous() -> Admitted {
        Admitted {
            who: Who::Anonymous,
            scopes: None,
            tag: None,
        }
    }

    /// Whether what they showed is good for `right` in `repository`. Whether they have this right is another question.
    #[must_use]
    pub fn covers(&self, repository: &RepositoryName, right: metadata::access::Right) -> bool {
        let scopes = self.scopes.as_deref();
        scopes.is_none_or(|scopes| covers(scopes, repository, right))
    }
}

/// Why somebody is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The header is of no scheme that is known here, or breaks its form.
    #[error("the Authorization header is not as Basic or Bearer has it")]
    Malformed,
    /// The name or the secret is wrong; which of them is not told.
    #[error("the name or the secret is wrong")]
    Wrong,
    /// The token does not count.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// Too many secrets were wrong: this one was not looked at.
    #[error("too many logins have failed")]
    Throttled {
        /// When the next may be tried.
        retry_after: Duration,
    },
    /// Nobody can tell now.
    #[error("{0}")]
    Unknown(#[from] ProofFailure),
}

/// Believes, or does not.
pub struct Doorkeeper {
    prover: Arc<dyn Prover>,
    keys: TokenKeys,
    names: TokenIssuer,
    seen: Remembered<Seen>,
}

#[derive(Clone)]
struct Seen {
    admitted: Admitted,
    /// What it was, if it was a token.
    token: Option<SeenToken>,
}

#[derive(Clone, Copy)]
struct SeenToken {
    /// Until when it counts.
    until: SystemTime,
    /// The key that signed it.
    key: u32,
}

impl Doorkeeper {
    /// Remembers about `count` proofs.
    #[must_use]
    pub fn new(
        prover: Arc<dyn Prover>,
        keys: TokenKeys,
        names: TokenIssuer,
        count: usize,
    ) -> Doorkeeper {
        Doorkeeper {
            prover,
            keys,
            names,
            seen: Remembered::new(count),
        }
    }

    /// Who shows this `Authorization` header.
    ///
    /// # Errors
    /// See [`NotAdmitted`]. May be repeated.
    pub async fn admit(
        &self,
        authorization: Option<&str>,
        deadline: Deadline,
    ) -> Result<Admitted, NotAdmitted> {
        let Some(header) = authorization else {
            return Ok(Admitted::anonymous());
        };
        let tag = self.seen.tag(&[header.as_bytes()]);
        let now = SystemTime::now();
        if let Some(seen) = self.seen.get(tag) {
            match seen.token {
                Some(token) if token.until <= now => return Err(TokenError::Expired.into()),
                // Its key has been dropped, as far as this node knows: that is looked into.
                Some(token) if !self.keys.known().has(token.key) => {}
                _ => return Ok(seen.admitted),
            }
        }
        let mut seen = match Credentials::parse(header).ok_or(NotAdmitted::Malformed)? {
            Credentials::Basic(name, secret) => {
                let proved = self.prove(name, secret, deadline).await?;
                Seen {
                    admitted: Admitted {
                        who: proved.who(),
                        scopes: None,
                        tag: None,
                    },
                    token: None,
                }
            }
            Credentials::Bearer(token) => {
                let access = Purpose::Access;
                self.verified(&token, access, now, deadline).await?
            }
        };
        seen.admitted.tag = Some(tag);
        self.seen.put(tag, seen.clone(), REMEMBERED_FOR);
        Ok(seen.admitted)
    }

    /// The log says that what they showed counts no more: it is not believed unseen again. It may have been their token's key
    /// that has ended, and with it others that they will ask for by the next one.
    pub fn forget(&self, admitted: &Admitted) {
        if let Some(tag) = admitted.tag {
            self.seen.forget(tag);
        }
        if matches!(admitted.who, Who::Account { key: Some(_), .. }) {
            self.keys.distrust();
        }
    }

    /// Who belongs to a name and a secret.
    ///
    /// # Errors
    /// [`NotAdmitted::Wrong`], [`NotAdmitted::Unknown`].
    pub async fn prove(
        &self,
        name: Option<metadata::access::AccountName>,
        secret: Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<Proved, NotAdmitted> {
        // A name that nobody can have takes as long as one that nobody has.
        let nobody = metadata::access::AccountName::user("nobody");
        let is_possible = name.is_some();
        let name = name.or(nobody.ok()).ok_or(NotAdmitted::Wrong)?;
        let proved = self.prover.prove(&name, secret, deadline).await?;
        proved.filter(|_| is_possible).ok_or(NotAdmitted::Wrong)
    }

    async fn verified(
        &self,
        token: &str,
        purpose: Purpose,
        now: SystemTime,
        deadline: Deadline,
    ) -> Result<Seen, NotAdmitted> {
        let check = |keys: &VerifyingKeys| verify(keys, &self.names, purpose, token, now);
        let mut verified = check(&self.keys.known());
        if verified == Err(TokenError::UnknownKey) {
            // It may be signed by a key that came since.
            let news = self.keys.news(deadline).await?;
            verified = check(&news);
        }
        let verified = verified?;
        Ok(Seen {
            token: Some(SeenToken {
                until: verified.until,
                key: verified.key,
            }),
            admitted: Admitted {
                who: verified.who(),
                scopes: Some(verified.claims.scopes.into()),
                tag: None,
            },
        })
    }
}

#[cfg(test)]
mod tests;
