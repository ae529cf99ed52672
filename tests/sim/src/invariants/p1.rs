//! P1, durable: what was decided stays decided, and what a client was told is there at the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use metadata::{Answer, CommandId, Query, Reply, answer};
use oci::{Digest, Reference, RepositoryName};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::census::Kind;
use crate::clients::{Client, Pulled};
use crate::log::{Applied, Change, Content, Machine};
use crate::node::Node;
use crate::world::{GATEWAYS_FROM, World};

/// No index ever holds two entries.
pub const DECIDED: &str = "P1 decided stays decided";
/// What was acknowledged is there in the end, or what was deleted is gone.
pub const KEPT: &str = "P1 acknowledged is kept";

/// The same in the state of each member.
pub const KEPT_BY_MEMBERS: &str = "P1 acknowledged is in every state";

/// What was decided at each index, as the first member applied it.
#[derive(Debug, Default)]
pub struct Decided {
    entries: Vec<DecidedEntry>,
}

#[derive(Debug)]
struct DecidedEntry {
    term: u64,
    command: Option<CommandId>,
    /// What it did to the state of the first member that applied it, and the reply.
    effect: Effect,
}

/// What an entry did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    changes: Arc<Vec<Change>>,
    reply: Option<Reply>,
}

impl Decided {
    /// Compares an entry that a member applied with what another one applied at its index, and gives what it did there; `None`
    /// when this member is the first.
    pub fn check(&mut self, world: &World, node: u64, applied: &Applied) -> Option<&Effect> {
        world.census.count(Kind::Invariant, DECIDED);
        let command = match &applied.entry.content {
            Content::Command(entry) => Some(entry.id),
            Content::Blank | Content::Members(_) => None,
        };
        let term = applied.entry.term;
        let at = applied.index as usize - 1;
        if at == self.entries.len() {
            self.entries.push(DecidedEntry {
                term,
                command,
                effect: Effect {
                    changes: Arc::clone(&applied.changes),
                    reply: applied.reply.clone(),
                },
            });
            return None;
        }
        // Members apply in order, and the first to apply an index has applied those before it, or a snapshot of somebody who has.
        let known = self.entries.get(at).expect("no entry was left out");
        if (known.term, known.command) != (term, command) {
            world.breach(
                "P1",
                format!(
                    "member {node} applies {command:?} of term {term} at index {}, where {:?} of term {} was decided",
                    applied.index, known.command, known.term
                ),
            );
        }
        Some(&known.effect)
    }

    /// The last index.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.entries.len() as u64
    }
}

impl Effect {
    /// Whether an entry did the same somewhere else.
    #[must_use]
    pub fn is_of(&self, applied: &Applied) -> bool {
        self.changes == applied.changes && self.reply == applied.reply
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

/// Looks for everything that is certain: for its bytes through one node after the other, and through every gateway for whether it
/// is there.
pub async fn check_told(world: &Arc<World>, auditor: &Client) {
    let up = |node: &&Arc<Node>| node.alive().is_some() && !node.is_removed();
    let nodes = world.all_nodes();
    let all: Vec<u64> = nodes.iter().filter(up).map(|node| node.id).collect();
    let is_gateway = |node: &u64| *node >= GATEWAYS_FROM;
    for (at, (named, must)) in world.watch.told.certain().into_iter().enumerate() {
        world.census.count(Kind::Invariant, KEPT);
        let node = all[at % all.len()];
        let (repository, digest) = (&named.repository, named.digest);
        let pulled = match named.is_manifest {
            true => auditor.pull_image_at(node, repository, digest).await,
            false => auditor.pull_blob_at(node, repository, digest).await,
        };
        compare(world, &named, must, node, pulled);
        for gateway in all.iter().copied().filter(is_gateway) {
            if gateway != node {
                let seen = auditor.look_at(gateway, &named).await;
                compare(world, &named, must, gateway, seen);
            }
        }
    }
}

/// Looks for everything that is certain in the states of members that are at the same index.
pub fn check_states(world: &World, states: &[(u64, Machine)]) {
    for (named, must) in world.watch.told.certain() {
        let repository = named.repository.clone();
        let query = match named.is_manifest {
            true => Query::Manifest {
                repository,
                reference: Reference::Digest(named.digest),
            },
            false => Query::Blob {
                repository,
                digest: named.digest,
            },
        };
        for (node, state) in states {
            world.census.count(Kind::Invariant, KEPT_BY_MEMBERS);
            let seen = match answer(&state.tables, &query) {
                Ok(Answer::Absent | Answer::RepositoryUnknown) => Pulled::Absent,
                Ok(_) => Pulled::Whole,
                Err(_) => Pulled::Unknown,
            };
            compare(world, &named, must, *node, seen);
        }
    }
}

fn compare(world: &World, named: &Named, must: Must, node: u64, seen: Pulled) {
    let is_right = match must {
        Must::Exist => seen == Pulled::Whole,
        Must::BeAbsent => seen == Pulled::Absent,
    };
    if is_right {
        return;
    }
    let what = if named.is_manifest {
        "manifest"
    } else {
        "blob"
    };
    let said = format!(
        "{what} {} of {} must {must:?}, as clients were told, and node {node} says {seen:?}",
        named.digest, named.repository
    );
    world.breach("P1", said);
}
