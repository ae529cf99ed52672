//! Users: made, changed, locked out, ended. One administrator who may log in always remains.

use oci::{ProjectName, RepositoryName};

use super::project::make;
use super::{ROWS_ENDED_PER_ENTRY, check_text, maker, row};
use crate::PASSWORD_HASH_BYTES_MAX;
use crate::access::{
    AccountKind, AccountName, AccountRow, Asker, ChangeUser, CreateUser, MemberName, PasswordHash,
    Source, Visibility,
};
use crate::apply::audit;
use crate::apply::state::{State, Stop, invalid, less};
use crate::keys;
use crate::reply::{Named, Refusal, Reply};

/// Makes access asked for, with a first administrator and the project of names of one part.
pub(super) fn switch_on(
    state: &mut State<'_>,
    admin: &AccountName,
    password: &PasswordHash,
) -> Result<Reply, Stop> {
    check_user_name(admin)?;
    check_password(password)?;
    if state.get(&keys::account(admin))?.is_none() {
        let first = AccountRow {
            kind: AccountKind::User {
                source: Source::Local,
                password: Some(password.clone()),
                is_admin: true,
                email: None,
            },
            created: state.now(),
            by: audit::system(),
            is_disabled: false,
            generation: 1,
            is_ending: false,
        };
        set_account(state, admin, Some(first))?;
    }
    let mut access = row(state)?;
    if access.administrators == 0 {
        return Err(Refusal::LastAdministrator.into());
    }
    let library = ProjectName::parse(RepositoryName::DEFAULT_PROJECT)
        .expect("the default project has a name");
    if state.get(&keys::project(&library))?.is_none() {
        make(state, None, &library, Visibility::Private, 0)?;
    }
    access.is_on = true;
    state.put(&keys::access(), access)?;
    Ok(Reply::Done)
}

pub(super) fn create(
    state: &mut State<'_>,
    asker: Option<&Asker>,
    create: &CreateUser,
) -> Result<Reply, Stop> {
    check_user_name(&create.user)?;
    check_password(&create.password)?;
    check_email(create.email.as_deref())?;
    if state.get(&keys::account(&create.user))?.is_some() {
        return Err(Refusal::Exists(Named::User).into());
    }
    let row = AccountRow {
        kind: AccountKind::User {
            source: Source::Local,
            password: Some(create.password.clone()),
            is_admin: create.is_admin,
            email: create.email.clone(),
        },
        created: state.now(),
        by: maker(asker),
        is_disabled: false,
        generation: first_generation(state),
        is_ending: false,
    };
    set_account(state, &create.user, Some(row))?;
    Ok(Reply::Done)
}

/// What an account of this name that is made now begins with: never what an earlier one had, whose proofs may be about.
pub(super) fn first_generation(state: &State<'_>) -> u64 {
    state.index.0.max(1)
}

pub(super) fn change(state: &mut State<'_>, change: &ChangeUser) -> Result<Reply, Stop> {
    check_email(change.email.as_deref())?;
    let mut row = user(state, &change.user)?;
    let AccountKind::User {
        is_admin, email, ..
    } = &mut row.kind
    else {
        return Err(Refusal::Unknown(Named::User).into());
    };
    *is_admin = change.is_admin.unwrap_or(*is_admin);
    if let Some(changed) = &change.email {
        *email = (!changed.is_empty()).then(|| changed.clone());
    }
    if let Some(is_disabled) = change.is_disabled {
        if is_disabled && !row.is_disabled {
            row.generation += 1;
        }
        row.is_disabled = is_disabled;
    }
    set_account(state, &change.user, Some(row))?;
    Ok(Reply::Done)
}

pub(super) fn set_password(
    state: &mut State<'_>,
    name: &AccountName,
    hash: &PasswordHash,
) -> Result<Reply, Stop> {
    check_password(hash)?;
    let mut row = user(state, name)?;
    match &mut row.kind {
        AccountKind::User {
            source: Source::Local,
            password,
            ..
        } => *password = Some(hash.clone()),
        _ => return Err(Refusal::OtherSource.into()),
    }
    row.generation += 1;
    set_account(state, name, Some(row))?;
    Ok(Reply::Done)
}

