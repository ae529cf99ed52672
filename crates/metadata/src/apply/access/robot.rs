//! Robots: accounts of programs, with a machine's secret and nothing but what they were granted.

use oci::ProjectName;

use super::user::{first_generation, set_account};
use super::{check_expiry, check_grants, check_text, maker};
use crate::access::{
    AccountKind, AccountName, AccountRow, Asker, ChangeRobot, CreateRobot, SecretHash,
};
use crate::apply::state::{State, Stop, invalid};
use crate::keys;
use crate::reply::{Named, Refusal, Reply};

pub(super) fn create(
    state: &mut State<'_>,
    asker: Option<&Asker>,
    create: &CreateRobot,
) -> Result<Reply, Stop> {
    if !create.robot.is_robot() || create.robot.project() != create.project {
        return Err(invalid("a robot's name begins with `robot$` and its project").into());
    }
    check_text(&create.description, "a description")?;
    check_expiry(state, create.expires)?;
    check_grants(&create.grants, create.project.as_ref())?;
    if let Some(project) = &create.project {
        let row = state.get(&keys::project(project))?;
        row.ok_or(Refusal::Unknown(Named::Project))?;
    }
    if state.get(&keys::account(&create.robot))?.is_some() {
        return Err(Refusal::Exists(Named::Robot).into());
    }
    let row = AccountRow {
        kind: AccountKind::Robot {
            secret: create.secret,
            grants: create.grants.clone(),
            expires: create.expires,
            description: create.description.clone(),
        },
        created: state.now(),
        by: maker(asker),
        is_disabled: false,
        generation: first_generation(state),
        is_ending: false,
    };
    set_account(state, &create.robot, Some(row))?;
    Ok(Reply::Done)
}

pub(super) fn change(state: &mut State<'_>, change: &ChangeRobot) -> Result<Reply, Stop> {
    check_expiry(state, change.expires.flatten())?;
    if let Some(grants) = &change.grants {
        check_grants(grants, change.robot.project().as_ref())?;
    }
    let mut row = find(state, &change.robot)?;
    if let AccountKind::Robot {
        grants, expires, ..
    } = &mut row.kind
    {
        if let Some(changed) = &change.grants {
            grants.clone_from(changed);
        }
        *expires = change.expires.unwrap_or(*expires);
    }
    if let Some(is_disabled) = change.is_disabled {
        if is_disabled && !row.is_disabled {
            row.generation += 1;
        }
        row.is_disabled = is_disabled;
    }
    set_account(state, &change.robot, Some(row))?;
    Ok(Reply::Done)
}

pub(super) fn renew(
    state: &mut State<'_>,
    robot: &AccountName,
    new: SecretHash,
) -> Result<Reply, Stop> {
    let mut row = find(state, robot)?;
    if let AccountKind::Robot { secret, .. } = &mut row.kind {
        *secret = new;
    }
    row.generation += 1;
    set_account(state, robot, Some(row))?;
    Ok(Reply::Done)
}

pub(super) fn delete(state: &mut State<'_>, robot: &AccountName) -> Result<Reply, Stop> {
    find(state, robot)?;
    set_account(state, robot, None)?;
    Ok(Reply::Done)
}

/// Ends up to `limit` robots of a project that ends, and tells how many.
pub(super) fn end_all(
    state: &mut State<'_>,
    project: &ProjectName,
    limit: usize,
) -> Result<usize, Stop> {
    let all = keys::robots(Some(project));
    let robots = state.collect(&all, limit, |key, _: AccountRow| keys::read_account(key))?;
    for robot in &robots {
        set_account(state, robot, None)?;
    }
    Ok(robots.len())
}

fn find(state: &State<'_>, robot: &AccountName) -> Result<AccountRow, Stop> {
    let row = state.get(&keys::account(robot))?;
    let row = row.filter(|row| matches!(row.kind, AccountKind::Robot { .. }));
    Ok(row.ok_or(Refusal::Unknown(Named::Robot))?)
}
