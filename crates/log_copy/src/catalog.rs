//! What the copy consists of, by the names of its objects: which snapshot to begin with, which segments follow it, what is
//! missing, and what is covered by newer snapshots. Reads no contents.
//!
//! An object's place in the log is its (term, index), and a later place is always newer, also after a group was formed anew
//! from a member that lacked the last entries: what was copied of those has an older term and is of no use to anybody.

use std::cmp::Reverse;

use metadata::{ClusterId, LogCopyContent, ObjectKey};
use ports::{BlobFailure, BlobStore};

/// Snapshots that are always kept, the newest.
const SNAPSHOTS_KEPT: usize = 2;

/// A place in the log. Ordered by term first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

impl From<wire::LogId> for Place {
    fn from(id: wire::LogId) -> Place {
        Place {
            term: id.term,
            index: id.index,
        }
    }
}

/// A snapshot in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) key: ObjectKey,
    pub(crate) size: u64,
    pub(crate) at: Place,
}

/// A segment in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) key: ObjectKey,
    pub(crate) size: u64,
    pub(crate) first: u64,
    pub(crate) last: Place,
}

/// A snapshot and what follows it without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) segments: Vec<Segment>,
    /// The last entry that it has.
    pub(crate) end: Place,
}

/// Every object of a cluster's copy.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// The newest first.
    pub(crate) snapshots: Vec<Snapshot>,
    segments: Vec<Segment>,
}

impl Catalog {
    /// Lists the store.
    pub(crate) async fn list(
        store: &dyn BlobStore,
        cluster: ClusterId,
    ) -> Result<Catalog, BlobFailure> {
        let prefix = ObjectKey::log_copy_prefix(cluster);
        let mut catalog = Catalog::default();
        let mut after: Option<String> = None;
        loop {
            let page = store.list(&prefix, after.as_deref()).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = Some(last.key.clone());
            for object in &page {
                if let Some(key) = ObjectKey::parse(&object.key) {
                    catalog.add(key, object.size);
                }
            }
        }
        catalog
            .snapshots
            .sort_by_key(|snapshot| Reverse(snapshot.at));
        Ok(catalog)
    }

    fn add(&mut self, key: ObjectKey, size: u64) {
        match key.read_log_copy() {
            Some(LogCopyContent::Snapshot { index, term }) => self.snapshots.push(Snapshot {
                key,
                size,
                at: Place { term, index },
            }),
            Some(LogCopyContent::Segment { first, last, term }) => self.segments.push(Segment {
                key,
                size,
                first,
                last: Place { term, index: last },
            }),
            None => {}
        }
    }

    /// What follows a place without a gap. Segments may overlap, and several may hold the same entries.
    pub(crate) fn chain(&self, from: Place) -> Chain {
        let mut chain = Chain {
            segments: Vec::new(),
            end: from,
        };
        loop {
            let next = chain.end.index + 1;
            let follows = |segment: &&Segment| {
                segment.first <= next
                    && segment.last.index >= next
                    && segment.last.term >= chain.end.term
            };
            let Some(segment) = self.segments.iter().filter(follows).max_by_key(|s| s.last) else {
                return chain;
            };
            chain.end = segment.last;
            chain.segments.push(segment.clone());
        }
    }

    /// The first entries that are missing although later ones are there.
    pub(crate) fn missing(&self, chain: &Chain) -> Option<(u64, u64)> {
        let beyond = self.segments.iter().filter(|segment| {
            segment.last.index > chain.end.index && segment.last.term >= chain.end.term
        });
        let next = beyond.map(|segment| segment.first).min()?;
        Some((chain.end.index + 1, next.saturating_sub(1)))
    }

