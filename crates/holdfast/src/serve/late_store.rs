//! The metadata log of a node that is still starting: requests wait for it, as they wait through an election.

use std::sync::Arc;

use async_trait::async_trait;
use metadata::{Command, LogIndex, Query, Reply};
use ports::{Answered, Deadline, Health, MetadataFailure, MetadataStore};
use tokio::sync::watch;

type Opened = Option<Arc<dyn MetadataStore>>;

/// A log that is there once it was opened.
pub struct LateStore {
    opened: watch::Sender<Opened>,
}

impl LateStore {
    /// One that is not open yet.
    pub fn new() -> LateStore {
        LateStore {
            opened: watch::Sender::new(None),
        }
    }

    /// Here it is.
    pub fn open(&self, store: Arc<dyn MetadataStore>) {
        self.opened.send_replace(Some(store));
    }

    async fn store(&self, deadline: Deadline) -> Result<Arc<dyn MetadataStore>, MetadataFailure> {
        let mut opened = self.opened.subscribe();
        let opening = opened.wait_for(Option::is_some);
        let store = match tokio::time::timeout_at(deadline, opening).await {
            Ok(Ok(store)) => store.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        store.ok_or_else(|| MetadataFailure::Unavailable {
            reason: "this node is still starting".to_owned(),
        })
    }
}

#[async_trait]
impl MetadataStore for LateStore {
    async fn propose(
        &self,
        command: Command,
        deadline: Deadline,
    ) -> Result<Reply, MetadataFailure> {
        self.store(deadline).await?.propose(command, deadline).await
    }

    async fn read(&self, query: Query, deadline: Deadline) -> Result<Answered, MetadataFailure> {
        self.store(deadline).await?.read(query, deadline).await
    }

    async fn read_even_stale(
        &self,
        query: Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        let store = self.store(deadline).await?;
        store.read_even_stale(query, deadline).await
    }

    fn health(&self) -> Health {
        let none = LogIndex(0);
        match &*self.opened.borrow() {
            Some(store) => store.health(),
            None => Health {
                can_confirm: false,
                confirmed_before: None,
                leader: false,
                term: 0,
                last_log: none,
                applied: none,
                snapshot: none,
                purged: none,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ports::metadata_store::memory::MemoryMetadataStore;

    use super::*;

    #[tokio::test]
    async fn what_is_asked_waits_until_the_log_is_open() {
        let late = Arc::new(LateStore::new());
        let soon = Deadline::now() + Duration::from_millis(20);
        let early = late.read(Query::Cluster, soon).await;
        assert!(
            matches!(early, Err(MetadataFailure::Unavailable { .. })),
            "{early:?}"
        );
        assert!(!late.health().can_confirm);
        let waiting = {
            let late = Arc::clone(&late);
            let deadline = Deadline::now() + Duration::from_secs(30);
            tokio::spawn(async move { late.read(Query::Cluster, deadline).await })
        };
        late.open(Arc::new(MemoryMetadataStore::new()));
        waiting.await.expect("no panic").expect("it is answered");
        assert!(late.health().can_confirm);
    }
}
