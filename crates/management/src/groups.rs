//! Groups of users: listed, made, filled, ended.

use axum::http::StatusCode;
use metadata::access::{
    AccessAnswer, AccessCommand, AccessQuery, AccountName, GroupName, GroupView,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asking::Asking;
use crate::body::{Asked, Path, Sent, Told};
use crate::page::Paging;
use crate::problem::Problem;
use crate::users;
use crate::words::Time;

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Time,
    /// By whom.
    pub by: String,
}

/// A page of groups, in the order of names.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct GroupList {
    /// In order.
    pub groups: Vec<Group>,
    /// `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A group to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// 1 to 128 letters, digits and characters of `._@+-/:`.
    pub name: String,
}

/// A page of the users in a group, in the order of names.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct GroupMembers {
    /// Their names.
    pub users: Vec<String>,
    /// `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The name of a group in a path.
pub(crate) fn named(text: &str) -> Result<GroupName, Problem> {
    GroupName::parse(text).map_err(Problem::name)
}

pub(crate) fn names(groups: &[GroupName]) -> Vec<String> {
    groups.iter().map(ToString::to_string).collect()
}

/// Groups, in the order of names
///
/// For administrators. May be repeated.
#[utoipa::path(get, path = "/groups", tag = "groups", operation_id = "list_groups", params(Paging),
    responses((status = 200, description = "A page of groups.", body = GroupList)))]
pub(crate) async fn list(
    asking: Asking,
    Asked(paging): Asked<Paging>,
) -> Result<Told<GroupList>, Problem> {
    let page = paging.page(GroupName::parse)?;
    match asking.ask(AccessQuery::Groups(page)).await? {
        Some(AccessAnswer::Groups { groups, more }) => {
            let last = groups.last().map(|view| view.name.to_string());
            let shown = |GroupView { name, row }: GroupView| Group {
                name: name.to_string(),
                created: Time(row.created),
                by: row.by.to_string(),
            };
            Ok(Told(GroupList {
                groups: groups.into_iter().map(shown).collect(),
                next: last.filter(|_| more),
            }))
        }
        other => Err(Problem::unexpected(&other)),
    }
}

/// Makes a group
///
/// For administrators. May be repeated: one that is there stays as it is.
#[utoipa::path(post, path = "/groups", tag = "groups", operation_id = "create_group", request_body = NewGroup,
    responses((status = 204, description = "There is such a group.")))]
pub(crate) async fn create(
    asking: Asking,
    Sent(new): Sent<NewGroup>,
) -> Result<StatusCode, Problem> {
    let group = named(&new.name)?;
    asking.change(AccessCommand::CreateGroup { group }).await
}

/// Ends a group, with its memberships
///
/// For administrators. A repetition is refused with 404. After 202 more is left than is removed at once: ask again. A `/` of
/// the name is written as `%2F`.
#[utoipa::path(delete, path = "/groups/{group}", tag = "groups", operation_id = "delete_group", params(("group" = String, Path)),
    responses((status = 204, description = "The group is gone."), (status = 202, description = "Ask again.")))]
pub(crate) async fn delete(
    asking: Asking,
    Path(group): Path<String>,
) -> Result<StatusCode, Problem> {
    let group = named(&group)?;
    asking.remove(AccessCommand::DeleteGroup { group }).await
}

/// The users in a group, in the order of names
///
/// For administrators. May be repeated. A group that does not exist has none.
#[utoipa::path(get, path = "/groups/{group}/members", tag = "groups", operation_id = "list_group_members",
    params(("group" = String, Path), Paging),
    responses((status = 200, description = "A page of users.", body = GroupMembers)))]
pub(crate) async fn members(
    asking: Asking,
    Path(group): Path<String>,
    Asked(paging): Asked<Paging>,
) -> Result<Told<GroupMembers>, Problem> {
    let page = paging.page(AccountName::user)?;
    let group = named(&group)?;
    match asking
        .ask(AccessQuery::GroupMembers { group, page })
        .await?
    {
        Some(AccessAnswer::GroupMembers { users, more }) => {
            let users: Vec<String> = users.iter().map(ToString::to_string).collect();
            let next = users.last().filter(|_| more).cloned();
            Ok(Told(GroupMembers { users, next }))
        }
        other => Err(Problem::unexpected(&other)),
    }
}

/// Puts a user into a group
///
/// For administrators. May be repeated.
#[utoipa::path(put, path = "/groups/{group}/members/{user}", tag = "groups", operation_id = "add_group_member",
    params(("group" = String, Path), ("user" = String, Path)),
    responses((status = 204, description = "The user is in the group.")))]
pub(crate) async fn add(
    asking: Asking,
    Path(path): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    set(asking, path, true).await
}

/// Takes a user out of a group
///
/// For administrators. May be repeated.
#[utoipa::path(delete, path = "/groups/{group}/members/{user}", tag = "groups", operation_id = "remove_group_member",
    params(("group" = String, Path), ("user" = String, Path)),
    responses((status = 204, description = "The user is not in the group.")))]
pub(crate) async fn remove(
    asking: Asking,
    Path(path): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    set(asking, path, false).await
}

async fn set(
    asking: Asking,
    (group, user): (String, String),
    is_in: bool,
) -> Result<StatusCode, Problem> {
    let command = AccessCommand::SetGroupMember {
        group: named(&group)?,
        user: users::named(&user)?,
        is_in,
    };
    asking.change(command).await
}
