//! Who may do what: accounts, groups, projects and roles, and the one function that decides.
//!
//! A proof of who asks (a password, a token) is checked outside; what the one who asks may do is decided here, from the same
//! tables and at the same index as what is asked, so that a change of rights holds on every node with the next request.
//! Rules 8.1 and 8.4 of the protocols.

mod command;
mod decision;
mod name;
mod need;
mod pattern;
mod rows;

pub use command::{
    AccessAnswer, AccessCommand, AccessQuery, AccountView, AuditPage, AuditView, ChangeRobot,
    ChangeUser, CreateRobot, CreateToken, CreateUser, GroupView, MemberView, NoteLogin,
    ProjectView, RefusalSum, TokenKeyView, TokenView,
};
pub use decision::{Denial, Verdict, decide};
pub(crate) use decision::{Rights, groups_of, live_token};
pub use name::{AccountName, AccountNameError, GroupName};
pub use need::Need;
pub use pattern::{Grant, PatternError, RepositoryPattern, has_form};
pub use rows::{
    AccessRow, AccountKind, AccountRow, AuditRow, GroupRow, MemberRow, ProjectRow, Settings,
    Source, TokenKeyRow, TokenRow,
};

use std::net::IpAddr;

use crate::ids::PrincipalName;

/// What somebody may do in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Read images and lists.
    Pull,
    /// Upload, tag and mount.
    Push,
    /// Delete tags, manifests and blobs.
    Delete,
    /// Rule over tags and robots.
    Maintain,
    /// Rule over members and visibility.
    Own,
}

impl Right {
    /// All of them, in order.
    pub const ALL: [Right; 5] = [
        Right::Pull,
        Right::Push,
        Right::Delete,
        Right::Maintain,
        Right::Own,
    ];

    /// As people and scopes of tokens write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Right::Pull => "pull",
            Right::Push => "push",
            Right::Delete => "delete",
            Right::Maintain => "maintain",
            Right::Own => "own",
        }
    }
}

/// What a member of a project is. Each may what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Pulls.
    Guest,
    /// Pulls and pushes.
    Developer,
    /// Deletes, too, and rules over tags and robots.
    Maintainer,
    /// Rules over members and visibility, too.
    Owner,
}

impl Role {
    /// All of them, in order.
    pub const ALL: [Role; 4] = [Role::Guest, Role::Developer, Role::Maintainer, Role::Owner];

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Guest => "guest",
            Role::Developer => "developer",
            Role::Maintainer => "maintainer",
            Role::Owner => "owner",
        }
    }

    /// Whether a member of this role has `right`.
    #[must_use]
    pub fn has(self, right: Right) -> bool {
        match right {
            Right::Pull => true,
            Right::Push => self >= Role::Developer,
            Right::Delete | Right::Maintain => self >= Role::Maintainer,
            Right::Own => self >= Role::Owner,
        }
    }
}

/// Who may pull from a project without being a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Nobody.
    Private,
    /// Whoever is signed in.
    Internal,
    /// Anyone.
    Public,
}

impl Visibility {
    /// All of them.
    pub const ALL: [Visibility; 3] = [
        Visibility::Private,
        Visibility::Internal,
        Visibility::Public,
    ];

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Visibility::Private => "private",
            Visibility::Internal => "internal",
            Visibility::Public => "public",
        }
    }
}

/// A member of a project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberName {
    /// One user.
    User(AccountName),
    /// Whoever is in the group.
    Group(GroupName),
}

/// Names a personal access token. It is part of the token's text, and is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub u128);

/// The SHA-256 of a secret that a machine drew, which is too long to be guessed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// The salted and slow hash of a password (argon2id, in the PHC string format).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub std::sync::Arc<str>);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Who asks, as a node has made sure of it, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Who.
    pub who: Who,
    /// The address of the client, if it is known.
    pub from: Option<IpAddr>,
}

/// See [`Asker`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Somebody who did not say who they are.
    Anonymous,
    /// A user or a robot.
    Account {
        /// Which.
        name: AccountName,
        /// The account's generation when it proved itself: a later one ends the proof. Not looked at with `token`.
        generation: u64,
        /// The personal access token that it came with, whose end ends the proof.
        token: Option<TokenId>,
        /// The number of the key that signed the token they showed, whose end ends the proof; `None`: they showed a secret or a
        /// certificate.
        key: Option<u32>,
    },
    /// Somebody for whom a trusted issuer outside vouches; what they may do stood in their token, and the node that took the
    /// request has looked.
    Outside(PrincipalName),
}

impl Asker {
    /// Somebody who did not say who they are.
    #[must_use]
    pub fn anonymous() -> Asker {
        Asker {
            who: Who::Anonymous,
            from: None,
        }
    }

    /// As the log remembers them.
    #[must_use]
    pub fn principal(&self) -> PrincipalName {
        match &self.who {
            Who::Anonymous => PrincipalName::anonymous(),
            Who::Account { name, .. } => PrincipalName::from(name),
            Who::Outside(name) => name.clone(),
        }
    }
}
