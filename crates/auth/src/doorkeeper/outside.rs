//! Proofs that somebody else gave: logins that are checked elsewhere, tokens of an outside issuer, client certificates.

use std::sync::Arc;
use std::time::SystemTime;

use metadata::access::AccountName;
use ports::Deadline;
use zeroize::Zeroizing;

use super::{Admitted, Doorkeeper, NotAdmitted, REMEMBERED_FOR, Seen};
use crate::outside::{Elsewhere, Found};
use crate::{Proved, TokenError};

/// What the tag of a certificate begins with: no header of a request does.
const CERTIFICATE: &[u8] = b"a client's certificate";

impl Doorkeeper {
    /// The same, who asks elsewhere, too.
    #[must_use]
    pub fn with_elsewhere(mut self, elsewhere: Arc<Elsewhere>) -> Doorkeeper {
        self.elsewhere = Some(elsewhere);
        self
    }

    /// Who checks logins elsewhere.
    #[must_use]
    pub fn elsewhere(&self) -> Option<&Elsewhere> {
        self.elsewhere.as_deref()
    }

    /// Who shows this certificate (DER), which its connection has found good; `None` when it names nobody here.
    ///
    /// # Errors
    /// See [`NotAdmitted`]. May be repeated.
    pub async fn admit_certificate(
        &self,
        der: &[u8],
        deadline: Deadline,
    ) -> Result<Option<Admitted>, NotAdmitted> {
        let Some(elsewhere) = &self.elsewhere else {
            return Ok(None);
        };
        let tag = self.seen.tag(&[CERTIFICATE, der]);
        if let Some(seen) = self.seen.get(tag) {
            return Ok(Some(seen.admitted));
        }
        let found = elsewhere.by_certificate(der, deadline).await?;
        let Some(Found::Somebody(proved, until)) = found else {
            return Ok(None);
        };
        let mut seen = Seen::of_account(&proved, until);
        seen.admitted.tag = Some(tag);
        self.seen.put(tag, seen.clone(), REMEMBERED_FOR);
        Ok(Some(seen.admitted))
    }

    /// Who belongs to a name and a secret, as far as that is checked elsewhere. `name` is `None` for one that nobody can have, which
    /// only a job may show.
    pub(super) async fn proved_elsewhere(
        &self,
        name: Option<&AccountName>,
        nobody: &AccountName,
        secret: &Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<Option<(Proved, Option<SystemTime>)>, NotAdmitted> {
        let Some(elsewhere) = &self.elsewhere else {
            return Ok(None);
        };
        let found = elsewhere.prove(name.unwrap_or(nobody), secret, deadline);
        match found.await? {
            Found::NotElsewhere => Ok(None),
            Found::Somebody(proved, until) if name.is_some() || until.is_some() => {
                Ok(Some((proved, until)))
            }
            Found::Somebody(..) | Found::Refused => Err(NotAdmitted::Wrong),
        }
    }

    /// Who shows a token that is none of this registry's own, as `own` says: the outside issuer's, if there is one.
    pub(super) fn vouched_for(
        &self,
        token: &str,
        own: TokenError,
        now: SystemTime,
    ) -> Result<Seen, NotAdmitted> {
        let elsewhere = self.elsewhere.as_ref();
        let issuer = elsewhere.and_then(|elsewhere| elsewhere.outside.issuer.as_ref());
        let (Some(issuer), TokenError::Malformed | TokenError::UnknownKey) = (issuer, own) else {
            return Err(own.into());
        };
        let proof = issuer.verify(token, now)?;
        Ok(Seen {
            admitted: Admitted {
                who: proof.who,
                scopes: Some(proof.scopes.into()),
                until: Some(proof.until),
                tag: None,
            },
            key: None,
        })
    }
}

#[cfg(test)]
mod tests;
