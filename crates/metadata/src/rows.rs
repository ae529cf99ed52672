//! The rows of the tables: what the state machine remembers. `wire` stores them; golden files hold their bytes.

use oci::{Algorithm, Descriptor, Digest, MediaType, RepositoryName, UploadId};

use crate::access::{
    AccessRow, AccountRow, AuditRow, GroupRow, MemberRow, ProjectRow, TokenKeyRow, TokenRow,
};
use crate::command::{ManifestReference, Payload, Progress};
use crate::ids::{CommandId, Epoch, LogIndex, LogTime, MultipartId, PrincipalName};
use crate::node::{AuthorityRow, JoinTokenRow, NodeRow};
use crate::object_key::{ClusterId, ObjectKey};
use crate::reply::{Reply, SealedObject};
use crate::upkeep::UpkeepRow;

/// The one row about the cluster itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRow {
    /// Its name, once it has one.
    pub cluster: Option<ClusterId>,
    /// The latest stamp that was applied.
    pub time: LogTime,
    /// The log's format number.
    pub format: u32,
    /// How many rows the repository table has.
    pub repositories: u64,
    /// How many replies are remembered.
    pub replies: u64,
    /// Below this index first effects can no longer be recognized.
    pub replies_floor: LogIndex,
    /// The highest id that a node ever had; 0 before the cluster was founded. Ids are never used again.
    pub last_node: u64,
    /// What it does by itself, in its time.
    pub upkeep: UpkeepRow,
    /// Whether the authority that came last signs; else the one before it does, and this one is only believed.
    pub next_authority_signs: bool,
    /// Those of [`StorageRow::borrowed`] whose objects are its own since an operator said so: they are deleted, too.
    pub adopted_from: Vec<ClusterId>,
    /// What people call the cluster. Format 2.
    pub label: Option<String>,
    /// Where the blobs went.
    pub storage: StorageRow,
}

/// Where the blobs are, as far as it cannot be left to the settings of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageRow {
    /// How often the blobs were moved from one store to another.
    pub generation: u64,
    /// The store that they were moved to last, without secrets; `None` before the first time, when the settings say it.
    pub place: Option<String>,
    /// The store that they are being moved to: what was written since that began may be there only.
    pub moving_to: Option<String>,
    /// Whether what is new goes to that store already. Before, it is only opened beside the present one.
    pub writes_to_new: bool,
    /// While they are moved: uploads with parts in the old store are ended when nobody wrote to them for so long.
    pub uploads_idle_ms: u64,
    /// Counts the steps of moves, so that each node can say which one it has taken.
    pub step: u64,
    /// The clusters that this one was restored from, below whose prefixes some of its objects are.
    pub borrowed: Vec<ClusterId>,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRow {
    /// When its first link was made.
    pub created: LogTime,
    /// Manifest links.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
    /// Blob links.
    pub blobs: u64,
    /// Bytes of the linked blobs and manifests.
    pub bytes: u64,
    /// Manifest links that are hidden while their tags' rows are being removed; above 0, tags may be hidden too.
    pub ending: u64,
}

/// Where a tag points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    /// The manifest.
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: MediaType,
    /// The manifest's bytes.
    pub size: u64,
    /// Counts the tag's moves from 1 up, in its life since it was last absent.
    pub version: u64,
    /// When it was moved here.
    pub moved: LogTime,
    /// By whom.
    pub by: PrincipalName,
    /// The `created_at` of the link that it was moved to: a tag of an earlier link of the same digest is hidden.
    pub link: LogIndex,
}

/// A manifest, whatever repositories link it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRow {
    /// What it is served as.
    pub media_type: MediaType,
    /// Bytes.
    pub size: u64,
    /// The bytes, or where they are.
    pub payload: Payload,
    /// An image's config.
    pub config: Option<Digest>,
    /// What it is about.
    pub subject: Option<Digest>,
    /// How the referrers API describes it.
    pub referrer: Option<Box<Descriptor>>,
    /// What it names, sorted.
    pub references: Vec<ManifestReference>,
    /// How many links (and, later, holds) keep it.
    pub count: u64,
}

/// That a repository has a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestLinkRow {
    /// The entry that made it.
    pub created_at: LogIndex,
    /// When.
    pub created: LogTime,
    /// By whom.
    pub by: PrincipalName,
    /// Hidden: its tags' rows are being removed, and then it goes.
    pub ending: bool,
    /// Layers of the image were absent when this was made, and may still be: whoever reads it counts them. Without the
    /// mark none is.
    pub sparse: bool,
}

/// How the referrers API describes a manifest that is about another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferrerRow {
    /// Media type, digest, size, artifact type and annotations.
    pub descriptor: Descriptor,
}

/// A blob, whatever repositories link it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobRow {
    /// Where its bytes are.
    pub key: ObjectKey,
    /// Bytes.
    pub size: u64,
    /// How many manifest links (and, later, holds) name it.
    pub count: u64,
    /// Where it stands on the way to its deletion.
    pub state: BlobState,
}

/// Where a blob stands on the way to its deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    /// `count` is above 0.
    Referenced,
    /// `count` is 0; the grace runs from here.
    Unreferenced {
        /// The start of its grace.
        since: LogTime,
    },
    /// The grace is over; whoever names it now revives it in the same entry.
    Condemned {
        /// When that was decided.
        since: LogTime,
    },
}

