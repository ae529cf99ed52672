//! The keys that sign tokens: made by members, sealed with the key of the cluster's secrets, kept in the log, opened to sign.
//!
//! The newest key in the log signs. The leader brings the first one once rights are asked for, a new one from time to time, and
//! drops those whose last token has expired. The log decides which key came: of two that are made at once it takes one. A key
//! counts until it is dropped, so that whoever signs by an older state of the log locks nobody out.
//!
//! Private halves are open in the memory of members only, and never leave them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use auth::{NewKey, REFRESH_LIFE, SigningKey};
use bytes::Bytes;
use identity::{OpenError, RecoveryKey};
use metadata::access::{AccessAnswer, AccessCommand, AccessQuery, TokenKeyView};
use metadata::{Answer, Command, LogTime, Named, Query, Refusal, Reply, UpkeepRow};
use ports::{Deadline, MetadataStore};

use crate::join::blocking;
use crate::node::{Log, Shared};

const LOOK_EVERY: Duration = Duration::from_secs(5);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A key signs for so long, in milliseconds.
const SIGNS_FOR_MS: u64 = 30 * DAY_MS;
/// A member that is cut off may sign by an old state of the log for so long, and its tokens count to their end.
const SIGNS_LATE_MS: u64 = DAY_MS;

/// The key that signs, as this member has opened it.
#[derive(Default)]
pub(crate) struct TokenKeyring {
    opened: ArcSwapOption<OpenedKey>,
}

/// A key that was opened.
pub(crate) struct OpenedKey {
    number: u32,
    sealed: Bytes,
    pub(crate) key: SigningKey,
}

/// Where a sealed private half belongs: with this public one.
fn place(public: &[u8]) -> Vec<u8> {
    [b"holdfast token key 1 ", public].concat()
}

fn seal(key: &RecoveryKey, new: &NewKey) -> Vec<u8> {
    identity::seal(key, &place(&new.public), &new.private)
}

fn open(key: &RecoveryKey, view: &TokenKeyView) -> Result<SigningKey, OpenError> {
    let sealed = view.sealed.as_deref().unwrap_or_default();
    let private = identity::open(key, &place(&view.public), sealed)?;
    SigningKey::new(&view.public, &private).map_err(|_| OpenError::Damaged)
}

/// All keys, as `store` has them.
async fn sealed_keys(
    store: &dyn MetadataStore,
    deadline: Deadline,
) -> Result<Vec<TokenKeyView>, String> {
    let query = Query::Access(Box::new(AccessQuery::SealedTokenKeys));
    let answered = store.read_even_stale(query, deadline).await;
    match answered.map_err(|failure| failure.to_string())?.answer {
        Answer::Access(answer) => match *answer {
            AccessAnswer::TokenKeys(keys) => Ok(keys),
            _ => Err("the log does not tell its keys of tokens".to_owned()),
        },
        _ => Err("the log does not tell its keys of tokens".to_owned()),
    }
}

/// Whether rights are asked for.
async fn is_on(store: &dyn MetadataStore, deadline: Deadline) -> Result<bool, String> {
    let query = Query::Access(Box::new(AccessQuery::Access));
    let answered = store.read(query, deadline).await;
    match answered.map_err(|failure| failure.to_string())?.answer {
        Answer::Access(answer) => Ok(matches!(*answer, AccessAnswer::Access { is_on: true, .. })),
        _ => Ok(false),
    }
}

impl TokenKeyring {
    /// The key that signs, by the state that `store` tells. If there is none, one is made.
    pub(crate) async fn signing(
        &self,
        shared: &Shared,
        store: &dyn MetadataStore,
        deadline: Deadline,
    ) -> Result<Arc<OpenedKey>, String> {
        let mut keys = sealed_keys(store, deadline).await?;
        if keys.is_empty() && is_on(store, deadline).await? {
            make(shared, 0, deadline).await?;
            keys = sealed_keys(store, deadline).await?;
        }
        let newest = keys.pop().ok_or("there is no key that signs tokens")?;
        if let Some(opened) = self.opened.load_full()
            && opened.number == newest.number
            && newest.sealed.as_ref() == Some(&opened.sealed)
        {
            return Ok(opened);
        }
        let key = sealing_key(shared).await?;
        let opened = open(&key, &newest).map_err(|error| error.to_string())?;
        let opened = Arc::new(OpenedKey {
            number: newest.number,
            sealed: newest.sealed.unwrap_or_default(),
            key: opened,
        });
        self.opened.store(Some(Arc::clone(&opened)));
        Ok(opened)
    }
}

