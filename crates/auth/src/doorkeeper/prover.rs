//! Whether a name and a secret belong together, as the log has them.
//!
//! Hashes never leave the node that proves: gateways have a member do it. Whether the account may still do anything is not asked
//! here: the log decides that with each request. Rules 8.1 and 8.2.

use std::sync::Arc;

use async_trait::async_trait;
use metadata::access::{AccessAnswer, AccessQuery, AccountKind, AccountName, AccountView, TokenId};
use metadata::{Answer, Query};
use ports::{Deadline, MetadataStore};
use zeroize::Zeroizing;

use crate::{AccessToken, PasswordChecker, PasswordError, Proved, secret_matches};

/// Why nobody can say whether a secret is right. It may be shown again, later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFailure {
    /// Too many passwords are being checked.
    #[error("too many passwords are being checked")]
    Busy,
    /// What is needed for it does not answer.
    #[error("nobody can check it: {reason}")]
    Unavailable {
        /// For the node's log.
        reason: String,
    },
}

/// Who can prove somebody.
#[async_trait]
pub trait Prover: Send + Sync + 'static {
    /// The account, if `secret` is its password, its secret or one of its personal access tokens. Says `None` for a name that
    /// nobody has as late as for a wrong password. May be repeated.
    ///
    /// # Errors
    /// See [`ProofFailure`].
    async fn prove(
        &self,
        name: &AccountName,
        secret: Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<Option<Proved>, ProofFailure>;
}

/// A member, which has the hashes.
pub struct MemberProver {
    /// Its log.
    pub metadata: Arc<dyn MetadataStore>,
    /// What it checks passwords with.
    pub passwords: PasswordChecker,
}

impl MemberProver {
    /// What is kept of an account. An old state is good enough: what was proved with it is looked at once more with each
    /// request.
    async fn credentials(
        &self,
        name: &AccountName,
        token: Option<TokenId>,
        deadline: Deadline,
    ) -> Result<Option<AccountView>, ProofFailure> {
        let query = AccessQuery::Credentials {
            name: name.clone(),
            token,
        };
        let query = Query::Access(Box::new(query));
        let answered = self.metadata.read_even_stale(query, deadline).await;
        let unavailable = |reason: String| ProofFailure::Unavailable { reason };
        match answered
            .map_err(|failure| unavailable(failure.to_string()))?
            .answer
        {
            Answer::Absent => Ok(None),
            Answer::Access(answer) => match *answer {
                AccessAnswer::Account(view) => Ok(Some(*view)),
                other => Err(unavailable(format!("no account is in {other:?}"))),
            },
            other => Err(unavailable(format!("no account is in {other:?}"))),
        }
    }
}

#[async_trait]
impl Prover for MemberProver {
    async fn prove(
        &self,
        name: &AccountName,
        secret: Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<Option<Proved>, ProofFailure> {
        let shown = AccessToken::parse(&secret);
        let wanted = shown.as_ref().map(|shown| shown.token);
        let view = self.credentials(name, wanted, deadline).await?;
        let proved = |view: &AccountView, token| Proved {
            name: view.name.clone(),
            generation: view.row.generation,
            token,
        };
        if let Some(shown) = shown {
            let right = view.filter(|view| {
                let kept = view.token.as_ref();
                kept.is_some_and(|kept| secret_matches(&secret, &kept.secret))
            });
            return Ok(right.map(|view| proved(&view, Some(shown.token))));
        }
        if name.is_robot() {
            let right = view.filter(|view| match &view.row.kind {
                AccountKind::Robot { secret: kept, .. } => secret_matches(&secret, kept),
                AccountKind::User { .. } => false,
            });
            return Ok(right.map(|view| proved(&view, None)));
        }
        let kept = view.as_ref().and_then(|view| match &view.row.kind {
            AccountKind::User { password, .. } => password.as_ref(),
            AccountKind::Robot { .. } => None,
        });
        match self.passwords.check(secret, kept).await {
            Ok(is_right) => Ok(view.filter(|_| is_right).map(|view| proved(&view, None))),
            // Nobody has such a password.
            Err(PasswordError::Length) => Ok(None),
            Err(PasswordError::Busy) => Err(ProofFailure::Busy),
            Err(error @ PasswordError::Damaged) => Err(ProofFailure::Unavailable {
                reason: error.to_string(),
            }),
        }
    }
}