/// That a repository may see a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobLinkRow {
    /// When it was made.
    pub created: LogTime,
    /// By whom.
    pub by: PrincipalName,
    /// Where it was mounted from; `None` when it was uploaded here.
    pub mounted_from: Option<RepositoryName>,
    /// How many manifests linked in this repository name it.
    pub manifests: u64,
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRow {
    /// Where the blob will be visible.
    pub repository: RepositoryName,
    /// What the bytes are hashed with.
    pub algorithm: Algorithm,
    /// The size of every part but the last, in bytes.
    pub part_size: u32,
    /// The latest writer; 0 before the first.
    pub epoch: Epoch,
    /// The key of the multipart upload, chosen by the epoch that began it.
    pub key: Option<ObjectKey>,
    /// The multipart upload, once one was begun.
    pub multipart: Option<MultipartId>,
    /// What the client was told.
    pub acknowledged: Progress,
    /// Where the latest writer started: a request that is sent again takes up here.
    pub started: Option<Progress>,
    /// How far a long request has come.
    pub checkpoint: Option<Progress>,
    /// The first part number of the latest writer: every lower one is recorded or lost.
    pub granted_from: u32,
    /// The highest part number that any writer may have used.
    pub reserved_until: u32,
    /// Whether it goes on.
    pub state: UploadState,
    /// When its last entry was applied.
    pub last_activity: LogTime,
    /// Who opened it.
    pub by: PrincipalName,
}

/// Whether an upload goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadState {
    /// It takes bytes.
    Open,
    /// Its object may be completed, by any node, any number of times.
    Sealed(Box<SealedObject>),
    /// It has ended; kept for an hour, so that a closing request which is sent again gets the same answer.
    Finished {
        /// As what.
        digest: Digest,
        /// Bytes.
        size: u64,
    },
}

/// An object that nothing names any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletionRow {
    /// The object.
    pub key: ObjectKey,
    /// A multipart upload under that key, which is to be aborted before the object is deleted: it may have been
    /// completed or not.
    pub multipart: Option<MultipartId>,
}

/// A reply that is remembered for retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyRow {
    /// Where the command was first applied.
    pub index: LogIndex,
    /// When.
    pub time: LogTime,
    /// What it was answered.
    pub reply: Reply,
}

/// Any row, so that a store can keep all tables by one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)]
pub enum Row {
    /// Of [`crate::TableId::Cluster`].
    Cluster(ClusterRow),
    /// Of [`crate::TableId::Repository`].
    Repository(RepositoryRow),
    /// Of [`crate::TableId::Tag`].
    Tag(TagRow),
    /// Of [`crate::TableId::Manifest`].
    Manifest(ManifestRow),
    /// Of [`crate::TableId::ManifestLink`].
    ManifestLink(ManifestLinkRow),
    /// Of [`crate::TableId::Referrer`].
    Referrer(ReferrerRow),
    /// Of [`crate::TableId::Blob`].
    Blob(BlobRow),
    /// Of [`crate::TableId::BlobLink`].
    BlobLink(BlobLinkRow),
    /// Of [`crate::TableId::ProjectCount`]: how many repositories of the project see the blob; and of
    /// [`crate::TableId::AwaitedBlob`]: how many manifests name it; of [`crate::TableId::UserGroup`]: which entry made the group.
    Count(u64),
    /// Of [`crate::TableId::Upload`].
    Upload(UploadRow),
    /// Of [`crate::TableId::UploadPart`].
    UploadPart {
        /// The object store's receipt.
        etag: String,
        /// Bytes.
        size: u32,
    },
    /// Of [`crate::TableId::Deletion`].
    Deletion(DeletionRow),
    /// Of [`crate::TableId::Reply`].
    Reply(ReplyRow),
    /// Of [`crate::TableId::ReplyOrder`]: which command was applied at an index.
    CommandId(CommandId),
    /// Of [`crate::TableId::FinishedUpload`].
    UploadId(UploadId),
    /// Of [`crate::TableId::RecentPut`] and [`crate::TableId::IdempotencyKey`]: the first answer to a conditional request.
    FirstAnswer {
        /// When it was given.
        time: LogTime,
        /// Where.
        repository: RepositoryName,
        /// What was put.
        digest: Digest,
        /// The fingerprint of the whole request: another one under the same key is refused.
        request: Digest,
        /// The answer.
        reply: Reply,
    },
    /// Of [`crate::TableId::Node`].
    Node(NodeRow),
    /// Of [`crate::TableId::JoinToken`].
    JoinToken(JoinTokenRow),
    /// Of [`crate::TableId::Authority`].
    Authority(AuthorityRow),
    /// Of [`crate::TableId::Access`].
    Access(AccessRow),
    /// Of [`crate::TableId::Account`].
    Account(Box<AccountRow>),
    /// Of [`crate::TableId::Group`].
    Group(GroupRow),
    /// Of [`crate::TableId::Project`].
    Project(ProjectRow),
    /// Of [`crate::TableId::Member`].
    Member(MemberRow),
    /// Of [`crate::TableId::AccessToken`].
    AccessToken(TokenRow),
    /// Of [`crate::TableId::TokenKey`].
    TokenKey(TokenKeyRow),
    /// Of [`crate::TableId::Audit`].
    Audit(AuditRow),
    /// Of tables whose key says it all ([`crate::TableId::BlobHolder`], [`crate::TableId::ManifestTag`],
    /// [`crate::TableId::Parent`], [`crate::TableId::FirstAnswerOrder`], [`crate::TableId::GroupMember`],
    /// [`crate::TableId::Membership`], [`crate::TableId::AccountToken`]).
    Present,
}
