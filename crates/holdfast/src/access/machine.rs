//! What a member's machine may do to access as a whole, one effect of the log each.

use std::sync::Arc;
use std::time::Duration;

use metadata::access::{
    AccessAnswer, AccessCommand, AccessQuery, AccountKind, AccountName, AccountView, Settings,
};
use metadata::{Answer, Command, Query, Refusal, Reply};
use ports::{Deadline, MetadataFailure, MetadataStore};
use serde::{Deserialize, Serialize};

use super::first_admin::FirstAdmin;

/// How long the log may take for one thing that is asked of it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The account that the first start makes.
pub(super) const ADMIN: &str = "admin";

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum AccessFailure {
    /// Only members do: a gateway is not told hashes of passwords.
    #[error("this node is a gateway: run this on a member")]
    Gateway,
    /// The log did not answer. It may be asked again.
    #[error(transparent)]
    Log(#[from] MetadataFailure),
    /// The log refused it.
    #[error("{}", told(.0))]
    Refused(Refusal),
    /// It cannot be done as it was asked for.
    #[error("{0}")]
    Wrong(String),
    /// The password is too short or too long, or too much is being hashed.
    #[error(transparent)]
    Password(#[from] auth::PasswordError),
    /// The log answered something else than it was asked.
    #[error("the log answered what was not asked: {0}")]
    OtherAnswer(String),
}

fn told(refusal: &Refusal) -> String {
    match refusal {
        Refusal::LastAdministrator => format!(
            "no administrator could log in: `holdfast user reset {ADMIN}` on a member's machine makes one"
        ),
        Refusal::Invalid { reason } => reason.clone(),
        other => format!("the log refused it: {other:?}"),
    }
}

/// What the log says of access as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AccessState {
    /// Whether rights are asked for.
    pub is_on: bool,
    /// Whether any user may make a project.
    pub users_create_projects: bool,
    /// Whether a push makes the project that is missing.
    pub auto_create_projects: bool,
}

/// What switching access on has done.
#[derive(Serialize)]
pub struct SwitchedOn {
    /// Whether there was nothing to do.
    pub was_on: bool,
    /// The password of `admin`, if this made the account.
    pub password: Option<String>,
}

/// What switching access off has done.
#[derive(Serialize)]
pub struct SwitchedOff {
    /// Whether there was something to do.
    pub was_on: bool,
}

/// What is to be different; the rest stays.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct SettingsChange {
    /// See [`AccessState::users_create_projects`].
    pub users_create_projects: Option<bool>,
    /// See [`AccessState::auto_create_projects`].
    pub auto_create_projects: Option<bool>,
}

/// Rules over access through the log of one node. Clones are the same.
#[derive(Clone)]
pub struct MachineAccess {
    log: Arc<dyn MetadataStore>,
    is_member: bool,
}

impl MachineAccess {
    /// By `log`, which a member holds, or a gateway asks for.
    pub fn new(log: Arc<dyn MetadataStore>, is_member: bool) -> MachineAccess {
        MachineAccess { log, is_member }
    }

    /// Whether this node holds the log.
    pub(super) fn is_member(&self) -> bool {
        self.is_member
    }

    fn check_member(&self) -> Result<(), AccessFailure> {
        match self.is_member {
            true => Ok(()),
            false => Err(AccessFailure::Gateway),
        }
    }

    /// What the log says, confirmed.
    ///
    /// # Errors
    /// [`AccessFailure::Log`].
    pub async fn state(&self) -> Result<AccessState, AccessFailure> {
        let query = Query::Access(Box::new(AccessQuery::Access));
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        state_in(self.log.read(query, deadline).await?.answer)
    }

    /// What the log says; the last that is known when nobody confirms it.
    ///
    /// # Errors
    /// [`AccessFailure::Log`].
    pub(super) async fn last_known_state(&self) -> Result<AccessState, AccessFailure> {
        let query = Query::Access(Box::new(AccessQuery::Access));
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        state_in(self.log.read_even_stale(query, deadline).await?.answer)
    }

    /// Has rights asked for from now on, with a password for `admin` that is drawn.
    ///
    /// # Errors
    /// See [`AccessFailure`]. When the outcome is unknown, so is the password: [`MachineAccess::reset`] gives another.
    pub async fn switch_on_now(&self) -> Result<SwitchedOn, AccessFailure> {
        let mut switched = SwitchedOn {
            was_on: self.state().await?.is_on,
            password: None,
        };
        if !switched.was_on {
            let admin = FirstAdmin::draw().await?;
            let is_ours = self.switch_on(&admin, SettingsChange::default()).await?;
            let password = admin.drawn().filter(|_| is_ours);
            switched.password = password.map(|password| (*password).clone());
        }
        Ok(switched)
    }

