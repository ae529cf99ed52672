//! The keys whose tokens count, as the log has them.
//!
//! What is known here only says whose signatures are worth a look: the log refuses a token of a key that it has no more, whatever
//! is known here. So a node that is late believes nobody for longer, and one that does not know a key yet asks.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metadata::access::{AccessAnswer, AccessQuery};
use metadata::{Answer, Query};
use parking_lot::Mutex as Lock;
use ports::{Deadline, MetadataStore};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::ProofFailure;
use crate::VerifyingKeys;

/// Anybody can make tokens of unknown keys: those who show them have the log asked at most once in this time, together.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Keys are dropped without a word to those who know them: they are asked for anew when they were not for so long. This ends
/// tokens that are nobody's, of which the log does not know by which key they are.
const OLD_AFTER: Duration = Duration::from_secs(10);

/// News in the background take no longer.
const BACKGROUND_TIME: Duration = Duration::from_secs(5);

/// The keys that are known here, and where news of them come from. Clones share them.
#[derive(Clone)]
pub struct TokenKeys(Arc<Inner>);

struct Inner {
    metadata: Arc<dyn MetadataStore>,
    known: ArcSwap<VerifyingKeys>,
    /// When the log was asked last for what is known; held by the one who asks.
    asked: Mutex<Option<Instant>>,
    background: Lock<Background>,
}

struct Background {
    next: Instant,
    task: Option<AbortOnDropHandle<()>>,
}

impl TokenKeys {
    /// None is known yet.
    ///
    /// # Panics
    /// Never: no key is a set of keys.
    #[must_use]
    pub fn new(metadata: Arc<dyn MetadataStore>) -> TokenKeys {
        let none = VerifyingKeys::new([]).expect("no key is wrong");
        TokenKeys(Arc::new(Inner {
            metadata,
            known: ArcSwap::from_pointee(none),
            asked: Mutex::new(None),
            background: Lock::new(Background {
                next: Instant::now() + OLD_AFTER,
                task: None,
            }),
        }))
    }

    /// Those that are known. When they were not asked for in a while, they are, in the background; call it in a runtime.
    #[must_use]
    pub fn known(&self) -> Arc<VerifyingKeys> {
        let now = Instant::now();
        if let Some(mut background) = self.0.background.try_lock()
            && background.next <= now
            && background
                .task
                .as_ref()
                .is_none_or(|task| task.is_finished())
        {
            background.next = now + OLD_AFTER;
            let inner = Arc::clone(&self.0);
            let task = tokio::spawn(async move {
                // Nobody waits for it, and it is tried again.
                let _ = inner.news(Instant::now() + BACKGROUND_TIME).await;
            });
            background.task = Some(AbortOnDropHandle::new(task));
        }
        self.0.known.load_full()
    }

    /// What is known is wrong: it is asked for anew with the next look at it.
    pub fn distrust(&self) {
        let mut background = self.0.background.lock();
        background.next = background.next.min(Instant::now());
    }

    /// Those that the log has now, or had after this was called.
    ///
    /// # Errors
    /// [`ProofFailure::Unavailable`] when the log does not answer. May be repeated.
    pub async fn news(&self, deadline: Deadline) -> Result<Arc<VerifyingKeys>, ProofFailure> {
        self.0.news(deadline).await
    }
}

impl Inner {
    async fn news(&self, deadline: Deadline) -> Result<Arc<VerifyingKeys>, ProofFailure> {
        let came = Instant::now();
        let late = |_| unavailable("the keys of tokens were not told in time");
        let mut asked = tokio::time::timeout_at(deadline, self.asked.lock())
            .await
            .map_err(late)?;
        if let Some(at) = *asked {
            // Somebody else has asked while this one waited.
            if at > came || mutants::active!("ask_once_for_keys") {
                return Ok(self.known.load_full());
            }
            let turn = tokio::time::sleep_until(at + ASK_AGAIN_AFTER);
            tokio::time::timeout_at(deadline, turn)
                .await
                .map_err(late)?;
        }
        let asks = Instant::now();
        let query = Query::Access(Box::new(AccessQuery::TokenKeys));
        let answered = self.metadata.read_even_stale(query, deadline).await;
        let answer = answered
            .map_err(|failure| unavailable(failure.to_string()))?
            .answer;
        let Answer::Access(answer) = answer else {
            return Err(unavailable(format!("no keys are in {answer:?}")));
        };
        let AccessAnswer::TokenKeys(views) = *answer else {
            return Err(unavailable(format!("no keys are in {answer:?}")));
        };
        let keys = VerifyingKeys::new(views.iter().map(|view| (view.number, &*view.public)));
        let keys = Arc::new(keys.map_err(|error| unavailable(error.to_string()))?);
        self.known.store(Arc::clone(&keys));
        *asked = Some(asks);
        self.background.lock().next = asks + OLD_AFTER;
        Ok(keys)
    }
}

fn unavailable(reason: impl Into<String>) -> ProofFailure {
    ProofFailure::Unavailable {
        reason: reason.into(),
    }
}
