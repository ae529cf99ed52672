//! The one function that decides what somebody may do.

use oci::{ProjectName, RepositoryName};

use super::rows::{AccessRow, AccountKind, AccountRow, GroupRow, MemberRow, ProjectRow, TokenRow};
use super::{
    AccountName, Asker, Grant, GroupName, MemberName, Need, Right, Role, TokenId, Visibility, Who,
};
use crate::GROUPS_PER_USER_MAX;
use crate::ids::{LogIndex, LogTime};
use crate::keys;
use crate::rows::ClusterRow;
use crate::tables::{ReadTables, StorageFailure};
use crate::typed;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allowed,
    /// No.
    Denied(Denial),
}

/// Why somebody may not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// They did not say who they are; whether they might if they did is not told.
    SignIn,
    /// What they proved who they are with counts no more.
    ProofEnded,
    /// They may not. Whether what they asked for exists is not told.
    NotAllowed,
}

impl Verdict {
    /// Whether it is a yes.
    #[must_use]
    pub fn is_allowed(self) -> bool {
        self == Verdict::Allowed
    }
}

/// Who is before the one who decides, as the tables have them.
enum Standing {
    Anonymous,
    Outside,
    Admin {
        limits: Option<Vec<Grant>>,
    },
    User {
        name: AccountName,
        limits: Option<Vec<Grant>>,
    },
    Robot {
        name: AccountName,
        grants: Vec<Grant>,
    },
}

impl Standing {
    /// Whether they came with a token that is limited to some images.
    fn is_limited(&self) -> bool {
        match self {
            Standing::Admin { limits } | Standing::User { limits, .. } => limits.is_some(),
            Standing::Anonymous | Standing::Outside | Standing::Robot { .. } => false,
        }
    }
}

/// Decides what one asker may do, in one state of the tables.
pub(crate) struct Rights<'a> {
    tables: &'a dyn ReadTables,
    access: AccessRow,
    standing: Result<Standing, Denial>,
}

/// Whether `asker` may do what needs `need`, in this state of the tables. Where access is not switched on, everyone may do
/// everything.
///
/// # Errors
/// When the tables cannot be read.
pub fn decide(
    tables: &dyn ReadTables,
    asker: &Asker,
    need: &Need,
) -> Result<Verdict, StorageFailure> {
    Rights::of(tables, asker)?.decide(need)
}