    /// What the newest snapshots cover, in the order in which it may be deleted: a snapshot goes before what follows it.
    pub(crate) fn outdated(&self) -> Vec<ObjectKey> {
        let Some(oldest_kept) = self.snapshots.get(SNAPSHOTS_KEPT - 1) else {
            return Vec::new();
        };
        let snapshots = self.snapshots.iter().skip(SNAPSHOTS_KEPT);
        let segments = self.segments.iter().filter(|segment| {
            segment.last.index <= oldest_kept.at.index || segment.last.term < oldest_kept.at.term
        });
        let snapshots = snapshots.map(|snapshot| snapshot.key.clone());
        snapshots
            .chain(segments.map(|segment| segment.key.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId(7);

    /// `S index term` and `first last term`, in any order.
    fn catalog(snapshots: &[(u64, u64)], segments: &[(u64, u64, u64)]) -> Catalog {
        let mut catalog = Catalog::default();
        for (id, (index, term)) in (0_u128..).zip(snapshots) {
            let (index, term) = (*index, *term);
            let content = LogCopyContent::Snapshot { index, term };
            catalog.add(ObjectKey::log_copy(CLUSTER, content, id), 1);
        }
        for (id, (first, last, term)) in (100_u128..).zip(segments) {
            let (first, last, term) = (*first, *last, *term);
            let content = LogCopyContent::Segment { first, last, term };
            catalog.add(ObjectKey::log_copy(CLUSTER, content, id), 1);
        }
        catalog
            .snapshots
            .sort_by_key(|snapshot| Reverse(snapshot.at));
        catalog
    }

    /// The newest snapshot, the firsts of the segments that follow it, the end, and what is missing.
    fn read(catalog: &Catalog) -> (u64, Vec<u64>, u64, Option<(u64, u64)>) {
        let snapshot = &catalog.snapshots[0];
        let chain = catalog.chain(snapshot.at);
        let firsts = chain.segments.iter().map(|segment| segment.first);
        let missing = catalog.missing(&chain);
        (
            snapshot.at.index,
            firsts.collect(),
            chain.end.index,
            missing,
        )
    }

    #[test]
    fn segments_follow_the_newest_snapshot() {
        let copy = catalog(
            &[(10, 1), (50, 2)],
            &[(11, 40, 1), (41, 60, 2), (61, 70, 2)],
        );
        assert_eq!(read(&copy), (50, vec![41, 61], 70, None));
        assert_eq!(copy.chain(copy.snapshots[1].at).end.index, 70);
    }

    #[test]
    fn two_leaders_that_copied_the_same_entries_do_not_disturb() {
        let copy = catalog(
            &[(10, 1)],
            &[(11, 20, 1), (11, 20, 1), (15, 30, 2), (21, 25, 1)],
        );
        assert_eq!(read(&copy), (10, vec![11, 15], 30, None));
    }

    #[test]
    fn a_hole_is_seen() {
        let copy = catalog(&[(10, 1)], &[(11, 20, 1), (31, 40, 1), (41, 50, 1)]);
        assert_eq!(read(&copy), (10, vec![11], 20, Some((21, 30))));
    }

    #[test]
    fn what_a_lost_majority_had_copied_is_passed_over() {
        // The group was formed anew at entry 30, and 31 to 60 of term 3 were lost with the others.
        let copy = catalog(
            &[(10, 1), (32, 5)],
            &[(11, 30, 3), (31, 60, 3), (33, 40, 5)],
        );
        assert_eq!(read(&copy), (32, vec![33], 40, None));
    }

    #[test]
    fn two_snapshots_stay_and_what_follows_the_older_one() {
        let segments = [(11, 20, 1), (21, 45, 1), (46, 60, 2), (61, 70, 2)];
        let copy = catalog(&[(10, 1)], &segments);
        assert_eq!(copy.outdated(), []);
        let copy = catalog(&[(10, 1), (40, 1)], &segments);
        let names = |copy: &Catalog| -> Vec<String> {
            let outdated = copy.outdated();
            let content = outdated.iter().filter_map(ObjectKey::read_log_copy);
            content
                .map(|content| match content {
                    LogCopyContent::Snapshot { index, .. } => format!("S{index}"),
                    LogCopyContent::Segment { first, .. } => first.to_string(),
                })
                .collect()
        };
        assert_eq!(names(&copy), [""; 0], "the first snapshot is one of two");
        let copy = catalog(&[(10, 1), (40, 1), (65, 2)], &segments);
        assert_eq!(names(&copy), ["S10", "11"]);
    }
}
