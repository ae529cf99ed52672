//! Users: listed, made, changed, locked out, ended.

use auth::PasswordChecker;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use metadata::Named;
use metadata::access::{
    self, AccessAnswer, AccessCommand, AccessQuery, AccountKind, AccountName, AccountView,
    ChangeUser, CreateUser, Need, PasswordHash,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::asking::Asking;
use crate::body::{Asked, Path, Sent, Told, created};
use crate::page::Paging;
use crate::problem::Problem;
use crate::words::Time;
use crate::{Management, groups};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Their name.
    pub name: String,
    /// Where their login is checked.
    pub source: Source,
    /// Whether they rule over everything.
    pub is_admin: bool,
    /// Whether they may do nothing until they are enabled again.
    pub is_disabled: bool,
    /// How to reach them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The groups that they are in.
    pub groups: Vec<String>,
    /// When they were made.
    pub created: Time,
    /// By whom.
    pub by: String,
}

/// Where a user's login is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Here.
    Local,
    /// In a file that each node reads.
    Htpasswd,
    /// By an LDAP server.
    Ldap,
    /// By an OpenID provider.
    OpenId,
    /// By the certificate that the client shows.
    Certificate,
}

impl Source {
    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Source::Local => "local",
            Source::Htpasswd => "htpasswd",
            Source::Ldap => "ldap",
            Source::OpenId => "open_id",
            Source::Certificate => "certificate",
        }
    }
}

/// A page of users, in the order of names.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UserList {
    /// In order.
    pub users: Vec<User>,
    /// `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A user to be made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// 1 to 128 letters, digits and characters of `._@+-`.
    pub name: String,
    /// 8 to 1,024 bytes.
    #[schema(format = Password)]
    pub password: String,
    /// Whether they are to rule over everything.
    #[serde(default)]
    pub is_admin: bool,
    /// How to reach them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// What is to change of a user; the rest stays.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// Whether they are to rule over everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_admin: Option<bool>,
    /// Whether they are to be locked out. What they proved before counts no more, even when they are enabled again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_disabled: Option<bool>,
    /// How to reach them; empty: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// A password to be set.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// 8 to 1,024 bytes.
    #[schema(format = Password)]
    pub password: String,
}

/// The name of a user in a path.
pub(crate) fn named(text: &str) -> Result<AccountName, Problem> {
    AccountName::user(text).map_err(Problem::name)
}

/// A user as it is shown; `None` for a robot.
pub(crate) fn shown(view: AccountView) -> Option<User> {
    let AccountKind::User {
        source,
        is_admin,
        email,
        ..
    } = view.row.kind
    else {
        return None;
    };
    Some(User {
        name: view.name.to_string(),
        source: match source {
            access::Source::Local => Source::Local,
            access::Source::Htpasswd => Source::Htpasswd,
            access::Source::Ldap => Source::Ldap,
            access::Source::OpenId { .. } => Source::OpenId,
            access::Source::Certificate => Source::Certificate,
        },
        is_admin,
        is_disabled: view.row.is_disabled,
        email: email.map(|email| email.to_string()),
        groups: groups::names(&view.groups),
        created: Time(view.row.created),
        by: view.row.by.to_string(),
    })
}

async fn hashed(passwords: &PasswordChecker, password: String) -> Result<PasswordHash, Problem> {
    let hash = passwords.hash(Zeroizing::new(password)).await;
    hash.map_err(Problem::from)
}

/// Users, in the order of names
///
/// For administrators. May be repeated.
#[utoipa::path(get, path = "/users", tag = "users", operation_id = "list_users", params(Paging),
    responses((status = 200, description = "A page of users.", body = UserList)))]
pub(crate) async fn list(
    asking: Asking,
    Asked(paging): Asked<Paging>,
) -> Result<Told<UserList>, Problem> {
    let page = paging.page(AccountName::user)?;
    match asking.ask(AccessQuery::Users(page)).await? {
        Some(AccessAnswer::Accounts { accounts, more }) => {
            let users: Vec<User> = accounts.into_iter().filter_map(shown).collect();
            let last = users.last().map(|user| user.name.clone());
            let next = last.filter(|_| more);
            Ok(Told(UserList { users, next }))
        }
        other => Err(Problem::unexpected(&other)),
    }
}

