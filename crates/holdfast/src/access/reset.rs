//! A lost password mended at a member's machine: a new one is drawn, and what was proved with the old one counts no more.

use metadata::access::{
    AccessCommand, AccessQuery, AccountKind, AccountName, ChangeUser, CreateUser, Source,
};
use metadata::{Named, Refusal, Reply};
use serde::Serialize;

use super::first_admin::FirstAdmin;
use super::machine::{ADMIN, AccessFailure, MachineAccess};

/// How often what ends a user is asked for again: each time many rows are removed.
const DELETIONS_MAX: u32 = 1_000;

/// What was done.
#[derive(Serialize)]
pub struct Reset {
    /// Whose password it is.
    pub user: String,
    /// The new one.
    pub password: String,
    /// Whether there was no such user, or one that was being ended.
    pub is_made: bool,
    /// Whether they are locked out still.
    pub is_locked: bool,
    /// Whether rights are asked for at all.
    pub is_on: bool,
}

impl MachineAccess {
    /// Gives a user a new password. `admin`, and whoever `is_to_rule`, is an administrator who may log in afterwards, and is made if
    /// there is no such user.
    ///
    /// Order of effects: the password, which ends the old proofs; then the lock is taken away. May be repeated; each time there is
    /// another password.
    ///
    /// # Errors
    /// See [`AccessFailure`].
    pub async fn reset(&self, user: &str, is_to_rule: bool) -> Result<Reset, AccessFailure> {
        let name = AccountName::parse(user).map_err(|error| {
            AccessFailure::Wrong(format!("`{user}` is no user's name: {error}"))
        })?;
        if name.is_robot() {
            return Err(AccessFailure::Wrong(format!(
                "`{user}` is a robot: `holdfast robot renew {user}` gives it a new secret"
            )));
        }
        let is_to_rule = is_to_rule || user == ADMIN;
        let first = FirstAdmin::draw().await?;
        let query = AccessQuery::Account { name: name.clone() };
        let found = self.account(query).await?;
        let mut is_locked = false;
        let is_made = match found.map(|found| found.row) {
            Some(row) if !row.is_ending => {
                self.check_source(user, &row.kind)?;
                self.change(AccessCommand::SetPassword {
                    user: name.clone(),
                    password: first.hash().clone(),
                })
                .await?;
                if is_to_rule && !row.rules() {
                    self.let_rule(&name).await?;
                }
                is_locked = row.is_disabled && !is_to_rule;
                false
            }
            Some(_) if is_to_rule => {
                self.end(&name).await?;
                self.make(&name, &first).await?;
                true
            }
            None if is_to_rule => {
                self.make(&name, &first).await?;
                true
            }
            Some(_) | None => return Err(unknown(user)),
        };
        Ok(Reset {
            user: user.to_owned(),
            password: first
                .drawn()
                .map(|password| (*password).clone())
                .unwrap_or_default(),
            is_made,
            is_locked,
            is_on: self.state().await?.is_on,
        })
    }

    fn check_source(&self, user: &str, kind: &AccountKind) -> Result<(), AccessFailure> {
        let place = match kind {
            AccountKind::Robot { .. } => return Err(unknown(user)),
            AccountKind::User { source, .. } => match source {
                Source::Local => return Ok(()),
                Source::Htpasswd => "a file of hashes",
                Source::Ldap => "an LDAP server",
                Source::OpenId { .. } => "an OpenID provider",
                Source::Certificate => "certificates",
            },
        };
        Err(AccessFailure::Wrong(format!(
            "`{user}` logs in by {place}, and has no password here: change it there, or make another administrator with `holdfast user reset NAME --admin`"
        )))
    }

    async fn let_rule(&self, name: &AccountName) -> Result<(), AccessFailure> {
        let change = ChangeUser {
            user: name.clone(),
            is_admin: Some(true),
            is_disabled: Some(false),
            email: None,
        };
        self.change(AccessCommand::ChangeUser(change)).await?;
        Ok(())
    }

    async fn make(&self, name: &AccountName, first: &FirstAdmin) -> Result<(), AccessFailure> {
        let create = CreateUser {
            user: name.clone(),
            password: first.hash().clone(),
            is_admin: true,
            email: None,
        };
        self.change(AccessCommand::CreateUser(create)).await?;
        Ok(())
    }

    /// Ends what remains of a user who is being ended.
    async fn end(&self, name: &AccountName) -> Result<(), AccessFailure> {
        for _ in 0..DELETIONS_MAX {
            let delete = AccessCommand::DeleteUser { user: name.clone() };
            match self.change(delete).await {
                Ok(Reply::DeletionContinues) => {}
                Ok(_) | Err(AccessFailure::Refused(Refusal::Unknown(Named::User))) => return Ok(()),
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

fn unknown(user: &str) -> AccessFailure {
    AccessFailure::Wrong(format!("there is no user `{user}`"))
}
