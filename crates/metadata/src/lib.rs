//! The replicated state machine of Holdfast: commands, replies, queries and their rules over ordered tables.
//!
//! Pure: no async, no clock, no randomness, no serialization, no I/O (promise P6). Whoever applies the same entries in
//! the same order holds the same rows and gives the same replies. Everything that must be *right* is decided here, in
//! [`apply`], where it cannot be passed by; the crates above only order their calls so that a crash between any two
//! of them is harmless.
//!
//! Design: `docs/architecture.md`, "Metadata".

pub mod access;
mod answer;
mod apply;
mod command;
mod counted;
mod ids;
pub mod invariant;
pub mod keys;
mod memory;
mod node;
mod object_key;
mod query;
mod reply;
mod rows;
mod succession;
mod tables;
mod typed;
mod upkeep;

pub use answer::{PAGE_MAX, answer};
pub use apply::{ApplyFailure, apply, chained as audit_chained, check_format};
pub use command::{
    Acknowledge, BeginWrite, Checkpoint, Command, CreateUpload, Entry, FinishUpload,
    ManifestReference, Mount, Part, Payload, Precondition, Progress, PutManifest, SealUpload,
    TailObject, UploadEnd, WriteFrom,
};
pub use counted::CountedTables;
pub use ids::{CommandId, Epoch, LogIndex, LogTime, MultipartId, PrincipalName};
pub use memory::MemoryTables;
pub use node::{
    AnnouncementError, AuthorityRow, FoundCluster, JoinNode, JoinProof, JoinTokenId, JoinTokenRow,
    NODE_ADDRESS_BYTES_MAX, NODE_NAME_BYTES_MAX, NODE_VERSION_BYTES_MAX, NodeAnnouncement, NodeId,
    NodeRole, NodeRow, NodeTrust, STORAGE_PROBLEM_BYTES_MAX, StorageWord, UnknownRole,
};
pub use object_key::{ClusterId, LogCopyContent, ObjectKey};
pub use query::{
    Answer, BlobObject, BlobView, ClusterView, ManifestView, NodeView, Page, Query, ReferrerView,
    RepositoryView, TagView, UploadListed, UploadView,
};
pub use reply::{Named, Refusal, Reply, SealedObject, WriteGrant};
pub use rows::{
    BlobLinkRow, BlobRow, BlobState, ClusterRow, DeletionRow, ManifestLinkRow, ManifestRow,
    ReferrerRow, ReplyRow, RepositoryRow, Row, StorageRow, TagRow, UploadRow, UploadState,
};
pub use succession::succeed;
pub use tables::{ReadTables, StorageFailure, TableId, Tables};
pub use typed::{FirstAnswerRow, TypedRow, UploadPartRow};
pub use upkeep::{Replacement, UpkeepRow};

/// Manifests up to this many bytes are kept inline in the log and the tables; larger ones are objects.
pub const INLINE_PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// No entry may touch more rows than this (`docs/architecture.md`, "Bounded entries").
pub const ROWS_PER_ENTRY_MAX: usize = 10_000;

/// The highest number of a part. Object stores take 10,000; a hundred fewer keep an entry that handles every part of an
/// upload within [`ROWS_PER_ENTRY_MAX`]. The largest blob is this times the part size.
pub const PART_NUMBER_MAX: u32 = 9_900;

/// How many part numbers a writer gets when it begins; it asks for more with its checkpoints.
pub const PARTS_RESERVED_AT_BEGIN: u32 = 32;

/// The most part numbers that one checkpoint may ask for.
pub const PARTS_RESERVED_PER_CHECKPOINT_MAX: u32 = 1_000;

/// The most tags that one `PUT` may move.
pub const TAGS_PER_PUT_MAX: usize = 100;

/// The most objects that leave the delete queue in one entry, and that one [`Query::DueDeletions`] gives.
pub const DELETIONS_PER_ENTRY_MAX: usize = 1_000;

/// The most bytes of an authority's certificate, and of its sealed key.
pub const AUTHORITY_BYTES_MAX: usize = 16 * 1024;

/// The longest read of an object, or the life of a presigned URL, in milliseconds: an hour.
pub const READ_MS_MAX: u64 = 60 * 60 * 1000;

/// The longest life of a join token, in milliseconds: 30 days.
pub const JOIN_TOKEN_LIFE_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;

/// The most join tokens that have not expired.
pub const JOIN_TOKENS_MAX: usize = 1_000;

/// The most nodes that are remembered, removed ones among them.
pub const NODES_MAX: usize = 8_000;

/// The longest label of a cluster, in bytes.
pub const LABEL_BYTES_MAX: usize = 64;

/// The longest name of a place where blobs are, in bytes.
pub const PLACE_BYTES_MAX: usize = 1_024;
/// What the log's time lacks to be corrected in one step, in milliseconds: a minute. What is less is caught up with.
pub const CORRECTION_MS_MIN: u64 = 60 * 1000;

/// For so long after a correction of the log's time nothing is ended that began before it, in milliseconds: a day.
pub const UPKEEP_GRACE_MS: u64 = 24 * 60 * 60 * 1000;

/// When every node has known the next format for so long, it is raised without an operator, in milliseconds: a day.
pub const FORMAT_RAISED_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

/// A gateway that was not heard of for so long is removed, in milliseconds: a day.
pub const GATEWAY_GONE_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

/// At most one dead voter is replaced in so long, in milliseconds: an hour.
pub const REPLACEMENT_INTERVAL_MS: u64 = 60 * 60 * 1000;

/// The most tokens of one account.
pub const TOKENS_PER_ACCOUNT_MAX: usize = 1_000;

/// The most groups of one user.
pub const GROUPS_PER_USER_MAX: usize = 1_000;

/// The most groups that one login may tell of.
pub const GROUPS_PER_LOGIN_MAX: usize = 500;

/// The most rights that one query may ask for.
pub const RIGHTS_ASKED_MAX: usize = 1_000;

/// The most keys whose tokens count.
pub const TOKEN_KEYS_MAX: usize = 16;

/// The most bytes of one text about an account, a robot or a token.
pub const ACCESS_TEXT_BYTES_MAX: usize = 512;

/// The most bytes of a password's hash.
pub const PASSWORD_HASH_BYTES_MAX: usize = 512;

/// How many records the audit keeps; older ones are dropped, and the chain goes on.
pub const AUDIT_RECORDS_MAX: u64 = 1_000_000;

/// The most sums of refusals in one entry.
pub const REFUSAL_SUMS_MAX: usize = 1_000;

/// The log's format that a new cluster starts with.
pub const FORMAT: u32 = 1;

/// The highest format of the log that this build understands: it never goes on with a log of a higher one.
pub const FORMAT_MAX: u32 = if cfg!(feature = "next-format") { 2 } else { 1 };
