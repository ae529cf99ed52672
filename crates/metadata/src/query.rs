//! Queries: what is asked of the tables, and what they answer. A query sees one state, at one applied index.

use bytes::Bytes;
use oci::{Algorithm, Descriptor, Digest, MediaType, Reference, RepositoryName, Tag, UploadId};

use crate::access::{AccessAnswer, AccessQuery, Asker, Denial};
use crate::command::{Command, Part, Payload};
use crate::ids::{Epoch, LogTime, PrincipalName};
use crate::node::{NodeAnnouncement, NodeId, NodeRole, NodeTrust, StorageWord};
use crate::object_key::{ClusterId, ObjectKey};
use crate::reply::{Refusal, SealedObject};
use crate::rows::{DeletionRow, StorageRow};
use crate::upkeep::UpkeepRow;

/// What may be asked. The right to see and the record come in one look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// → [`Answer::Cluster`].
    Cluster,
    /// → [`Answer::Manifest`], [`Answer::RepositoryUnknown`] or [`Answer::Absent`].
    Manifest {
        /// Where.
        repository: RepositoryName,
        /// Which.
        reference: Reference,
    },
    /// → [`Answer::Blob`], [`Answer::RepositoryUnknown`] or [`Answer::Absent`].
    Blob {
        /// Where.
        repository: RepositoryName,
        /// Which.
        digest: Digest,
    },
    /// → [`Answer::Upload`] or [`Answer::Absent`].
    Upload {
        /// The repository in whose path the upload was asked for.
        repository: RepositoryName,
        /// Which.
        upload: UploadId,
    },
    /// → [`Answer::Uploads`]: in the order of ids, finished ones too.
    Uploads(Page<UploadId>),
    /// → [`Answer::BlobObjects`]: every blob in the order of digests, whoever sees it.
    BlobObjects(Page<Digest>),
    /// → [`Answer::Repositories`]: in the order of names.
    Repositories(Page<RepositoryName>),
    /// → [`Answer::Tags`] or [`Answer::RepositoryUnknown`]: in the order of tags.
    Tags {
        /// Where.
        repository: RepositoryName,
        /// Which.
        page: Page<Tag>,
    },
    /// → [`Answer::Referrers`]: in the order of digests; empty when there are none, whatever the repository.
    Referrers {
        /// Where.
        repository: RepositoryName,
        /// Of what.
        subject: Digest,
        /// Only those of this type.
        artifact_type: Option<String>,
        /// Which.
        page: Page<Digest>,
    },
    /// → [`Answer::Deletions`]: objects whose time to be deleted has come. For a while after a correction of the log's time,
    /// only those that were queued after it.
    DueDeletions {
        /// At most so many.
        limit: usize,
        /// Due at this time.
        now: LogTime,
    },
    /// → [`Answer::Nodes`]: every node in the order of ids, for a while after it was removed too.
    Nodes,
    /// → [`Answer::Authority`]: the one that signs, or [`Answer::Absent`]. For members only.
    Authority,
    /// → [`Answer::Authorities`]: those that nodes believe.
    Authorities,
    /// → [`Answer::Access`], and what these say.
    Access(Box<AccessQuery>),
    /// → the answer to `query` if the asker may have it, else [`Answer::Denied`]. What nobody asks for, a node asks for itself.
    Asked {
        /// Who asks.
        asker: Asker,
        /// What; never another of these.
        query: Box<Query>,
    },
}

impl Query {
    /// The query as `asker` asks it.
    ///
    /// # Panics
    /// In builds of tests, when somebody asks it already: no member could read such a message.
    #[must_use]
    pub fn asked_by(self, asker: Asker) -> Query {
        debug_assert!(!matches!(self, Query::Asked { .. }));
        Query::Asked {
            asker,
            query: Box::new(self),
        }
    }

    /// Whether a member answers it to members only: gateways get no secrets, not even sealed ones.
    #[must_use]
    pub fn is_for_members_only(&self) -> bool {
        match self {
            Query::Authority => true,
            Query::Access(query) => matches!(
                **query,
                AccessQuery::Credentials { .. } | AccessQuery::SealedTokenKeys
            ),
            Query::Asked { query, .. } => query.is_for_members_only(),
            _ => false,
        }
    }
}

