//! Every object key that Holdfast writes, in one file.
//!
//! Keys begin with the cluster's id, are chosen before the first byte is written, are never derived from a digest, and
//! are never used again: no key ever has two writers.
//!
//! ```text
//! <cluster>/data/<upload>-<epoch>            a blob that was uploaded in parts
//! <cluster>/tail/<upload>-<epoch>-<offset>   what a request left beyond its whole parts; often a whole small blob
//! <cluster>/manifest/<id>                    a manifest too large for the log
//! <cluster>/probe/<id>                       what `holdfast storage check` writes and removes
//! <cluster>/marker/<cluster>                 says that this is the store of the cluster; empty
//! 000…000/claim/<id>                         a node that is about to form a cluster, unattended; empty
//! <cluster>/marker/<cluster>-<generation>    says that the blobs were here when they had been moved so often; empty
//! <cluster>/left/<cluster>-<generation>      says where the blobs went when they left, moved so often; its place
//! <cluster>/start/<node>-<starts>-<nonce>    a start of a member; empty
//! <cluster>/successor/<cluster>              says that another cluster has taken this one's place; empty
//! <cluster>/log/snapshot-<index>-<term>-<id>          a state of the metadata, encrypted
//! <cluster>/log/segment-<first>-<last>-<term>-<id>    entries of the metadata log, encrypted
//! ```

use std::fmt;
use std::sync::Arc;

use oci::UploadId;

use crate::ids::Epoch;
use crate::node::NodeId;

/// Names a cluster for ever; 128 random bits, written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What an object of the log's copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogCopyContent {
    /// The whole state after an entry.
    Snapshot {
        /// The entry's index.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// Entries without a gap.
    Segment {
        /// The first one's index.
        first: u64,
        /// The last one's index.
        last: u64,
        /// The last one's term.
        term: u64,
    },
}

