//! Who proves and who signs, of a node that is still starting: requests wait for them, as they wait for the log.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth::{Claims, ProofFailure, Proved, Prover, Purpose, Signer};
use metadata::access::AccountName;
use ports::Deadline;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// One of them, who is there once the node is open.
pub struct Late<T: ?Sized>(watch::Sender<Option<Arc<T>>>);

impl<T: ?Sized + Send + Sync> Late<T> {
    /// One who is not there yet.
    pub fn new() -> Late<T> {
        Late(watch::Sender::new(None))
    }

    /// Here they are.
    pub fn open(&self, opened: Arc<T>) {
        self.0.send_replace(Some(opened));
    }

    async fn get(&self, deadline: Deadline) -> Result<Arc<T>, ProofFailure> {
        let mut opened = self.0.subscribe();
        let opening = opened.wait_for(Option::is_some);
        let opened = match tokio::time::timeout_at(deadline, opening).await {
            Ok(Ok(opened)) => opened.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        opened.ok_or_else(|| ProofFailure::Unavailable {
            reason: "this node is still starting".to_owned(),
        })
    }
}

#[async_trait]
impl Prover for Late<dyn Prover> {
    async fn prove(
        &self,
        name: &AccountName,
        secret: Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<Option<Proved>, ProofFailure> {
        let prover = self.get(deadline).await?;
        prover.prove(name, secret, deadline).await
    }
}

#[async_trait]
impl Signer for Late<dyn Signer> {
    async fn sign(
        &self,
        purpose: Purpose,
        claims: &Claims,
        life: Duration,
        deadline: Deadline,
    ) -> Result<String, ProofFailure> {
        let signer = self.get(deadline).await?;
        signer.sign(purpose, claims, life, deadline).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signs with a word.
    struct Word;

    #[async_trait]
    impl Signer for Word {
        async fn sign(
            &self,
            _: Purpose,
            _: &Claims,
            _: Duration,
            _: Deadline,
        ) -> Result<String, ProofFailure> {
            Ok("signed".to_owned())
        }
    }

    #[tokio::test]
    async fn who_asks_early_waits_until_the_node_is_open() {
        let late: Arc<Late<dyn Signer>> = Arc::new(Late::new());
        let nobodys = Claims {
            account: None,
            scopes: Vec::new(),
        };
        let soon = Deadline::now() + Duration::from_millis(20);
        let early = late.sign(Purpose::Access, &nobodys, Duration::ZERO, soon);
        assert!(matches!(early.await, Err(ProofFailure::Unavailable { .. })));
        let deadline = Deadline::now() + Duration::from_secs(30);
        let waiting = late.sign(Purpose::Access, &nobodys, Duration::ZERO, deadline);
        let opening = async { late.open(Arc::new(Word)) };
        let (signed, ()) = tokio::join!(waiting, opening);
        assert_eq!(signed, Ok("signed".to_owned()));
    }
}
