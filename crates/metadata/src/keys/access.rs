//! The keys of accounts, groups, projects, tokens and the audit.

use oci::ProjectName;

use super::{Build, Key, Range, Read};
use crate::access::{
    AccessRow, AccountName, AccountRow, AuditRow, GroupName, GroupRow, MemberName, MemberRow,
    ProjectRow, TokenId, TokenKeyRow, TokenRow,
};
use crate::tables::TableId;

/// Members are ordered so: users first.
const USER: u8 = 1;
const GROUP: u8 = 2;
/// What follows the users among accounts.
const ROBOT: u8 = 2;

impl Build {
    fn member(self, member: &MemberName) -> Build {
        match member {
            MemberName::User(user) => self.bytes(&[USER]).name(user.as_str()),
            MemberName::Group(group) => self.bytes(&[GROUP]).name(group.as_str()),
        }
    }
}

impl Read<'_> {
    fn account(&mut self) -> Option<AccountName> {
        AccountName::parse(self.text()?).ok()
    }

    fn group(&mut self) -> Option<GroupName> {
        GroupName::parse(self.text()?).ok()
    }

    fn project(&mut self) -> Option<ProjectName> {
        ProjectName::parse(self.text()?).ok()
    }

    fn member(&mut self) -> Option<MemberName> {
        match *self.take(1)?.first()? {
            USER => self.account().map(MemberName::User),
            GROUP => self.group().map(MemberName::Group),
            _ => None,
        }
    }
}

/// The key of the row about access as a whole.
#[must_use]
pub fn access() -> Key<AccessRow> {
    Key::new(TableId::Access, vec![0])
}

/// The key of an account: users come first, then the robots of the whole registry, then those of each project.
#[must_use]
pub fn account(name: &AccountName) -> Key<AccountRow> {
    let key = match name.robot_name() {
        None => Build::default().bytes(&[USER]).last(name.as_str()),
        Some((project, robot)) => Build::default().bytes(&[ROBOT]).name(project).last(robot),
    };
    key.key(TableId::Account)
}

/// All users.
#[must_use]
pub fn users() -> Range {
    Range::prefix(TableId::Account, vec![USER])
}

/// The robots of a project, or of the whole registry.
#[must_use]
pub fn robots(project: Option<&ProjectName>) -> Range {
    let project = project.map_or("", ProjectName::as_str);
    let prefix = Build::default().bytes(&[ROBOT]).name(project);
    Range::prefix(TableId::Account, prefix.0)
}

/// Reads a key of [`account`].
#[must_use]
pub fn read_account(key: &[u8]) -> Option<AccountName> {
    let mut read = Read(key);
    match *read.take(1)?.first()? {
        USER => AccountName::user(read.rest()?).ok(),
        ROBOT => {
            let project = match read.text()? {
                "" => None,
                project => Some(ProjectName::parse(project).ok()?),
            };
            AccountName::robot(project.as_ref(), read.rest()?).ok()
        }
        _ => None,
    }
}

/// The key of a group.
#[must_use]
pub fn group(name: &GroupName) -> Key<GroupRow> {
    Build::default().last(name.as_str()).key(TableId::Group)
}

/// Reads a key of [`group`].
#[must_use]
pub fn read_group(key: &[u8]) -> Option<GroupName> {
    GroupName::parse(Read(key).rest()?).ok()
}

/// The key that says that a user is in a group, as the group lists it.
#[must_use]
pub fn group_member(group: &GroupName, user: &AccountName) -> Key<()> {
    Build::default()
        .name(group.as_str())
        .name(user.as_str())
        .key(TableId::GroupMember)
}

/// Who is in a group.
#[must_use]
pub fn group_members(group: &GroupName) -> Range {
    let prefix = Build::default().name(group.as_str());
    Range::prefix(TableId::GroupMember, prefix.0)
}

/// Reads a key of [`group_member`].
#[must_use]
pub fn read_group_member(key: &[u8]) -> Option<(GroupName, AccountName)> {
    let mut read = Read(key);
    let pair = (read.group()?, read.account()?);
    read.end(pair)
}

/// The key that says that a user is in a group, as the user's list has it: the row is the entry that made the group.
#[must_use]
pub fn user_group(user: &AccountName, group: &GroupName) -> Key<u64> {
    Build::default()
        .name(user.as_str())
        .name(group.as_str())
        .key(TableId::UserGroup)
}