pub(super) fn end_proofs(state: &mut State<'_>, name: &AccountName) -> Result<Reply, Stop> {
    let row = state.get(&keys::account(name))?;
    let row = row.filter(|row| !row.is_ending);
    let mut row = row.ok_or(Refusal::Unknown(Named::User))?;
    row.generation += 1;
    set_account(state, name, Some(row))?;
    Ok(Reply::Done)
}

pub(super) fn delete(state: &mut State<'_>, name: &AccountName) -> Result<Reply, Stop> {
    let found = state.get(&keys::account(name))?;
    let found = found.filter(|_| !name.is_robot());
    let mut row = found.ok_or(Refusal::Unknown(Named::User))?;
    row.is_ending = true;
    row.generation += 1;
    set_account(state, name, Some(row))?;
    let mut left = ROWS_ENDED_PER_ENTRY;
    let member = MemberName::User(name.clone());
    left -= end_memberships(state, &member, left)?;
    let groups = state.collect(&keys::groups_of_user(name), left, |key, _: u64| {
        Some(keys::read_user_group(key)?.1)
    })?;
    left -= groups.len();
    for group in groups {
        state.remove(&keys::user_group(name, &group))?;
        state.remove(&keys::group_member(&group, name))?;
    }
    left -= super::token::end_all(state, name, left)?;
    if left == 0 {
        return Ok(Reply::DeletionContinues);
    }
    set_account(state, name, None)?;
    Ok(Reply::Done)
}

/// Ends up to `limit` memberships of what ends, and tells how many.
pub(super) fn end_memberships(
    state: &mut State<'_>,
    member: &MemberName,
    limit: usize,
) -> Result<usize, Stop> {
    let projects = state.collect(&keys::memberships(member), limit, |key, (): ()| {
        Some(keys::read_membership(key)?.1)
    })?;
    for project in &projects {
        state.remove(&keys::membership(member, project))?;
        state.remove(&keys::member(project, member))?;
    }
    Ok(projects.len())
}

/// A user's row, unless it ends.
pub(super) fn user(state: &State<'_>, name: &AccountName) -> Result<AccountRow, Stop> {
    let row = state.get(&keys::account(name))?;
    let row = row.filter(|row| !row.is_ending && matches!(row.kind, AccountKind::User { .. }));
    Ok(row.ok_or(Refusal::Unknown(Named::User))?)
}

/// Writes an account's row, or removes it, and counts the administrators who may log in. While rights are asked for, the last
/// of them stays.
pub(super) fn set_account(
    state: &mut State<'_>,
    name: &AccountName,
    row: Option<AccountRow>,
) -> Result<(), Stop> {
    let key = keys::account(name);
    let before = u64::from(state.get(&key)?.as_ref().is_some_and(AccountRow::rules));
    let after = u64::from(row.as_ref().is_some_and(AccountRow::rules));
    if before != after {
        let mut access = super::row(state)?;
        let without = less(access.administrators, before, "the count of administrators")?;
        access.administrators = without + after;
        if access.is_on && access.administrators == 0 {
            return Err(Refusal::LastAdministrator.into());
        }
        state.put(&keys::access(), access)?;
    }
    match row {
        Some(row) => state.put(&key, row),
        None => state.remove(&key),
    }
}

pub(super) fn check_user_name(name: &AccountName) -> Result<(), Stop> {
    match name.is_robot() {
        true => Err(invalid("a user cannot have the name of a robot").into()),
        false => Ok(()),
    }
}

fn check_password(hash: &PasswordHash) -> Result<(), Stop> {
    match hash.0.len() > PASSWORD_HASH_BYTES_MAX || !hash.0.starts_with("$argon2id$") {
        true => Err(invalid("a password is kept as its argon2id hash").into()),
        false => Ok(()),
    }
}

pub(super) fn check_email(email: Option<&str>) -> Result<(), Stop> {
    Ok(email.map_or(Ok(()), |email| check_text(email, "an address"))?)
}
