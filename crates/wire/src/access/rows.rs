//! Conversions of the rows of accounts, groups, projects, tokens, keys and the audit.

use metadata::access::{
    AccessRow, AccountKind, AccountRow, AuditRow, GroupRow, MemberRow, ProjectRow, TokenKeyRow,
    TokenRow,
};
use metadata::{LogIndex, LogTime};

use super::{
    account_from, address_from, address_to, grants_to, password_from, password_to,
    project_role_from, project_role_to, secret_from, secret_to, settings_from, some_grants_from,
    some_grants_to, source_from, text_from, text_to, time_to, visibility_from, visibility_to,
};
use crate::answer::all;
use crate::error::{DecodeError, required};
use crate::node::{hash_from, hash_to};
use crate::pb;
use crate::words::principal_from;

impl From<&AccessRow> for pb::AccessRow {
    fn from(row: &AccessRow) -> Self {
        pb::AccessRow {
            is_on: row.is_on,
            settings: Some((&row.settings).into()),
            administrators: row.administrators,
            last_token_key: row.last_token_key,
            audit_first: row.audit_first,
            audit_last: row.audit_last,
            audit_chain: hash_to(&row.audit_chain),
        }
    }
}

impl TryFrom<pb::AccessRow> for AccessRow {
    type Error = DecodeError;

    fn try_from(row: pb::AccessRow) -> Result<Self, DecodeError> {
        Ok(AccessRow {
            is_on: row.is_on,
            settings: settings_from(row.settings)?,
            administrators: row.administrators,
            last_token_key: row.last_token_key,
            audit_first: row.audit_first,
            audit_last: row.audit_last,
            audit_chain: hash_from(&row.audit_chain)?,
        })
    }
}

impl From<&AccountRow> for pb::AccountRow {
    fn from(row: &AccountRow) -> Self {
        pb::AccountRow {
            kind: Some((&row.kind).into()),
            created: row.created.0,
            by: row.by.to_string(),
            is_disabled: row.is_disabled,
            generation: row.generation,
            is_ending: row.is_ending,
        }
    }
}

impl TryFrom<pb::AccountRow> for AccountRow {
    type Error = DecodeError;

    fn try_from(row: pb::AccountRow) -> Result<Self, DecodeError> {
        Ok(AccountRow {
            kind: required(row.kind, "the kind of an account")?.try_into()?,
            created: LogTime(row.created),
            by: principal_from(row.by),
            is_disabled: row.is_disabled,
            generation: row.generation,
            is_ending: row.is_ending,
        })
    }
}

impl From<&AccountKind> for pb::account_row::Kind {
    fn from(kind: &AccountKind) -> Self {
        match kind {
            AccountKind::User {
                source,
                password,
                is_admin,
                email,
            } => pb::account_row::Kind::User(pb::UserAccount {
                source: Some(source.into()),
                password: password.as_ref().map(password_to),
                is_admin: *is_admin,
                email: text_to(email.as_ref()),
            }),
            AccountKind::Robot {
                secret,
                grants,
                expires,
                description,
            } => pb::account_row::Kind::Robot(pb::RobotAccount {
                secret: secret_to(secret),
                grants: grants_to(grants),
                expires: time_to(*expires),
                description: description.to_string(),
            }),
        }
    }
}

impl TryFrom<pb::account_row::Kind> for AccountKind {
    type Error = DecodeError;

    fn try_from(kind: pb::account_row::Kind) -> Result<Self, DecodeError> {
        Ok(match kind {
            pb::account_row::Kind::User(user) => AccountKind::User {
                source: source_from(user.source)?,
                password: user.password.map(password_from),
                is_admin: user.is_admin,
                email: text_from(user.email),
            },
            pb::account_row::Kind::Robot(robot) => AccountKind::Robot {
                secret: secret_from(&robot.secret)?,
                grants: all(robot.grants)?,
                expires: robot.expires.map(LogTime),
                description: robot.description.into(),
            },
        })
    }
}

