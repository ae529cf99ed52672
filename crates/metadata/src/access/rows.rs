//! The rows of accounts, groups, projects, tokens, keys and the audit.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::{AccountName, Grant, PasswordHash, Role, SecretHash, Visibility};
use crate::ids::{LogIndex, LogTime, PrincipalName};

/// The one row about access as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessRow {
    /// Whether rights are asked for at all. Before, anyone may do anything.
    pub is_on: bool,
    /// What administrators chose.
    pub settings: Settings,
    /// How many administrators may log in.
    pub administrators: u64,
    /// The number of the key that came last; numbers are never used again.
    pub last_token_key: u32,
    /// The number of the oldest audit record that is kept; the first ever is 1.
    pub audit_first: u64,
    /// The number of the last audit record.
    pub audit_last: u64,
    /// The chain's value after the last audit record.
    pub audit_chain: [u8; 32],
}

/// What administrators may choose about access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether any user may make a project; else administrators only.
    pub users_create_projects: bool,
    /// Whether a user's push to a project that does not exist makes it, private, with the user as its owner.
    pub auto_create_projects: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            users_create_projects: true,
            auto_create_projects: false,
        }
    }
}

/// A user or a robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Which of them, and what only these have.
    pub kind: AccountKind,
    /// When it was made.
    pub created: LogTime,
    /// By whom.
    pub by: PrincipalName,
    /// Whether it may do nothing until it is enabled again.
    pub is_disabled: bool,
    /// Counts up whenever what was proved before must count no more.
    pub generation: u64,
    /// It ends: more of what belonged to it remains than one entry may touch.
    pub is_ending: bool,
}

impl AccountRow {
    /// Whether it is an administrator's who may log in.
    #[must_use]
    pub fn rules(&self) -> bool {
        let is_admin = matches!(self.kind, AccountKind::User { is_admin: true, .. });
        is_admin && !self.is_disabled && !self.is_ending
    }
}

/// See [`AccountRow`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountKind {
    /// A person.
    User {
        /// Where their password or login is checked.
        source: Source,
        /// The hash of the password, of those whom Holdfast checks itself.
        password: Option<PasswordHash>,
        /// Whether they rule over everything.
        is_admin: bool,
        /// How to reach them.
        email: Option<Arc<str>>,
    },
    /// A program.
    Robot {
        /// The hash of its secret.
        secret: SecretHash,
        /// What it may do; nothing else.
        grants: Vec<Grant>,
        /// Until when.
        expires: Option<LogTime>,
        /// What it is for.
        description: Arc<str>,
    },
}

/// Where a user's password or login is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Here, against the hash in the log.
    Local,
    /// In a file of bcrypt hashes that each node reads.
    Htpasswd,
    /// By an LDAP server.
    Ldap,
    /// By an OpenID provider.
    OpenId {
        /// The issuer.
        issuer: Arc<str>,
        /// Whom it means: never somebody else, whatever their name becomes.
        subject: Arc<str>,
    },
    /// By the certificate that the client showed.
    Certificate,
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// When it was made.
    pub created: LogTime,
    /// By whom.
    pub by: PrincipalName,
    /// The entry that made it: memberships of an earlier group of the same name count no more.
    pub since: LogIndex,
    /// It ends: more of what belonged to it remains than one entry may touch.
    pub is_ending: bool,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRow {
    /// Who may pull without being a member.
    pub visibility: Visibility,
    /// When it was made.
    pub created: LogTime,
    /// By whom.
    pub by: PrincipalName,
    /// How many repositories it has.
    pub repositories: u64,
}

/// What a member of a project is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberRow {
    /// The role.
    pub role: Role,
    /// Since when.
    pub since: LogTime,
}

/// A personal access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Whose.
    pub account: AccountName,
    /// The hash of its secret.
    pub secret: SecretHash,
    /// What its owner calls it.
    pub label: Arc<str>,
    /// What it is limited to, of what its owner may; `None`: everything.
    pub limits: Option<Vec<Grant>>,
    /// When it was made.
    pub created: LogTime,
    /// Until when.
    pub expires: Option<LogTime>,
}

/// A key that signs tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKeyRow {
    /// Its public half: a point of P-256, uncompressed (SEC 1, section 2.3.3).
    pub public: Bytes,
    /// Its private half, sealed; only members get it.
    pub sealed: Bytes,
    /// When it came.
    pub created: LogTime,
}

/// One thing that somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// When.
    pub time: LogTime,
    /// Who.
    pub by: PrincipalName,
    /// From where.
    pub from: Option<IpAddr>,
    /// What, in one word: `tag.move`.
    pub action: Arc<str>,
    /// With what.
    pub target: Arc<str>,
    /// The particulars.
    pub detail: Arc<str>,
    /// The chain's value after this record: the SHA-256 of the value before it and of all the fields above.
    pub chain: [u8; 32],
}
