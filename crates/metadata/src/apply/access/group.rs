//! Groups of users: made, filled and ended, with what was given to them.

use super::user::{end_memberships, user};
use super::{ROWS_ENDED_PER_ENTRY, maker};
use crate::GROUPS_PER_USER_MAX;
use crate::access::{AccountName, Asker, GroupName, GroupRow, MemberName};
use crate::apply::state::{State, Stop, invalid};
use crate::ids::PrincipalName;
use crate::keys;
use crate::reply::{Named, Refusal, Reply};

pub(super) fn create(
    state: &mut State<'_>,
    asker: Option<&Asker>,
    group: &GroupName,
) -> Result<Reply, Stop> {
    make(state, maker(asker), group)?;
    Ok(Reply::Done)
}

/// The group, made if it is not there.
pub(super) fn make(
    state: &mut State<'_>,
    by: PrincipalName,
    group: &GroupName,
) -> Result<GroupRow, Stop> {
    let key = keys::group(group);
    match state.get(&key)? {
        Some(row) if row.is_ending => Err(Refusal::DeletionInProgress.into()),
        Some(row) => Ok(row),
        None => {
            let row = GroupRow {
                created: state.now(),
                by,
                since: state.index,
                is_ending: false,
            };
            state.put(&key, row.clone())?;
            Ok(row)
        }
    }
}

pub(super) fn delete(state: &mut State<'_>, group: &GroupName) -> Result<Reply, Stop> {
    let key = keys::group(group);
    let mut row = state.get(&key)?.ok_or(Refusal::Unknown(Named::Group))?;
    let mut left = ROWS_ENDED_PER_ENTRY;
    left -= end_memberships(state, &MemberName::Group(group.clone()), left)?;
    let users = state.collect(&keys::group_members(group), left, |key, (): ()| {
        Some(keys::read_group_member(key)?.1)
    })?;
    left -= users.len();
    for user in users {
        remove_member(state, group, &user)?;
    }
    if left == 0 {
        row.is_ending = true;
        state.put(&key, row)?;
        return Ok(Reply::DeletionContinues);
    }
    state.remove(&key)?;
    Ok(Reply::Done)
}

pub(super) fn set_member(
    state: &mut State<'_>,
    group: &GroupName,
    name: &AccountName,
    is_in: bool,
) -> Result<Reply, Stop> {
    user(state, name)?;
    let row = state.get(&keys::group(group))?;
    let row = row.filter(|row| !row.is_ending);
    let row = row.ok_or(Refusal::Unknown(Named::Group))?;
    match is_in {
        true => add_member(state, group, &row, name)?,
        false => remove_member(state, group, name)?,
    }
    Ok(Reply::Done)
}

/// Puts a user into a group.
pub(super) fn add_member(
    state: &mut State<'_>,
    group: &GroupName,
    row: &GroupRow,
    user: &AccountName,
) -> Result<(), Stop> {
    let has = state.collect(
        &keys::groups_of_user(user),
        GROUPS_PER_USER_MAX,
        |_, since: u64| Some(since),
    )?;
    if has.len() >= GROUPS_PER_USER_MAX && state.get(&keys::user_group(user, group))?.is_none() {
        let reason = format!("a user is in at most {GROUPS_PER_USER_MAX} groups");
        return Err(invalid(reason).into());
    }
    state.put(&keys::group_member(group, user), ())?;
    state.put(&keys::user_group(user, group), row.since.0)
}

/// Takes a user out of a group.
pub(super) fn remove_member(
    state: &mut State<'_>,
    group: &GroupName,
    user: &AccountName,
) -> Result<(), Stop> {
    state.remove(&keys::group_member(group, user))?;
    state.remove(&keys::user_group(user, group))
}
