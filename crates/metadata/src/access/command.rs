//! The commands and queries about access.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use oci::ProjectName;

use super::{
    AccountName, AccountRow, AuditRow, Grant, GroupName, GroupRow, MemberName, MemberRow, Need,
    PasswordHash, ProjectRow, Role, SecretHash, Settings, Source, TokenId, TokenRow, Visibility,
};
use crate::ids::{LogTime, PrincipalName};
use crate::query::Page;

/// Everything that may change who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessCommand {
    /// From now on rights are asked for. What is there is in its projects already, as private. Again, it has no effect.
    SwitchOn {
        /// The first administrator, made unless there is an account of this name.
        admin: AccountName,
        /// The hash of their password.
        password: PasswordHash,
    },
    /// From now on anyone may do anything.
    SwitchOff,
    /// Sets what administrators may choose.
    Settle(Settings),
    /// Makes a user.
    CreateUser(CreateUser),
    /// Changes what is given, and leaves the rest.
    ChangeUser(ChangeUser),
    /// Sets the password of a local user, and ends what they proved with the old one.
    SetPassword {
        /// Whose.
        user: AccountName,
        /// The hash of the new one.
        password: PasswordHash,
    },
    /// Ends every login of an account. Its personal access tokens go on.
    EndProofs {
        /// Whose.
        account: AccountName,
    },
    /// Ends a user, with their memberships and tokens.
    DeleteUser {
        /// Which.
        user: AccountName,
    },
    /// A node says that somebody logged in whose password or login is checked elsewhere: makes the user, or changes what their
    /// source says of them.
    NoteLogin(NoteLogin),
    /// Makes a group. Again, it has no effect.
    CreateGroup {
        /// Which.
        group: GroupName,
    },
    /// Ends a group, with its memberships.
    DeleteGroup {
        /// Which.
        group: GroupName,
    },
    /// Puts a user into a group, or out of it. Again, it has no effect.
    SetGroupMember {
        /// The group.
        group: GroupName,
        /// The user.
        user: AccountName,
        /// Whether they are to be in it.
        is_in: bool,
    },
    /// Makes a project; its maker owns it.
    CreateProject {
        /// Which.
        project: ProjectName,
        /// Who may pull without being a member.
        visibility: Visibility,
    },
    /// Says who may pull from a project without being a member.
    SetVisibility {
        /// Which.
        project: ProjectName,
        /// Who.
        visibility: Visibility,
    },
    /// Ends a project that has no repositories, with its members and robots.
    DeleteProject {
        /// Which.
        project: ProjectName,
    },
    /// Gives a member of a project a role, or takes it. Again, it has no effect.
    SetMember {
        /// Where.
        project: ProjectName,
        /// Who.
        member: MemberName,
        /// What they are from now on.
        role: Option<Role>,
    },
    /// Makes a robot.
    CreateRobot(CreateRobot),
    /// Changes what is given, and leaves the rest.
    ChangeRobot(ChangeRobot),
    /// Gives a robot another secret; the old one counts no more.
    RenewRobot {
        /// Which.
        robot: AccountName,
        /// The hash of the new one.
        secret: SecretHash,
    },
    /// Ends a robot.
    DeleteRobot {
        /// Which.
        robot: AccountName,
    },
    /// Makes a personal access token.
    CreateToken(CreateToken),
    /// Ends a personal access token.
    DeleteToken {
        /// Whose.
        account: AccountName,
        /// Which.
        token: TokenId,
    },
    /// Brings a key that signs tokens from now on.
    AddTokenKey {
        /// The number of the key that came last when this one was made, 0 when none had: when another one has come meanwhile,
        /// this one is one too many ([`crate::Named::TokenKey`] exists). `None`: whatever has come.
        after: Option<u32>,
        /// Its public half: a point of P-256, uncompressed (SEC 1, section 2.3.3).
        public: Bytes,
        /// Its private half, sealed.
        sealed: Bytes,
    },
    /// Ends a key: tokens that it signed count no more. The one that signs is never ended.
    DropTokenKey {
        /// Which.
        number: u32,
    },
    /// A node says what it refused to those whom it knew, summed up.
    NoteRefusals(Vec<RefusalSum>),
}

