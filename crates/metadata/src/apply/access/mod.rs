//! Who may do what: the gate that every command passes which somebody asks for, and the commands that change it. Rule 8.1.

mod deed;
mod group;
mod key;
mod login;
mod project;
mod robot;
mod token;
mod user;

use oci::{ProjectName, RepositoryName};

use super::audit;
use super::state::{State, Stop, invalid};
use crate::access::{
    AccessCommand, AccessRow, Asker, Grant, Need, ProjectRow, Right, Rights, Verdict, Visibility,
};
use crate::command::Command;
use crate::ids::PrincipalName;
use crate::keys;
use crate::reply::{Refusal, Reply};
use crate::{ACCESS_TEXT_BYTES_MAX, ids::LogTime};

/// How many rows that belonged to what ends are removed by one entry.
const ROWS_ENDED_PER_ENTRY: usize = 2_000;

/// The row about access as a whole.
pub(super) fn row(state: &State<'_>) -> Result<AccessRow, Stop> {
    Ok(state.get(&keys::access())?.unwrap_or_default())
}

fn rights<'s>(state: &'s State<'_>, asker: &Asker) -> Result<Rights<'s>, Stop> {
    Ok(Rights::of(state.tables(), asker)?)
}

/// [`Command::Asked`]: the command, if its asker may.
pub(super) fn asked(
    state: &mut State<'_>,
    asker: &Asker,
    command: &Command,
) -> Result<Reply, Stop> {
    let need = Need::of_command(command);
    let (verdict, is_on, makes) = {
        let rights = rights(state, asker)?;
        let makes = match &need {
            Need::Repository(repository, Right::Push) => {
                let project = ProjectName::of(repository);
                rights.would_make(&project)?.then_some(project)
            }
            _ => None,
        };
        (rights.decide(&need)?, rights.access().is_on, makes)
    };
    if let Verdict::Denied(denial) = verdict {
        if mutants::active!("record_what_was_denied")
            && let Some(deed) = deed::of(command, &Reply::Done)
        {
            audit::record(state, asker.principal(), asker.from, deed)?;
        }
        return Err(Refusal::Denied(denial).into());
    }
    let reply = super::execute_for(state, Some(asker), command)?;
    if mutants::active!("forget_to_record") && matches!(command, Command::Access(_)) {
        return Ok(reply);
    }
    if !is_on || matches!(reply, Reply::Refused(_)) {
        return Ok(reply);
    }
    if let Some(project) = makes {
        make_project_of_push(state, asker, project)?;
    }
    if let Some(deed) = deed::of(command, &reply) {
        audit::record(state, asker.principal(), asker.from, deed)?;
    }
    Ok(reply)
}

/// A project that was missing when somebody pushed to it is theirs.
fn make_project_of_push(
    state: &mut State<'_>,
    asker: &Asker,
    project: ProjectName,
) -> Result<(), Stop> {
    // The push may have made its repository, and with it the project.
    let repositories = state
        .get(&keys::project(&project))?
        .map_or(0, |row| row.repositories);
    project::make(
        state,
        Some(asker),
        &project,
        Visibility::Private,
        repositories,
    )?;
    let made = AccessCommand::CreateProject {
        project,
        visibility: Visibility::Private,
    };
    match deed::of_access(&made, &Reply::Done) {
        Some(deed) => audit::record(state, asker.principal(), asker.from, deed),
        None => Ok(()),
    }
}

/// Whether `asker` may pull from `repository`; what nobody asks for may.
pub(super) fn may_pull(
    state: &State<'_>,
    asker: Option<&Asker>,
    repository: &RepositoryName,
) -> Result<bool, Stop> {
    match asker {
        None => Ok(true),
        Some(asker) => Ok(rights(state, asker)?.may_in_repository(repository, Right::Pull)?),
    }
}

