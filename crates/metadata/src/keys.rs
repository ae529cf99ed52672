//! The keys of the tables: bytes whose order is the order of lists.
//!
//! Names and tags contain no 0x00, so 0x00 ends a name that something follows; a digest is a byte for its algorithm and
//! its bytes; numbers are big-endian. A key is built and read here and nowhere else, and its form is stored for ever.

mod access;
mod nodes;
mod replies;

pub use access::{
    access, access_token, account, account_token, account_tokens, audit, audit_between, group,
    group_member, group_members, groups_of_user, member, members, membership, memberships, project,
    read_access_token, read_account, read_account_token, read_audit, read_group, read_group_member,
    read_member, read_membership, read_project, read_token_key, read_user_group, robots, token_key,
    user_group, users,
};
pub use nodes::{authority, join_token, node, read_authority, read_join_token, read_node};
pub use replies::{
    first_answer_order, first_answers_before, idempotency_key, read_first_answer_order,
    read_idempotency_key, read_reply, read_reply_order, recent_put, reply, reply_order,
};

use std::marker::PhantomData;

use oci::{Algorithm, Digest, RepositoryName, Tag, UploadId};

use crate::ids::LogTime;
use crate::object_key::ObjectKey;
use crate::rows::{
    BlobLinkRow, BlobRow, ClusterRow, DeletionRow, ManifestLinkRow, ManifestRow, ReferrerRow,
    RepositoryRow, TagRow, UploadRow,
};
use crate::tables::TableId;
use crate::typed::UploadPartRow;

/// The key of one row, which is of type `R`.
#[derive(Debug)]
pub struct Key<R> {
    table: TableId,
    bytes: Vec<u8>,
    row: PhantomData<fn() -> R>,
}

impl<R> Key<R> {
    fn new(table: TableId, bytes: Vec<u8>) -> Key<R> {
        Key {
            table,
            bytes,
            row: PhantomData,
        }
    }

    /// Where the row is.
    #[must_use]
    pub fn table(&self) -> TableId {
        self.table
    }

    /// The key within the table.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Rows that follow each other in a table: `from <= key < to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The table.
    pub table: TableId,
    /// The first key that may be in it.
    pub from: Vec<u8>,
    /// The first key that is not; `None`: to the table's end.
    pub to: Option<Vec<u8>>,
}

impl Range {
    fn prefix(table: TableId, prefix: Vec<u8>) -> Range {
        let to = prefix_end(&prefix);
        Range {
            table,
            from: prefix,
            to,
        }
    }

    /// All rows of a table.
    #[must_use]
    pub fn all(table: TableId) -> Range {
        Range::prefix(table, Vec::new())
    }

    /// The part that lies behind `key`.
    #[must_use]
    pub fn after<R>(mut self, key: Key<R>) -> Range {
        let mut from = key.bytes;
        from.push(0);
        if from > self.from {
            self.from = from;
        }
        self
    }
}

/// The first key that does not begin with `prefix` and comes after those that do; `None` when there is none.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Puts a key together.
#[derive(Default)]
struct Build(Vec<u8>);

impl Build {
    /// A text that something may follow.
    fn name(mut self, text: &str) -> Build {
        self.0.reserve(text.len() + 66);
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self
    }

    /// A text that ends the key.
    fn last(mut self, text: &str) -> Build {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn digest(mut self, digest: &Digest) -> Build {
        self.0.push(algorithm_byte(digest.algorithm()));
        self.0.extend_from_slice(digest.bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Build {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u32(self, number: u32) -> Build {
        self.bytes(&number.to_be_bytes())
    }

    fn u64(self, number: u64) -> Build {
        self.bytes(&number.to_be_bytes())
    }

    fn u128(self, number: u128) -> Build {
        self.bytes(&number.to_be_bytes())
    }

    fn key<R>(self, table: TableId) -> Key<R> {
        Key::new(table, self.0)
    }
}

fn algorithm_byte(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Sha256 => 1,
        Algorithm::Sha512 => 2,
    }
}

/// Takes a key apart.
struct Read<'a>(&'a [u8]);

impl<'a> Read<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(text).ok()
    }

    fn repository(&mut self) -> Option<RepositoryName> {
        RepositoryName::parse(self.text()?).ok()
    }