/// The groups of a user.
#[must_use]
pub fn groups_of_user(user: &AccountName) -> Range {
    let prefix = Build::default().name(user.as_str());
    Range::prefix(TableId::UserGroup, prefix.0)
}

/// Reads a key of [`user_group`].
#[must_use]
pub fn read_user_group(key: &[u8]) -> Option<(AccountName, GroupName)> {
    let mut read = Read(key);
    let pair = (read.account()?, read.group()?);
    read.end(pair)
}

/// The key of a project.
#[must_use]
pub fn project(name: &ProjectName) -> Key<ProjectRow> {
    Build::default().last(name.as_str()).key(TableId::Project)
}

/// Reads a key of [`project`].
#[must_use]
pub fn read_project(key: &[u8]) -> Option<ProjectName> {
    ProjectName::parse(Read(key).rest()?).ok()
}

/// The key of a member of a project.
#[must_use]
pub fn member(project: &ProjectName, member: &MemberName) -> Key<MemberRow> {
    Build::default()
        .name(project.as_str())
        .member(member)
        .key(TableId::Member)
}

/// The members of a project.
#[must_use]
pub fn members(project: &ProjectName) -> Range {
    let prefix = Build::default().name(project.as_str());
    Range::prefix(TableId::Member, prefix.0)
}

/// Reads a key of [`member`].
#[must_use]
pub fn read_member(key: &[u8]) -> Option<(ProjectName, MemberName)> {
    let mut read = Read(key);
    let pair = (read.project()?, read.member()?);
    read.end(pair)
}

/// The key that says that somebody is a member of a project.
#[must_use]
pub fn membership(member: &MemberName, project: &ProjectName) -> Key<()> {
    Build::default()
        .member(member)
        .name(project.as_str())
        .key(TableId::Membership)
}

/// Where somebody is a member.
#[must_use]
pub fn memberships(member: &MemberName) -> Range {
    Range::prefix(TableId::Membership, Build::default().member(member).0)
}

/// Reads a key of [`membership`].
#[must_use]
pub fn read_membership(key: &[u8]) -> Option<(MemberName, ProjectName)> {
    let mut read = Read(key);
    let pair = (read.member()?, read.project()?);
    read.end(pair)
}

/// The key of a personal access token.
#[must_use]
pub fn access_token(token: TokenId) -> Key<TokenRow> {
    Build::default().u128(token.0).key(TableId::AccessToken)
}

/// Reads a key of [`access_token`].
#[must_use]
pub fn read_access_token(key: &[u8]) -> Option<TokenId> {
    let mut read = Read(key);
    let token = TokenId(read.u128()?);
    read.end(token)
}

/// The key that says whose a token is.
#[must_use]
pub fn account_token(account: &AccountName, token: TokenId) -> Key<()> {
    Build::default()
        .name(account.as_str())
        .u128(token.0)
        .key(TableId::AccountToken)
}

/// The tokens of an account.
#[must_use]
pub fn account_tokens(account: &AccountName) -> Range {
    let prefix = Build::default().name(account.as_str());
    Range::prefix(TableId::AccountToken, prefix.0)
}

/// Reads a key of [`account_token`].
#[must_use]
pub fn read_account_token(key: &[u8]) -> Option<(AccountName, TokenId)> {
    let mut read = Read(key);
    let pair = (read.account()?, TokenId(read.u128()?));
    read.end(pair)
}

/// The key of a key that signs tokens; the first has number 1.
#[must_use]
pub fn token_key(number: u32) -> Key<TokenKeyRow> {
    Build::default().u32(number).key(TableId::TokenKey)
}

/// Reads a key of [`token_key`].
#[must_use]
pub fn read_token_key(key: &[u8]) -> Option<u32> {
    let mut read = Read(key);
    let number = read.u32()?;
    read.end(number)
}

/// The key of a record of the audit; the first has number 1.
#[must_use]
pub fn audit(number: u64) -> Key<AuditRow> {
    Build::default().u64(number).key(TableId::Audit)
}

/// The records from number `first` to before `end`.
#[must_use]
pub fn audit_between(first: u64, end: u64) -> Range {
    Range {
        table: TableId::Audit,
        from: Build::default().u64(first).0,
        to: Some(Build::default().u64(end).0),
    }
}

/// Reads a key of [`audit`].
#[must_use]
pub fn read_audit(key: &[u8]) -> Option<u64> {
    let mut read = Read(key);
    let number = read.u64()?;
    read.end(number)
}
