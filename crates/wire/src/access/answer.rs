//! What is answered about access, as it crosses the network.

use metadata::LogTime;
use metadata::access::{
    AccessAnswer, AccountName, AccountView, AuditView, GroupView, MemberView, ProjectView,
    TokenKeyView, TokenRow, TokenView,
};
use oci::ProjectName;

use super::{
    account_from, group_from, groups_from, groups_to, member_from, project_from, project_role_from,
    project_role_to, settings_from, some_grants_from, some_grants_to, time_to, token_from,
    token_to,
};
use crate::answer::all;
use crate::error::{DecodeError, required};
use crate::pb;

impl From<&AccessAnswer> for pb::AccessAnswer {
    fn from(answer: &AccessAnswer) -> Self {
        use pb::access_answer::Kind;
        let kind = match answer {
            AccessAnswer::Access { is_on, settings } => Kind::Access(pb::AccessView {
                is_on: *is_on,
                settings: Some(settings.into()),
            }),
            AccessAnswer::Account(view) => Kind::Account((&**view).into()),
            AccessAnswer::Accounts { accounts, more } => Kind::Accounts(pb::AccountsPage {
                accounts: accounts.iter().map(Into::into).collect(),
                more: *more,
            }),
            AccessAnswer::Groups { groups, more } => Kind::Groups(pb::GroupsPage {
                groups: groups.iter().map(Into::into).collect(),
                more: *more,
            }),
            AccessAnswer::GroupMembers { users, more } => {
                Kind::GroupMembers(pb::GroupMembersPage {
                    users: users.iter().map(AccountName::to_string).collect(),
                    more: *more,
                })
            }
            AccessAnswer::Projects { projects, next } => Kind::Projects(pb::ProjectsPage {
                projects: projects.iter().map(Into::into).collect(),
                next: next.as_ref().map(ProjectName::to_string),
            }),
            AccessAnswer::Members { members, more } => Kind::Members(pb::MembersPage {
                members: members.iter().map(Into::into).collect(),
                more: *more,
            }),
            AccessAnswer::Tokens(tokens) => Kind::Tokens(pb::TokensView {
                tokens: tokens.iter().map(Into::into).collect(),
            }),
            AccessAnswer::Rights(rights) => Kind::Rights(pb::RightsView {
                rights: rights.clone(),
            }),
            AccessAnswer::TokenKeys(keys) => Kind::TokenKeys(pb::TokenKeysView {
                keys: keys.iter().map(Into::into).collect(),
            }),
            AccessAnswer::Audit { records, next } => Kind::Audit(pb::AuditRecordsPage {
                records: records.iter().map(Into::into).collect(),
                next: *next,
            }),
        };
        pb::AccessAnswer { kind: Some(kind) }
    }
}

impl TryFrom<pb::AccessAnswer> for AccessAnswer {
    type Error = DecodeError;

    fn try_from(answer: pb::AccessAnswer) -> Result<Self, DecodeError> {
        use pb::access_answer::Kind;
        Ok(match required(answer.kind, "an answer about access")? {
            Kind::Access(view) => AccessAnswer::Access {
                is_on: view.is_on,
                settings: settings_from(view.settings)?,
            },
            Kind::Account(view) => AccessAnswer::Account(Box::new(view.try_into()?)),
            Kind::Accounts(page) => AccessAnswer::Accounts {
                accounts: all(page.accounts)?,
                more: page.more,
            },
            Kind::Groups(page) => AccessAnswer::Groups {
                groups: all(page.groups)?,
                more: page.more,
            },
            Kind::GroupMembers(page) => AccessAnswer::GroupMembers {
                users: page
                    .users
                    .iter()
                    .map(|user| account_from(user))
                    .collect::<Result<_, _>>()?,
                more: page.more,
            },
            Kind::Projects(page) => AccessAnswer::Projects {
                projects: all(page.projects)?,
                next: page.next.as_deref().map(project_from).transpose()?,
            },
            Kind::Members(page) => AccessAnswer::Members {
                members: all(page.members)?,
                more: page.more,
            },
            Kind::Tokens(view) => AccessAnswer::Tokens(all(view.tokens)?),
            Kind::Rights(view) => AccessAnswer::Rights(view.rights),
            Kind::TokenKeys(view) => {
                AccessAnswer::TokenKeys(view.keys.into_iter().map(Into::into).collect())
            }
            Kind::Audit(page) => AccessAnswer::Audit {
                records: all(page.records)?,
                next: page.next,
            },
        })
    }
}

