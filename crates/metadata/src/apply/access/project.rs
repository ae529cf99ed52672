//! Projects and their members.

use oci::ProjectName;

use super::user::user;
use super::{ROWS_ENDED_PER_ENTRY, maker};
use crate::access::{Asker, MemberName, MemberRow, ProjectRow, Role, Visibility, Who};
use crate::apply::state::{State, Stop};
use crate::keys;
use crate::reply::{Named, Refusal, Reply};

pub(super) fn create(
    state: &mut State<'_>,
    asker: Option<&Asker>,
    project: &ProjectName,
    visibility: Visibility,
) -> Result<Reply, Stop> {
    if state.get(&keys::project(project))?.is_some() {
        return Err(Refusal::Exists(Named::Project).into());
    }
    make(state, asker, project, visibility, 0)?;
    Ok(Reply::Done)
}

/// Writes a new project, which its maker owns if they are a user.
pub(super) fn make(
    state: &mut State<'_>,
    asker: Option<&Asker>,
    project: &ProjectName,
    visibility: Visibility,
    repositories: u64,
) -> Result<(), Stop> {
    let row = ProjectRow {
        visibility,
        created: state.now(),
        by: maker(asker),
        repositories,
    };
    state.put(&keys::project(project), row)?;
    match asker.map(|asker| &asker.who) {
        Some(Who::Account { name, .. }) if !name.is_robot() => {
            put_member(state, project, &MemberName::User(name.clone()), Role::Owner)
        }
        _ => Ok(()),
    }
}

pub(super) fn set_visibility(
    state: &mut State<'_>,
    project: &ProjectName,
    visibility: Visibility,
) -> Result<Reply, Stop> {
    let mut row = find(state, project)?;
    row.visibility = visibility;
    state.put(&keys::project(project), row)?;
    Ok(Reply::Done)
}

pub(super) fn delete(state: &mut State<'_>, project: &ProjectName) -> Result<Reply, Stop> {
    let row = find(state, project)?;
    if row.repositories > 0 {
        let repositories = row.repositories;
        return Err(Refusal::ProjectInUse { repositories }.into());
    }
    let mut left = ROWS_ENDED_PER_ENTRY;
    let members = state.collect(&keys::members(project), left, |key, _: MemberRow| {
        Some(keys::read_member(key)?.1)
    })?;
    left -= members.len();
    for member in members {
        remove_member(state, project, &member)?;
    }
    left -= super::robot::end_all(state, project, left)?;
    if left == 0 {
        return Ok(Reply::DeletionContinues);
    }
    state.remove(&keys::project(project))?;
    Ok(Reply::Done)
}

pub(super) fn set_member(
    state: &mut State<'_>,
    project: &ProjectName,
    member: &MemberName,
    role: Option<Role>,
) -> Result<Reply, Stop> {
    find(state, project)?;
    let Some(role) = role else {
        if !mutants::active!("keep_a_role_that_was_taken") {
            remove_member(state, project, member)?;
        }
        return Ok(Reply::Done);
    };
    match member {
        MemberName::User(name) => drop(user(state, name)?),
        MemberName::Group(group) => {
            let row = state.get(&keys::group(group))?;
            let row = row.filter(|row| !row.is_ending);
            row.ok_or(Refusal::Unknown(Named::Group))?;
        }
    }
    put_member(state, project, member, role)?;
    Ok(Reply::Done)
}

fn find(state: &State<'_>, project: &ProjectName) -> Result<ProjectRow, Stop> {
    let row = state.get(&keys::project(project))?;
    Ok(row.ok_or(Refusal::Unknown(Named::Project))?)
}

fn put_member(
    state: &mut State<'_>,
    project: &ProjectName,
    member: &MemberName,
    role: Role,
) -> Result<(), Stop> {
    let since = state.now();
    state.put(&keys::member(project, member), MemberRow { role, since })?;
    state.put(&keys::membership(member, project), ())
}

fn remove_member(
    state: &mut State<'_>,
    project: &ProjectName,
    member: &MemberName,
) -> Result<(), Stop> {
    state.remove(&keys::member(project, member))?;
    state.remove(&keys::membership(member, project))
}
