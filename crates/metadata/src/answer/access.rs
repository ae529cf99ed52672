//! Answers what is asked about accounts, groups, projects, tokens and the audit.

use oci::ProjectName;

use super::{PAGE_MAX, page};
use crate::access::{
    AccessAnswer, AccessQuery, AccessRow, AccountKind, AccountName, AccountRow, AccountView,
    AuditPage, AuditRow, AuditView, GroupName, GroupRow, GroupView, MemberName, MemberRow,
    MemberView, PasswordHash, ProjectRow, ProjectView, Rights, SecretHash, TokenId, TokenKeyRow,
    TokenKeyView, TokenRow, TokenView, groups_of, live_token,
};
use crate::keys::{self, Range};
use crate::query::{Answer, Page};
use crate::tables::{ReadTables, StorageFailure, TableId};
use crate::typed;
use crate::{RIGHTS_ASKED_MAX, TOKENS_PER_ACCOUNT_MAX};

/// How many records of the audit one answer looks at when only some of them are wanted.
const AUDIT_LOOKED_AT: u64 = 10_000;

/// How many projects one answer looks at when only some of them are shown.
const PROJECTS_LOOKED_AT: usize = 1_000;

pub(super) fn answer(
    tables: &dyn ReadTables,
    rights: Option<&Rights<'_>>,
    query: &AccessQuery,
) -> Result<Answer, StorageFailure> {
    let answer = match query {
        AccessQuery::Access => {
            let row: AccessRow = typed::get(tables, &keys::access())?.unwrap_or_default();
            AccessAnswer::Access {
                is_on: row.is_on,
                settings: row.settings,
            }
        }
        AccessQuery::Credentials { name, token } => match account(tables, name, *token)? {
            Some(view) => AccessAnswer::Account(Box::new(view)),
            None => return Ok(Answer::Absent),
        },
        AccessQuery::Account { name } => match account(tables, name, None)? {
            Some(view) => AccessAnswer::Account(Box::new(without_secrets(view))),
            None => return Ok(Answer::Absent),
        },
        AccessQuery::Users(wanted) => accounts(tables, keys::users(), wanted)?,
        AccessQuery::Robots { project, page } => {
            accounts(tables, keys::robots(project.as_ref()), page)?
        }
        AccessQuery::Groups(wanted) => groups(tables, wanted)?,
        AccessQuery::GroupMembers { group, page } => group_members(tables, group, page)?,
        AccessQuery::Projects(wanted) => projects(tables, rights, wanted)?,
        AccessQuery::Project { project } => match typed::get(tables, &keys::project(project))? {
            Some(row) => AccessAnswer::Projects {
                projects: vec![view(rights, project.clone(), row)?],
                next: None,
            },
            None => return Ok(Answer::Absent),
        },
        AccessQuery::Members { project, page } => members(tables, project, page)?,
        AccessQuery::Tokens { account } => tokens(tables, account)?,
        AccessQuery::Rights { needs } => {
            let needs = needs.iter().take(RIGHTS_ASKED_MAX);
            let decided = needs.map(|need| match rights {
                Some(rights) => Ok(rights.decide(need)?.is_allowed()),
                None => Ok(true),
            });
            AccessAnswer::Rights(decided.collect::<Result<_, StorageFailure>>()?)
        }
        AccessQuery::TokenKeys => token_keys(tables, false)?,
        AccessQuery::SealedTokenKeys => token_keys(tables, true)?,
        AccessQuery::Audit(wanted) => audit(tables, wanted)?,
    };
    Ok(Answer::Access(Box::new(answer)))
}

fn account(
    tables: &dyn ReadTables,
    name: &AccountName,
    token: Option<TokenId>,
) -> Result<Option<AccountView>, StorageFailure> {
    let row: Option<AccountRow> = typed::get(tables, &keys::account(name))?;
    let Some(row) = row.filter(|row| !row.is_ending) else {
        return Ok(None);
    };
    let token = match token {
        Some(token) => live_token(tables, name, token)?,
        None => None,
    };
    Ok(Some(AccountView {
        groups: groups_of(tables, name)?,
        name: name.clone(),
        row,
        token,
    }))
}

fn without_secrets(mut view: AccountView) -> AccountView {
    match &mut view.row.kind {
        AccountKind::User { password, .. } => {
            *password = password.is_some().then(|| PasswordHash("".into()));
        }
        AccountKind::Robot { secret, .. } => *secret = SecretHash([0; 32]),
    }
    view
}

fn accounts(
    tables: &dyn ReadTables,
    range: Range,
    wanted: &Page<AccountName>,
) -> Result<AccessAnswer, StorageFailure> {
    let range = match &wanted.after {
        Some(after) => range.after(keys::account(after)),
        None => range,
    };
    let (rows, more) = page(tables, &range, wanted, |key, row: AccountRow| {
        Some((keys::read_account(key)?, row))
    })?;
    let views = rows.into_iter().map(|(name, row)| {
        Ok(without_secrets(AccountView {
            groups: groups_of(tables, &name)?,
            name,
            row,
            token: None,
        }))
    });
    Ok(AccessAnswer::Accounts {
        accounts: views.collect::<Result<_, StorageFailure>>()?,
        more,
    })
}

fn groups(
    tables: &dyn ReadTables,
    wanted: &Page<GroupName>,
) -> Result<AccessAnswer, StorageFailure> {
    let mut range = Range::all(TableId::Group);
    if let Some(after) = &wanted.after {
        range = range.after(keys::group(after));
    }
    let (groups, more) = page(tables, &range, wanted, |key, row: GroupRow| {
        let name = keys::read_group(key)?;
        Some(GroupView { name, row })
    })?;
    Ok(AccessAnswer::Groups { groups, more })
}