/// A part of an ordered list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<K> {
    /// Only what comes after this.
    pub after: Option<K>,
    /// At most so many.
    pub limit: usize,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// See [`Query::Cluster`].
    Cluster(ClusterView),
    /// See [`Query::Manifest`].
    Manifest(Box<ManifestView>),
    /// See [`Query::Blob`].
    Blob(BlobView),
    /// See [`Query::Upload`].
    Upload(Box<UploadView>),
    /// See [`Query::Uploads`].
    Uploads {
        /// In order.
        uploads: Vec<UploadListed>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// See [`Query::BlobObjects`].
    BlobObjects {
        /// In order.
        blobs: Vec<BlobObject>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// See [`Query::Repositories`].
    Repositories {
        /// In order.
        repositories: Vec<RepositoryView>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// See [`Query::Tags`].
    Tags {
        /// In order.
        tags: Vec<TagView>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// See [`Query::Referrers`].
    Referrers {
        /// In order.
        referrers: Vec<ReferrerView>,
        /// Where to go on when there may be more: not always the last one shown, since a filter passes over some.
        next: Option<Digest>,
    },
    /// See [`Query::DueDeletions`].
    Deletions {
        /// The objects, those that wait longest first.
        objects: Vec<DeletionRow>,
    },
    /// See [`Query::Nodes`].
    Nodes {
        /// In order.
        nodes: Vec<NodeView>,
    },
    /// See [`Query::Authority`].
    Authority {
        /// Its certificate.
        certificate: Bytes,
        /// Its key, sealed.
        sealed_key: Bytes,
        /// The certificates of the others that nodes believe now.
        others: Vec<Bytes>,
    },
    /// See [`Query::Authorities`].
    Authorities {
        /// Their numbers and certificates, in order: one, or two while the authority is being rotated.
        authorities: Vec<(u32, Bytes)>,
        /// The number of the one that signs; 0 when there is none.
        signing: u32,
    },
    /// See [`Query::Access`].
    Access(Box<AccessAnswer>),
    /// See [`Query::Asked`].
    Denied(Denial),
    /// The repository does not exist.
    RepositoryUnknown,
    /// The repository exists, or need not, but what was asked for does not.
    Absent,
}

/// The cluster as the log knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// `None` before [`crate::Command::InitializeCluster`].
    pub cluster: Option<ClusterId>,
    /// The latest time that the log has seen.
    pub time: LogTime,
    /// The log's format number.
    pub format: u32,
    /// How many repositories there are.
    pub repositories: u64,
    /// What it does by itself, in its time.
    pub upkeep: UpkeepRow,
    /// The clusters that it was restored from and whose objects it deletes like its own.
    pub adopted_from: Vec<ClusterId>,
    /// What people call the cluster. Format 2.
    pub label: Option<String>,
    /// Where the blobs went.
    pub storage: StorageRow,
}

impl ClusterView {
    /// The clusters that it was restored from and whose objects it reads where they are, and never deletes.
    pub fn borrowed_from(&self) -> impl Iterator<Item = ClusterId> {
        let all = self.storage.borrowed.iter();
        all.filter(|cluster| !self.adopted_from.contains(cluster))
            .copied()
    }

    /// Why `command` must not come into the log yet: an older build would have to stop over it. It is asked before the
    /// command is sent to the log, since [`crate::apply`] can only refuse what every node has understood.
    #[must_use]
    pub fn format_refusal(&self, command: &Command) -> Option<Refusal> {
        let (needed, current) = (command.format(), self.format);
        (needed > current).then_some(Refusal::FormatTooLow { needed, current })
    }
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its id.
    pub node: NodeId,
    /// What it is.
    pub role: NodeRole,
    /// The SHA-256 of its public key.
    pub key_hash: [u8; 32],
    /// What it said of itself last.
    pub announcement: NodeAnnouncement,
    /// When it became a node of the cluster.
    pub joined: LogTime,
    /// When it last said something of itself.
    pub announced: LogTime,
    /// Since when it is none any more: whoever shows its certificate is refused.
    pub removed: Option<LogTime>,
    /// What it has of the cluster's authorities.
    pub trust: NodeTrust,
    /// What it said last about where blobs are.
    pub storage: StorageWord,
}

/// A manifest that may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestView {
    /// What the reference points at.
    pub digest: Digest,
    /// What it is served as.
    pub media_type: MediaType,
    /// Bytes.
    pub size: u64,
    /// The bytes, or where they are.
    pub payload: Payload,
    /// How many layers of the image the repository does not see: above 0, whoever pulls it must be told.
    pub absent: u32,
}

/// A blob that may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobView {
    /// Where its bytes are.
    pub key: ObjectKey,
    /// Bytes.
    pub size: u64,
    /// Since when no manifest names it; its grace runs from here.
    pub unreferenced_since: Option<LogTime>,
    /// The log's time, to be compared with.
    pub now: LogTime,
}

/// An upload as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadView {
    /// What the client was told.
    pub acknowledged: u64,
    /// How far a long request had come at its last checkpoint; never less than `acknowledged` unless it was dropped.
    pub checkpointed: Option<u64>,
    /// The latest writer.
    pub epoch: Epoch,
    /// What the bytes are hashed with.
    pub algorithm: Algorithm,
    /// The hash at the acknowledged offset.
    pub midstate: Bytes,
    /// Whether an end at the acknowledged offset has parts to be completed, and must be sealed.
    pub has_parts: bool,
    /// The object that is the blob, if the upload ends at the acknowledged offset without parts.
    pub plain: Option<ObjectKey>,
    /// How it was sealed, if it was.
    pub sealed: Option<Box<SealedObject>>,
    /// What it ended as, if it has; a closing request that is sent again is answered from here.
    pub finished: Option<Digest>,
    /// Parts that count at the acknowledged offset (without the tail's).
    pub parts: Vec<Part>,
}

/// A row of the list of uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadListed {
    /// Its id.
    pub upload: UploadId,
    /// Where the blob will be visible.
    pub repository: RepositoryName,
    /// When its last entry was applied.
    pub last_activity: LogTime,
    /// Who opened it.
    pub by: PrincipalName,
    /// Whether it has ended and is only remembered.
    pub finished: bool,
}

/// Where the bytes of a blob are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobObject {
    /// What they are.
    pub digest: Digest,
    /// The object.
    pub key: ObjectKey,
    /// Bytes.
    pub size: u64,
}

/// A row of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryView {
    /// Its name.
    pub name: RepositoryName,
    /// How many manifests it links.
    pub manifests: u64,
    /// How many tags it has.
    pub tags: u64,
}

/// A row of a tag list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagView {
    /// The tag.
    pub tag: Tag,
    /// Where it points.
    pub digest: Digest,
}

/// A row of a referrers list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferrerView {
    /// As the referrers API returns it.
    pub descriptor: Descriptor,
}
