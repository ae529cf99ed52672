//! Logins that are checked elsewhere: the user that the log has for them, and the groups that their source says.

use super::group::{add_member, make, remove_member};
use super::user::{check_email, check_user_name, first_generation, set_account};
use crate::GROUPS_PER_LOGIN_MAX;
use crate::access::{
    AccountKind, AccountName, AccountRow, GroupName, NoteLogin, Source, groups_of,
};
use crate::apply::audit;
use crate::apply::state::{State, Stop, invalid};
use crate::keys;
use crate::reply::{Refusal, Reply};

pub(super) fn note(state: &mut State<'_>, login: &NoteLogin) -> Result<Reply, Stop> {
    check_user_name(&login.user)?;
    check_email(login.email.as_deref())?;
    let groups = login.groups.as_deref().unwrap_or_default();
    if login.source == Source::Local || groups.len() > GROUPS_PER_LOGIN_MAX {
        let reason = format!("a login elsewhere tells of at most {GROUPS_PER_LOGIN_MAX} groups");
        return Err(invalid(reason).into());
    }
    for group in groups {
        if state
            .get(&keys::group(group))?
            .is_some_and(|row| row.is_ending)
        {
            return Err(Refusal::DeletionInProgress.into());
        }
    }
    let row = match state.get(&keys::account(&login.user))? {
        Some(row) => with_news(row, login)?,
        None => AccountRow {
            kind: AccountKind::User {
                source: login.source.clone(),
                password: None,
                is_admin: false,
                email: login.email.clone(),
            },
            created: state.now(),
            by: audit::system(),
            is_disabled: false,
            generation: first_generation(state),
            is_ending: false,
        },
    };
    set_account(state, &login.user, Some(row))?;
    if let Some(groups) = &login.groups {
        set_groups(state, &login.user, groups)?;
    }
    Ok(Reply::Done)
}

/// The user's row with what is new. A name belongs to the source that it came from first.
fn with_news(mut row: AccountRow, login: &NoteLogin) -> Result<AccountRow, Stop> {
    if row.is_ending {
        return Err(Refusal::DeletionInProgress.into());
    }
    match &mut row.kind {
        AccountKind::User { source, email, .. } if *source == login.source => {
            if login.email.is_some() {
                email.clone_from(&login.email);
            }
            Ok(row)
        }
        _ => Err(Refusal::OtherSource.into()),
    }
}

fn set_groups(state: &mut State<'_>, user: &AccountName, wanted: &[GroupName]) -> Result<(), Stop> {
    let has = groups_of(state.tables(), user)?;
    for group in has.iter().filter(|group| !wanted.contains(group)) {
        remove_member(state, group, user)?;
    }
    for group in wanted.iter().filter(|group| !has.contains(group)) {
        let row = make(state, audit::system(), group)?;
        add_member(state, group, &row, user)?;
    }
    Ok(())
}