impl<'a> Rights<'a> {
    /// Looks up who `asker` is.
    pub(crate) fn of(
        tables: &'a dyn ReadTables,
        asker: &Asker,
    ) -> Result<Rights<'a>, StorageFailure> {
        let access: AccessRow = typed::get(tables, &keys::access())?.unwrap_or_default();
        let standing = match access.is_on {
            true => standing(tables, &asker.who)?,
            false => Ok(Standing::Anonymous),
        };
        Ok(Rights {
            tables,
            access,
            standing,
        })
    }

    /// What administrators chose.
    pub(crate) fn access(&self) -> &AccessRow {
        &self.access
    }

    /// See [`decide`].
    pub(crate) fn decide(&self, need: &Need) -> Result<Verdict, StorageFailure> {
        if !self.access.is_on {
            return Ok(Verdict::Allowed);
        }
        let standing = match &self.standing {
            Ok(standing) => standing,
            Err(denial) => return Ok(Verdict::Denied(*denial)),
        };
        let allowed = match need {
            Need::Nothing => true,
            Need::Repository(repository, right) => self.may_in_repository(repository, *right)?,
            // What limits a token is about images: it rules over nothing.
            Need::Project(_, right) if *right > Right::Pull && standing.is_limited() => false,
            Need::Project(project, right) => self.may_in_project(project, *right)?,
            Need::Account(account) => match standing {
                Standing::Admin { limits } => limits.is_none(),
                Standing::User { name, limits } => limits.is_none() && name == account,
                _ => false,
            },
            Need::NewProject => match standing {
                Standing::Admin { limits } => limits.is_none(),
                Standing::User { limits, .. } => {
                    limits.is_none() && self.access.settings.users_create_projects
                }
                _ => false,
            },
            Need::Administration => matches!(standing, Standing::Admin { limits: None }),
        };
        Ok(match (allowed, standing) {
            (true, _) => Verdict::Allowed,
            (false, Standing::Anonymous) => Verdict::Denied(Denial::SignIn),
            (false, _) => Verdict::Denied(Denial::NotAllowed),
        })
    }

    /// Whether a push of theirs makes `project`, which does not exist: it is theirs then.
    pub(crate) fn would_make(&self, project: &ProjectName) -> Result<bool, StorageFailure> {
        let is_user = matches!(
            self.standing,
            Ok(Standing::User { limits: None, .. } | Standing::Admin { limits: None })
        );
        let may = self.access.is_on && self.access.settings.auto_create_projects && is_user;
        Ok(may && self.is_missing(project)?)
    }

    fn is_missing(&self, project: &ProjectName) -> Result<bool, StorageFailure> {
        let row: Option<ProjectRow> = typed::get(self.tables, &keys::project(project))?;
        Ok(row.is_none())
    }

    /// Whether they may use `right` in `repository`.
    pub(crate) fn may_in_repository(
        &self,
        repository: &RepositoryName,
        right: Right,
    ) -> Result<bool, StorageFailure> {
        if !self.access.is_on {
            return Ok(true);
        }
        let Ok(standing) = &self.standing else {
            return Ok(false);
        };
        let project = ProjectName::of(repository);
        let covered = |limits: &Option<Vec<Grant>>| match limits {
            None => true,
            Some(grants) => grants.iter().any(|grant| grant.covers(repository, right)),
        };
        if matches!(right, Right::Pull | Right::Push) && self.would_make(&project)? {
            return Ok(true);
        }
        match standing {
            Standing::Outside => Ok(true),
            // Nothing is pushed to what does not exist: it would be nobody's.
            Standing::Admin { .. } if right == Right::Push && self.is_missing(&project)? => {
                Ok(false)
            }
            Standing::Admin { limits } => Ok(covered(limits)),
            Standing::User { limits, .. } => {
                Ok(covered(limits) && self.may_in_project(&project, right)?)
            }
            Standing::Robot { name, grants } => {
                let is_of_project = name.project().is_none_or(|own| own == project);
                let is_granted = grants.iter().any(|grant| grant.covers(repository, right));
                Ok((is_of_project && is_granted) || self.is_open(&project, right)?)
            }
            Standing::Anonymous => self.is_open(&project, right),
        }
    }

    /// Whether they may use `right` in the whole of `project`.
    fn may_in_project(&self, project: &ProjectName, right: Right) -> Result<bool, StorageFailure> {
        match &self.standing {
            Ok(Standing::Admin { .. }) => Ok(true),
            Ok(Standing::User { name, .. }) => {
                let role = role_in(self.tables, name, project)?;
                Ok(role.is_some_and(|role| role.has(right)) || self.is_open(project, right)?)
            }
            Ok(Standing::Anonymous | Standing::Robot { .. }) => self.is_open(project, right),
            Ok(Standing::Outside) | Err(_) => Ok(false),
        }
    }

    /// Whether there may be something in `project` from which they may pull: what is closed shows nothing of itself.
    pub(crate) fn may_pull_something(&self, project: &ProjectName) -> Result<bool, StorageFailure> {
        if !self.access.is_on {
            return Ok(true);
        }
        match &self.standing {
            Ok(Standing::Outside) => Ok(true),
            Ok(Standing::Robot { name, .. }) => match name.project() {
                Some(own) if own != *project => self.is_open(project, Right::Pull),
                _ => Ok(true),
            },
            _ => self.may_in_project(project, Right::Pull),
        }
    }

    /// What they are in `project`, if they are a member.
    pub(crate) fn role_in(&self, project: &ProjectName) -> Result<Option<Role>, StorageFailure> {
        match &self.standing {
            Ok(Standing::User { name, .. }) => role_in(self.tables, name, project),
            _ => Ok(None),
        }
    }

    /// Whether a project's visibility gives `right` to those who are no members.
    fn is_open(&self, project: &ProjectName, right: Right) -> Result<bool, StorageFailure> {
        if right != Right::Pull {
            return Ok(false);
        }
        let row: Option<ProjectRow> = typed::get(self.tables, &keys::project(project))?;
        Ok(match row.map(|row| row.visibility) {
            Some(Visibility::Public) => true,
            Some(Visibility::Internal) => {
                matches!(
                    &self.standing,
                    Ok(Standing::User { .. } | Standing::Robot { .. })
                )
            }
            Some(Visibility::Private) | None => false,
        })
    }
}