impl From<&GroupRow> for pb::GroupRow {
    fn from(row: &GroupRow) -> Self {
        pb::GroupRow {
            created: row.created.0,
            by: row.by.to_string(),
            since: row.since.0,
            is_ending: row.is_ending,
        }
    }
}

impl From<pb::GroupRow> for GroupRow {
    fn from(row: pb::GroupRow) -> Self {
        GroupRow {
            created: LogTime(row.created),
            by: principal_from(row.by),
            since: LogIndex(row.since),
            is_ending: row.is_ending,
        }
    }
}

impl From<&ProjectRow> for pb::ProjectRow {
    fn from(row: &ProjectRow) -> Self {
        pb::ProjectRow {
            visibility: visibility_to(row.visibility),
            created: row.created.0,
            by: row.by.to_string(),
            repositories: row.repositories,
        }
    }
}

impl TryFrom<pb::ProjectRow> for ProjectRow {
    type Error = DecodeError;

    fn try_from(row: pb::ProjectRow) -> Result<Self, DecodeError> {
        Ok(ProjectRow {
            visibility: visibility_from(row.visibility)?,
            created: LogTime(row.created),
            by: principal_from(row.by),
            repositories: row.repositories,
        })
    }
}

impl From<&MemberRow> for pb::MemberRow {
    fn from(row: &MemberRow) -> Self {
        pb::MemberRow {
            role: project_role_to(row.role),
            since: row.since.0,
        }
    }
}

impl TryFrom<pb::MemberRow> for MemberRow {
    type Error = DecodeError;

    fn try_from(row: pb::MemberRow) -> Result<Self, DecodeError> {
        Ok(MemberRow {
            role: project_role_from(row.role)?,
            since: LogTime(row.since),
        })
    }
}

impl From<&TokenRow> for pb::TokenRow {
    fn from(row: &TokenRow) -> Self {
        pb::TokenRow {
            account: row.account.to_string(),
            secret: secret_to(&row.secret),
            label: row.label.to_string(),
            limits: some_grants_to(row.limits.as_ref()),
            created: row.created.0,
            expires: time_to(row.expires),
        }
    }
}

impl TryFrom<pb::TokenRow> for TokenRow {
    type Error = DecodeError;

    fn try_from(row: pb::TokenRow) -> Result<Self, DecodeError> {
        Ok(TokenRow {
            account: account_from(&row.account)?,
            secret: secret_from(&row.secret)?,
            label: row.label.into(),
            limits: some_grants_from(row.limits)?,
            created: LogTime(row.created),
            expires: row.expires.map(LogTime),
        })
    }
}

impl From<&TokenKeyRow> for pb::TokenKeyRow {
    fn from(row: &TokenKeyRow) -> Self {
        pb::TokenKeyRow {
            public: row.public.clone(),
            sealed: row.sealed.clone(),
            created: row.created.0,
        }
    }
}

impl From<pb::TokenKeyRow> for TokenKeyRow {
    fn from(row: pb::TokenKeyRow) -> Self {
        TokenKeyRow {
            public: row.public,
            sealed: row.sealed,
            created: LogTime(row.created),
        }
    }
}

impl From<&AuditRow> for pb::AuditRow {
    fn from(row: &AuditRow) -> Self {
        pb::AuditRow {
            time: row.time.0,
            by: row.by.to_string(),
            address: address_to(row.from),
            action: row.action.to_string(),
            target: row.target.to_string(),
            detail: row.detail.to_string(),
            chain: hash_to(&row.chain),
        }
    }
}

impl TryFrom<pb::AuditRow> for AuditRow {
    type Error = DecodeError;

    fn try_from(row: pb::AuditRow) -> Result<Self, DecodeError> {
        Ok(AuditRow {
            time: LogTime(row.time),
            by: principal_from(row.by),
            from: address_from(row.address)?,
            action: row.action.into(),
            target: row.target.into(),
            detail: row.detail.into(),
            chain: hash_from(&row.chain)?,
        })
    }
}
