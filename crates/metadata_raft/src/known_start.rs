//! Which peers have recorded this start of the member, and that nothing of the log passes between it and one that has not
//! (rule 5.9).
//!
//! Whoever asks all other voters whether a start is the latest relies on it: what a later start has decided, it has decided
//! with at least one of them, and that one knows.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use peers::{PeerConnection, PeerTransport};
use tokio::sync::watch;

use crate::member::Member;

#[derive(Default)]
struct Peers {
    /// They have recorded it, durably.
    knowing: BTreeSet<u64>,
    /// They are there and have not, as far as is known.
    wanting: BTreeSet<u64>,
    /// Whether anything of the log has passed.
    has_spoken: bool,
}

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct KnownStart(Arc<watch::Sender<Peers>>);

impl KnownStart {
    /// Nobody knows of it.
    pub(crate) fn new() -> KnownStart {
        KnownStart(Arc::new(watch::Sender::default()))
    }

    /// Whether something of the log may pass between this member and a peer; if not, the peer has to be told.
    pub(crate) fn lets_pass(&self, node: u64) -> bool {
        let mut passes = false;
        self.0.send_if_modified(|peers| {
            passes = peers.knowing.contains(&node)
                || mutants::active!("speak_before_peers_know")
                // Not taking part before the start is recorded has this as its second wall.
                || mutants::active!("vote_with_an_old_disk");
            peers.has_spoken |= passes;
            !passes && peers.wanting.insert(node)
        });
        passes
    }

    fn note(&self, node: u64) {
        self.0.send_modify(|peers| {
            peers.knowing.insert(node);
            peers.wanting.remove(&node);
        });
    }

    async fn until_it_passes(&self, node: u64) {
        let mut peers = self.0.subscribe();
        while !self.lets_pass(node) {
            if peers.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// The peers that have to be told of a start. See [`Member::peers_to_tell`].
pub struct PeersToTell(watch::Receiver<Peers>);

impl PeersToTell {
    /// Waits until there are some: they are there, and the log waits for it. `None` when the member is gone.
    pub async fn next(&mut self) -> Option<Vec<u64>> {
        let peers = self.0.wait_for(|peers| !peers.wanting.is_empty()).await;
        Some(peers.ok()?.wanting.iter().copied().collect())
    }
}

impl Member {
    /// A peer has recorded this start, durably: from now on the log may pass between it and this member.
    pub fn note_known_to(&self, node: u64) {
        self.known_start.note(node);
    }

    /// The peers that have to be told of this start before the log goes on with them.
    #[must_use]
    pub fn peers_to_tell(&self) -> PeersToTell {
        PeersToTell(self.known_start.0.subscribe())
    }

    /// Whether anything of the log has passed between this start of the member and any other.
    #[must_use]
    pub fn has_spoken(&self) -> bool {
        self.known_start.0.borrow().has_spoken
    }
}

/// A way to the peers on which nothing passes before they know of this start.
pub(crate) struct OnceKnown {
    pub(crate) transport: Arc<dyn PeerTransport>,
    pub(crate) start: KnownStart,
}

#[async_trait]
impl PeerTransport for OnceKnown {
    async fn connect(&self, node: u64, address: &str) -> io::Result<PeerConnection> {
        // First whether anybody is there: one that refuses is told from one that does not know yet.
        let connection = self.transport.connect(node, address).await?;
        self.start.until_it_passes(node).await;
        Ok(connection)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_passes_before_the_peer_knows() {
        let start = KnownStart::new();
        let mut to_tell = PeersToTell(start.0.subscribe());
        assert!(!start.lets_pass(2));
        assert!(!start.0.borrow().has_spoken);
        assert_eq!(to_tell.next().await.unwrap(), [2]);
        let mut waiting = until_two_knows(start.clone());
        assert!(futures::poll!(&mut waiting).is_pending());
        start.note(2);
        waiting.await;
        assert!(start.0.borrow().has_spoken);
        assert!(start.lets_pass(2) && !start.lets_pass(3));
        assert_eq!(to_tell.next().await.unwrap(), [3]);
    }

    fn until_two_knows(start: KnownStart) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move { start.until_it_passes(2).await })
    }
}
