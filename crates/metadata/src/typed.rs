//! Rows with the types of their tables: what is read under a typed key is of that key's type, or the store is damaged.

use std::ops::ControlFlow;

use oci::{Digest, RepositoryName, UploadId};

use crate::access::{
    AccessRow, AccountRow, AuditRow, GroupRow, MemberRow, ProjectRow, TokenKeyRow, TokenRow,
};
use crate::ids::{CommandId, LogTime};
use crate::keys::{Key, Range};
use crate::node::{AuthorityRow, JoinTokenRow, NodeRow};
use crate::reply::Reply;
use crate::rows::{
    BlobLinkRow, BlobRow, ClusterRow, DeletionRow, ManifestLinkRow, ManifestRow, ReferrerRow,
    ReplyRow, RepositoryRow, Row, TagRow, UploadRow,
};
use crate::tables::{ReadTables, StorageFailure, TableId};

/// A row that stands in a table of its own type.
pub trait TypedRow: Sized {
    /// The row, if it is of this type.
    fn from_row(row: Row) -> Option<Self>;
    /// The row as the store takes it.
    fn into_row(self) -> Row;
}

macro_rules! typed_rows {
    ($($variant:ident => $row:ty),* $(,)?) => {$(
        impl TypedRow for $row {
            fn from_row(row: Row) -> Option<Self> {
                match row {
                    Row::$variant(row) => Some(row),
                    _ => None,
                }
            }

            fn into_row(self) -> Row {
                Row::$variant(self)
            }
        }
    )*};
}

typed_rows! {
    Cluster => ClusterRow,
    Repository => RepositoryRow,
    Tag => TagRow,
    Manifest => ManifestRow,
    ManifestLink => ManifestLinkRow,
    Referrer => ReferrerRow,
    Blob => BlobRow,
    BlobLink => BlobLinkRow,
    Count => u64,
    Upload => UploadRow,
    Deletion => DeletionRow,
    Reply => ReplyRow,
    CommandId => CommandId,
    UploadId => UploadId,
    Node => NodeRow,
    JoinToken => JoinTokenRow,
    Authority => AuthorityRow,
    Access => AccessRow,
    Group => GroupRow,
    Project => ProjectRow,
    Member => MemberRow,
    AccessToken => TokenRow,
    TokenKey => TokenKeyRow,
    Audit => AuditRow,
}

/// [`Row::Account`].
impl TypedRow for AccountRow {
    fn from_row(row: Row) -> Option<Self> {
        match row {
            Row::Account(row) => Some(*row),
            _ => None,
        }
    }

    fn into_row(self) -> Row {
        Row::Account(Box::new(self))
    }
}

/// [`Row::Present`].
impl TypedRow for () {
    fn from_row(row: Row) -> Option<Self> {
        matches!(row, Row::Present).then_some(())
    }

    fn into_row(self) -> Row {
        Row::Present
    }
}

/// [`Row::UploadPart`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPartRow {
    /// The object store's receipt.
    pub etag: String,
    /// Bytes.
    pub size: u32,
}

impl TypedRow for UploadPartRow {
    fn from_row(row: Row) -> Option<Self> {
        match row {
            Row::UploadPart { etag, size } => Some(UploadPartRow { etag, size }),
            _ => None,
        }
    }

    fn into_row(self) -> Row {
        Row::UploadPart {
            etag: self.etag,
            size: self.size,
        }
    }
}

/// [`Row::FirstAnswer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstAnswerRow {
    /// When it was given.
    pub time: LogTime,
    /// Where.
    pub repository: RepositoryName,
    /// What was put.
    pub digest: Digest,
    /// The fingerprint of the whole request.
    pub request: Digest,
    /// The answer.
    pub reply: Reply,
}

impl TypedRow for FirstAnswerRow {
    fn from_row(row: Row) -> Option<Self> {
        match row {
            Row::FirstAnswer {
                time,
                repository,
                digest,
                request,
                reply,
            } => Some(FirstAnswerRow {
                time,
                repository,
                digest,
                request,
                reply,
            }),
            _ => None,
        }
    }

    fn into_row(self) -> Row {
        Row::FirstAnswer {
            time: self.time,
            repository: self.repository,
            digest: self.digest,
            request: self.request,
            reply: self.reply,
        }
    }
}

/// The row of a typed key.
pub(crate) fn get<R: TypedRow>(
    tables: &(impl ReadTables + ?Sized),
    key: &Key<R>,
) -> Result<Option<R>, StorageFailure> {
    match tables.get(key.table(), key.bytes())? {
        None => Ok(None),
        Some(row) => R::from_row(row)
            .map(Some)
            .ok_or_else(|| damaged(key.table(), key.bytes(), "a row of another table")),
    }
}

/// Up to `limit` rows of a range, in order, each made by `read` from its key and row.
pub(crate) fn collect<R: TypedRow, T>(
    tables: &(impl ReadTables + ?Sized),
    range: &Range,
    limit: usize,
    mut read: impl FnMut(&[u8], R) -> Option<T>,
) -> Result<Vec<T>, StorageFailure> {
    let mut found = Vec::new();
    let mut failure = None;
    if limit == 0 {
        return Ok(found);
    }
    tables.scan(
        range.table,
        &range.from,
        range.to.as_deref(),
        &mut |key, row| match R::from_row(row).and_then(|row| read(key, row)) {
            Some(value) => {
                found.push(value);
                if found.len() < limit {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            }
            None => {
                failure = Some(damaged(range.table, key, "what cannot be read"));
                ControlFlow::Break(())
            }
        },
    )?;
    failure.map_or(Ok(found), Err)
}

/// The failure of a store that holds what nobody wrote.
fn damaged(table: TableId, key: &[u8], what: &str) -> StorageFailure {
    let key = String::from_utf8_lossy(key).into_owned();
    StorageFailure {
        reason: format!("table {table:?} holds {what} under the key {key:?}"),
    }
}
