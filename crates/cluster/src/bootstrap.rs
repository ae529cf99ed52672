//! Starting unattended: nodes that know each other by a secret only agree on one of them that forms the cluster, and the others
//! join it (rule 5.1).
//!
//! Each fresh node answers the others that it is fresh, under an id of its own choice, and asks all of them again and again.
//! Whoever belongs to a cluster lets the asker in. A node forms the cluster only when as many as are expected have answered
//! that they are fresh, its own id is the lowest of them, the store is empty, and its claim is the only one in it. Two nodes
//! that see different others may both come as far as the claim; each writes its own before it looks, so at most one finds
//! itself alone, and who does not withdraws. A claim of a node that died is its own again when it comes back.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::join_all;
use identity::{BootstrapSecret, ChannelBinding, NodeIdentity, NodeKey, Role, Side};
use metadata::{NodeAnnouncement, ObjectKey};
use ports::{BlobFailure, BlobStore, Target};
use tokio::net::{TcpListener, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wire::nodes::{JoinReply, JoinRequest, Joined, JoinerProof};

use crate::folder::NodeFolder;
use crate::join::{JoinFailure, blocking, keep, receive, send};

/// How long one node may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the resolution of a name may take.
const RESOLVE_TIME_MAX: Duration = Duration::from_secs(3);
/// Between two rounds.
const ROUND_EVERY: Duration = Duration::from_millis(500);
/// While nothing comes of it, it is said so often.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// So many addresses are asked in a round, at most.
const ADDRESSES_MAX: usize = 64;

/// What a node that starts unattended is told.
pub struct BootstrapWish {
    /// `host:port` of others, or of a name that stands for all of them.
    pub seeds: Vec<String>,
    /// How many fresh members have to be there; nobody forms a cluster when it is not said.
    pub expect: Option<usize>,
    /// By which they know each other.
    pub secret: BootstrapSecret,
    /// What this node is to be.
    pub role: Role,
    /// What it says of itself.
    pub announcement: NodeAnnouncement,
}

/// What came of it.
pub enum Bootstrapped {
    /// This node belongs to a cluster.
    Joined(Box<NodeIdentity>),
    /// This node is to form the cluster.
    Forms,
}

/// Asks and answers until this node belongs to a cluster or is the one to form it, however long that takes. `listener` is
/// closed when it returns.
///
/// # Errors
/// See [`JoinFailure`]: none of it passes by itself. May be called again after a crash at any point.
pub async fn bootstrap(
    folder: &NodeFolder,
    store: &dyn BlobStore,
    wish: &BootstrapWish,
    listener: TcpListener,
) -> Result<Bootstrapped, JoinFailure> {
    let kept = folder.clone();
    let (key, id) = blocking(move || {
        let key = NodeKey::pending(kept.path())?;
        let id = kept.bootstrap_id().map_err(JoinFailure::Addresses)?;
        Ok::<_, JoinFailure>((key, id))
    })
    .await?;
    let answering = answer_others(listener, wish, id)?;
    let mut said: Option<Instant> = None;
    loop {
        let round = ask_all(wish, &key).await;
        if let Some(joined) = round.joined {
            drop(answering);
            let identity = keep(folder, key, joined).await?;
            return Ok(Bootstrapped::Joined(Box::new(identity)));
        }
        if let Some(why) = round.refused {
            return Err(JoinFailure::Refused(why));
        }
        let mut fresh = round.fresh;
        fresh.insert(id);
        let enough = wish.expect.is_some_and(|expect| fresh.len() >= expect);
        let mut waits_for = format!("{} fresh nodes answered", fresh.len() - 1);
        if enough && wish.role == Role::Member && fresh.first() == Some(&id) {
            match claim(store, id).await {
                Ok(Claim::Ours) => {
                    drop(answering);
                    return Ok(Bootstrapped::Forms);
                }
                Ok(Claim::Taken(by)) => {
                    waits_for = format!("the store of blobs is not empty: {by}")
                }
                Err(failure) => waits_for = failure.to_string(),
            }
        }
        if said.is_none_or(|at| at.elapsed() > SAY_EVERY) {
            said = Some(Instant::now());
            let problem = round.problem.unwrap_or_default();
            tracing::warn!(waits_for, problem, "this node waits to find its cluster");
        }
        tokio::time::sleep(ROUND_EVERY).await;
    }
}

/// Removes this node's claim once the cluster is founded.
pub async fn forget_claim(folder: &NodeFolder, store: &dyn BlobStore) {
    let folder = folder.clone();
    if let Ok(id) = blocking(move || folder.bootstrap_id()).await
        && let Err(failure) = store.delete(&[ObjectKey::claim(id)]).await
    {
        tracing::debug!(%failure, "the claim of this node is left in the store of blobs");
    }
}

/// What one round brought.
#[derive(Default)]
struct Round {
    joined: Option<Joined>,
    fresh: BTreeSet<u128>,
    refused: Option<String>,
    problem: Option<String>,
}

async fn ask_all(wish: &BootstrapWish, key: &NodeKey) -> Round {
    let mut round = Round::default();
    let addresses = resolve(&wish.seeds, &mut round.problem).await;
    let asked = addresses.iter().map(|address| {
        let address = address.to_string();
        async move {
            let answer = tokio::time::timeout(ANSWER_TIME_MAX, ask(&address, wish, key)).await;
            let late = || io::Error::from(io::ErrorKind::TimedOut);
            answer
                .unwrap_or_else(|_| Err(late()))
                .map_err(|error| format!("{address}: {error}"))
        }
    });
    for answer in join_all(asked).await {
        match answer {
            Ok(JoinReply::Joined(joined)) => round.joined = Some(*joined),
            Ok(JoinReply::Fresh { id, .. }) => {
                round.fresh.insert(id);
            }
            Ok(JoinReply::Refused(why)) => round.refused = Some(why),
            Ok(JoinReply::Later(why)) | Err(why) => round.problem = Some(why),
        }
    }
    round
}

async fn resolve(seeds: &[String], problem: &mut Option<String>) -> BTreeSet<SocketAddr> {
    let mut addresses = BTreeSet::new();
    for seed in seeds {
        match tokio::time::timeout(RESOLVE_TIME_MAX, lookup_host(seed)).await {
            Ok(Ok(found)) => addresses.extend(found.take(ADDRESSES_MAX)),
            Ok(Err(error)) => *problem = Some(format!("{seed}: {error}")),
            Err(_) => *problem = Some(format!("{seed} is not resolved in time")),
        }
    }
    addresses.into_iter().take(ADDRESSES_MAX).collect()
}

/// Asks one node, and believes it only when it has shown the secret.
async fn ask(address: &str, wish: &BootstrapWish, key: &NodeKey) -> io::Result<JoinReply> {
    let mut stream = mesh::connect_unproven(address).await?;
    let binding = ChannelBinding::of(stream.get_ref().1).map_err(io::Error::other)?;
    let request = JoinRequest {
        proof: JoinerProof::Bootstrap(wish.secret.prove(Side::Asks, binding)),
        role: wish.role,
        signing_request: Bytes::copy_from_slice(key.signing_request().as_der()),
        announcement: wish.announcement.clone(),
    };
    send(&mut stream, &request).await?;
    let reply: JoinReply = receive(&mut stream).await?;
    let proof = match &reply {
        JoinReply::Joined(joined) => joined.proof,
        JoinReply::Fresh { proof, .. } => Some(*proof),
        // It gives nothing and takes nothing: anybody may say so, and it counts for nothing but the log.
        JoinReply::Refused(why) => return Ok(JoinReply::Later(why.clone())),
        JoinReply::Later(_) => return Ok(reply),
    };
    let proven = |proof: &[u8; 32]| wish.secret.is_proven(Side::Answers, binding, proof);
    if proof.as_ref().is_some_and(proven) {
        return Ok(reply);
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "its bootstrap secret is another",
    ))
}