/// Who `who` is now; a denial when what they proved counts no more.
fn standing(
    tables: &dyn ReadTables,
    who: &Who,
) -> Result<Result<Standing, Denial>, StorageFailure> {
    let (name, generation, token, key) = match who {
        Who::Anonymous => return Ok(Ok(Standing::Anonymous)),
        Who::Outside(_) => return Ok(Ok(Standing::Outside)),
        Who::Account {
            name,
            generation,
            token,
            key,
        } => (name, *generation, *token, *key),
    };
    if let Some(number) = key
        && typed::get(tables, &keys::token_key(number))?.is_none()
        && !mutants::active!("take_tokens_of_a_dropped_key")
    {
        return Ok(Err(Denial::ProofEnded));
    }
    let row: Option<AccountRow> = typed::get(tables, &keys::account(name))?;
    let Some(row) = row.filter(|row| !row.is_disabled && !row.is_ending) else {
        return Ok(Err(Denial::ProofEnded));
    };
    let now = now(tables)?;
    let limits = match token {
        None if row.generation != generation
            && !mutants::active!("decide_by_an_old_generation") =>
        {
            return Ok(Err(Denial::ProofEnded));
        }
        None => None,
        Some(token) => match live_token(tables, name, token)? {
            Some(row) => row.limits,
            None => return Ok(Err(Denial::ProofEnded)),
        },
    };
    Ok(match row.kind {
        AccountKind::User { is_admin: true, .. } => Ok(Standing::Admin { limits }),
        AccountKind::User { .. } => Ok(Standing::User {
            name: name.clone(),
            limits,
        }),
        AccountKind::Robot { expires, .. } if expires.is_some_and(|end| end <= now) => {
            Err(Denial::ProofEnded)
        }
        AccountKind::Robot { grants, .. } => Ok(Standing::Robot {
            name: name.clone(),
            grants,
        }),
    })
}

fn now(tables: &dyn ReadTables) -> Result<LogTime, StorageFailure> {
    let cluster: Option<ClusterRow> = typed::get(tables, &keys::cluster())?;
    Ok(cluster.map_or(LogTime(0), |cluster| cluster.time))
}

/// A personal access token, if it is the account's and has not expired.
pub(crate) fn live_token(
    tables: &dyn ReadTables,
    account: &AccountName,
    token: TokenId,
) -> Result<Option<TokenRow>, StorageFailure> {
    let now = now(tables)?;
    let row: Option<TokenRow> = typed::get(tables, &keys::access_token(token))?;
    Ok(row.filter(|row| row.account == *account && row.expires.is_none_or(|end| end > now)))
}

/// The highest role of a user in a project, their own or one of their groups'.
fn role_in(
    tables: &dyn ReadTables,
    user: &AccountName,
    project: &ProjectName,
) -> Result<Option<Role>, StorageFailure> {
    let role_of = |member: MemberName| -> Result<Option<Role>, StorageFailure> {
        let row: Option<MemberRow> = typed::get(tables, &keys::member(project, &member))?;
        Ok(row.map(|row| row.role))
    };
    let mut highest = role_of(MemberName::User(user.clone()))?;
    for group in groups_of(tables, user)? {
        if highest == Some(Role::Owner) {
            break;
        }
        highest = highest.max(role_of(MemberName::Group(group))?);
    }
    Ok(highest)
}

/// The groups that a user is in.
pub(crate) fn groups_of(
    tables: &dyn ReadTables,
    user: &AccountName,
) -> Result<Vec<GroupName>, StorageFailure> {
    let range = keys::groups_of_user(user);
    let recorded = typed::collect(tables, &range, GROUPS_PER_USER_MAX, |key, since: u64| {
        Some((keys::read_user_group(key)?.1, LogIndex(since)))
    })?;
    let mut groups = Vec::with_capacity(recorded.len());
    for (group, since) in recorded {
        let row: Option<GroupRow> = typed::get(tables, &keys::group(&group))?;
        if row.is_some_and(|row| row.since == since && !row.is_ending) {
            groups.push(group);
        }
    }
    Ok(groups)
}
