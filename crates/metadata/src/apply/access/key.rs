//! The keys that sign tokens: the newest signs, the others are believed until they are dropped.

use bytes::Bytes;

use super::row;
use crate::access::TokenKeyRow;
use crate::apply::state::{State, Stop, invalid};
use crate::keys::{self, Range};
use crate::reply::{Named, Refusal, Reply};
use crate::tables::TableId;
use crate::{AUTHORITY_BYTES_MAX, TOKEN_KEYS_MAX};

pub(super) fn add(
    state: &mut State<'_>,
    after: Option<u32>,
    public: &Bytes,
    sealed: &Bytes,
) -> Result<Reply, Stop> {
    if public.is_empty() || public.len().max(sealed.len()) > AUTHORITY_BYTES_MAX {
        return Err(invalid("a key that is empty or larger than the log takes").into());
    }
    let mut access = row(state)?;
    if after.is_some_and(|after| after != access.last_token_key) {
        return Err(Refusal::Exists(Named::TokenKey).into());
    }
    let all = Range::all(TableId::TokenKey);
    let numbers = state.collect(&all, TOKEN_KEYS_MAX, |key, _: TokenKeyRow| {
        keys::read_token_key(key)
    })?;
    if numbers.len() >= TOKEN_KEYS_MAX {
        let reason = format!("at most {TOKEN_KEYS_MAX} keys are kept: drop an old one first");
        return Err(invalid(reason).into());
    }
    access.last_token_key += 1;
    let key = TokenKeyRow {
        public: public.clone(),
        sealed: sealed.clone(),
        created: state.now(),
    };
    state.put(&keys::token_key(access.last_token_key), key)?;
    state.put(&keys::access(), access)?;
    Ok(Reply::Done)
}

pub(super) fn remove(state: &mut State<'_>, number: u32) -> Result<Reply, Stop> {
    let signs = number == row(state)?.last_token_key;
    if signs && !mutants::active!("drop_the_key_that_signs") {
        return Err(invalid("this key signs: add another one first").into());
    }
    let key = keys::token_key(number);
    state.get(&key)?.ok_or(Refusal::Unknown(Named::TokenKey))?;
    state.remove(&key)?;
    Ok(Reply::Done)
}
