//! The ordered tables that hold the state, and what a store of them must do.
//!
//! A table's key is bytes whose order is the order of lists, so a list is a range scan. Keys are made and read by
//! the typed functions of [`crate::keys`] only. Rows are [`Row`]s; how they are stored is the store's affair.

use std::ops::ControlFlow;

use crate::rows::Row;

/// The tables. The number is stored and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TableId {
    /// () → [`crate::ClusterRow`].
    Cluster = 1,
    /// repository → [`crate::RepositoryRow`].
    Repository = 2,
    /// repository, tag → [`crate::TagRow`].
    Tag = 3,
    /// digest → [`crate::ManifestRow`].
    Manifest = 4,
    /// repository, digest → [`crate::ManifestLinkRow`].
    ManifestLink = 5,
    /// repository, digest, tag: the tags that point at a manifest.
    ManifestTag = 6,
    /// repository, subject, digest → [`crate::ReferrerRow`].
    Referrer = 7,
    /// repository, child, index: which linked indexes name a manifest, whether it is there or not.
    Parent = 8,
    /// digest → [`crate::BlobRow`].
    Blob = 9,
    /// repository, digest → [`crate::BlobLinkRow`].
    BlobLink = 10,
    /// digest, repository: where a blob is visible.
    BlobHolder = 11,
    /// project, digest → how many repositories of the project see the blob.
    ProjectCount = 12,
    /// upload → [`crate::UploadRow`].
    Upload = 13,
    /// upload, number → ETag and size.
    UploadPart = 14,
    /// time, upload: finished uploads in the order in which they are forgotten.
    FinishedUpload = 15,
    /// due time, object key → [`crate::DeletionRow`]: objects to be deleted.
    Deletion = 16,
    /// command id → [`crate::ReplyRow`].
    Reply = 17,
    /// log index → command id: replies in the order in which they are forgotten.
    ReplyOrder = 18,
    /// fingerprint of principal, repository, tags, precondition and digest → the first answer to a conditional `PUT`.
    RecentPut = 19,
    /// principal, key → the first answer to a request with an `Idempotency-Key`.
    IdempotencyKey = 20,
    /// time, table, key: the rows of [`TableId::RecentPut`] and [`TableId::IdempotencyKey`] in the order in which
    /// they are forgotten.
    FirstAnswerOrder = 21,
    /// repository, digest → how many linked manifests name a blob that the repository does not see yet; the count
    /// moves to the blob's link when that is made.
    AwaitedBlob = 22,
    /// node → [`crate::NodeRow`].
    Node = 23,
    /// join token → [`crate::JoinTokenRow`].
    JoinToken = 24,
    /// number → [`crate::AuthorityRow`].
    Authority = 25,
    /// () → [`crate::access::AccessRow`].
    Access = 26,
    /// account → [`crate::access::AccountRow`].
    Account = 27,
    /// group → [`crate::access::GroupRow`].
    Group = 28,
    /// group, user: who is in a group.
    GroupMember = 29,
    /// user, group → the entry that made the group: in which groups a user is.
    UserGroup = 30,
    /// project → [`crate::access::ProjectRow`].
    Project = 31,
    /// project, member → [`crate::access::MemberRow`].
    Member = 32,
    /// member, project: where somebody is a member.
    Membership = 33,
    /// token → [`crate::access::TokenRow`].
    AccessToken = 34,
    /// account, token: whose a token is.
    AccountToken = 35,
    /// number → [`crate::access::TokenKeyRow`].
    TokenKey = 36,
    /// number → [`crate::access::AuditRow`].
    Audit = 37,
}

impl TableId {
    /// All of them, in the order of their numbers.
    pub const ALL: [TableId; 37] = [
        TableId::Cluster,
        TableId::Repository,
        TableId::Tag,
        TableId::Manifest,
        TableId::ManifestLink,
        TableId::ManifestTag,
        TableId::Referrer,
        TableId::Parent,
        TableId::Blob,
        TableId::BlobLink,
        TableId::BlobHolder,
        TableId::ProjectCount,
        TableId::Upload,
        TableId::UploadPart,
        TableId::FinishedUpload,
        TableId::Deletion,
        TableId::Reply,
        TableId::ReplyOrder,
        TableId::RecentPut,
        TableId::IdempotencyKey,
        TableId::FirstAnswerOrder,
        TableId::AwaitedBlob,
        TableId::Node,
        TableId::JoinToken,
        TableId::Authority,
        TableId::Access,
        TableId::Account,
        TableId::Group,
        TableId::GroupMember,
        TableId::UserGroup,
        TableId::Project,
        TableId::Member,
        TableId::Membership,
        TableId::AccessToken,
        TableId::AccountToken,
        TableId::TokenKey,
        TableId::Audit,
    ];

    /// The stored number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The table of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<TableId> {
        TableId::ALL
            .into_iter()
            .find(|table| table.number() == number)
    }
}

/// The store of the tables could not read or write. It stops the member: state that cannot be read must not diverge.
#[derive(Debug, thiserror::Error)]
#[error("the tables cannot be read or written: {reason}")]
pub struct StorageFailure {
    /// For the operator.
    pub reason: String,
}

/// One state of the tables.
pub trait ReadTables {
    /// The row of a key.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what it should not.
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, StorageFailure>;

    /// Visits the rows with `from <= key < to` (`None`: to the table's end) in the order of keys, until `visit` breaks.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what it should not.
    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Row) -> ControlFlow<()>,
    ) -> Result<(), StorageFailure>;
}

/// Tables that may be changed: all changes of one entry become visible together.
pub trait Tables: ReadTables {
    /// Sets the row of a key.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn put(&mut self, table: TableId, key: &[u8], row: Row) -> Result<(), StorageFailure>;

    /// Removes the row of a key, if there is one.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn remove(&mut self, table: TableId, key: &[u8]) -> Result<(), StorageFailure>;
}