    fn digest(&mut self) -> Option<Digest> {
        let algorithm = match self.take(1)?.first()? {
            1 => Algorithm::Sha256,
            2 => Algorithm::Sha512,
            _ => return None,
        };
        Digest::from_bytes(algorithm, self.take(algorithm.digest_len())?)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn u128(&mut self) -> Option<u128> {
        Some(u128::from_be_bytes(self.take(16)?.try_into().ok()?))
    }

    fn rest(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }

    /// `value`, if the key ends here.
    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// The key of the cluster's row.
#[must_use]
pub fn cluster() -> Key<ClusterRow> {
    Key::new(TableId::Cluster, vec![0])
}

/// The key of a repository.
#[must_use]
pub fn repository(name: &RepositoryName) -> Key<RepositoryRow> {
    Build::default()
        .last(name.as_str())
        .key(TableId::Repository)
}

/// Reads a key of [`repository`].
#[must_use]
pub fn read_repository(key: &[u8]) -> Option<RepositoryName> {
    RepositoryName::parse(Read(key).rest()?).ok()
}

/// The key of a tag.
#[must_use]
pub fn tag(repository: &RepositoryName, tag: &Tag) -> Key<TagRow> {
    Build::default()
        .name(repository.as_str())
        .last(tag.as_str())
        .key(TableId::Tag)
}

/// A repository's tags.
#[must_use]
pub fn tags(repository: &RepositoryName) -> Range {
    Range::prefix(TableId::Tag, Build::default().name(repository.as_str()).0)
}

/// Reads a key of [`tag`].
#[must_use]
pub fn read_tag(key: &[u8]) -> Option<(RepositoryName, Tag)> {
    let mut read = Read(key);
    let repository = read.repository()?;
    Some((repository, Tag::parse(read.rest()?).ok()?))
}

/// The key of a manifest.
#[must_use]
pub fn manifest(digest: &Digest) -> Key<ManifestRow> {
    Build::default().digest(digest).key(TableId::Manifest)
}

/// Reads a key that is one digest: of [`manifest`] or [`blob`].
#[must_use]
pub fn read_digest(key: &[u8]) -> Option<Digest> {
    let mut read = Read(key);
    let digest = read.digest()?;
    read.end(digest)
}

/// The key of a manifest's link.
#[must_use]
pub fn manifest_link(repository: &RepositoryName, digest: &Digest) -> Key<ManifestLinkRow> {
    in_repository(repository, digest).key(TableId::ManifestLink)
}

/// The key of a blob's link.
#[must_use]
pub fn blob_link(repository: &RepositoryName, digest: &Digest) -> Key<BlobLinkRow> {
    in_repository(repository, digest).key(TableId::BlobLink)
}

/// The key of the count of a blob that is named and not yet visible.
#[must_use]
pub fn awaited_blob(repository: &RepositoryName, digest: &Digest) -> Key<u64> {
    in_repository(repository, digest).key(TableId::AwaitedBlob)
}

fn in_repository(repository: &RepositoryName, digest: &Digest) -> Build {
    Build::default().name(repository.as_str()).digest(digest)
}

/// Reads a key of [`manifest_link`], [`blob_link`] or [`awaited_blob`].
#[must_use]
pub fn read_in_repository(key: &[u8]) -> Option<(RepositoryName, Digest)> {
    let mut read = Read(key);
    let pair = (read.repository()?, read.digest()?);
    read.end(pair)
}

/// The key that says that a tag points at a manifest.
#[must_use]
pub fn manifest_tag(repository: &RepositoryName, digest: &Digest, tag: &Tag) -> Key<()> {
    in_repository(repository, digest)
        .last(tag.as_str())
        .key(TableId::ManifestTag)
}

/// The tags that point at a manifest.
#[must_use]
pub fn manifest_tags(repository: &RepositoryName, digest: &Digest) -> Range {
    Range::prefix(TableId::ManifestTag, in_repository(repository, digest).0)
}

/// Reads a key of [`manifest_tag`].
#[must_use]
pub fn read_manifest_tag(key: &[u8]) -> Option<(RepositoryName, Digest, Tag)> {
    let mut read = Read(key);
    let (repository, digest) = (read.repository()?, read.digest()?);
    Some((repository, digest, Tag::parse(read.rest()?).ok()?))
}

/// The key of a referrer: `digest` is about `subject`.
#[must_use]
pub fn referrer(
    repository: &RepositoryName,
    subject: &Digest,
    digest: &Digest,
) -> Key<ReferrerRow> {
    in_repository(repository, subject)
        .digest(digest)
        .key(TableId::Referrer)
}

/// What is about `subject`.
#[must_use]
pub fn referrers(repository: &RepositoryName, subject: &Digest) -> Range {
    Range::prefix(TableId::Referrer, in_repository(repository, subject).0)
}

/// The key that says that the linked index `index` names `child`.
#[must_use]
pub fn parent(repository: &RepositoryName, child: &Digest, index: &Digest) -> Key<()> {
    in_repository(repository, child)
        .digest(index)
        .key(TableId::Parent)
}

/// The linked indexes that name `child`.
#[must_use]
pub fn parents(repository: &RepositoryName, child: &Digest) -> Range {
    Range::prefix(TableId::Parent, in_repository(repository, child).0)
}

/// Reads a key of [`referrer`] (repository, subject, digest) or [`parent`] (repository, child, index).
#[must_use]
pub fn read_pair(key: &[u8]) -> Option<(RepositoryName, Digest, Digest)> {
    let mut read = Read(key);
    let triple = (read.repository()?, read.digest()?, read.digest()?);
    read.end(triple)
}

/// The key of a blob.
#[must_use]
pub fn blob(digest: &Digest) -> Key<BlobRow> {
    Build::default().digest(digest).key(TableId::Blob)
}

/// The key that says that a repository sees a blob.
#[must_use]
pub fn blob_holder(digest: &Digest, repository: &RepositoryName) -> Key<()> {
    Build::default()
        .digest(digest)
        .last(repository.as_str())
        .key(TableId::BlobHolder)
}

/// The repositories that see a blob.
#[must_use]
pub fn blob_holders(digest: &Digest) -> Range {
    Range::prefix(TableId::BlobHolder, Build::default().digest(digest).0)
}

/// Reads a key of [`blob_holder`].
#[must_use]
pub fn read_blob_holder(key: &[u8]) -> Option<(Digest, RepositoryName)> {
    let mut read = Read(key);
    let digest = read.digest()?;
    Some((digest, RepositoryName::parse(read.rest()?).ok()?))
}

/// The key of the count of a project's repositories that see a blob.
#[must_use]
pub fn project_count(project: &str, digest: &Digest) -> Key<u64> {
    Build::default()
        .name(project)
        .digest(digest)
        .key(TableId::ProjectCount)
}

/// Reads a key of [`project_count`].
#[must_use]
pub fn read_project_count(key: &[u8]) -> Option<(String, Digest)> {
    let mut read = Read(key);
    let pair = (read.text()?.to_owned(), read.digest()?);
    read.end(pair)
}

/// The key of an upload.
#[must_use]
pub fn upload(upload: UploadId) -> Key<UploadRow> {
    Build::default().u128(upload.as_u128()).key(TableId::Upload)
}

/// Reads a key of [`upload`].
#[must_use]
pub fn read_upload(key: &[u8]) -> Option<UploadId> {
    let mut read = Read(key);
    let upload = UploadId::from_u128(read.u128()?);
    read.end(upload)
}

/// The key of a part.
#[must_use]
pub fn upload_part(upload: UploadId, number: u32) -> Key<UploadPartRow> {
    Build::default()
        .u128(upload.as_u128())
        .u32(number)
        .key(TableId::UploadPart)
}

/// The parts of an upload with `above < number <= until`.
#[must_use]
pub fn upload_parts(upload: UploadId, above: u32, until: u32) -> Range {
    let bound = |number: u32| upload_part(upload, number.saturating_add(1)).bytes;
    Range {
        table: TableId::UploadPart,
        from: bound(above),
        to: Some(bound(until)),
    }
}

/// Reads a key of [`upload_part`].
#[must_use]
pub fn read_upload_part(key: &[u8]) -> Option<(UploadId, u32)> {
    let mut read = Read(key);
    let pair = (UploadId::from_u128(read.u128()?), read.u32()?);
    read.end(pair)
}

/// The key under which an upload that finished at `time` is to be forgotten.
#[must_use]
pub fn finished_upload(time: LogTime, upload: UploadId) -> Key<UploadId> {
    Build::default()
        .u64(time.0)
        .u128(upload.as_u128())
        .key(TableId::FinishedUpload)
}

/// Uploads that finished before `time`.
#[must_use]
pub fn finished_uploads_before(time: LogTime) -> Range {
    before(TableId::FinishedUpload, time)
}

/// Reads a key of [`finished_upload`].
#[must_use]
pub fn read_finished_upload(key: &[u8]) -> Option<(LogTime, UploadId)> {
    let mut read = Read(key);
    let pair = (LogTime(read.u64()?), UploadId::from_u128(read.u128()?));
    read.end(pair)
}

/// The key of an object that is to be deleted from `due` on.
#[must_use]
pub fn deletion(due: LogTime, object: &ObjectKey) -> Key<DeletionRow> {
    Build::default()
        .u64(due.0)
        .last(object.as_str())
        .key(TableId::Deletion)
}

/// Objects that are due at `now`.
#[must_use]
pub fn deletions_due(now: LogTime) -> Range {
    before(TableId::Deletion, now.plus_ms(1))
}

/// Reads a key of [`deletion`].
#[must_use]
pub fn read_deletion(key: &[u8]) -> Option<(LogTime, ObjectKey)> {
    let mut read = Read(key);
    let due = LogTime(read.u64()?);
    Some((due, ObjectKey::parse(read.rest()?)?))
}

impl Range {
    /// The part of a range of times that does not lie before `time`.
    pub(crate) fn not_before(mut self, time: LogTime) -> Range {
        self.from = self.from.max(time.0.to_be_bytes().to_vec());
        // Never beyond its end: it may be empty.
        if let Some(to) = &self.to
            && self.from > *to
        {
            self.from.clone_from(to);
        }
        self
    }
}

fn before(table: TableId, time: LogTime) -> Range {
    Range {
        table,
        from: Vec::new(),
        to: Some(time.0.to_be_bytes().to_vec()),
    }
}
