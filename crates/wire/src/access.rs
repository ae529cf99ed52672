//! Conversions of the words about who may do what: names, rights, grants and askers.
//!
//! Whatever the log can hold must be decoded: what a name or a pattern may be is checked here by the types themselves, what a
//! command may say with them by the log.

mod answer;
mod command;
mod query;
mod rows;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use metadata::access::{
    AccountName, Asker, Denial, Grant, GroupName, MemberName, PasswordHash, RepositoryPattern,
    Right, Role, SecretHash, Settings, Source, TokenId, Visibility, Who,
};
use metadata::{LogTime, Named};
use oci::ProjectName;

use crate::answer::all;
use crate::error::{DecodeError, required};
use crate::node::{hash_from, hash_to};
use crate::pb;
use crate::words::{bits_from, bits_to, principal_from};

// The stored numbers of an enum's variants, there and back.
macro_rules! numbered {
    ($to:ident, $from:ident, $type:ident as $message:ident, $what:literal: $($variant:ident),* $(,)?) => {
        pub(crate) fn $to(value: $type) -> i32 {
            match value {
                $($type::$variant => pb::$message::$variant as i32,)*
            }
        }

        pub(crate) fn $from(number: i32) -> Result<$type, DecodeError> {
            match pb::$message::try_from(number) {
                $(Ok(pb::$message::$variant) => Ok($type::$variant),)*
                Ok(pb::$message::Unspecified) | Err(_) => Err(DecodeError::new(
                    $what,
                    format!("{number} is unknown to this build"),
                )),
            }
        }
    };
}

numbered!(right_to, right_from, Right as Right, "a right":
    Pull, Push, Delete, Maintain, Own);
numbered!(project_role_to, project_role_from, Role as ProjectRole, "a role in a project":
    Guest, Developer, Maintainer, Owner);
numbered!(visibility_to, visibility_from, Visibility as Visibility, "a project's visibility":
    Private, Internal, Public);
numbered!(denial_to, denial_from, Denial as Denial, "a denial":
    SignIn, ProofEnded, NotAllowed);
numbered!(named_to, named_from, Named as Named, "what a refusal speaks of":
    User, Robot, Group, Project, Token, TokenKey);

pub(crate) fn account_from(text: &str) -> Result<AccountName, DecodeError> {
    AccountName::parse(text).map_err(|e| DecodeError::new("an account's name", e.to_string()))
}

fn group_from(text: &str) -> Result<GroupName, DecodeError> {
    GroupName::parse(text).map_err(|e| DecodeError::new("a group's name", e.to_string()))
}

fn groups_to(groups: &[GroupName]) -> Vec<String> {
    groups.iter().map(GroupName::to_string).collect()
}

fn groups_from(groups: &[String]) -> Result<Vec<GroupName>, DecodeError> {
    groups.iter().map(|text| group_from(text)).collect()
}

fn project_from(text: &str) -> Result<ProjectName, DecodeError> {
    ProjectName::parse(text).map_err(|e| DecodeError::new("a project's name", e.to_string()))
}

fn address_to(address: Option<IpAddr>) -> Option<String> {
    address.map(|address| address.to_string())
}

fn address_from(text: Option<String>) -> Result<Option<IpAddr>, DecodeError> {
    let wrong = |_| DecodeError::new("a client's address", "it is no address");
    text.map(|text| text.parse().map_err(wrong)).transpose()
}

pub(crate) fn token_to(token: TokenId) -> Bytes {
    bits_to(token.0)
}

pub(crate) fn token_from(bytes: &[u8]) -> Result<TokenId, DecodeError> {
    bits_from(bytes, "the id of a personal access token").map(TokenId)
}

fn secret_to(secret: &SecretHash) -> Bytes {
    hash_to(&secret.0)
}

fn secret_from(bytes: &[u8]) -> Result<SecretHash, DecodeError> {
    hash_from(bytes).map(SecretHash)
}

fn password_to(password: &PasswordHash) -> String {
    password.0.to_string()
}

fn password_from(text: String) -> PasswordHash {
    PasswordHash(text.into())
}

fn text_to(text: Option<&Arc<str>>) -> Option<String> {
    text.map(ToString::to_string)
}

fn text_from(text: Option<String>) -> Option<Arc<str>> {
    text.map(Into::into)
}

fn time_to(time: Option<LogTime>) -> Option<u64> {
    time.map(|time| time.0)
}

fn grants_to(grants: &[Grant]) -> Vec<pb::Grant> {
    grants.iter().map(pb::Grant::from).collect()
}

fn some_grants_to(grants: Option<&Vec<Grant>>) -> Option<pb::Grants> {
    grants.map(|grants| pb::Grants {
        grants: grants_to(grants),
    })
}

fn some_grants_from(grants: Option<pb::Grants>) -> Result<Option<Vec<Grant>>, DecodeError> {
    grants.map(|grants| all(grants.grants)).transpose()
}