/// See [`AccessCommand::CreateUser`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateUser {
    /// Which.
    pub user: AccountName,
    /// The hash of their password.
    pub password: PasswordHash,
    /// Whether they rule over everything.
    pub is_admin: bool,
    /// How to reach them.
    pub email: Option<Arc<str>>,
}

/// See [`AccessCommand::ChangeUser`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeUser {
    /// Which.
    pub user: AccountName,
    /// Whether they rule over everything.
    pub is_admin: Option<bool>,
    /// Whether they may do nothing.
    pub is_disabled: Option<bool>,
    /// How to reach them; empty: not at all.
    pub email: Option<Arc<str>>,
}

/// See [`AccessCommand::NoteLogin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteLogin {
    /// Who.
    pub user: AccountName,
    /// Where their login is checked. It never changes: a name that another source has is refused.
    pub source: Source,
    /// How to reach them.
    pub email: Option<Arc<str>>,
    /// Every group that the source says they are in, if it says anything of groups; those that do not exist are made.
    pub groups: Option<Vec<GroupName>>,
}

/// See [`AccessCommand::CreateRobot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRobot {
    /// Its name.
    pub robot: AccountName,
    /// Its project, as its name says; `None`: of the whole registry.
    pub project: Option<ProjectName>,
    /// The hash of its secret.
    pub secret: SecretHash,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// Until when.
    pub expires: Option<LogTime>,
    /// What it is for.
    pub description: Arc<str>,
}

/// See [`AccessCommand::ChangeRobot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRobot {
    /// Which.
    pub robot: AccountName,
    /// What it may do.
    pub grants: Option<Vec<Grant>>,
    /// Until when; `Some(None)`: for ever.
    pub expires: Option<Option<LogTime>>,
    /// Whether it may do nothing.
    pub is_disabled: Option<bool>,
}

/// See [`AccessCommand::CreateToken`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateToken {
    /// A fresh id.
    pub token: TokenId,
    /// Whose.
    pub account: AccountName,
    /// The hash of its secret.
    pub secret: SecretHash,
    /// What its owner calls it.
    pub label: Arc<str>,
    /// What it is limited to, of what its owner may; `None`: everything.
    pub limits: Option<Vec<Grant>>,
    /// Until when.
    pub expires: Option<LogTime>,
}

/// How often somebody was refused something within a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalSum {
    /// Who.
    pub by: PrincipalName,
    /// From where, the last time.
    pub from: Option<IpAddr>,
    /// What, in one word.
    pub action: Arc<str>,
    /// With what, the last time.
    pub target: Arc<str>,
    /// How often.
    pub times: u32,
}

/// What may be asked about access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessQuery {
    /// → [`AccessAnswer::Access`].
    Access,
    /// → [`AccessAnswer::Account`] or [`crate::Answer::Absent`]: what a node needs to check a password or a secret. The hashes leave
    /// no member.
    Credentials {
        /// Whose; with a token, only that is needed.
        name: AccountName,
        /// The personal access token that was shown.
        token: Option<TokenId>,
    },
    /// → [`AccessAnswer::Account`] or [`crate::Answer::Absent`], without secrets.
    Account {
        /// Which.
        name: AccountName,
    },
    /// → [`AccessAnswer::Accounts`]: users in the order of names.
    Users(Page<AccountName>),
    /// → [`AccessAnswer::Accounts`]: the robots of a project, or of the whole registry.
    Robots {
        /// Whose.
        project: Option<ProjectName>,
        /// Which.
        page: Page<AccountName>,
    },
    /// → [`AccessAnswer::Groups`].
    Groups(Page<GroupName>),
    /// → [`AccessAnswer::GroupMembers`].
    GroupMembers {
        /// Of which.
        group: GroupName,
        /// Which.
        page: Page<AccountName>,
    },
    /// → [`AccessAnswer::Projects`]: those that the asker may pull from, in the order of names.
    Projects(Page<ProjectName>),
    /// → [`AccessAnswer::Projects`] with one, or [`crate::Answer::Absent`].
    Project {
        /// Which.
        project: ProjectName,
    },
    /// → [`AccessAnswer::Members`].
    Members {
        /// Of which.
        project: ProjectName,
        /// Which.
        page: Page<MemberName>,
    },
    /// → [`AccessAnswer::Tokens`]: all of an account's.
    Tokens {
        /// Whose.
        account: AccountName,
    },
    /// → [`AccessAnswer::Rights`]: which of these the asker may, in their order.
    Rights {
        /// At most [`crate::RIGHTS_ASKED_MAX`].
        needs: Vec<Need>,
    },
    /// → [`AccessAnswer::TokenKeys`], without what is sealed.
    TokenKeys,
    /// → [`AccessAnswer::TokenKeys`]. For members only.
    SealedTokenKeys,
    /// → [`AccessAnswer::Audit`].
    Audit(AuditPage),
}

