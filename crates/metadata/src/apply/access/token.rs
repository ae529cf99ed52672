//! Personal access tokens: made within bounds, and ended, one by one or with their account.

use super::user::user;
use super::{check_expiry, check_grants, check_text};
use crate::TOKENS_PER_ACCOUNT_MAX;
use crate::access::{AccountName, CreateToken, TokenId, TokenRow};
use crate::apply::state::{State, Stop, invalid};
use crate::keys;
use crate::reply::{Named, Refusal, Reply};

pub(super) fn create(state: &mut State<'_>, create: &CreateToken) -> Result<Reply, Stop> {
    user(state, &create.account)?;
    check_text(&create.label, "a label")?;
    check_expiry(state, create.expires)?;
    check_grants(create.limits.as_deref().unwrap_or_default(), None)?;
    if state.get(&keys::access_token(create.token))?.is_some() {
        return Err(Refusal::Exists(Named::Token).into());
    }
    let has = tokens_of(state, &create.account, TOKENS_PER_ACCOUNT_MAX)?;
    if has.len() >= TOKENS_PER_ACCOUNT_MAX {
        let reason = format!("a user has at most {TOKENS_PER_ACCOUNT_MAX} tokens");
        return Err(invalid(reason).into());
    }
    let row = TokenRow {
        account: create.account.clone(),
        secret: create.secret,
        label: create.label.clone(),
        limits: create.limits.clone(),
        created: state.now(),
        expires: create.expires,
    };
    state.put(&keys::access_token(create.token), row)?;
    state.put(&keys::account_token(&create.account, create.token), ())?;
    Ok(Reply::Done)
}

pub(super) fn delete(
    state: &mut State<'_>,
    account: &AccountName,
    token: TokenId,
) -> Result<Reply, Stop> {
    let key = keys::account_token(account, token);
    state.get(&key)?.ok_or(Refusal::Unknown(Named::Token))?;
    state.remove(&key)?;
    state.remove(&keys::access_token(token))?;
    Ok(Reply::Done)
}

/// Ends up to `limit` tokens of an account that ends, and tells how many.
pub(super) fn end_all(
    state: &mut State<'_>,
    account: &AccountName,
    limit: usize,
) -> Result<usize, Stop> {
    let tokens = tokens_of(state, account, limit)?;
    for token in &tokens {
        state.remove(&keys::account_token(account, *token))?;
        state.remove(&keys::access_token(*token))?;
    }
    Ok(tokens.len())
}

fn tokens_of(state: &State<'_>, account: &AccountName, limit: usize) -> Result<Vec<TokenId>, Stop> {
    state.collect(&keys::account_tokens(account), limit, |key, (): ()| {
        Some(keys::read_account_token(key)?.1)
    })
}
