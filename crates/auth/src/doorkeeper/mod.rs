//! Who asks, from what a request shows: a name with a secret, or a token.
//!
//! It makes sure who somebody is and lets nobody do anything: the log does that with each request. So what was verified a
//! moment ago may be remembered here, and is forgotten as soon as the log says that it counts no more. Rules 8.1 and 8.2.

mod credentials;
mod keys;
mod login;
mod outside;
mod prover;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metadata::access::{AccountName, Who};
use oci::RepositoryName;
use ports::Deadline;
use zeroize::Zeroizing;

use crate::outside::{Elsewhere, ProofError};
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
    /// Until when what they showed counts; `None`: it does not end by itself.
    pub until: Option<SystemTime>,
    tag: Option<Tag>,
}

impl Admitted {
    /// Somebody who shows nothing.
    #[must_use]
    pub fn anonymous() -> Admitted {
        Admitted {
            who: Who::Anonymous,
            scopes: None,
            until: None,
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
    /// The token of an outside issuer does not count.
    #[error("{0}")]
    OutsideToken(#[from] ProofError),
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
    elsewhere: Option<Arc<Elsewhere>>,
    seen: Remembered<Seen>,
}

#[derive(Clone)]
struct Seen {
    admitted: Admitted,
    /// The key that signed it, if it was a token of ours.
    key: Option<u32>,
}

impl Seen {
    fn of_account(proved: &Proved, until: Option<SystemTime>) -> Seen {
        Seen {
            admitted: Admitted {
                who: proved.who(),
                scopes: None,
                until,
                tag: None,
            },
            key: None,
        }
    }

    fn has_ended(&self, now: SystemTime) -> bool {
        self.admitted.until.is_some_and(|until| until <= now)
    }
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
            elsewhere: None,
            seen: Remembered::new(count),
        }
    }

    /// Whether this `Authorization` header was believed a moment ago, so that [`Doorkeeper::admit`] has nothing to check.
    #[must_use]
    pub fn remembers(&self, authorization: &str) -> bool {
        let tag = self.seen.tag(&[authorization.as_bytes()]);
        self.seen.get(tag).is_some()
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
            match seen.key {
                _ if seen.has_ended(now) => return Err(TokenError::Expired.into()),
                // It has been dropped, as far as this node knows: that is looked into.
                Some(key) if !self.keys.known().has(key) => {}
                _ => return Ok(seen.admitted),
            }
        }
        let mut seen = match Credentials::parse(header).ok_or(NotAdmitted::Malformed)? {
            Credentials::Basic(name, secret) => {
                let (proved, until) = self.prove(name, secret, deadline).await?;
                Seen::of_account(&proved, until)
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

    /// Who belongs to a name and a secret, and until when.
    ///
    /// # Errors
    /// [`NotAdmitted::Wrong`], [`NotAdmitted::Unknown`].
    pub async fn prove(
        &self,
        name: Option<AccountName>,
        secret: Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<(Proved, Option<SystemTime>), NotAdmitted> {
        // A name that nobody can have takes as long as one that nobody has.
        let nobody = AccountName::user("nobody").map_err(|_| NotAdmitted::Wrong)?;
        let elsewhere = self.proved_elsewhere(name.as_ref(), &nobody, &secret, deadline);
        if let Some(found) = elsewhere.await? {
            return Ok(found);
        }
        let is_possible = name.is_some();
        let name = name.unwrap_or(nobody);
        let proved = self.prover.prove(&name, secret, deadline).await?;
        let proved = proved.filter(|_| is_possible).ok_or(NotAdmitted::Wrong)?;
        Ok((proved, None))
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
        let verified = match verified {
            Ok(verified) => verified,
            Err(own) if purpose == Purpose::Access => return self.vouched_for(token, own, now),
            Err(own) => return Err(own.into()),
        };
        Ok(Seen {
            key: Some(verified.key),
            admitted: Admitted {
                who: verified.who(),
                until: Some(verified.until),
                scopes: Some(verified.claims.scopes.into()),
                tag: None,
            },
        })
    }
}

#[cfg(test)]
mod tests;