impl From<&AccountView> for pb::AccountView {
    fn from(view: &AccountView) -> Self {
        pb::AccountView {
            name: view.name.to_string(),
            row: Some((&view.row).into()),
            groups: groups_to(&view.groups),
            token: view.token.as_ref().map(pb::TokenRow::from),
        }
    }
}

impl TryFrom<pb::AccountView> for AccountView {
    type Error = DecodeError;

    fn try_from(view: pb::AccountView) -> Result<Self, DecodeError> {
        Ok(AccountView {
            name: account_from(&view.name)?,
            row: required(view.row, "an account")?.try_into()?,
            groups: groups_from(&view.groups)?,
            token: view.token.map(TokenRow::try_from).transpose()?,
        })
    }
}

impl From<&GroupView> for pb::GroupView {
    fn from(view: &GroupView) -> Self {
        pb::GroupView {
            name: view.name.to_string(),
            row: Some((&view.row).into()),
        }
    }
}

impl TryFrom<pb::GroupView> for GroupView {
    type Error = DecodeError;

    fn try_from(view: pb::GroupView) -> Result<Self, DecodeError> {
        Ok(GroupView {
            name: group_from(&view.name)?,
            row: required(view.row, "a group")?.into(),
        })
    }
}

impl From<&ProjectView> for pb::ProjectView {
    fn from(view: &ProjectView) -> Self {
        pb::ProjectView {
            name: view.name.to_string(),
            row: Some((&view.row).into()),
            role: view.role.map(project_role_to),
        }
    }
}

impl TryFrom<pb::ProjectView> for ProjectView {
    type Error = DecodeError;

    fn try_from(view: pb::ProjectView) -> Result<Self, DecodeError> {
        Ok(ProjectView {
            name: project_from(&view.name)?,
            row: required(view.row, "a project")?.try_into()?,
            role: view.role.map(project_role_from).transpose()?,
        })
    }
}

impl From<&MemberView> for pb::MemberView {
    fn from(view: &MemberView) -> Self {
        pb::MemberView {
            name: Some((&view.name).into()),
            row: Some((&view.row).into()),
        }
    }
}

impl TryFrom<pb::MemberView> for MemberView {
    type Error = DecodeError;

    fn try_from(view: pb::MemberView) -> Result<Self, DecodeError> {
        Ok(MemberView {
            name: member_from(view.name)?,
            row: required(view.row, "what a member is")?.try_into()?,
        })
    }
}

impl From<&TokenView> for pb::TokenView {
    fn from(view: &TokenView) -> Self {
        pb::TokenView {
            token: token_to(view.token),
            label: view.label.to_string(),
            limits: some_grants_to(view.limits.as_ref()),
            created: view.created.0,
            expires: time_to(view.expires),
        }
    }
}

impl TryFrom<pb::TokenView> for TokenView {
    type Error = DecodeError;

    fn try_from(view: pb::TokenView) -> Result<Self, DecodeError> {
        Ok(TokenView {
            token: token_from(&view.token)?,
            label: view.label.into(),
            limits: some_grants_from(view.limits)?,
            created: LogTime(view.created),
            expires: view.expires.map(LogTime),
        })
    }
}

impl From<&TokenKeyView> for pb::TokenKeyView {
    fn from(view: &TokenKeyView) -> Self {
        pb::TokenKeyView {
            number: view.number,
            public: view.public.clone(),
            sealed: view.sealed.clone(),
            created: view.created.0,
        }
    }
}

impl From<pb::TokenKeyView> for TokenKeyView {
    fn from(view: pb::TokenKeyView) -> Self {
        TokenKeyView {
            number: view.number,
            public: view.public,
            sealed: view.sealed,
            created: LogTime(view.created),
        }
    }
}

impl From<&AuditView> for pb::AuditView {
    fn from(view: &AuditView) -> Self {
        pb::AuditView {
            number: view.number,
            row: Some((&view.row).into()),
        }
    }
}

impl TryFrom<pb::AuditView> for AuditView {
    type Error = DecodeError;

    fn try_from(view: pb::AuditView) -> Result<Self, DecodeError> {
        Ok(AuditView {
            number: view.number,
            row: required(view.row, "a record of the audit")?.try_into()?,
        })
    }
}
