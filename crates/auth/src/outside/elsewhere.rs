//! Who is proved elsewhere: asks the source that is in charge of a name or a token, and has the log note who logged in.
//!
//! A name belongs to the source that it came from first. The log's own passwords, robots and personal access tokens never wait
//! for a source, nor for one that is away.
//!
//! A login is noted by an entry only when it tells something new, and may be repeated after a crash anywhere: what was noted is
//! what the source says.

use std::sync::Arc;
use std::time::SystemTime;

use metadata::access::{AccessAnswer, AccessCommand, AccessQuery, AccountKind, AccountName};
use metadata::access::{AccountView, Source};
use metadata::{Answer, Command, Query, Reply};
use ports::{Deadline, MetadataStore};
use zeroize::Zeroizing;

use super::ldap::{Directory, LdapError};
use super::login::Login;
use super::openid::OpenIdError;
use super::settings::Outside;
use crate::{AccessToken, Htpasswd, PasswordChecker, PasswordError, ProofFailure, Proved};

/// Asks elsewhere. One for the process's life.
pub struct Elsewhere {
    /// Whom.
    pub outside: Arc<Outside>,
    /// The log, which knows whose name is whose.
    pub metadata: Arc<dyn MetadataStore>,
    /// Whose turns checks of a file's passwords take.
    pub passwords: PasswordChecker,
}

/// What is known elsewhere of a name and a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nobody elsewhere is in charge of this name: the log's own are asked.
    NotElsewhere,
    /// Whoever is in charge says no.
    Refused,
    /// They belong together.
    Somebody(Proved, Option<SystemTime>),
}

impl Elsewhere {
    /// Who belongs to a name and a secret, as far as they are checked elsewhere. May be repeated.
    ///
    /// # Errors
    /// [`ProofFailure`]: the source, or the log, does not answer now.
    pub async fn prove(
        &self,
        name: &AccountName,
        secret: &Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<Found, ProofFailure> {
        if self.outside.workloads.knows_issuer_of(secret) {
            return self.job(secret, deadline).await;
        }
        let has_sources = self.outside.htpasswd.is_some() || self.outside.ldap.is_some();
        if !has_sources || name.is_robot() || AccessToken::parse(secret).is_some() {
            return Ok(Found::NotElsewhere);
        }
        let known = self.account(name, Reading::EvenStale, deadline).await?;
        match self.in_charge(name, known.as_ref()) {
            InCharge::File(file) => self.by_file(file, name, secret, deadline).await,
            InCharge::Directory(directory) => {
                self.by_directory(directory, name, secret, deadline).await
            }
            InCharge::Log => Ok(Found::NotElsewhere),
        }
    }

    /// Who checks the password of this user. One whose source is not configured any more is left to the log, which has no password
    /// of theirs. A name that nobody has is looked for where it would take as long to be refused as one that somebody has.
    fn in_charge(&self, name: &AccountName, known: Option<&AccountView>) -> InCharge<'_> {
        let file = self.outside.htpasswd.as_ref();
        let directory = self.outside.ldap.as_ref();
        let in_charge = match known.map(source_of) {
            None => {
                let named = file.filter(|file| file.hash_of(name.as_str()).is_some());
                let named = named.map(InCharge::File);
                let either = || directory.map(InCharge::Directory);
                named.or_else(either).or_else(|| file.map(InCharge::File))
            }
            Some(Some(Source::Htpasswd)) => file.map(InCharge::File),
            Some(Some(Source::Ldap)) => directory.map(InCharge::Directory),
            Some(_) => None,
        };
        in_charge.unwrap_or(InCharge::Log)
    }

    /// Whom a client's certificate (DER) names, which its connection has found good; `None` where certificates name nobody.
    ///
    /// # Errors
    /// See [`Elsewhere::prove`].
    pub async fn by_certificate(
        &self,
        der: &[u8],
        deadline: Deadline,
    ) -> Result<Option<Found>, ProofFailure> {
        match self.outside.login_by_certificate(der) {
            None => Ok(None),
            Some(Ok(login)) => self.noted(login, deadline).await.map(Some),
            Some(Err(error)) => {
                tracing::info!(%error, "a client's certificate names nobody");
                Ok(Some(Found::Refused))
            }
        }
    }

