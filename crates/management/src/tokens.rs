//! Personal access tokens: what a user signs in with from a program, shown once.

use axum::http::StatusCode;
use axum::response::Response;
use metadata::access::{AccessAnswer, AccessCommand, AccessQuery, CreateToken, TokenId, TokenView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asking::Asking;
use crate::body::{Path, Sent, Told, created};
use crate::problem::Problem;
use crate::users;
use crate::words::{Grant, Time};

/// A personal access token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Names it, and is no secret: 32 hexadecimal digits.
    pub id: String,
    /// What its owner calls it.
    pub label: String,
    /// What it is limited to, of what its owner may; without it everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<Grant>>,
    /// When it was made.
    pub created: Time,
    /// Until when; without it for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

/// All tokens of a user.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// In the order of ids.
    pub tokens: Vec<Token>,
}

/// A token to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What its owner calls it.
    pub label: String,
    /// What it is limited to, of what its owner may; without it everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<Grant>>,
    /// Until when; without it for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

/// A token's secret. Nobody can show it again.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct TokenSecret {
    /// Names it, and is no secret.
    pub id: String,
    /// The password of a login with the owner's name.
    #[schema(format = Password)]
    pub secret: String,
}

fn written(token: TokenId) -> String {
    format!("{:032x}", token.0)
}

fn named(text: &str) -> Result<TokenId, Problem> {
    let is_good = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let id = is_good
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten();
    let id = id.ok_or_else(|| Problem::name("a token's id has 32 hexadecimal digits"))?;
    Ok(TokenId(id))
}

fn shown(view: TokenView) -> Token {
    let limits = view.limits.as_deref();
    Token {
        id: written(view.token),
        label: view.label.to_string(),
        limits: limits.map(|limits| limits.iter().map(Grant::from).collect()),
        created: Time(view.created),
        expires: view.expires.map(Time),
    }
}

/// The personal access tokens of a user
///
/// For themselves and administrators. May be repeated.
#[utoipa::path(get, path = "/users/{user}/tokens", tag = "tokens", operation_id = "list_tokens", params(("user" = String, Path)),
    responses((status = 200, description = "All of them.", body = TokenList)))]
pub(crate) async fn list(
    asking: Asking,
    Path(user): Path<String>,
) -> Result<Told<TokenList>, Problem> {
    let account = users::named(&user)?;
    match asking.ask(AccessQuery::Tokens { account }).await? {
        Some(AccessAnswer::Tokens(tokens)) => Ok(Told(TokenList {
            tokens: tokens.into_iter().map(shown).collect(),
        })),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Makes a personal access token, and shows it this once
///
/// For the user and administrators. A repetition makes another one: end those that were not received.
#[utoipa::path(post, path = "/users/{user}/tokens", tag = "tokens", operation_id = "create_token", params(("user" = String, Path)),
    request_body = NewToken, responses((status = 201, description = "The token was made.", body = TokenSecret)))]
pub(crate) async fn create(
    asking: Asking,
    Path(user): Path<String>,
    Sent(new): Sent<NewToken>,
) -> Result<Response, Problem> {
    let (text, token, secret) = auth::new_access_token();
    let limits = new.limits.as_deref().map(Grant::all_parsed);
    let create = CreateToken {
        token,
        account: users::named(&user)?,
        secret,
        label: new.label.into(),
        limits: limits.transpose()?,
        expires: new.expires.map(|time| time.0),
    };
    asking.change(AccessCommand::CreateToken(create)).await?;
    Ok(created(TokenSecret {
        id: written(token),
        secret: text.to_string(),
    }))
}

/// Ends a personal access token
///
/// For the user and administrators. A repetition is refused with 404.
#[utoipa::path(delete, path = "/users/{user}/tokens/{token}", tag = "tokens", operation_id = "delete_token",
    params(("user" = String, Path), ("token" = String, Path)),
    responses((status = 204, description = "The token counts no more.")))]
pub(crate) async fn delete(
    asking: Asking,
    Path((user, token)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let command = AccessCommand::DeleteToken {
        account: users::named(&user)?,
        token: named(&token)?,
    };
    asking.remove(command).await
}