/// The key that seals: the cluster's. A member that is alone has one of its own, which becomes the cluster's if it founds one.
async fn sealing_key(shared: &Shared) -> Result<Arc<RecoveryKey>, String> {
    if let Log::Gateway(_) = shared.log() {
        return Err("this node is a gateway: it has no keys".to_owned());
    }
    if let Some(key) = shared.signer().key() {
        return Ok(key);
    }
    // Founding takes the key that is kept.
    let _only = shared.founding.lock().await;
    if let Some(key) = shared.signer().key() {
        return Ok(key);
    }
    if shared.credentials().is_some() {
        return Err("the file cluster.key of this member is missing".to_owned());
    }
    let folder = shared.folder().clone();
    let kept = blocking(move || match folder.cluster_key()? {
        Some(kept) => Ok(kept),
        None => {
            let fresh = RecoveryKey::generate();
            fresh.save(folder.path())?;
            Ok::<_, identity::FileError>(fresh)
        }
    });
    let kept = kept.await.map_err(|error| error.to_string())?;
    shared.signer().set_key(kept);
    let key = shared.signer().key();
    key.ok_or_else(|| "the key of secrets is gone".to_owned())
}

/// Brings a key, unless another one has come after `after`.
async fn make(shared: &Shared, after: u32, deadline: Deadline) -> Result<(), String> {
    let key = sealing_key(shared).await?;
    let new = NewKey::draw();
    let command = AccessCommand::AddTokenKey {
        after: Some(after),
        sealed: seal(&key, &new).into(),
        public: new.public.into(),
    };
    let command = Command::Access(Box::new(command));
    match shared.store().propose(command, deadline).await {
        Ok(Reply::Done) => {
            tracing::info!("a new key signs tokens");
            Ok(())
        }
        Ok(Reply::Refused(Refusal::Exists(Named::TokenKey))) => Ok(()),
        Ok(reply) => Err(format!("the log does not take a new key: {reply:?}")),
        Err(failure) => Err(failure.to_string()),
    }
}

/// Tends the keys as long as the node lives.
pub(crate) async fn serve(shared: Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        if shared.member().is_some_and(|member| member.leads())
            && let Err(problem) = tend(&shared).await
        {
            tracing::warn!(
                problem,
                "the keys of tokens could not be tended; it is tried again"
            );
        }
        drop(shared);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn tend(shared: &Shared) -> Result<(), String> {
    let Some(member) = shared.member() else {
        return Ok(());
    };
    let deadline = Deadline::now() + ANSWER_TIME_MAX;
    // Without a leader that is believed nothing is due.
    let Ok(answered) = member.read(Query::Cluster, deadline).await else {
        return Ok(());
    };
    let Answer::Cluster(view) = answered.answer else {
        return Ok(());
    };
    if !is_on(&**member, deadline).await? {
        return Ok(());
    }
    let keys = sealed_keys(&**member, deadline).await?;
    let sealing = sealing_key(shared).await?;
    let is_foreign = |key: &TokenKeyView| matches!(open(&sealing, key), Err(OpenError::OtherKey));
    let signs = keys.last().is_some_and(|newest| !is_foreign(newest));
    let due = due(&keys, signs, &view.upkeep, member.log_clock());
    if let Some(after) = due.make_after {
        make(shared, after, deadline).await?;
    }
    for number in due.drop {
        let command = AccessCommand::DropTokenKey { number };
        let command = Command::Access(Box::new(command));
        match member.propose(command, deadline).await {
            Ok(Reply::Done) => tracing::info!(
                number,
                "a key of tokens has ended: the last token that it signed has expired"
            ),
            // Somebody else has dropped it.
            Ok(Reply::Refused(Refusal::Unknown(Named::TokenKey))) => {}
            Ok(reply) => return Err(format!("the log does not drop a key: {reply:?}")),
            Err(failure) => return Err(failure.to_string()),
        }
    }
    Ok(())
}

/// What is due.
#[derive(Debug, Default, PartialEq, Eq)]
struct Due {
    /// A new key, after this one.
    make_after: Option<u32>,
    /// These have ended.
    drop: Vec<u32>,
}

/// What is due at `now`. `signs`: this cluster can sign with the newest key; after a restoration with another key of secrets, it
/// cannot.
fn due(keys: &[TokenKeyView], signs: bool, upkeep: &UpkeepRow, now: LogTime) -> Due {
    let Some(newest) = keys.last() else {
        return Due {
            make_after: Some(0),
            drop: Vec::new(),
        };
    };
    let is_old = upkeep.has_passed(newest.created, SIGNS_FOR_MS, now);
    let counts_for = u64::try_from(REFRESH_LIFE.as_millis()).unwrap_or(u64::MAX);
    let ended = keys.windows(2).filter_map(|pair| {
        let [old, next] = pair else { return None };
        let span = counts_for.saturating_add(SIGNS_LATE_MS);
        upkeep
            .has_passed(next.created, span, now)
            .then_some(old.number)
    });
    Due {
        make_after: (is_old || !signs).then_some(newest.number),
        drop: ended.collect(),
    }
}

#[cfg(test)]
#[path = "token_keys_tests.rs"]
mod tests;
