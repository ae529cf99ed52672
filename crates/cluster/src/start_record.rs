//! Recording this member's start outside of its disk, before it takes part (rule 5.3).
//!
//! Order of effects: the start is on this disk; it is recorded with the other voters and in the blob store, each of which
//! compares it with what it knows; it is confirmed on this disk; the member takes part. A start that dies in between is one
//! of those that the next one names.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::{Duration, Instant};

use metadata::{ClusterId, NodeId, ObjectKey};
use metadata_raft::Member;
use ports::{BlobFailure, BlobStore, Target};
use wire::nodes::StartNote;

use crate::node::Shared;
use crate::start_book::{RecordedStart, may_follow};

/// How long one peer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// Between two rounds.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// While the record cannot be made, it is said so often.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// This member must not take part.
#[derive(Debug, thiserror::Error)]
pub enum StartFailure {
    /// Its disk is not what it was.
    #[error(
        "this member's data is an old copy, or another process runs with the same data ({witness} knows of a later start): restore nothing over a member; remove this one (`holdfast cluster remove {node}`), and let it join again with an empty data folder"
    )]
    OldDisk {
        /// This member.
        node: NodeId,
        /// Who says so.
        witness: String,
    },
}

/// Between two looks whether another process has started with this member's data.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Between two times that a peer is told for which the log waits.
const TELL_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What one witness said.
enum Word {
    Recorded,
    Contradicted,
    Silent(String),
}