fn group_members(
    tables: &dyn ReadTables,
    group: &GroupName,
    wanted: &Page<AccountName>,
) -> Result<AccessAnswer, StorageFailure> {
    let mut range = keys::group_members(group);
    if let Some(after) = &wanted.after {
        range = range.after(keys::group_member(group, after));
    }
    let (users, more) = page(tables, &range, wanted, |key, (): ()| {
        Some(keys::read_group_member(key)?.1)
    })?;
    Ok(AccessAnswer::GroupMembers { users, more })
}

fn projects(
    tables: &dyn ReadTables,
    rights: Option<&Rights<'_>>,
    wanted: &Page<ProjectName>,
) -> Result<AccessAnswer, StorageFailure> {
    let mut range = Range::all(TableId::Project);
    if let Some(after) = &wanted.after {
        range = range.after(keys::project(after));
    }
    let limit = wanted.limit.min(PAGE_MAX);
    let looked_at = Page::<ProjectName> {
        after: None,
        limit: PROJECTS_LOOKED_AT.max(limit),
    };
    let (rows, more) = page(tables, &range, &looked_at, |key, row: ProjectRow| {
        Some((keys::read_project(key)?, row))
    })?;
    let mut projects = Vec::new();
    let mut next = None;
    let mut last = None;
    for (name, row) in rows {
        if projects.len() >= limit {
            next = last.clone();
            break;
        }
        last = Some(name.clone());
        let is_shown = match rights {
            Some(rights) => rights.may_pull_something(&name)?,
            None => true,
        };
        if is_shown {
            projects.push(view(rights, name, row)?);
        }
    }
    if next.is_none() && more {
        next = last;
    }
    Ok(AccessAnswer::Projects { projects, next })
}

fn view(
    rights: Option<&Rights<'_>>,
    name: ProjectName,
    row: ProjectRow,
) -> Result<ProjectView, StorageFailure> {
    let role = rights.map_or(Ok(None), |rights| rights.role_in(&name))?;
    Ok(ProjectView { name, row, role })
}

fn members(
    tables: &dyn ReadTables,
    project: &ProjectName,
    wanted: &Page<MemberName>,
) -> Result<AccessAnswer, StorageFailure> {
    let mut range = keys::members(project);
    if let Some(after) = &wanted.after {
        range = range.after(keys::member(project, after));
    }
    let (members, more) = page(tables, &range, wanted, |key, row: MemberRow| {
        let (_, name) = keys::read_member(key)?;
        Some(MemberView { name, row })
    })?;
    Ok(AccessAnswer::Members { members, more })
}

fn tokens(tables: &dyn ReadTables, account: &AccountName) -> Result<AccessAnswer, StorageFailure> {
    let range = keys::account_tokens(account);
    let ids = typed::collect(tables, &range, TOKENS_PER_ACCOUNT_MAX, |key, (): ()| {
        Some(keys::read_account_token(key)?.1)
    })?;
    let mut tokens = Vec::with_capacity(ids.len());
    for token in ids {
        let row: Option<TokenRow> = typed::get(tables, &keys::access_token(token))?;
        tokens.extend(row.map(|row| TokenView {
            token,
            label: row.label,
            limits: row.limits,
            created: row.created,
            expires: row.expires,
        }));
    }
    Ok(AccessAnswer::Tokens(tokens))
}

fn token_keys(tables: &dyn ReadTables, with_sealed: bool) -> Result<AccessAnswer, StorageFailure> {
    let all = Range::all(TableId::TokenKey);
    let views = typed::collect(tables, &all, PAGE_MAX, |key, row: TokenKeyRow| {
        Some(TokenKeyView {
            number: keys::read_token_key(key)?,
            public: row.public,
            sealed: with_sealed.then_some(row.sealed),
            created: row.created,
        })
    })?;
    Ok(AccessAnswer::TokenKeys(views))
}

/// Newest first, from blocks of records: a scan goes forward only.
fn audit(tables: &dyn ReadTables, wanted: &AuditPage) -> Result<AccessAnswer, StorageFailure> {
    let access: AccessRow = typed::get(tables, &keys::access())?.unwrap_or_default();
    let limit = wanted.limit.clamp(1, PAGE_MAX);
    let newest = access.audit_last.saturating_add(1);
    let mut end = wanted.before.map_or(newest, |before| before.min(newest));
    let floor = access.audit_first.max(1);
    let stop = end.saturating_sub(AUDIT_LOOKED_AT).max(floor);
    let mut records: Vec<AuditView> = Vec::new();
    while end > stop && records.len() < limit {
        let first = end.saturating_sub(256).max(stop);
        let range = keys::audit_between(first, end);
        let block = typed::collect(tables, &range, PAGE_MAX, |key, row: AuditRow| {
            let number = keys::read_audit(key)?;
            Some(AuditView { number, row })
        })?;
        end = first;
        for view in block.into_iter().rev() {
            if wants(wanted, &view.row) {
                records.push(view);
            }
            if records.len() == limit {
                break;
            }
        }
    }
    let next = match records.last() {
        Some(last) if records.len() == limit => Some(last.number),
        _ => Some(end),
    };
    Ok(AccessAnswer::Audit {
        records,
        next: next.filter(|next| *next > floor),
    })
}

fn wants(wanted: &AuditPage, row: &AuditRow) -> bool {
    let begins = |text: &str, prefix: Option<&str>| prefix.is_none_or(|p| text.starts_with(p));
    wanted.by.as_ref().is_none_or(|by| *by == row.by)
        && begins(&row.action, wanted.action.as_deref())
        && begins(&row.target, wanted.target.as_deref())
        && wanted.from.is_none_or(|from| row.time >= from)
        && wanted.until.is_none_or(|until| row.time < until)
}