    /// Has rights asked for from now on, and tells whether `admin` was made by this, with its password. Again, it has no effect,
    /// and `admin` is known again as the one that this made.
    ///
    /// Order of effects: settings, then access. A crash between leaves settings of what is off.
    ///
    /// # Errors
    /// See [`AccessFailure`]; it may be repeated after each.
    pub async fn switch_on(
        &self,
        admin: &FirstAdmin,
        settings: SettingsChange,
    ) -> Result<bool, AccessFailure> {
        self.check_member()?;
        if !self.state().await?.is_on {
            self.settle(settings).await?;
            let command = AccessCommand::SwitchOn {
                admin: name_of_admin(),
                password: admin.hash().clone(),
            };
            self.change(command).await?;
        }
        self.has_made(admin).await
    }

    /// Whether the account `admin` is the one with this password.
    pub(super) async fn has_made(&self, admin: &FirstAdmin) -> Result<bool, AccessFailure> {
        let query = AccessQuery::Credentials {
            name: name_of_admin(),
            token: None,
        };
        let found = self.account(query).await?.map(|found| found.row.kind);
        // No two hashes are alike, even of the same password: each has salt of its own.
        Ok(match found {
            Some(AccountKind::User { password, .. }) => password.as_ref() == Some(admin.hash()),
            _ => false,
        })
    }

    /// Has nobody's rights asked for from now on.
    ///
    /// # Errors
    /// See [`AccessFailure`]; it may be repeated after each.
    pub async fn switch_off(&self) -> Result<SwitchedOff, AccessFailure> {
        self.check_member()?;
        let was_on = self.state().await?.is_on;
        if was_on {
            self.change(AccessCommand::SwitchOff).await?;
        }
        Ok(SwitchedOff { was_on })
    }

    /// Changes what may be chosen, and tells what is so now.
    ///
    /// # Errors
    /// See [`AccessFailure`]; it may be repeated after each.
    pub async fn settle(&self, change: SettingsChange) -> Result<AccessState, AccessFailure> {
        self.check_member()?;
        let now = self.state().await?;
        let users = change.users_create_projects;
        let auto = change.auto_create_projects;
        let wanted = AccessState {
            users_create_projects: users.unwrap_or(now.users_create_projects),
            auto_create_projects: auto.unwrap_or(now.auto_create_projects),
            ..now
        };
        if wanted != now {
            let settings = Settings {
                users_create_projects: wanted.users_create_projects,
                auto_create_projects: wanted.auto_create_projects,
            };
            self.change(AccessCommand::Settle(settings)).await?;
        }
        Ok(wanted)
    }

    /// An account; `None` when there is none.
    pub(super) async fn account(
        &self,
        query: AccessQuery,
    ) -> Result<Option<AccountView>, AccessFailure> {
        self.check_member()?;
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        let query = Query::Access(Box::new(query));
        match self.log.read(query, deadline).await?.answer {
            Answer::Absent => Ok(None),
            Answer::Access(answer) => match *answer {
                AccessAnswer::Account(account) => Ok(Some(*account)),
                other => Err(AccessFailure::OtherAnswer(format!("{other:?}"))),
            },
            other => Err(AccessFailure::OtherAnswer(format!("{other:?}"))),
        }
    }

    /// Has the log do it; a refusal is a failure.
    pub(super) async fn change(&self, command: AccessCommand) -> Result<Reply, AccessFailure> {
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        let command = Command::Access(Box::new(command));
        match self.log.propose(command, deadline).await? {
            Reply::Refused(refusal) => Err(AccessFailure::Refused(refusal)),
            reply => Ok(reply),
        }
    }
}

pub(super) fn name_of_admin() -> AccountName {
    AccountName::parse(ADMIN).expect("it is a name")
}

fn state_in(answer: Answer) -> Result<AccessState, AccessFailure> {
    match answer {
        Answer::Access(answer) => match *answer {
            AccessAnswer::Access { is_on, settings } => Ok(AccessState {
                is_on,
                users_create_projects: settings.users_create_projects,
                auto_create_projects: settings.auto_create_projects,
            }),
            other => Err(AccessFailure::OtherAnswer(format!("{other:?}"))),
        },
        other => Err(AccessFailure::OtherAnswer(format!("{other:?}"))),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
