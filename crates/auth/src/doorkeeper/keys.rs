//! The keys whose tokens count, as the log has them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metadata::access::{AccessAnswer, AccessQuery};
use metadata::{Answer, Query};
use ports::{Deadline, MetadataStore};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::ProofFailure;
use crate::VerifyingKeys;

/// Tokens of unknown keys have the log asked no more often than this: anybody can make such.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The keys that are known here, and where news of them come from.
pub struct TokenKeys {
    metadata: Arc<dyn MetadataStore>,
    known: ArcSwap<VerifyingKeys>,
    asked: Mutex<Option<Instant>>,
}

impl TokenKeys {
    /// None is known yet.
    ///
    /// # Panics
    /// Never: no key is a set of keys.
    #[must_use]
    pub fn new(metadata: Arc<dyn MetadataStore>) -> TokenKeys {
        let none = VerifyingKeys::new([]).expect("no key is wrong");
        TokenKeys {
            metadata,
            known: ArcSwap::from_pointee(none),
            asked: Mutex::new(None),
        }
    }

    /// Those that are known.
    #[must_use]
    pub fn known(&self) -> Arc<VerifyingKeys> {
        self.known.load_full()
    }

    /// Those that the log has now; those that are known, when it was asked a moment ago. Who waits for the same answer gets it
    /// at once.
    ///
    /// # Errors
    /// [`ProofFailure::Unavailable`] when the log does not answer. May be repeated.
    pub async fn news(&self, deadline: Deadline) -> Result<Arc<VerifyingKeys>, ProofFailure> {
        let mut asked = tokio::time::timeout_at(deadline, self.asked.lock())
            .await
            .map_err(|_| unavailable("the keys of tokens were not told in time"))?;
        if asked.is_some_and(|at| at.elapsed() < ASK_AGAIN_AFTER) {
            return Ok(self.known());
        }
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
        let keys = VerifyingKeys::new(views.iter().map(|view| &*view.public));
        let keys = keys.map_err(|error| unavailable(error.to_string()))?;
        self.known.store(Arc::new(keys));
        *asked = Some(Instant::now());
        Ok(self.known())
    }
}

fn unavailable(reason: impl Into<String>) -> ProofFailure {
    ProofFailure::Unavailable {
        reason: reason.into(),
    }
}
