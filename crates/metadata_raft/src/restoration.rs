//! Makes the folder of a member that is alone from a state and the entries after it, for a cluster of a new name.
//!
//! Order of effects: the state is installed in the tables; entries are applied to them; the rows become those of the new
//! cluster and the group becomes this node alone, in one durable commit; the state is kept as a snapshot; the vote and the
//! log's beginning, right after the snapshot, are made durable; the folder is closed. A folder in which this did not come to
//! its end must never be opened: whoever restores makes it aside and moves it into its place then.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use metadata::{Answer, ClusterId, LogTime, Query, TableId};
use openraft::BasicNode;
use openraft::storage::RaftLogStorage;

use crate::log::DiskSpace;
use crate::snapshot::SnapshotFile;
use crate::storage::Storage;
use crate::types::{
    LogId, Membership, StoredMembership, Vote, applied_to_wire, decode_entry, log_id_to_wire,
};
use crate::{MemberConfig, OpenFailure};

/// So many entries are applied in one transaction at most.
const BATCH_ENTRIES_MAX: usize = 1024;

/// The folder cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RestorationFailure {
    /// The folder itself cannot be used.
    #[error(transparent)]
    Folder(#[from] OpenFailure),
    /// What was given is damaged, of a newer version, or of another cluster.
    #[error("{reason}")]
    Content {
        /// What is wrong.
        reason: String,
    },
}

fn content(reason: impl ToString) -> RestorationFailure {
    RestorationFailure::Content {
        reason: reason.to_string(),
    }
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredState {
    /// The last entry that it has seen.
    pub last: wire::LogId,
    /// The log's time there.
    pub time: LogTime,
    /// Repositories.
    pub repositories: u64,
    /// Tags.
    pub tags: u64,
    /// Manifests.
    pub manifests: u64,
    /// Blobs.
    pub blobs: u64,
}

/// A folder in the making.
pub struct Restoration {
    node: u64,
    storage: Storage,
}

impl Restoration {
    /// Begins in the fresh folder of `config`, with the state in `file`. Blocks.
    ///
    /// # Errors
    /// See [`RestorationFailure`].
    pub fn begin(config: &MemberConfig, file: &Path) -> Result<Restoration, RestorationFailure> {
        let opened = File::open(file).map_err(|e| OpenFailure::folder(file, &e))?;
        let snapshot = SnapshotFile::new(opened, file);
        let storage = Storage::open(config, config.ids.fresh(), Arc::new(DiskSpace::default()))?;
        if storage.tables.applied().last.is_some() {
            return Err(content("the folder holds a state already"));
        }
        storage.tables.install(&snapshot).map_err(content)?;
        let restoration = Restoration {
            node: config.node_id,
            storage,
        };
        restoration.applied()?;
        Ok(restoration)
    }

    /// The last entry that the state has seen.
    ///
    /// # Errors
    /// When it has seen none: such a state is never copied.
    pub fn last(&self) -> Result<wire::LogId, RestorationFailure> {
        self.applied().map(|id| log_id_to_wire(&id))
    }

    fn applied(&self) -> Result<LogId, RestorationFailure> {
        let applied = self.storage.tables.applied().last;
        applied.ok_or_else(|| content("the state has seen no entry"))
    }

    /// Applies entries, encoded by [`wire::encode_log_entry`]; those that the state has seen are passed over. Blocks.
    ///
    /// # Errors
    /// When they do not follow what was applied, or cannot be applied.
    pub fn apply(&mut self, entries: &[Bytes]) -> Result<(), RestorationFailure> {
        let mut last = self.applied()?;
        let mut batch = Vec::new();
        for bytes in entries {
            let entry = decode_entry(bytes).map_err(content)?;
            if entry.log_id.index <= last.index {
                continue;
            }
            let follows = entry.log_id.index == last.index + 1
                && entry.log_id.leader_id.term >= last.leader_id.term;
            if !follows {
                return Err(content(format!(
                    "entry {} of term {} does not follow entry {} of term {}",
                    entry.log_id.index,
                    entry.log_id.leader_id.term,
                    last.index,
                    last.leader_id.term
                )));
            }
            last = entry.log_id;
            batch.push(entry);
            if batch.len() == BATCH_ENTRIES_MAX {
                self.storage.tables.apply(&batch).map_err(content)?;
                batch.clear();
            }
        }
        if !batch.is_empty() {
            self.storage.tables.apply(&batch).map_err(content)?;
        }
        Ok(())
    }

    /// Ends it: from now on this is the state of `successor`, whose only member the node of the folder is. The folder is
    /// closed, and durable.
    ///
    /// # Errors
    /// See [`RestorationFailure`].
    pub async fn finish(
        self,
        from: ClusterId,
        successor: ClusterId,
    ) -> Result<RestoredState, RestorationFailure> {
        let last = self.applied()?;
        let (node, mut storage) = (self.node, self.storage);
        let group = alone(node, last);
        let (tables, snapshots) = (Arc::clone(&storage.tables), storage.snapshots.clone());
        let made = crate::blocking::blocking(move || {
            tables.succeed(from, successor, &group).map_err(content)?;
            let (applied, view) = tables.snapshot_view();
            let state = applied_to_wire(applied.last.as_ref(), &applied.membership);
            snapshots.write(state, &view).map_err(content)?;
            let count = |table| {
                let counted = view.count(table, usize::MAX).map_err(content)?;
                Ok::<_, RestorationFailure>(counted as u64)
            };
            let time = match metadata::answer(&view.rows, &Query::Cluster).map_err(content)? {
                Answer::Cluster(view) => view.time,
                _ => return Err(content("the state does not tell its time")),
            };
            Ok(RestoredState {
                last: log_id_to_wire(&last),
                time,
                repositories: count(TableId::Repository)?,
                tags: count(TableId::Tag)?,
                manifests: count(TableId::Manifest)?,
                blobs: count(TableId::Blob)?,
            })
        });
        let restored = made.await.map_err(content)??;
        // Above every term of the old log, so that no id of an entry is ever that of another.
        let vote = Vote {
            leader_id: openraft::impls::leader_id_adv::LeaderId {
                term: last.leader_id.term + 1,
                node_id: node,
            },
            committed: false,
        };
        storage.log.save_vote(&vote).await.map_err(content)?;
        storage.log.purge(last).await.map_err(content)?;
        storage.log.close().await.map_err(content)?;
        let closed = crate::blocking::blocking(move || storage.tables.close());
        closed.await.map_err(content)?.map_err(content)?;
        Ok(restored)
    }
}

/// The group of one node.
fn alone(node: u64, decided: LogId) -> StoredMembership {
    let nodes = BTreeMap::from([(node, BasicNode::default())]);
    let group = Membership::new(vec![BTreeSet::from([node])], nodes);
    let group = group.expect("every voter of one is a node");
    StoredMembership::new(Some(decided), group)
}