/// Records the start, however long it takes until enough witnesses answer: the blob store, or all other voters.
pub(crate) async fn record(shared: &Shared, member: &Member) -> Result<(), StartFailure> {
    let note = note_of(member);
    let mut said: Option<tokio::time::Instant> = None;
    loop {
        let peers = ask_peers(shared, &note, shared.other_voters());
        let (peers, store) = tokio::join!(peers, ask_store(shared, &note));
        let mut silent = Vec::new();
        let mut voices = 0;
        for (witness, word) in peers {
            voices += 1;
            match word {
                Word::Recorded => {}
                Word::Contradicted => {
                    return Err(StartFailure::OldDisk {
                        node: shared.node(),
                        witness,
                    });
                }
                Word::Silent(why) => silent.push(format!("{witness}: {why}")),
            }
        }
        let by_peers = silent.is_empty() && voices > 0;
        match store {
            Word::Recorded => {
                look_for_a_successor(shared).await;
                return Ok(());
            }
            Word::Contradicted => {
                return Err(StartFailure::OldDisk {
                    node: shared.node(),
                    witness: "the blob store".to_owned(),
                });
            }
            Word::Silent(_) if by_peers => return Ok(()),
            Word::Silent(why) => silent.push(format!("the blob store: {why}")),
        }
        if said.is_none_or(|at| at.elapsed() > SAY_EVERY) {
            said = Some(tokio::time::Instant::now());
            tracing::warn!(
                silent = silent.join("; "),
                "this member waits without voting until its start is recorded by the blob store or by all other voters"
            );
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// A member of a cluster in whose place another one was restored refuses commands from its first moment on (rule 6.6), whoever
/// leads. A store that does not say is asked again by whoever leads.
async fn look_for_a_successor(shared: &Shared) {
    match tokio::time::timeout(ANSWER_TIME_MAX, shared.has_successor()).await {
        Ok(Ok(_)) => {}
        Ok(Err(failure)) => {
            tracing::debug!(%failure, "the store does not say whether there is a successor")
        }
        Err(_) => tracing::debug!("the store does not say in time whether there is a successor"),
    }
}

/// Ends this member when a later start than its own is recorded: somebody runs a copy of its data, and of two with one
/// identity the one that started last goes on. Asks the other voters as long as the node lives, and tells those at once that
/// the log waits for.
pub(crate) async fn watch(shared: Weak<Shared>) {
    let to_tell = |shared: &Shared| shared.member().map(|member| member.peers_to_tell());
    let Some(mut to_tell) = shared.upgrade().and_then(|shared| to_tell(&shared)) else {
        return;
    };
    let mut all_at = tokio::time::Instant::now() + WATCH_EVERY;
    loop {
        let wanting = tokio::select! {
            wanting = to_tell.next() => match wanting {
                Some(wanting) => wanting,
                None => return,
            },
            () = tokio::time::sleep_until(all_at) => Vec::new(),
        };
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let Some(member) = shared.member() else {
            return;
        };
        let whom = if wanting.is_empty() {
            all_at = tokio::time::Instant::now() + WATCH_EVERY;
            shared.other_voters()
        } else {
            addresses(&shared, member, &wanting)
        };
        for (witness, word) in ask_peers(&shared, &note_of(member), whom).await {
            if matches!(word, Word::Contradicted) {
                let node = shared.node();
                shared.end(StartFailure::OldDisk { node, witness }.to_string());
                return;
            }
        }
        drop(shared);
        if !wanting.is_empty() {
            tokio::time::sleep(TELL_AGAIN_AFTER).await;
        }
    }
}

/// Where those are that the log waits for. A member that has just come may not know where all others are: there is nothing
/// older than its first start but an empty disk, and so the log waits for those alone that it was told of.
fn addresses(shared: &Shared, member: &Member, wanting: &[u64]) -> Vec<(NodeId, String)> {
    let nodes = member.group().nodes.into_iter();
    let mut known: BTreeMap<NodeId, String> = shared.folder().members().into_iter().collect();
    known.extend(nodes.map(|(node, peer)| (NodeId(node), peer.address)));
    let mut found = Vec::new();
    for node in wanting {
        match known.remove(&NodeId(*node)) {
            Some(address) => found.push((NodeId(*node), address)),
            None if member.this_start().starts == 1 => member.note_known_to(*node),
            None => {}
        }
    }
    found
}

/// Records the current start of a node that was alone until now: nobody can contradict it.
pub(crate) async fn record_first(
    store: &dyn BlobStore,
    cluster: ClusterId,
    node: NodeId,
    member: &Member,
) -> Result<(), BlobFailure> {
    put_empty(store, ObjectKey::marker(cluster)).await?;
    let start = member.this_start();
    put_empty(
        store,
        ObjectKey::start(cluster, node, start.starts, start.nonce),
    )
    .await
}

/// Records this start once more: in a store that the blobs were moved to since.
pub(crate) async fn repeat(shared: &Shared, member: &Member) -> Result<(), BlobFailure> {
    let start = member.this_start();
    let key = ObjectKey::start(shared.cluster(), shared.node(), start.starts, start.nonce);
    let found = shared.blobs().list(key.as_str(), None).await?;
    match found.iter().any(|object| object.key == key.as_str()) {
        true => Ok(()),
        false => put_empty(shared.blobs(), key).await,
    }
}

/// What a member tells the others of this start of it.
#[must_use]
pub fn note_of(member: &Member) -> StartNote {
    let start = member.this_start();
    let last = (start.previous_nonce != 0).then_some(start.previous_nonce);
    StartNote {
        starts: start.starts,
        nonce: start.nonce,
        before: last
            .into_iter()
            .chain(start.unconfirmed_nonces.iter().copied())
            .collect(),
    }
}

async fn ask_peers(
    shared: &Shared,
    note: &StartNote,
    whom: Vec<(NodeId, String)>,
) -> Vec<(String, Word)> {
    let asked = whom.into_iter().map(|(node, address)| async move {
        let mut client = shared.connections().node_client(node.0, &address);
        let asked = Instant::now();
        let answer = tokio::time::timeout(ANSWER_TIME_MAX, client.note_start(note.clone())).await;
        let word = match answer {
            Ok(Ok(noted)) => {
                let noted = noted.into_inner();
                if let Some(member) = shared.member() {
                    // The clocks of voters are learnt along the way (rule 3.3).
                    member.note_clock(node.0, noted.clock, asked.elapsed());
                    if noted.refusal.is_none() {
                        member.note_known_to(node.0);
                    }
                }
                match noted.refusal {
                    None => Word::Recorded,
                    Some(_) => Word::Contradicted,
                }
            }
            Ok(Err(status)) => Word::Silent(status.message().to_owned()),
            Err(_) => Word::Silent("it does not answer".to_owned()),
        };
        (format!("member {node}"), word)
    });
    futures::future::join_all(asked).await
}

async fn ask_store(shared: &Shared, note: &StartNote) -> Word {
    match compare_in_store(shared, note).await {
        Ok(true) => Word::Recorded,
        Ok(false) => Word::Contradicted,
        Err(failure) => Word::Silent(failure.to_string()),
    }
}

/// Keys are never written twice: a start has a key of its own, and the latest one counts. Two that start at once from one
/// disk each see the other's key, since each lists after it has written.
async fn compare_in_store(shared: &Shared, note: &StartNote) -> Result<bool, BlobFailure> {
    let (store, cluster, node) = (shared.blobs(), shared.cluster(), shared.node());
    let ours = ObjectKey::start(cluster, node, note.starts, note.nonce);
    let before = recorded(store, cluster, node).await?;
    let latest = before.iter().max_by_key(|(start, _)| start.starts);
    if !may_follow(latest.map(|(start, _)| *start), note) {
        return Ok(false);
    }
    if !before.iter().any(|(_, key)| *key == ours) {
        put_empty(store, ours.clone()).await?;
        let now = recorded(store, cluster, node).await?;
        let rival =
            |(start, key): &(RecordedStart, ObjectKey)| start.starts >= note.starts && *key != ours;
        if now.iter().any(rival) {
            return Ok(false);
        }
    }
    let outdated: Vec<ObjectKey> = before
        .into_iter()
        .filter(|(start, _)| start.starts < note.starts)
        .map(|(_, key)| key)
        .collect();
    if !outdated.is_empty()
        && let Err(failure) = store.delete(&outdated).await
    {
        tracing::debug!(%failure, "records of earlier starts are left in the blob store");
    }
    Ok(true)
}

async fn recorded(
    store: &dyn BlobStore,
    cluster: ClusterId,
    node: NodeId,
) -> Result<Vec<(RecordedStart, ObjectKey)>, BlobFailure> {
    let mut all = Vec::new();
    let prefix = ObjectKey::starts_prefix(cluster, node);
    let mut after: Option<String> = None;
    loop {
        let page = store.list(&prefix, after.as_deref()).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = Some(last.key.clone());
        for object in &page {
            if let Some(key) = ObjectKey::parse(&object.key)
                && let Some((starts, nonce)) = key.read_start()
            {
                all.push((RecordedStart { starts, nonce }, key));
            }
        }
    }
}

async fn put_empty(store: &dyn BlobStore, key: ObjectKey) -> Result<(), BlobFailure> {
    let mut staged = store.stage(0).await?;
    staged.store(&Target::Object(key)).await.map(drop)
}
