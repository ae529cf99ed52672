//! What a verb works on: the tables with their types, the entry's place and time, and the cluster's row.

use oci::RepositoryName;

use super::ApplyFailure;
use crate::FORMAT;
use crate::ids::{LogIndex, LogTime};
use crate::keys::{self, Key, Range};
use crate::node::{NodeId, NodeRow};
use crate::object_key::ClusterId;
use crate::reply::Refusal;
use crate::rows::{ClusterRow, RepositoryRow, StorageRow};
use crate::tables::{ReadTables, StorageFailure, TableId, Tables};
use crate::typed::{self, TypedRow};
use crate::upkeep::UpkeepRow;

/// Why a verb ends before its effect.
#[derive(Debug)]
pub(super) enum Stop {
    /// The answer is no.
    Refused(Refusal),
    /// The member stops.
    Failed(ApplyFailure),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl From<StorageFailure> for Stop {
    fn from(failure: StorageFailure) -> Stop {
        Stop::Failed(failure.into())
    }
}

impl From<ApplyFailure> for Stop {
    fn from(failure: ApplyFailure) -> Stop {
        Stop::Failed(failure)
    }
}

/// The tables contradict themselves: the member stops.
pub(super) fn inconsistent(what: impl Into<String>) -> Stop {
    Stop::Failed(ApplyFailure::Inconsistent(what.into()))
}

/// The command breaks a bound of the log.
pub(super) fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::Invalid {
        reason: reason.into(),
    }
}

/// `count - by`, which the rules keep from ever being negative.
pub(super) fn less(count: u64, by: u64, what: &str) -> Result<u64, Stop> {
    count
        .checked_sub(by)
        .ok_or_else(|| inconsistent(format!("{what} would fall below zero")))
}

/// One entry at work.
pub(super) struct State<'a> {
    tables: &'a mut dyn Tables,
    /// The entry's place in the log.
    pub(super) index: LogIndex,
    /// The cluster's row, written when the entry ends.
    pub(super) cluster: ClusterRow,
}

impl<'a> State<'a> {
    /// Begins an entry; time goes on, never back.
    pub(super) fn load(
        tables: &'a mut dyn Tables,
        index: LogIndex,
        stamped: LogTime,
    ) -> Result<State<'a>, StorageFailure> {
        let mut cluster = typed::get(tables, &keys::cluster())?.unwrap_or(ClusterRow {
            cluster: None,
            time: LogTime(0),
            format: FORMAT,
            repositories: 0,
            replies: 0,
            replies_floor: LogIndex(0),
            last_node: 0,
            upkeep: UpkeepRow::default(),
            next_authority_signs: false,
            adopted_from: Vec::new(),
            label: None,
            storage: StorageRow::default(),
        });
        let stamped = match mutants::active!("take_a_followers_clock") {
            true => LogTime(mutants::clock_ms()),
            false => stamped,
        };
        cluster.time = cluster.time.max(stamped);
        Ok(State {
            tables,
            index,
            cluster,
        })
    }

    /// Ends the entry.
    pub(super) fn save(self) -> Result<(), StorageFailure> {
        let key = keys::cluster();
        self.tables
            .put(key.table(), key.bytes(), self.cluster.into_row())
    }

    /// The tables as this entry has made them.
    pub(super) fn tables(&self) -> &dyn ReadTables {
        &*self.tables
    }

    /// The log's time.
    pub(super) fn now(&self) -> LogTime {
        self.cluster.time
    }

    /// The cluster's name.
    pub(super) fn cluster_id(&self) -> Result<ClusterId, Refusal> {
        self.cluster.cluster.ok_or(Refusal::NotInitialized)
    }

    /// Whether there is an authority that could let nodes in.
    pub(super) fn is_founded(&self) -> bool {
        self.cluster.last_node > 0
    }

    pub(super) fn require_founded(&self) -> Result<(), Refusal> {
        self.is_founded().then_some(()).ok_or(Refusal::NotFounded)
    }

    /// Stops a build that does not understand the log as it is now.
    pub(super) fn check_format(&self) -> Result<(), ApplyFailure> {
        super::known(self.cluster.format)
    }

    /// Every node that is remembered, at most [`crate::NODES_MAX`].
    pub(super) fn nodes(&self) -> Result<Vec<(NodeId, NodeRow)>, Stop> {
        let all = Range::all(TableId::Node);
        self.collect(&all, usize::MAX, |key, row| {
            Some((keys::read_node(key)?, row))
        })
    }

    pub(super) fn get<R: TypedRow>(&self, key: &Key<R>) -> Result<Option<R>, Stop> {
        Ok(typed::get(self.tables, key)?)
    }

    /// A row that another row promises.
    pub(super) fn require<R: TypedRow>(&self, key: &Key<R>, what: &str) -> Result<R, Stop> {
        self.get(key)?
            .ok_or_else(|| inconsistent(format!("{what} is missing")))
    }

    pub(super) fn collect<R: TypedRow, T>(
        &self,
        range: &Range,
        limit: usize,
        read: impl FnMut(&[u8], R) -> Option<T>,
    ) -> Result<Vec<T>, Stop> {
        Ok(typed::collect(self.tables, range, limit, read)?)
    }

    pub(super) fn put<R: TypedRow>(&mut self, key: &Key<R>, row: R) -> Result<(), Stop> {
        Ok(self.tables.put(key.table(), key.bytes(), row.into_row())?)
    }

    pub(super) fn remove<R>(&mut self, key: &Key<R>) -> Result<(), Stop> {
        Ok(self.tables.remove(key.table(), key.bytes())?)
    }

    /// The row of a repository that exists.
    pub(super) fn repository(&self, name: &RepositoryName) -> Result<RepositoryRow, Stop> {
        Ok(self
            .get(&keys::repository(name))?
            .ok_or(Refusal::RepositoryUnknown)?)
    }

    /// Changes a repository's row; a repository begins with its first link.
    pub(super) fn change_repository(
        &mut self,
        name: &RepositoryName,
        change: impl FnOnce(&mut RepositoryRow) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let key = keys::repository(name);
        let mut row = match self.get(&key)? {
            Some(row) => row,
            None => {
                self.cluster.repositories += 1;
                super::access::count_repository(self, name)?;
                RepositoryRow {
                    created: self.now(),
                    manifests: 0,
                    tags: 0,
                    blobs: 0,
                    bytes: 0,
                    ending: 0,
                }
            }
        };
        change(&mut row)?;
        self.put(&key, row)
    }
}