impl From<&Grant> for pb::Grant {
    fn from(grant: &Grant) -> Self {
        pb::Grant {
            repositories: grant.repositories.to_string(),
            rights: grant.rights.iter().copied().map(right_to).collect(),
        }
    }
}

impl TryFrom<pb::Grant> for Grant {
    type Error = DecodeError;

    fn try_from(grant: pb::Grant) -> Result<Self, DecodeError> {
        let wrong = |e| DecodeError::new("a pattern of repositories", format!("{e}"));
        let rights = grant.rights.into_iter().map(right_from);
        Ok(Grant {
            repositories: RepositoryPattern::parse(&grant.repositories).map_err(wrong)?,
            rights: rights.collect::<Result<_, _>>()?,
        })
    }
}

impl From<&MemberName> for pb::MemberName {
    fn from(member: &MemberName) -> Self {
        use pb::member_name::Name;
        let name = match member {
            MemberName::User(user) => Name::User(user.to_string()),
            MemberName::Group(group) => Name::Group(group.to_string()),
        };
        pb::MemberName { name: Some(name) }
    }
}

impl TryFrom<pb::MemberName> for MemberName {
    type Error = DecodeError;

    fn try_from(member: pb::MemberName) -> Result<Self, DecodeError> {
        use pb::member_name::Name;
        match required(member.name, "the name of a member")? {
            Name::User(user) => account_from(&user).map(MemberName::User),
            Name::Group(group) => group_from(&group).map(MemberName::Group),
        }
    }
}

fn member_from(member: Option<pb::MemberName>) -> Result<MemberName, DecodeError> {
    required(member, "a member of a project")?.try_into()
}

impl From<&Asker> for pb::Asker {
    fn from(asker: &Asker) -> Self {
        let who = match &asker.who {
            Who::Anonymous => pb::asker::Who::Anonymous(pb::Empty {}),
            Who::Account {
                name,
                generation,
                token,
                key,
            } => pb::asker::Who::Account(pb::ProvenAccount {
                name: name.to_string(),
                generation: *generation,
                token: token.map(token_to),
                key: *key,
            }),
            Who::Outside(name) => pb::asker::Who::Outside(name.to_string()),
        };
        pb::Asker {
            who: Some(who),
            address: address_to(asker.from),
        }
    }
}

impl TryFrom<pb::Asker> for Asker {
    type Error = DecodeError;

    fn try_from(asker: pb::Asker) -> Result<Self, DecodeError> {
        let who = match required(asker.who, "who asks")? {
            pb::asker::Who::Anonymous(pb::Empty {}) => Who::Anonymous,
            pb::asker::Who::Account(account) => Who::Account {
                name: account_from(&account.name)?,
                generation: account.generation,
                token: account.token.as_deref().map(token_from).transpose()?,
                key: account.key,
            },
            pb::asker::Who::Outside(name) => Who::Outside(principal_from(name)),
        };
        Ok(Asker {
            who,
            from: address_from(asker.address)?,
        })
    }
}

impl From<&Source> for pb::LoginSource {
    fn from(source: &Source) -> Self {
        use pb::login_source::Kind;
        let kind = match source {
            Source::Local => Kind::Local(pb::Empty {}),
            Source::Htpasswd => Kind::Htpasswd(pb::Empty {}),
            Source::Ldap => Kind::Ldap(pb::Empty {}),
            Source::OpenId { issuer, subject } => Kind::OpenId(pb::OpenIdSubject {
                issuer: issuer.to_string(),
                subject: subject.to_string(),
            }),
            Source::Certificate => Kind::Certificate(pb::Empty {}),
        };
        pb::LoginSource { kind: Some(kind) }
    }
}

fn source_from(source: Option<pb::LoginSource>) -> Result<Source, DecodeError> {
    use pb::login_source::Kind;
    let source = required(source, "where a login is checked")?;
    Ok(match required(source.kind, "where a login is checked")? {
        Kind::Local(pb::Empty {}) => Source::Local,
        Kind::Htpasswd(pb::Empty {}) => Source::Htpasswd,
        Kind::Ldap(pb::Empty {}) => Source::Ldap,
        Kind::OpenId(open_id) => Source::OpenId {
            issuer: open_id.issuer.into(),
            subject: open_id.subject.into(),
        },
        Kind::Certificate(pb::Empty {}) => Source::Certificate,
    })
}

impl From<&Settings> for pb::AccessSettings {
    fn from(settings: &Settings) -> Self {
        pb::AccessSettings {
            users_create_projects: settings.users_create_projects,
            auto_create_projects: settings.auto_create_projects,
        }
    }
}

impl From<pb::AccessSettings> for Settings {
    fn from(settings: pb::AccessSettings) -> Self {
        Settings {
            users_create_projects: settings.users_create_projects,
            auto_create_projects: settings.auto_create_projects,
        }
    }
}

fn settings_from(settings: Option<pb::AccessSettings>) -> Result<Settings, DecodeError> {
    Ok(required(settings, "what administrators chose")?.into())
}
