//! Members of projects: users and groups, each with a role.

use axum::http::StatusCode;
use metadata::access::{AccessAnswer, AccessCommand, AccessQuery, MemberName, MemberView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asking::Asking;
use crate::body::{Asked, Path, Sent, Told};
use crate::page::Paging;
use crate::problem::Problem;
use crate::projects;
use crate::words::{Role, Time};
use crate::{groups, users};

/// A member of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// What they are.
    pub kind: MemberKind,
    /// Their name.
    pub name: String,
    /// What they may.
    pub role: Role,
    /// Since when.
    pub since: Time,
}

/// A user or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// One user.
    User,
    /// Whoever is in the group.
    Group,
}

impl MemberKind {
    /// As it is written in a path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MemberKind::User => "user",
            MemberKind::Group => "group",
        }
    }
}

/// A page of members, users first, each in the order of names.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct MemberList {
    /// In order.
    pub members: Vec<Member>,
    /// `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The role to be given.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// What they are from now on.
    pub role: Role,
}

fn named(kind: MemberKind, name: &str) -> Result<MemberName, Problem> {
    Ok(match kind {
        MemberKind::User => MemberName::User(users::named(name)?),
        MemberKind::Group => MemberName::Group(groups::named(name)?),
    })
}

/// The place of a member in the list: `user:anna`, `group:team`.
fn place(member: &Member) -> String {
    format!("{}:{}", member.kind.name(), member.name)
}

fn placed(text: &str) -> Result<MemberName, &'static str> {
    let bad = "the place of a member is `user:NAME` or `group:NAME`";
    let (kind, name) = text.split_once(':').ok_or(bad)?;
    let kind = match kind {
        "user" => MemberKind::User,
        "group" => MemberKind::Group,
        _ => return Err(bad),
    };
    named(kind, name).map_err(|_| bad)
}

fn shown(MemberView { name, row }: MemberView) -> Member {
    let (kind, name) = match name {
        MemberName::User(name) => (MemberKind::User, name.to_string()),
        MemberName::Group(name) => (MemberKind::Group, name.to_string()),
    };
    Member {
        kind,
        name,
        role: row.role.into(),
        since: Time(row.since),
    }
}

/// The members of a project, users first
///
/// For whoever may pull from it. May be repeated.
#[utoipa::path(get, path = "/projects/{project}/members", tag = "projects", operation_id = "list_members",
    params(("project" = String, Path), Paging),
    responses((status = 200, description = "A page of members.", body = MemberList)))]
pub(crate) async fn list(
    asking: Asking,
    Path(project): Path<String>,
    Asked(paging): Asked<Paging>,
) -> Result<Told<MemberList>, Problem> {
    let page = paging.page(placed)?;
    let project = projects::named(&project)?;
    let query = AccessQuery::Members {
        project: project.clone(),
        page,
    };
    match asking.ask(query).await? {
        Some(AccessAnswer::Members { members, more }) => {
            let members: Vec<Member> = members.into_iter().map(shown).collect();
            if members.is_empty() {
                projects::find(&asking, project).await?;
            }
            let next = members.last().filter(|_| more).map(place);
            Ok(Told(MemberList { members, next }))
        }
        other => Err(Problem::unexpected(&other)),
    }
}

/// Gives a user or a group a role in a project
///
/// For its owners. May be repeated.
#[utoipa::path(put, path = "/projects/{project}/members/{kind}/{name}", tag = "projects", operation_id = "set_member",
    params(("project" = String, Path), ("kind" = MemberKind, Path), ("name" = String, Path)), request_body = NewRole,
    responses((status = 204, description = "They have the role.")))]
pub(crate) async fn set(
    asking: Asking,
    Path(path): Path<(String, String, String)>,
    Sent(new): Sent<NewRole>,
) -> Result<StatusCode, Problem> {
    give(asking, path, Some(new.role)).await
}

/// Takes a user's or a group's role in a project
///
/// For its owners. May be repeated.
#[utoipa::path(delete, path = "/projects/{project}/members/{kind}/{name}", tag = "projects", operation_id = "remove_member",
    params(("project" = String, Path), ("kind" = MemberKind, Path), ("name" = String, Path)),
    responses((status = 204, description = "They are no member.")))]
pub(crate) async fn remove(
    asking: Asking,
    Path(path): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    give(asking, path, None).await
}

async fn give(
    asking: Asking,
    (project, kind, name): (String, String, String),
    role: Option<Role>,
) -> Result<StatusCode, Problem> {
    let kind = match &*kind {
        "user" => MemberKind::User,
        "group" => MemberKind::Group,
        _ => return Err(Problem::no_endpoint()),
    };
    let command = AccessCommand::SetMember {
        project: projects::named(&project)?,
        member: named(kind, &name)?,
        role: role.map(Into::into),
    };
    asking.change(command).await
}