/// Ends with the last of its clones.
struct Answering(JoinHandle<()>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers others that this node is fresh.
fn answer_others(
    listener: TcpListener,
    wish: &BootstrapWish,
    id: u128,
) -> Result<Answering, JoinFailure> {
    let credentials = identity::credentials_of_nobody(SystemTime::now().into());
    let credentials = credentials.map_err(|error| JoinFailure::Unusable(error.to_string()))?;
    let (_peers, mut joiners, open) = mesh::listen(listener, credentials).split();
    let (secret, counts) = (wish.secret.clone(), wish.role == Role::Member);
    Ok(Answering(tokio::spawn(async move {
        let _open = open;
        let _peers = _peers;
        while let Some(mut joiner) = joiners.recv().await {
            let answered = async {
                let request: JoinRequest = receive(&mut joiner.stream).await?;
                let binding = ChannelBinding::of(joiner.stream.get_ref().1);
                let binding = binding.map_err(io::Error::other)?;
                let reply = match request.proof {
                    JoinerProof::Bootstrap(proof)
                        if secret.is_proven(Side::Asks, binding, &proof) && counts =>
                    {
                        let proof = secret.prove(Side::Answers, binding);
                        JoinReply::Fresh { id, proof }
                    }
                    _ => JoinReply::Later("this node belongs to no cluster itself".to_owned()),
                };
                send(&mut joiner.stream, &reply).await
            };
            match tokio::time::timeout(ANSWER_TIME_MAX, answered).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "another fresh node was not answered"),
                Err(_) => tracing::debug!("another fresh node did not ask in time"),
            }
        }
    })))
}

enum Claim {
    Ours,
    Taken(String),
}

async fn claim(store: &dyn BlobStore, id: u128) -> Result<Claim, BlobFailure> {
    let ours = ObjectKey::claim(id);
    let before = store.list("", None).await?;
    let others = before.iter().find(|object| object.key != ours.as_str());
    if let Some(other) = others {
        return Ok(Claim::Taken(other.key.clone()));
    }
    let mut staged = store.stage(0).await?;
    staged.store(&Target::Object(ours.clone())).await?;
    let after = store.list("", None).await?;
    match after.iter().find(|object| object.key != ours.as_str()) {
        None => Ok(Claim::Ours),
        Some(other) => {
            store.delete(&[ours]).await?;
            Ok(Claim::Taken(other.key.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use ports::blob_store::memory::MemoryBlobStore;

    use super::*;

    #[tokio::test]
    async fn store_is_claimed_once_and_only_when_it_is_empty() {
        let store = MemoryBlobStore::new();
        assert!(matches!(claim(&store, 7).await, Ok(Claim::Ours)));
        // Its own claim is no obstacle after a crash; that of another is.
        assert!(matches!(claim(&store, 7).await, Ok(Claim::Ours)));
        assert!(matches!(claim(&store, 8).await, Ok(Claim::Taken(_))));
        let left = store.list("", None).await.expect("it lists");
        assert_eq!(left.len(), 1, "the one that stood back left nothing");
    }
}