/// A part of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// Only records of before this number; `None`: from the newest.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
    /// Only of this account.
    pub by: Option<PrincipalName>,
    /// Only actions that begin so.
    pub action: Option<Arc<str>>,
    /// Only targets that begin so.
    pub target: Option<Arc<str>>,
    /// Only from this time on.
    pub from: Option<LogTime>,
    /// Only before this time.
    pub until: Option<LogTime>,
}

/// What is answered about access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessAnswer {
    /// See [`AccessQuery::Access`].
    Access {
        /// Whether rights are asked for at all.
        is_on: bool,
        /// What administrators chose.
        settings: Settings,
    },
    /// See [`AccessQuery::Credentials`] and [`AccessQuery::Account`].
    Account(Box<AccountView>),
    /// See [`AccessQuery::Users`] and [`AccessQuery::Robots`].
    Accounts {
        /// In order, without secrets.
        accounts: Vec<AccountView>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// See [`AccessQuery::Groups`].
    Groups {
        /// In order.
        groups: Vec<GroupView>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// See [`AccessQuery::GroupMembers`].
    GroupMembers {
        /// In order.
        users: Vec<AccountName>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// See [`AccessQuery::Projects`].
    Projects {
        /// In order.
        projects: Vec<ProjectView>,
        /// Where to go on when there may be more: not always the last one shown, since hidden ones are passed over.
        next: Option<ProjectName>,
    },
    /// See [`AccessQuery::Members`].
    Members {
        /// In order, users first.
        members: Vec<MemberView>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// See [`AccessQuery::Tokens`].
    Tokens(Vec<TokenView>),
    /// See [`AccessQuery::Rights`].
    Rights(Vec<bool>),
    /// See [`AccessQuery::TokenKeys`]; in the order of numbers, the one that signs last.
    TokenKeys(Vec<TokenKeyView>),
    /// See [`AccessQuery::Audit`].
    Audit {
        /// Newest first.
        records: Vec<AuditView>,
        /// Where to go on when there may be more: not always the last one shown, since a filter passes over some.
        next: Option<u64>,
    },
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountView {
    /// Its name.
    pub name: AccountName,
    /// What it is. The hashes are there for [`AccessQuery::Credentials`] only.
    pub row: AccountRow,
    /// The groups that a user is in.
    pub groups: Vec<GroupName>,
    /// The personal access token that was asked for, if it is the account's and has not expired.
    pub token: Option<TokenRow>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// Its name.
    pub name: GroupName,
    /// What it is.
    pub row: GroupRow,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectView {
    /// Its name.
    pub name: ProjectName,
    /// What it is.
    pub row: ProjectRow,
    /// What the asker is there, if they are a member.
    pub role: Option<Role>,
}

/// A member of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub name: MemberName,
    /// What they are.
    pub row: MemberRow,
}

/// A personal access token, without its secret's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenView {
    /// Which.
    pub token: TokenId,
    /// What its owner calls it.
    pub label: Arc<str>,
    /// What it is limited to.
    pub limits: Option<Vec<Grant>>,
    /// When it was made.
    pub created: LogTime,
    /// Until when.
    pub expires: Option<LogTime>,
}

/// A key that signs, or has signed, tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKeyView {
    /// Its number.
    pub number: u32,
    /// Its public half: a point of P-256, uncompressed (SEC 1, section 2.3.3).
    pub public: Bytes,
    /// Its private half, sealed; for members only, who asked for it.
    pub sealed: Option<Bytes>,
    /// When it came.
    pub created: LogTime,
}

/// A record of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditView {
    /// Its number.
    pub number: u64,
    /// What it says.
    pub row: AuditRow,
}
