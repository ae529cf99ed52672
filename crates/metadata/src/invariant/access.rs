//! What holds of accounts, groups, projects, tokens and the audit.

use std::collections::{BTreeMap, BTreeSet};

use oci::ProjectName;

use super::{Broken, all, same};
use crate::access::{
    AccessRow, AccountName, AccountRow, AuditRow, GroupName, GroupRow, MemberName, MemberRow,
    ProjectRow, TokenId, TokenRow,
};
use crate::apply::chained;
use crate::keys;
use crate::rows::RepositoryRow;
use crate::tables::{ReadTables, TableId};
use crate::typed;

fn access(tables: &dyn ReadTables) -> Result<AccessRow, Broken> {
    Ok(typed::get(tables, &keys::access())?.unwrap_or_default())
}

fn accounts(tables: &dyn ReadTables) -> Result<BTreeMap<AccountName, AccountRow>, Broken> {
    Ok(all(tables, TableId::Account, keys::read_account)?)
}

/// As many administrators may log in as are counted, and at least one where rights are asked for.
///
/// # Errors
/// [`Broken`].
pub fn administrators_are_counted(tables: &dyn ReadTables) -> Result<(), Broken> {
    let access = access(tables)?;
    let counted = accounts(tables)?.values().filter(|row| row.rules()).count();
    same("administrators", &access.administrators, &(counted as u64))?;
    match access.is_on && counted == 0 {
        true => Err(Broken::Contradiction(
            "rights are asked for and nobody rules".to_owned(),
        )),
        false => Ok(()),
    }
}

/// What a group lists of users, and a user of groups, is the same, of groups and users that there are.
///
/// # Errors
/// [`Broken`].
pub fn groups_mirror_users(tables: &dyn ReadTables) -> Result<(), Broken> {
    let groups: BTreeMap<GroupName, GroupRow> = all(tables, TableId::Group, keys::read_group)?;
    let accounts = accounts(tables)?;
    let listed: BTreeMap<(GroupName, AccountName), ()> =
        all(tables, TableId::GroupMember, keys::read_group_member)?;
    let had: BTreeMap<(AccountName, GroupName), u64> =
        all(tables, TableId::UserGroup, keys::read_user_group)?;
    let mirrored: BTreeSet<_> = had
        .keys()
        .cloned()
        .map(|(user, group)| (group, user))
        .collect();
    same("who is in groups", &listed.into_keys().collect(), &mirrored)?;
    for ((user, group), since) in had {
        let row = groups.get(&group);
        if row.is_none_or(|row| row.since.0 != since) || !accounts.contains_key(&user) {
            return Err(Broken::Contradiction(format!(
                "{user} is in the group {group}: one of them is not there"
            )));
        }
    }
    Ok(())
}

/// What a project lists of members, and a member of projects, is the same, of members and projects that there are.
///
/// # Errors
/// [`Broken`].
pub fn members_mirror_memberships(tables: &dyn ReadTables) -> Result<(), Broken> {
    let projects: BTreeMap<ProjectName, ProjectRow> =
        all(tables, TableId::Project, keys::read_project)?;
    let groups: BTreeMap<GroupName, GroupRow> = all(tables, TableId::Group, keys::read_group)?;
    let accounts = accounts(tables)?;
    let members: BTreeMap<(ProjectName, MemberName), MemberRow> =
        all(tables, TableId::Member, keys::read_member)?;
    let memberships: BTreeMap<(MemberName, ProjectName), ()> =
        all(tables, TableId::Membership, keys::read_membership)?;
    let mirrored: BTreeSet<_> = memberships
        .into_keys()
        .map(|(member, project)| (project, member))
        .collect();
    let members: BTreeSet<_> = members.into_keys().collect();
    same("members of projects", &members, &mirrored)?;
    for (project, member) in members {
        let is_there = match &member {
            MemberName::User(user) => accounts.contains_key(user),
            MemberName::Group(group) => groups.contains_key(group),
        };
        if !is_there || !projects.contains_key(&project) {
            return Err(Broken::Contradiction(format!(
                "{member:?} is a member of {project}: one of them is not there"
            )));
        }
    }
    Ok(())
}

/// A project counts its repositories, and each repository has a project.
///
/// # Errors
/// [`Broken`].
pub fn projects_count_repositories(tables: &dyn ReadTables) -> Result<(), Broken> {
    let projects: BTreeMap<ProjectName, ProjectRow> =
        all(tables, TableId::Project, keys::read_project)?;
    let repositories: BTreeMap<_, RepositoryRow> =
        all(tables, TableId::Repository, keys::read_repository)?;
    let mut counted: BTreeMap<ProjectName, u64> = BTreeMap::new();
    for name in repositories.keys() {
        *counted.entry(ProjectName::of(name)).or_default() += 1;
    }
    let recorded = projects.into_iter();
    let recorded = recorded
        .filter_map(|(name, row)| (row.repositories > 0).then_some((name, row.repositories)));
    same("repositories of projects", &recorded.collect(), &counted)
}

/// What an account lists of tokens, and a token of its account, is the same.
///
/// # Errors
/// [`Broken`].
pub fn tokens_mirror_accounts(tables: &dyn ReadTables) -> Result<(), Broken> {
    let tokens: BTreeMap<TokenId, TokenRow> =
        all(tables, TableId::AccessToken, keys::read_access_token)?;
    let listed: BTreeMap<(AccountName, TokenId), ()> =
        all(tables, TableId::AccountToken, keys::read_account_token)?;
    let mirrored: BTreeSet<_> = tokens
        .into_iter()
        .map(|(token, row)| (row.account, token))
        .collect();
    let accounts = accounts(tables)?;
    if let Some((account, _)) = mirrored
        .iter()
        .find(|(name, _)| !accounts.contains_key(name))
    {
        return Err(Broken::Contradiction(format!(
            "{account} has tokens and is not there"
        )));
    }
    same("tokens", &listed.into_keys().collect(), &mirrored)
}

/// The audit's records follow each other without a gap, and each one's chain continues the one before.
///
/// # Errors
/// [`Broken`].
pub fn audit_is_a_chain(tables: &dyn ReadTables) -> Result<(), Broken> {
    let access = access(tables)?;
    let records: BTreeMap<u64, AuditRow> = all(tables, TableId::Audit, keys::read_audit)?;
    let numbers: Vec<u64> = records.keys().copied().collect();
    let expected: Vec<u64> = match access.audit_last {
        0 => Vec::new(),
        last => (access.audit_first..=last).collect(),
    };
    same("the numbers of the audit", &numbers, &expected)?;
    let mut before: Option<[u8; 32]> = (access.audit_first <= 1).then_some([0; 32]);
    for (number, row) in records {
        if let Some(before) = before {
            same(
                &format!("the chain at {number}"),
                &row.chain,
                &chained(before, &row),
            )?;
        }
        before = Some(row.chain);
    }
    match before {
        Some(last) if access.audit_last > 0 => same("the chain's end", &access.audit_chain, &last),
        _ => Ok(()),
    }
}