    /// Has the log know a login that its source has checked, and gives the account.
    ///
    /// # Errors
    /// See [`Elsewhere::prove`].
    pub async fn noted(&self, login: Login, deadline: Deadline) -> Result<Found, ProofFailure> {
        let user = login.user.clone();
        let known = self.account(&user, Reading::EvenStale, deadline).await?;
        if !login.is_news(known.as_ref()) {
            return Ok(known.map_or(Found::Refused, |view| somebody(&view, None)));
        }
        let command = AccessCommand::NoteLogin(login.note());
        let command = Command::Access(Box::new(command));
        match self.metadata.propose(command, deadline).await {
            Ok(Reply::Done) => {}
            Ok(Reply::Refused(refusal)) => {
                tracing::warn!(%user, ?refusal, "somebody whom another source knows does not log in here");
                return Ok(Found::Refused);
            }
            Ok(other) => return Err(unavailable(format!("the log answered {other:?}"))),
            Err(failure) => return Err(unavailable(failure.to_string())),
        }
        let view = self.account(&user, Reading::Confirmed, deadline).await?;
        Ok(view.map_or(Found::Refused, |view| somebody(&view, None)))
    }

    async fn by_file(
        &self,
        file: &Htpasswd,
        name: &AccountName,
        secret: &Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<Found, ProofFailure> {
        let (kept, nobodys) = (file.hash_of(name.as_str()), file.any_hash());
        let checked = self.passwords.check_bcrypt(secret.clone(), kept, nobodys);
        match checked.await {
            Ok(true) => {
                let login = Login {
                    user: name.clone(),
                    source: Source::Htpasswd,
                    email: None,
                    groups: None,
                };
                self.noted(login, deadline).await
            }
            Ok(false) | Err(PasswordError::Length) => Ok(Found::Refused),
            Err(PasswordError::Busy) => Err(ProofFailure::Busy),
            Err(error @ PasswordError::Damaged) => Err(unavailable(error.to_string())),
        }
    }

    async fn by_directory(
        &self,
        directory: &Directory,
        name: &AccountName,
        secret: &Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<Found, ProofFailure> {
        let login = directory.login(name.as_str(), secret);
        let login = tokio::time::timeout_at(deadline, login).await;
        match login {
            Ok(Ok(login)) => self.noted(login, deadline).await,
            Ok(Err(LdapError::Refused)) => Ok(Found::Refused),
            Ok(Err(LdapError::Login(error))) => {
                tracing::warn!(user = %name, %error, "somebody whom the directory knows does not log in here");
                Ok(Found::Refused)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "a login by LDAP could not be checked");
                Err(unavailable(error.to_string()))
            }
            Err(_) => Err(unavailable("the LDAP directory did not answer in time")),
        }
    }

    async fn job(
        &self,
        token: &Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<Found, ProofFailure> {
        let verified = self.outside.workloads.verify(token, SystemTime::now());
        let proof = match tokio::time::timeout_at(deadline, verified).await {
            Ok(Ok(proof)) => proof,
            Ok(Err(error)) if error.is_retryable() => {
                tracing::warn!(%error, "a job's token could not be checked");
                return Err(unavailable(error.to_string()));
            }
            Ok(Err(error)) => {
                tracing::info!(%error, "a job's token does not count");
                return Ok(Found::Refused);
            }
            Err(_) => return Err(unavailable(OpenIdError::Away.to_string())),
        };
        let view = self
            .account(&proof.account, Reading::EvenStale, deadline)
            .await?;
        let Some(view) = view else {
            tracing::warn!(account = %proof.account, subject = proof.subject, "a job acts as an account that is not there");
            return Ok(Found::Refused);
        };
        tracing::debug!(account = %proof.account, subject = proof.subject, "a job was recognised");
        Ok(somebody(&view, Some(proof.until)))
    }

    async fn account(
        &self,
        name: &AccountName,
        reading: Reading,
        deadline: Deadline,
    ) -> Result<Option<AccountView>, ProofFailure> {
        let query = Query::Access(Box::new(AccessQuery::Account { name: name.clone() }));
        let answered = match reading {
            // What was proved by it is looked at once more with each request.
            Reading::EvenStale => self.metadata.read_even_stale(query, deadline).await,
            Reading::Confirmed => self.metadata.read(query, deadline).await,
        };
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

/// Who checks a password.
enum InCharge<'a> {
    File(&'a Htpasswd),
    Directory(&'a Directory),
    Log,
}

/// How new what is read has to be.
#[derive(Clone, Copy)]
enum Reading {
    EvenStale,
    Confirmed,
}

/// Where a user's login is checked; `None` for a robot.
fn source_of(view: &AccountView) -> Option<Source> {
    match &view.row.kind {
        AccountKind::User { source, .. } => Some(source.clone()),
        AccountKind::Robot { .. } => None,
    }
}

fn somebody(view: &AccountView, until: Option<SystemTime>) -> Found {
    let proved = Proved {
        name: view.name.clone(),
        generation: view.row.generation,
        token: None,
    };
    Found::Somebody(proved, until)
}

fn unavailable(reason: impl Into<String>) -> ProofFailure {
    ProofFailure::Unavailable {
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests;