/// [`Command::Access`].
pub(super) fn execute(
    state: &mut State<'_>,
    asker: Option<&Asker>,
    command: &AccessCommand,
) -> Result<Reply, Stop> {
    if is_so_already(state, command)? {
        return Ok(Reply::Done);
    }
    let reply = match command {
        AccessCommand::SwitchOn { admin, password } => user::switch_on(state, admin, password),
        AccessCommand::SwitchOff => switch_off(state),
        AccessCommand::Settle(settings) => {
            let mut access = row(state)?;
            access.settings = *settings;
            state.put(&keys::access(), access)?;
            Ok(Reply::Done)
        }
        AccessCommand::CreateUser(create) => user::create(state, asker, create),
        AccessCommand::ChangeUser(change) => user::change(state, change),
        AccessCommand::SetPassword { user, password } => user::set_password(state, user, password),
        AccessCommand::EndProofs { account } => user::end_proofs(state, account),
        AccessCommand::DeleteUser { user } => user::delete(state, user),
        AccessCommand::NoteLogin(login) => login::note(state, login),
        AccessCommand::CreateGroup { group } => group::create(state, asker, group),
        AccessCommand::DeleteGroup { group } => group::delete(state, group),
        AccessCommand::SetGroupMember { group, user, is_in } => {
            group::set_member(state, group, user, *is_in)
        }
        AccessCommand::CreateProject {
            project,
            visibility,
        } => project::create(state, asker, project, *visibility),
        AccessCommand::SetVisibility {
            project,
            visibility,
        } => project::set_visibility(state, project, *visibility),
        AccessCommand::DeleteProject { project } => project::delete(state, project),
        AccessCommand::SetMember {
            project,
            member,
            role,
        } => project::set_member(state, project, member, *role),
        AccessCommand::CreateRobot(create) => robot::create(state, asker, create),
        AccessCommand::ChangeRobot(change) => robot::change(state, change),
        AccessCommand::RenewRobot { robot, secret } => robot::renew(state, robot, *secret),
        AccessCommand::DeleteRobot { robot } => robot::delete(state, robot),
        AccessCommand::CreateToken(create) => token::create(state, create),
        AccessCommand::DeleteToken { account, token } => token::delete(state, account, *token),
        AccessCommand::AddTokenKey {
            after,
            public,
            sealed,
        } => key::add(state, *after, public, sealed),
        AccessCommand::DropTokenKey { number } => key::remove(state, *number),
        AccessCommand::NoteRefusals(sums) => deed::note_refusals(state, sums),
    }?;
    if asker.is_none()
        && let Some(deed) = deed::of_access(command, &reply)
    {
        audit::record(state, audit::system(), None, deed)?;
    }
    Ok(reply)
}

/// Whether access is switched as it is to be, so that there is nothing to do and nothing to record: several members start at
/// once.
fn is_so_already(state: &State<'_>, command: &AccessCommand) -> Result<bool, Stop> {
    match command {
        AccessCommand::SwitchOn { .. } => Ok(row(state)?.is_on),
        AccessCommand::SwitchOff => Ok(!row(state)?.is_on),
        _ => Ok(false),
    }
}

fn switch_off(state: &mut State<'_>) -> Result<Reply, Stop> {
    let mut access = row(state)?;
    access.is_on = false;
    state.put(&keys::access(), access)?;
    Ok(Reply::Done)
}

/// A repository begins: its project, if it is the first there, is private.
pub(super) fn count_repository(
    state: &mut State<'_>,
    repository: &RepositoryName,
) -> Result<(), Stop> {
    let project = ProjectName::of(repository);
    let key = keys::project(&project);
    let mut row = match state.get(&key)? {
        Some(row) => row,
        None => ProjectRow {
            visibility: Visibility::Private,
            created: state.now(),
            by: audit::system(),
            repositories: 0,
        },
    };
    row.repositories += 1;
    state.put(&key, row)
}

fn maker(asker: Option<&Asker>) -> PrincipalName {
    asker.map_or_else(audit::system, Asker::principal)
}

/// A text for people.
fn check_text(text: &str, what: &str) -> Result<(), Refusal> {
    match text.len() > ACCESS_TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        true => Err(invalid(format!(
            "{what} has at most {ACCESS_TEXT_BYTES_MAX} bytes and no control characters"
        ))),
        false => Ok(()),
    }
}

fn check_expiry(state: &State<'_>, expires: Option<LogTime>) -> Result<(), Refusal> {
    match expires.is_some_and(|end| end <= state.now()) {
        true => Err(invalid("its end is in the past")),
        false => Ok(()),
    }
}

/// Grants of a robot or a limited token: of rights over images, some, and not too many.
fn check_grants(grants: &[Grant], project: Option<&ProjectName>) -> Result<(), Refusal> {
    if grants.len() > Grant::COUNT_MAX {
        return Err(invalid(format!("at most {} grants", Grant::COUNT_MAX)));
    }
    for grant in grants {
        let is_ordered = grant.rights.is_sorted_by(|a, b| a < b);
        if grant.rights.is_empty() || !is_ordered || grant.rights.iter().any(|r| *r > Right::Delete)
        {
            return Err(invalid("a grant is of pull, push or delete, each once"));
        }
        let Some(project) = project else { continue };
        let pattern = grant.repositories.as_str();
        let is_inside = match pattern.split_once('/') {
            Some((first, _)) => first == project.as_str(),
            None => project.as_str() == RepositoryName::DEFAULT_PROJECT && !pattern.contains('*'),
        };
        if !is_inside {
            return Err(invalid(format!(
                "`{pattern}` reaches out of the project `{project}`"
            )));
        }
    }
    Ok(())
}
