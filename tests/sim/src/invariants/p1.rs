//! P1, durable: what was decided stays decided, and what a client was told is there at the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use metadata::CommandId;
use oci::{Digest, RepositoryName};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::census::Kind;
use crate::clients::{Client, Pulled};
use crate::log::{Applied, Content};
use crate::world::World;

/// No index ever holds two entries.
pub const DECIDED: &str = "P1 decided stays decided";
/// What was acknowledged is there in the end, or what was deleted is gone.
pub const KEPT: &str = "P1 acknowledged is kept";

/// What was decided at each index, as the first member applied it.
#[derive(Debug, Default)]
pub struct Decided {
    entries: Vec<DecidedEntry>,
}

#[derive(Debug)]
struct DecidedEntry {
    term: u64,
    command: Option<CommandId>,
    /// The hash of all that was applied, once it is known.
    chain: Option<u64>,
}

impl Decided {
    /// Compares an entry that a member applied with what another one applied at its index.
    pub fn check(&mut self, world: &World, node: u64, applied: &Applied) {
        world.census.count(Kind::Invariant, DECIDED);
        let entry = DecidedEntry {
            term: applied.entry.term,
            command: match &applied.entry.content {
                Content::Command(entry) => Some(entry.id),
                Content::Blank | Content::Members(_) => None,
            },
            chain: None,
        };
        let at = applied.index as usize - 1;
        match self.entries.get(at) {
            None => {
                // Members apply in order, and the first to apply an index has applied those before it, or a snapshot of
                // somebody who has.
                assert_eq!(at, self.entries.len(), "an entry was left out");
                self.entries.push(entry);
            }
            Some(known) if known.term == entry.term && known.command == entry.command => {}
            Some(known) => world.breach(
                "P1",
                format!(
                    "member {node} applies {entry:?} at index {}, where {known:?} was decided",
                    applied.index
                ),
            ),
        }
    }

    /// Remembers the hash of the state at an index, or gives the one that is known.
    pub fn chain(&mut self, index: u64, chain: u64) -> Option<u64> {
        let entry = self.entries.get_mut(index as usize - 1)?;
        let known = entry.chain;
        entry.chain.get_or_insert(chain);
        known
    }

    /// The last index.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.entries.len() as u64
    }
}

/// What clients were told about manifests and blobs of repositories: that they were stored, or deleted.
#[derive(Debug, Default)]
pub struct Told(Mutex<BTreeMap<Named, Vec<Tale>>>);

/// A manifest or a blob in a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Where.
    pub repository: RepositoryName,
    /// What.
    pub digest: Digest,
    /// Which of both.
    pub is_manifest: bool,
}

/// One request about it.
#[derive(Debug, Clone)]
struct Tale {
    began: Instant,
    /// `None`: nobody was told how it ended.
    ended: Option<Instant>,
    puts: bool,
    /// It had no effect, and never will.
    void: bool,
}

/// A request that was begun, to be ended.
#[derive(Debug, Clone)]
pub struct Begun {
    named: Named,
    at: usize,
}

/// What must be true of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Must {
    /// It must be there.
    Exist,
    /// It must not.
    BeAbsent,
}

impl Told {
    /// A request begins that stores something, or deletes it.
    pub fn begin(&self, named: Named, puts: bool) -> Begun {
        let mut all = self.0.lock();
        let tales = all.entry(named.clone()).or_default();
        tales.push(Tale {
            began: Instant::now(),
            ended: None,
            puts,
            void: false,
        });
        let at = tales.len() - 1;
        Begun { named, at }
    }

    /// The client was told that it was done.
    pub fn end(&self, begun: &Begun) {
        if let Some(tales) = self.0.lock().get_mut(&begun.named) {
            tales[begun.at].ended = Some(Instant::now());
        }
    }

    /// The client was told that it was not done, and never will be.
    pub fn had_no_effect(&self, begun: &Begun) {
        if let Some(tales) = self.0.lock().get_mut(&begun.named) {
            tales[begun.at].void = true;
        }
    }

    /// What must be true now, of everything of which something is certain.
    #[must_use]
    pub fn certain(&self) -> Vec<(Named, Must)> {
        let all = self.0.lock();
        let certain = all.iter().filter_map(|(named, tales)| {
            let tales: Vec<&Tale> = tales.iter().filter(|tale| !tale.void).collect();
            let after_all_of = |puts: bool| {
                let last = tales
                    .iter()
                    .filter(|tale| tale.puts == puts && tale.ended.is_some());
                let last = last.map(|tale| tale.began).max()?;
                let others = tales.iter().filter(|tale| tale.puts != puts);
                let before = |tale: &&Tale| tale.ended.is_some_and(|ended| ended < last);
                others.copied().all(|tale| before(&tale)).then_some(())
            };
            let must = match (after_all_of(true), after_all_of(false)) {
                (Some(()), _) => Must::Exist,
                (None, Some(())) => Must::BeAbsent,
                (None, None) => return None,
            };
            Some((named.clone(), must))
        });
        certain.collect()
    }
}

/// Looks for everything that is certain, through one node after the other.
pub async fn check_told(world: &Arc<World>, auditor: &Client) {
    let nodes: Vec<u64> = world
        .all_nodes()
        .iter()
        .filter(|node| node.alive().is_some() && !node.is_removed())
        .map(|node| node.id)
        .collect();
    for (at, (named, must)) in world.watch.told.certain().into_iter().enumerate() {
        world.census.count(Kind::Invariant, KEPT);
        let node = nodes[at % nodes.len()];
        let pulled = match named.is_manifest {
            true => {
                auditor
                    .pull_image_at(node, &named.repository, named.digest)
                    .await
            }
            false => {
                auditor
                    .pull_blob_at(node, &named.repository, named.digest)
                    .await
            }
        };
        let is_right = match must {
            Must::Exist => pulled == Pulled::Whole,
            Must::BeAbsent => pulled == Pulled::Absent,
        };
        if !is_right {
            let what = if named.is_manifest {
                "manifest"
            } else {
                "blob"
            };
            let said = format!(
                "{what} {} of {} must {must:?}, as clients were told, and node {node} says {pulled:?}",
                named.digest, named.repository
            );
            world.breach("P1", said);
        }
    }
}
