//! The first answers to conditional `PUT`s and to requests with an `Idempotency-Key`. Rule 3.2.
//!
//! Balancers and clients send a request again whose answer they did not see. Done twice, a conditional one would be
//! refused by its own first effect; so it gets the first answer, if its effect still stands. If it does not (the tag was
//! moved on, or deleted), the request is decided anew: nobody can tell it from a new one, and a success that nobody can
//! see would break promise P2. A client that names its request by a key gets the first answer in any case.
//!
//! Without a key only answers with an effect are remembered: what was refused may be asked again. With one a refusal is an answer
//! like any other. A balancer may have sent the request to two nodes, of which one stood still: what was refused by way of the
//! other must not have an effect when the first goes on.

use oci::{Algorithm, Digest};

use super::replies::REPLY_KEPT_MS;
use super::state::{State, Stop};
use super::tag;
use crate::command::{Precondition, PutManifest};
use crate::ids::LogTime;
use crate::keys::{self, Key};
use crate::reply::{Refusal, Reply};
use crate::tables::TableId;
use crate::typed::FirstAnswerRow;

/// How long a request may be held and sent again, in milliseconds.
const HOLD_MS: u64 = 10_000;

/// How many answers are forgotten with each that is remembered twice over; more, so that forgetting outruns it.
const FORGOTTEN_PER_ENTRY_MAX: usize = 8;

/// A request that may be repeated.
pub(super) struct Request {
    fingerprint: Digest,
    recent: Option<Key<FirstAnswerRow>>,
    named: Option<Key<FirstAnswerRow>>,
}

impl Request {
    /// `None` for one that is neither conditional nor named by a key: to do it twice is harmless.
    pub(super) fn of(put: &PutManifest) -> Option<Request> {
        if put.precondition.is_none() && put.idempotency_key.is_none() {
            return None;
        }
        let fingerprint = fingerprint(put);
        Some(Request {
            fingerprint,
            recent: put
                .precondition
                .as_ref()
                .map(|_| keys::recent_put(&fingerprint)),
            named: put
                .idempotency_key
                .as_ref()
                .filter(|_| !mutants::active!("ignore_the_idempotency_key"))
                .map(|key| keys::idempotency_key(&put.principal, key)),
        })
    }

    /// The answer that was given to the same request, if it must be given again.
    pub(super) fn first_answer(
        &self,
        state: &State<'_>,
        put: &PutManifest,
    ) -> Result<Option<Reply>, Stop> {
        if let Some(row) = remembered(state, self.named.as_ref())? {
            if row.request != self.fingerprint {
                let repository = row.repository;
                return Err(Refusal::IdempotencyKeyReused { repository }.into());
            }
            return Ok(Some(row.reply));
        }
        match remembered(state, self.recent.as_ref())? {
            Some(row) if effect_stands(state, put)? => Ok(Some(row.reply)),
            _ => Ok(None),
        }
    }

    /// Remembers the answer, and forgets some old ones.
    pub(super) fn remember(
        mut self,
        state: &mut State<'_>,
        put: &PutManifest,
        reply: &Reply,
    ) -> Result<(), Stop> {
        if matches!(reply, Reply::Refused(_)) {
            self.recent = None;
            if self.named.is_none() || mutants::active!("forget_what_was_refused") {
                return Ok(());
            }
        }
        for key in self.recent.into_iter().chain(self.named) {
            let row = FirstAnswerRow {
                time: state.now(),
                repository: put.repository.clone(),
                digest: put.digest,
                request: self.fingerprint,
                reply: reply.clone(),
            };
            let until = expiry(&key, row.time);
            state.put(&keys::first_answer_order(until, &key), ())?;
            state.put(&key, row)?;
        }
        forget_old(state)
    }
}

/// Until when an answer that was given at `time` is remembered.
fn expiry(key: &Key<FirstAnswerRow>, time: LogTime) -> LogTime {
    match key.table() {
        TableId::RecentPut => time.plus_ms(HOLD_MS),
        _ => time.plus_ms(REPLY_KEPT_MS),
    }
}

fn remembered(
    state: &State<'_>,
    key: Option<&Key<FirstAnswerRow>>,
) -> Result<Option<FirstAnswerRow>, Stop> {
    let Some(key) = key else {
        return Ok(None);
    };
    Ok(state
        .get(key)?
        .filter(|row| state.now() <= expiry(key, counted_from(state, row.time))))
}

/// From when on the time counts in which an answer is remembered. What a correction adds to the log's time has not passed for
/// whoever sends a request again.
fn counted_from(state: &State<'_>, time: LogTime) -> LogTime {
    let corrected = state.cluster.upkeep.corrected;
    corrected.map_or(time, |corrected| corrected.max(time))
}

/// Whether the manifest is linked and all the tags point at it.
fn effect_stands(state: &State<'_>, put: &PutManifest) -> Result<bool, Stop> {
    let link = state.get(&keys::manifest_link(&put.repository, &put.digest))?;
    if link.is_none_or(|link| link.ending) {
        return Ok(false);
    }
    for tag in &put.tags {
        let current = tag::look_up(state, &put.repository, tag)?.digest();
        if current != Some(put.digest) && !mutants::active!("answer_with_an_effect_undone") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn forget_old(state: &mut State<'_>) -> Result<(), Stop> {
    // What was remembered before a correction counts on for as long as anything does.
    let corrected = state.cluster.upkeep.corrected;
    if corrected.is_some_and(|corrected| state.now() <= corrected.plus_ms(REPLY_KEPT_MS)) {
        return Ok(());
    }
    let old = state.collect(
        &keys::first_answers_before(state.now()),
        FORGOTTEN_PER_ENTRY_MAX,
        |key, (): ()| keys::read_first_answer_order(key),
    )?;
    for (until, key) in old {
        state.remove(&keys::first_answer_order(until, &key))?;
        // An answer that was given again since has a later row in the order.
        if state
            .get(&key)?
            .is_some_and(|row| expiry(&key, row.time) <= until)
        {
            state.remove(&key)?;
        }
    }
    Ok(())
}

/// What makes two requests the same: principal, repository, manifest, tags and precondition.
fn fingerprint(put: &PutManifest) -> Digest {
    let mut text = Vec::new();
    let mut field = |bytes: &[u8]| {
        text.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        text.extend_from_slice(bytes);
    };
    field(put.principal.0.as_bytes());
    field(put.repository.as_str().as_bytes());
    field(put.digest.to_string().as_bytes());
    field(&(put.tags.len() as u64).to_be_bytes());
    for tag in &put.tags {
        field(tag.as_str().as_bytes());
    }
    let (kind, digests): (&[u8], &[Digest]) = match &put.precondition {
        None => (b"none", &[]),
        Some(Precondition::Matches(digests)) => (b"matches", digests),
        Some(Precondition::Exists) => (b"exists", &[]),
        Some(Precondition::Absent) => (b"absent", &[]),
        Some(Precondition::MatchesNone(digests)) => (b"matches none", digests),
    };
    field(kind);
    for digest in digests {
        field(digest.to_string().as_bytes());
    }
    Digest::of(Algorithm::Sha256, &text)
}