/// Makes a user whose password is checked here
///
/// For administrators. A repetition is refused with 409 and changes nothing.
#[utoipa::path(post, path = "/users", tag = "users", operation_id = "create_user", request_body = NewUser,
    responses((status = 201, description = "The user was made.", body = User)))]
pub(crate) async fn create(
    asking: Asking,
    State(state): State<Management>,
    Sent(new): Sent<NewUser>,
) -> Result<Response, Problem> {
    let user = named(&new.name)?;
    asking.must(Need::Administration).await?;
    let create = CreateUser {
        user: user.clone(),
        password: hashed(&state.passwords, new.password).await?,
        is_admin: new.is_admin,
        email: new.email.map(Into::into),
    };
    asking.change(AccessCommand::CreateUser(create)).await?;
    Ok(created(find(&asking, user).await?))
}

async fn find(asking: &Asking, name: AccountName) -> Result<User, Problem> {
    let user = match asking.ask(AccessQuery::Account { name }).await? {
        Some(AccessAnswer::Account(view)) => shown(*view),
        None => None,
        other => return Err(Problem::unexpected(&other)),
    };
    user.ok_or(Problem::unknown(Named::User))
}

/// A user
///
/// For themselves and administrators. May be repeated.
#[utoipa::path(get, path = "/users/{user}", tag = "users", operation_id = "show_user", params(("user" = String, Path)),
    responses((status = 200, description = "The user.", body = User)))]
pub(crate) async fn show(asking: Asking, Path(user): Path<String>) -> Result<Told<User>, Problem> {
    find(&asking, named(&user)?).await.map(Told)
}

/// Changes what is given of a user, and leaves the rest
///
/// For administrators. May be repeated.
#[utoipa::path(patch, path = "/users/{user}", tag = "users", operation_id = "change_user", params(("user" = String, Path)),
    request_body = UserChange, responses((status = 204, description = "It is so.")))]
pub(crate) async fn change(
    asking: Asking,
    Path(user): Path<String>,
    Sent(change): Sent<UserChange>,
) -> Result<StatusCode, Problem> {
    let change = ChangeUser {
        user: named(&user)?,
        is_admin: change.is_admin,
        is_disabled: change.is_disabled,
        email: change.email.map(Into::into),
    };
    asking.change(AccessCommand::ChangeUser(change)).await
}

/// Ends a user, with their memberships and tokens
///
/// For administrators. A repetition is refused with 404. After 202 more is left than is removed at once: ask again.
#[utoipa::path(delete, path = "/users/{user}", tag = "users", operation_id = "delete_user", params(("user" = String, Path)),
    responses((status = 204, description = "The user is gone."), (status = 202, description = "Ask again.")))]
pub(crate) async fn delete(
    asking: Asking,
    Path(user): Path<String>,
) -> Result<StatusCode, Problem> {
    let user = named(&user)?;
    asking.remove(AccessCommand::DeleteUser { user }).await
}

/// Sets the password of a user whose login is checked here
///
/// For themselves and administrators. It ends what they proved with the old one; their personal access tokens go on. May be
/// repeated.
#[utoipa::path(put, path = "/users/{user}/password", tag = "users", operation_id = "set_password", params(("user" = String, Path)),
    request_body = NewPassword, responses((status = 204, description = "The password is set.")))]
pub(crate) async fn set_password(
    asking: Asking,
    State(state): State<Management>,
    Path(user): Path<String>,
    Sent(new): Sent<NewPassword>,
) -> Result<StatusCode, Problem> {
    let user = named(&user)?;
    asking.must(Need::Account(user.clone())).await?;
    let password = hashed(&state.passwords, new.password).await?;
    asking
        .change(AccessCommand::SetPassword { user, password })
        .await
}

/// Ends every login of a user
///
/// For themselves and administrators. Tokens that were given to clients count no more; personal access tokens go on. May be
/// repeated.
#[utoipa::path(post, path = "/users/{user}/log-out", tag = "users", operation_id = "log_out_user", params(("user" = String, Path)),
    responses((status = 204, description = "Every login has ended.")))]
pub(crate) async fn log_out(
    asking: Asking,
    Path(user): Path<String>,
) -> Result<StatusCode, Problem> {
    let account = named(&user)?;
    asking.change(AccessCommand::EndProofs { account }).await
}