/// The key of one object below the store's prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// The key of a blob whose multipart upload was begun by `epoch`.
    #[must_use]
    pub fn data(cluster: ClusterId, upload: UploadId, epoch: Epoch) -> ObjectKey {
        ObjectKey(format!("{cluster}/data/{upload}-{epoch}").into())
    }

    /// The key of the bytes that a request of `epoch` left from `offset` on.
    #[must_use]
    pub fn tail(cluster: ClusterId, upload: UploadId, epoch: Epoch, offset: u64) -> ObjectKey {
        ObjectKey(format!("{cluster}/tail/{upload}-{epoch}-{offset}").into())
    }

    /// The key of a manifest that is too large for the log; `id` is fresh for every attempt.
    #[must_use]
    pub fn manifest(cluster: ClusterId, id: u128) -> ObjectKey {
        ObjectKey(format!("{cluster}/manifest/{id:032x}").into())
    }

    /// The key of an object that a check of the store writes and removes.
    #[must_use]
    pub fn probe(cluster: ClusterId, id: u128) -> ObjectKey {
        ObjectKey(format!("{cluster}/probe/{id:032x}").into())
    }

    /// The key of the object that says that this is the store of the cluster.
    #[must_use]
    pub fn marker(cluster: ClusterId) -> ObjectKey {
        ObjectKey(format!("{cluster}/marker/{cluster}").into())
    }

    /// The key of the object that says that the blobs were here when they had been moved `generation` times.
    #[must_use]
    pub fn marker_of_generation(cluster: ClusterId, generation: u64) -> ObjectKey {
        ObjectKey(format!("{cluster}/marker/{cluster}-{generation:016x}").into())
    }

    /// The prefix of the keys that [`ObjectKey::marker`] and [`ObjectKey::marker_of_generation`] make for a cluster.
    #[must_use]
    pub fn markers_prefix(cluster: ClusterId) -> String {
        format!("{cluster}/marker/")
    }

    /// The key of the object that says where the blobs went when they left this store, having been moved `generation` times.
    #[must_use]
    pub fn left(cluster: ClusterId, generation: u64) -> ObjectKey {
        ObjectKey(format!("{cluster}/left/{cluster}-{generation:016x}").into())
    }

    /// The prefix of the keys that [`ObjectKey::left`] makes for a cluster.
    #[must_use]
    pub fn left_prefix(cluster: ClusterId) -> String {
        format!("{cluster}/left/")
    }

    /// How often the blobs had been moved, if this is a key of [`ObjectKey::marker`], [`ObjectKey::marker_of_generation`] or
    /// [`ObjectKey::left`].
    #[must_use]
    pub fn read_generation(&self) -> Option<u64> {
        let mut segments = self.0.split('/').skip(1);
        let kind = segments.next()?;
        let (_, generation) = match segments.next()?.split_once('-') {
            Some((cluster, generation)) => (cluster, u64::from_str_radix(generation, 16).ok()?),
            // Founded: of those who never moved it is the only one.
            None => ("", 0),
        };
        matches!(kind, "marker" | "left").then_some(generation)
    }

    /// The prefixes of what else goes with the blobs of a cluster when they move: its log's copy, its members' starts, and
    /// whether another cluster has taken its place.
    #[must_use]
    pub fn record_prefixes(cluster: ClusterId) -> [String; 3] {
        ["log", "start", "successor"].map(|kind| format!("{cluster}/{kind}/"))
    }

    /// The prefixes of all keys that rows may name, in order: what is beside them is about the store itself.
    #[must_use]
    pub fn content_prefixes(cluster: ClusterId) -> [String; 3] {
        ["data", "manifest", "tail"].map(|kind| format!("{cluster}/{kind}/"))
    }

    /// The prefix of the keys of an upload's multipart uploads, whatever their epochs.
    #[must_use]
    pub fn data_prefix(cluster: ClusterId, upload: UploadId) -> String {
        format!("{cluster}/data/{upload}-")
    }

    /// The key that records a start of a member: its `starts`-th, named by `nonce`. In the order of starts.
    #[must_use]
    pub fn start(cluster: ClusterId, node: NodeId, starts: u64, nonce: u128) -> ObjectKey {
        let prefix = ObjectKey::starts_prefix(cluster, node);
        ObjectKey(format!("{prefix}{starts:016x}-{nonce:032x}").into())
    }

    /// The key by which a node claims an empty store, to form a cluster in it.
    #[must_use]
    pub fn claim(id: u128) -> ObjectKey {
        ObjectKey(format!("{}/claim/{id:032x}", ClusterId(0)).into())
    }

    /// Whether it is such a key.
    #[must_use]
    pub fn is_claim(&self) -> bool {
        self.0.split('/').nth(1) == Some("claim")
    }

    /// The prefix of the keys that [`ObjectKey::start`] makes for a member.
    #[must_use]
    pub fn starts_prefix(cluster: ClusterId, node: NodeId) -> String {
        format!("{cluster}/start/{:016x}-", node.0)
    }

    /// The count and the nonce of a start that is recorded under this key.
    #[must_use]
    pub fn read_start(&self) -> Option<(u64, u128)> {
        let mut fields = self.0.rsplit('/').next()?.split('-').skip(1);
        let starts = u64::from_str_radix(fields.next()?, 16).ok()?;
        let nonce = u128::from_str_radix(fields.next()?, 16).ok()?;
        Some((starts, nonce))
    }

    /// The key of the object that says that `successor` has taken the place of the cluster.
    #[must_use]
    pub fn successor(cluster: ClusterId, successor: ClusterId) -> ObjectKey {
        let prefix = ObjectKey::successors_prefix(cluster);
        ObjectKey(format!("{prefix}{successor}").into())
    }

    /// The prefix of the keys that [`ObjectKey::successor`] makes for a cluster.
    #[must_use]
    pub fn successors_prefix(cluster: ClusterId) -> String {
        format!("{cluster}/successor/")
    }

    /// The successor that this key names.
    #[must_use]
    pub fn read_successor(&self) -> Option<ClusterId> {
        let mut segments = self.0.split('/').skip(1);
        let is_successor = segments.next() == Some("successor");
        let named = u128::from_str_radix(segments.next()?, 16).ok()?;
        is_successor.then_some(ClusterId(named))
    }

    /// The key of an object of the log's copy; `id` is fresh for every attempt.
    #[must_use]
    pub fn log_copy(cluster: ClusterId, content: LogCopyContent, id: u128) -> ObjectKey {
        let prefix = ObjectKey::log_copy_prefix(cluster);
        let name = match content {
            LogCopyContent::Snapshot { index, term } => {
                format!("snapshot-{index:016x}-{term:016x}")
            }
            LogCopyContent::Segment { first, last, term } => {
                format!("segment-{first:016x}-{last:016x}-{term:016x}")
            }
        };
        ObjectKey(format!("{prefix}{name}-{id:032x}").into())
    }

    /// The prefix of the keys that [`ObjectKey::log_copy`] makes for a cluster.
    #[must_use]
    pub fn log_copy_prefix(cluster: ClusterId) -> String {
        format!("{cluster}/log/")
    }

    /// What lies under this key, if it is one of the log's copy.
    #[must_use]
    pub fn read_log_copy(&self) -> Option<LogCopyContent> {
        let name = self.0.rsplit('/').next()?;
        let mut fields = name.split('-');
        let kind = fields.next()?;
        let mut number = || u64::from_str_radix(fields.next()?, 16).ok();
        match kind {
            "snapshot" => Some(LogCopyContent::Snapshot {
                index: number()?,
                term: number()?,
            }),
            "segment" => Some(LogCopyContent::Segment {
                first: number()?,
                last: number()?,
                term: number()?,
            }),
            _ => None,
        }
    }

    /// Whether this is a key of the cluster. What is not is *borrowed*: it is read, and never deleted.
    #[must_use]
    pub fn is_of(&self, cluster: ClusterId) -> bool {
        self.0.starts_with(&ObjectKey::cluster_prefix(cluster))
    }

    /// The prefix below which everything of a cluster lies.
    #[must_use]
    pub fn cluster_prefix(cluster: ClusterId) -> String {
        format!("{cluster}/")
    }

    /// Reads a key that this file built. `None` when the text is not of such a form, so that no stored or received
    /// text can become a path that leads elsewhere.
    #[must_use]
    pub fn parse(text: &str) -> Option<ObjectKey> {
        let mut segments = text.split('/');
        let cluster = segments.next()?;
        let kind = segments.next()?;
        let name = segments.next()?;
        let lower_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let fields = match kind {
            "data" | "tail" | "manifest" | "probe" | "marker" | "left" | "start" | "claim"
            | "successor" => name,
            "log" => {
                let snapshot = name.strip_prefix("snapshot-");
                snapshot.or_else(|| name.strip_prefix("segment-"))?
            }
            _ => return None,
        };
        let known = segments.next().is_none()
            && cluster.len() == 32
            && cluster.chars().all(lower_hex)
            && !fields.is_empty()
            && name.len() <= 96
            && fields.chars().all(|c| lower_hex(c) || c == '-');
        known.then(|| ObjectKey(text.into()))
    }

    /// The key as the object store takes it, without the store's own prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_built_is_read_back() {
        let cluster = ClusterId(7);
        let upload = UploadId::from_u128(9);
        for key in [
            ObjectKey::data(cluster, upload, Epoch(3)),
            ObjectKey::tail(cluster, upload, Epoch(3), u64::MAX),
            ObjectKey::manifest(cluster, 1),
            ObjectKey::probe(cluster, 1),
            ObjectKey::marker(cluster),
            ObjectKey::claim(5),
            ObjectKey::marker_of_generation(cluster, u64::MAX),
            ObjectKey::left(cluster, u64::MAX),
            ObjectKey::start(cluster, NodeId(u64::MAX), u64::MAX, u128::MAX),
            ObjectKey::successor(cluster, ClusterId(u128::MAX)),
            ObjectKey::log_copy(cluster, SEGMENT, u128::MAX),
            ObjectKey::log_copy(cluster, SNAPSHOT, u128::MAX),
        ] {
            assert_eq!(ObjectKey::parse(key.as_str()), Some(key));
        }
        let start = ObjectKey::start(cluster, NodeId(3), 17, 99);
        assert_eq!(start.read_start(), Some((17, 99)));
        assert!(
            start
                .as_str()
                .starts_with(&ObjectKey::starts_prefix(cluster, NodeId(3)))
        );
        assert_eq!(ObjectKey::marker(cluster).read_start(), None);
    }

    #[test]
    fn marks_tell_how_often_the_blobs_had_moved() {
        let cluster = ClusterId(7);
        for generation in [0, 3, u64::MAX] {
            let (here, left) = (
                ObjectKey::marker_of_generation(cluster, generation),
                ObjectKey::left(cluster, generation),
            );
            assert_eq!(here.read_generation(), Some(generation));
            assert_eq!(left.read_generation(), Some(generation));
            assert!(
                here.as_str()
                    .starts_with(&ObjectKey::markers_prefix(cluster))
            );
            assert!(left.as_str().starts_with(&ObjectKey::left_prefix(cluster)));
        }
        assert_eq!(ObjectKey::marker(cluster).read_generation(), Some(0));
        assert_eq!(ObjectKey::probe(cluster, 3).read_generation(), None);
    }

    const SEGMENT: LogCopyContent = LogCopyContent::Segment {
        first: 1,
        last: u64::MAX,
        term: u64::MAX,
    };
    const SNAPSHOT: LogCopyContent = LogCopyContent::Snapshot { index: 9, term: 2 };

    #[test]
    fn the_keys_of_the_logs_copy_tell_what_they_hold() {
        let cluster = ClusterId(7);
        for content in [SEGMENT, SNAPSHOT] {
            let key = ObjectKey::log_copy(cluster, content, 5);
            assert_eq!(key.read_log_copy(), Some(content));
            let prefix = ObjectKey::log_copy_prefix(cluster);
            assert!(key.as_str().starts_with(&prefix), "{key}");
        }
        let marker = ObjectKey::successor(cluster, ClusterId(8));
        assert_eq!(marker.read_successor(), Some(ClusterId(8)));
        assert_eq!(ObjectKey::marker(cluster).read_successor(), None);
        assert_eq!(ObjectKey::marker(cluster).read_log_copy(), None);
        assert!(marker.is_of(cluster) && !marker.is_of(ClusterId(8)));
    }

    #[test]
    fn a_key_that_leads_elsewhere_is_not_read() {
        let cluster = ClusterId(7);
        for text in [
            "",
            "a/b/c",
            "../data/1",
            &format!("{cluster}/data/../x"),
            &format!("{cluster}/other/1"),
            &format!("{cluster}/log/1"),
            &format!("{cluster}/log/segment-../x"),
            &format!("{cluster}/data/segment-1"),
            &format!("{cluster}/data/1/2"),
        ] {
            assert_eq!(ObjectKey::parse(text), None, "{text}");
        }
    }
}
