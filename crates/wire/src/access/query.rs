//! Questions about access, as they cross the network.

use std::fmt::Display;

use metadata::access::{AccessQuery, AuditPage, MemberName, Need};
use metadata::{LogTime, Page};
use oci::ProjectName;

use super::{
    account_from, group_from, project_from, right_from, right_to, text_from, text_to, time_to,
    token_from, token_to,
};
use crate::answer::all;
use crate::error::{DecodeError, required};
use crate::pb;
use crate::query::limit_from;
use crate::words::{principal_from, repository_from};

impl From<&AccessQuery> for pb::AccessQuery {
    fn from(query: &AccessQuery) -> Self {
        use pb::access_query::Kind;
        let kind = match query {
            AccessQuery::Access => Kind::Access(pb::Empty {}),
            AccessQuery::Credentials { name, token } => Kind::Credentials(pb::CredentialsQuery {
                name: name.to_string(),
                token: token.map(token_to),
            }),
            AccessQuery::Account { name } => Kind::Account(name.to_string()),
            AccessQuery::Users(page) => Kind::Users(page_to(page)),
            AccessQuery::Robots { project, page } => Kind::Robots(pb::RobotsQuery {
                project: project.as_ref().map(ProjectName::to_string),
                page: Some(page_to(page)),
            }),
            AccessQuery::Groups(page) => Kind::Groups(page_to(page)),
            AccessQuery::GroupMembers { group, page } => {
                Kind::GroupMembers(pb::GroupMembersQuery {
                    group: group.to_string(),
                    page: Some(page_to(page)),
                })
            }
            AccessQuery::Projects(page) => Kind::Projects(page_to(page)),
            AccessQuery::Project { project } => Kind::Project(project.to_string()),
            AccessQuery::Members { project, page } => Kind::Members(pb::MembersQuery {
                project: project.to_string(),
                after: page.after.as_ref().map(Into::into),
                limit: page.limit as u64,
            }),
            AccessQuery::Tokens { account } => Kind::Tokens(account.to_string()),
            AccessQuery::Rights { needs } => Kind::Rights(pb::Needs {
                needs: needs.iter().map(Into::into).collect(),
            }),
            AccessQuery::TokenKeys => Kind::TokenKeys(pb::Empty {}),
            AccessQuery::SealedTokenKeys => Kind::SealedTokenKeys(pb::Empty {}),
            AccessQuery::Audit(page) => Kind::Audit(page.into()),
        };
        pb::AccessQuery { kind: Some(kind) }
    }
}

impl TryFrom<pb::AccessQuery> for AccessQuery {
    type Error = DecodeError;

    fn try_from(query: pb::AccessQuery) -> Result<Self, DecodeError> {
        use pb::access_query::Kind;
        Ok(match required(query.kind, "a query about access")? {
            Kind::Access(pb::Empty {}) => AccessQuery::Access,
            Kind::Credentials(query) => AccessQuery::Credentials {
                name: account_from(&query.name)?,
                token: query.token.as_deref().map(token_from).transpose()?,
            },
            Kind::Account(name) => AccessQuery::Account {
                name: account_from(&name)?,
            },
            Kind::Users(page) => AccessQuery::Users(page_from(Some(page), account_from)?),
            Kind::Robots(query) => AccessQuery::Robots {
                project: query.project.as_deref().map(project_from).transpose()?,
                page: page_from(query.page, account_from)?,
            },
            Kind::Groups(page) => AccessQuery::Groups(page_from(Some(page), group_from)?),
            Kind::GroupMembers(query) => AccessQuery::GroupMembers {
                group: group_from(&query.group)?,
                page: page_from(query.page, account_from)?,
            },
            Kind::Projects(page) => AccessQuery::Projects(page_from(Some(page), project_from)?),
            Kind::Project(project) => AccessQuery::Project {
                project: project_from(&project)?,
            },
            Kind::Members(query) => AccessQuery::Members {
                project: project_from(&query.project)?,
                page: Page {
                    after: query.after.map(MemberName::try_from).transpose()?,
                    limit: limit_from(query.limit),
                },
            },
            Kind::Tokens(account) => AccessQuery::Tokens {
                account: account_from(&account)?,
            },
            Kind::Rights(query) => AccessQuery::Rights {
                needs: all(query.needs)?,
            },
            Kind::TokenKeys(pb::Empty {}) => AccessQuery::TokenKeys,
            Kind::SealedTokenKeys(pb::Empty {}) => AccessQuery::SealedTokenKeys,
            Kind::Audit(query) => AccessQuery::Audit(query.into()),
        })
    }
}

fn page_to<T: Display>(page: &Page<T>) -> pb::NamesPage {
    pb::NamesPage {
        after: page.after.as_ref().map(T::to_string),
        limit: page.limit as u64,
    }
}

fn page_from<T>(
    page: Option<pb::NamesPage>,
    name_from: fn(&str) -> Result<T, DecodeError>,
) -> Result<Page<T>, DecodeError> {
    let page = required(page, "a part of a list")?;
    Ok(Page {
        after: page.after.as_deref().map(name_from).transpose()?,
        limit: limit_from(page.limit),
    })
}

impl From<&Need> for pb::Need {
    fn from(need: &Need) -> Self {
        use pb::need::Kind;
        let kind = match need {
            Need::Nothing => Kind::Nothing(pb::Empty {}),
            Need::Repository(repository, right) => Kind::Repository(pb::RepositoryNeed {
                repository: repository.to_string(),
                right: right_to(*right),
            }),
            Need::Project(project, right) => Kind::Project(pb::ProjectNeed {
                project: project.to_string(),
                right: right_to(*right),
            }),
            Need::Account(account) => Kind::Account(account.to_string()),
            Need::NewProject => Kind::NewProject(pb::Empty {}),
            Need::Administration => Kind::Administration(pb::Empty {}),
        };
        pb::Need { kind: Some(kind) }
    }
}

impl TryFrom<pb::Need> for Need {
    type Error = DecodeError;

    fn try_from(need: pb::Need) -> Result<Self, DecodeError> {
        use pb::need::Kind;
        Ok(match required(need.kind, "what is needed")? {
            Kind::Nothing(pb::Empty {}) => Need::Nothing,
            Kind::Repository(need) => {
                Need::Repository(repository_from(&need.repository)?, right_from(need.right)?)
            }
            Kind::Project(need) => {
                Need::Project(project_from(&need.project)?, right_from(need.right)?)
            }
            Kind::Account(account) => Need::Account(account_from(&account)?),
            Kind::NewProject(pb::Empty {}) => Need::NewProject,
            Kind::Administration(pb::Empty {}) => Need::Administration,
        })
    }
}

impl From<&AuditPage> for pb::AuditQuery {
    fn from(page: &AuditPage) -> Self {
        pb::AuditQuery {
            before: page.before,
            limit: page.limit as u64,
            by: page.by.as_ref().map(ToString::to_string),
            action: text_to(page.action.as_ref()),
            target: text_to(page.target.as_ref()),
            from: time_to(page.from),
            until: time_to(page.until),
        }
    }
}

impl From<pb::AuditQuery> for AuditPage {
    fn from(query: pb::AuditQuery) -> Self {
        AuditPage {
            before: query.before,
            limit: limit_from(query.limit),
            by: query.by.map(principal_from),
            action: text_from(query.action),
            target: text_from(query.target),
            from: query.from.map(LogTime),
            until: query.until.map(LogTime),
        }
    }
}
