//! The keys that sign tokens: shown, and ended. New ones come by themselves.

use auth::VerifyingKeys;
use axum::http::StatusCode;
use metadata::access::{AccessAnswer, AccessCommand, AccessQuery, TokenKeyView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asking::Asking;
use crate::body::{Path, Told};
use crate::problem::Problem;
use crate::words::Time;

/// A key that signs tokens, or has signed some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Its number.
    pub number: u32,
    /// `kid` of the tokens that it signed: the key's RFC 7638 thumbprint.
    pub kid: String,
    /// Whether it signs now; the others are only believed.
    pub signs: bool,
    /// When it came.
    pub created: Time,
}

/// All keys.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// The one that signs comes last.
    pub keys: Vec<Key>,
}

fn kid(public: &[u8]) -> Option<String> {
    let keys = VerifyingKeys::new([(0, public)]).ok()?.jwks();
    let keys: serde_json::Value = serde_json::from_str(&keys).ok()?;
    Some(keys["keys"][0]["kid"].as_str()?.to_owned())
}

/// The keys whose signatures of tokens count
///
/// For everyone: they are no secret. May be repeated.
#[utoipa::path(get, path = "/keys", tag = "keys", operation_id = "list_keys",
    responses((status = 200, description = "All of them.", body = KeyList)))]
pub(crate) async fn list(asking: Asking) -> Result<Told<KeyList>, Problem> {
    match asking.ask(AccessQuery::TokenKeys).await? {
        Some(AccessAnswer::TokenKeys(keys)) => {
            let last = keys.last().map(|key| key.number);
            let shown = |key: TokenKeyView| Key {
                number: key.number,
                kid: kid(&key.public).unwrap_or_default(),
                signs: Some(key.number) == last,
                created: Time(key.created),
            };
            Ok(Told(KeyList {
                keys: keys.into_iter().map(shown).collect(),
            }))
        }
        other => Err(Problem::unexpected(&other)),
    }
}

/// Ends a key: tokens that it signed count no more
///
/// For administrators. Clients get new tokens by themselves; those who signed in with a stored one sign in again. The key that
/// signs cannot be ended. A repetition is refused with 404.
#[utoipa::path(delete, path = "/keys/{number}", tag = "keys", operation_id = "delete_key", params(("number" = u32, Path)),
    responses((status = 204, description = "The key counts no more.")))]
pub(crate) async fn delete(
    asking: Asking,
    Path(number): Path<String>,
) -> Result<StatusCode, Problem> {
    let number = number
        .parse()
        .map_err(|_| Problem::name("a key has a number"))?;
    asking.change(AccessCommand::DropTokenKey { number }).await
}
