//! Answers queries from one state of the tables. Rule 4.1: the right to see and the record come in one look-up.
//!
//! Lists are range scans, bounded by the page that was asked for, and that by [`PAGE_MAX`].

mod access;
mod catalog;

use oci::{Digest, Reference, RepositoryName, Tag, UploadId};

use crate::access::{Need, Rights, Verdict};
use crate::command::{ManifestReference, Part};
use crate::ids::LogTime;
use crate::keys::{self, Range};
use crate::node::{AuthorityRow, NodeRow};
use crate::query::{
    Answer, BlobObject, BlobView, ClusterView, ManifestView, NodeView, Page, Query, ReferrerView,
    TagView, UploadListed, UploadView,
};
use crate::rows::{
    BlobRow, BlobState, ClusterRow, DeletionRow, ReferrerRow, RepositoryRow, StorageRow, TagRow,
    UploadRow, UploadState,
};
use crate::tables::{ReadTables, StorageFailure, TableId};
use crate::typed::{self, UploadPartRow};
use crate::upkeep::UpkeepRow;
use crate::{DELETIONS_PER_ENTRY_MAX, READ_MS_MAX};

/// The longest page, whatever was asked for.
pub const PAGE_MAX: usize = 10_000;

/// How many referrers one answer looks at when only some of them are wanted.
const REFERRERS_SCANNED_MAX: usize = 1_000;

/// Answers `query` from `tables`.
///
/// # Errors
/// When the tables cannot be read, or hold what they should not.
pub fn answer(tables: &dyn ReadTables, query: &Query) -> Result<Answer, StorageFailure> {
    let Query::Asked { asker, query } = query else {
        return answer_for(tables, None, query);
    };
    let rights = Rights::of(tables, asker)?;
    match rights.decide(&Need::of_query(query))? {
        Verdict::Allowed => answer_for(tables, Some(&rights), query),
        Verdict::Denied(denial) => Ok(Answer::Denied(denial)),
    }
}

/// Answers what `rights` allow, or what a node asks for itself.
fn answer_for(
    tables: &dyn ReadTables,
    rights: Option<&Rights<'_>>,
    query: &Query,
) -> Result<Answer, StorageFailure> {
    match query {
        Query::Cluster => cluster(tables),
        Query::Manifest {
            repository,
            reference,
        } => manifest(tables, repository, reference),
        Query::Blob { repository, digest } => blob(tables, repository, digest),
        Query::Upload { repository, upload } => self::upload(tables, repository, *upload),
        Query::Uploads(page) => uploads(tables, page),
        Query::BlobObjects(page) => blob_objects(tables, page),
        Query::Repositories(page) => catalog::repositories(tables, rights, page),
        Query::Tags { repository, page } => tags(tables, repository, page),
        Query::Referrers {
            repository,
            subject,
            artifact_type,
            page,
        } => referrers(tables, repository, subject, artifact_type.as_deref(), page),
        Query::DueDeletions { limit, now } => due_deletions(tables, *limit, *now),
        Query::Nodes => nodes(tables),
        Query::Authority => authority(tables),
        Query::Authorities => authorities(tables),
        Query::Access(query) => access::answer(tables, rights, query),
        // One is inside another only if a sender breaks the rules: the inner one decides.
        Query::Asked { .. } => answer(tables, query),
    }
}

fn cluster(tables: &dyn ReadTables) -> Result<Answer, StorageFailure> {
    let row = typed::get(tables, &keys::cluster())?;
    Ok(Answer::Cluster(match row {
        Some(row) => ClusterView {
            cluster: row.cluster,
            time: row.time,
            format: row.format,
            repositories: row.repositories,
            upkeep: row.upkeep,
            adopted_from: row.adopted_from,
            label: row.label,
            storage: row.storage,
        },
        None => ClusterView {
            cluster: None,
            time: LogTime(0),
            format: crate::FORMAT,
            repositories: 0,
            upkeep: UpkeepRow::default(),
            adopted_from: Vec::new(),
            label: None,
            storage: StorageRow::default(),
        },
    }))
}

/// What was asked for is not there: the difference that clients want to know is whether its repository is.
fn absent(tables: &dyn ReadTables, repository: &RepositoryName) -> Result<Answer, StorageFailure> {
    let row: Option<RepositoryRow> = typed::get(tables, &keys::repository(repository))?;
    Ok(row.map_or(Answer::RepositoryUnknown, |_| Answer::Absent))
}

/// The hottest path of the product: three look-ups by a tag, two by a digest, unless the image is sparse.
fn manifest(
    tables: &dyn ReadTables,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Answer, StorageFailure> {
    let (digest, tagged_link) = match reference {
        Reference::Digest(digest) => (*digest, None),
        Reference::Tag(tag) => match typed::get(tables, &keys::tag(repository, tag))? {
            Some(row) => (row.digest, Some(row.link)),
            None => return absent(tables, repository),
        },
    };
    let link = typed::get(tables, &keys::manifest_link(repository, &digest))?;
    let visible = link
        .filter(|link| !link.ending && tagged_link.is_none_or(|tagged| tagged == link.created_at));
    let Some(link) = visible else {
        return absent(tables, repository);
    };
    let Some(row) = typed::get(tables, &keys::manifest(&digest))? else {
        return absent(tables, repository);
    };
    let absent = match link.sparse {
        true => absent_layers(tables, repository, &row.references)?,
        false => 0,
    };
    Ok(Answer::Manifest(Box::new(ManifestView {
        digest,
        media_type: row.media_type,
        size: row.size,
        payload: row.payload,
        absent,
    })))
}

/// Counted anew for each reader of a sparse image: when a layer comes, no row of those that wait for it changes, however
/// many they are. As many look-ups as the image has layers.
fn absent_layers(
    tables: &dyn ReadTables,
    repository: &RepositoryName,
    references: &[ManifestReference],
) -> Result<u32, StorageFailure> {
    let mut count = 0;
    for reference in references {
        if let ManifestReference::RequiredBlob(layer) = reference
            && typed::get(tables, &keys::blob_link(repository, layer))?.is_none()
        {
            count += 1;
        }
    }
    Ok(count)
}

fn blob(
    tables: &dyn ReadTables,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Answer, StorageFailure> {
    if typed::get(tables, &keys::blob_link(repository, digest))?.is_none() {
        return absent(tables, repository);
    }
    let Some(row) = typed::get(tables, &keys::blob(digest))? else {
        return absent(tables, repository);
    };
    Ok(Answer::Blob(BlobView {
        key: row.key,
        size: row.size,
        unreferenced_since: match row.state {
            BlobState::Referenced => None,
            BlobState::Unreferenced { since } | BlobState::Condemned { since } => Some(since),
        },
        now: log_time(tables)?,
    }))
}

fn log_time(tables: &dyn ReadTables) -> Result<LogTime, StorageFailure> {
    let row: Option<ClusterRow> = typed::get(tables, &keys::cluster())?;
    Ok(row.map_or(LogTime(0), |row| row.time))
}

fn upload(
    tables: &dyn ReadTables,
    repository: &RepositoryName,
    upload: UploadId,
) -> Result<Answer, StorageFailure> {
    let row: Option<UploadRow> = typed::get(tables, &keys::upload(upload))?;
    let Some(row) = row.filter(|row| &row.repository == repository) else {
        return Ok(Answer::Absent);
    };
    let until = row.acknowledged.last_part;
    let parts = match row.state {
        UploadState::Open if until > 0 => parts(tables, upload, until)?,
        _ => Vec::new(),
    };
    let plain = match &row.acknowledged.tail {
        Some(tail) if until == 0 => Some(tail.key.clone()),
        _ => None,
    };
    let (sealed, finished) = match row.state {
        UploadState::Open => (None, None),
        UploadState::Sealed(sealed) => (Some(sealed), None),
        UploadState::Finished { digest, .. } => (None, Some(digest)),
    };
    Ok(Answer::Upload(Box::new(UploadView {
        acknowledged: row.acknowledged.offset,
        checkpointed: row.checkpoint.map(|checkpoint| checkpoint.offset),
        epoch: row.epoch,
        algorithm: row.algorithm,
        midstate: row.acknowledged.midstate,
        has_parts: until > 0,
        plain,
        sealed,
        finished,
        parts,
    })))
}

fn parts(
    tables: &dyn ReadTables,
    upload: UploadId,
    until: u32,
) -> Result<Vec<Part>, StorageFailure> {
    let range = keys::upload_parts(upload, 0, until);
    typed::collect(tables, &range, usize::MAX, |key, row: UploadPartRow| {
        Some(Part {
            number: keys::read_upload_part(key)?.1,
            etag: row.etag,
            size: row.size,
        })
    })
}

/// Up to a page of rows, and whether there are more.
fn page<K, R: typed::TypedRow, T>(
    tables: &dyn ReadTables,
    range: &Range,
    page: &Page<K>,
    read: impl FnMut(&[u8], R) -> Option<T>,
) -> Result<(Vec<T>, bool), StorageFailure> {
    let limit = page.limit.min(PAGE_MAX);
    if limit == 0 {
        return Ok((Vec::new(), false));
    }
    let mut found = typed::collect(tables, range, limit + 1, read)?;
    let more = found.len() > limit;
    found.truncate(limit);
    Ok((found, more))
}

fn uploads(tables: &dyn ReadTables, wanted: &Page<UploadId>) -> Result<Answer, StorageFailure> {
    let mut range = Range::all(TableId::Upload);
    if let Some(after) = wanted.after {
        range = range.after(keys::upload(after));
    }
    let (uploads, more) = page(tables, &range, wanted, |key, row: UploadRow| {
        Some(UploadListed {
            upload: keys::read_upload(key)?,
            repository: row.repository,
            last_activity: row.last_activity,
            by: row.by,
            finished: matches!(row.state, UploadState::Finished { .. }),
        })
    })?;
    Ok(Answer::Uploads { uploads, more })
}

fn blob_objects(tables: &dyn ReadTables, wanted: &Page<Digest>) -> Result<Answer, StorageFailure> {
    let mut range = Range::all(TableId::Blob);
    if let Some(after) = &wanted.after {
        range = range.after(keys::blob(after));
    }
    let (blobs, more) = page(tables, &range, wanted, |key, row: BlobRow| {
        Some(BlobObject {
            digest: keys::read_digest(key)?,
            key: row.key,
            size: row.size,
        })
    })?;
    Ok(Answer::BlobObjects { blobs, more })
}

fn tags(
    tables: &dyn ReadTables,
    repository: &RepositoryName,
    wanted: &Page<Tag>,
) -> Result<Answer, StorageFailure> {
    let Some(row) = typed::get(tables, &keys::repository(repository))? else {
        return Ok(Answer::RepositoryUnknown);
    };
    let mut wanted = wanted.clone();
    let limit = wanted.limit.min(PAGE_MAX);
    let mut tags = Vec::new();
    loop {
        let mut range = keys::tags(repository);
        if let Some(after) = &wanted.after {
            range = range.after(keys::tag(repository, after));
        }
        let (found, more) = page(tables, &range, &wanted, |key, row: TagRow| {
            Some((keys::read_tag(key)?.1, row))
        })?;
        wanted.after = found.last().map(|(tag, _)| tag.clone());
        for (tag, tag_row) in found {
            if row.ending == 0 || is_visible(tables, repository, &tag_row)? {
                let digest = tag_row.digest;
                tags.push(TagView { tag, digest });
            }
        }
        // Only while a manifest of many tags is being deleted does a page need more than one turn.
        if !more || tags.len() >= limit {
            let more = more || tags.len() > limit;
            tags.truncate(limit);
            return Ok(Answer::Tags { tags, more });
        }
    }
}

/// Whether the link that a tag was moved to is not ending.
fn is_visible(
    tables: &dyn ReadTables,
    repository: &RepositoryName,
    tag: &TagRow,
) -> Result<bool, StorageFailure> {
    let link = typed::get(tables, &keys::manifest_link(repository, &tag.digest))?;
    Ok(link.is_some_and(|link| !link.ending && link.created_at == tag.link))
}

fn referrers(
    tables: &dyn ReadTables,
    repository: &RepositoryName,
    subject: &Digest,
    artifact_type: Option<&str>,
    wanted: &Page<Digest>,
) -> Result<Answer, StorageFailure> {
    let limit = wanted.limit.min(PAGE_MAX);
    let mut range = keys::referrers(repository, subject);
    if let Some(after) = &wanted.after {
        range = range.after(keys::referrer(repository, subject, after));
    }
    let scanned_max = match artifact_type {
        Some(_) => limit.max(REFERRERS_SCANNED_MAX),
        None => limit,
    };
    let mut shown = 0;
    let mut scanned = 0;
    let mut last = None;
    let mut next = None;
    let rows = typed::collect(tables, &range, scanned_max + 1, |key, row: ReferrerRow| {
        let (_, _, digest) = keys::read_pair(key)?;
        if next.is_some() {
            return Some(None);
        }
        if shown == limit || scanned == scanned_max {
            next = last;
            return Some(None);
        }
        scanned += 1;
        last = Some(digest);
        let is_wanted = artifact_type
            .is_none_or(|wanted| row.descriptor.artifact_type.as_deref() == Some(wanted));
        shown += usize::from(is_wanted);
        Some(is_wanted.then_some(ReferrerView {
            descriptor: row.descriptor,
        }))
    })?;
    Ok(Answer::Referrers {
        referrers: rows.into_iter().flatten().collect(),
        next,
    })
}

fn due_deletions(
    tables: &dyn ReadTables,
    limit: usize,
    now: LogTime,
) -> Result<Answer, StorageFailure> {
    let limit = limit.min(DELETIONS_PER_ENTRY_MAX);
    let row: Option<ClusterRow> = typed::get(tables, &keys::cluster())?;
    let range = due_range(&row.map(|row| row.upkeep).unwrap_or_default(), now);
    let objects = typed::collect(tables, &range, limit, |_, row: DeletionRow| Some(row))?;
    Ok(Answer::Deletions { objects })
}

/// The queued objects whose time has come. An object is due [`READ_MS_MAX`] after it was queued at the latest, so that those
/// that were queued after a correction can be told.
pub(crate) fn due_range(upkeep: &UpkeepRow, now: LogTime) -> Range {
    let due = keys::deletions_due(now);
    match upkeep.fresh_since(now) {
        Some(corrected) => due.not_before(corrected.plus_ms(READ_MS_MAX)),
        None => due,
    }
}

fn nodes(tables: &dyn ReadTables) -> Result<Answer, StorageFailure> {
    let all = Range::all(TableId::Node);
    let nodes = typed::collect(tables, &all, PAGE_MAX, |key, row: NodeRow| {
        Some(NodeView {
            node: keys::read_node(key)?,
            role: row.role,
            key_hash: row.key_hash,
            announcement: row.announcement,
            joined: row.joined,
            announced: row.announced,
            removed: row.removed,
            trust: row.trust,
            storage: row.storage,
        })
    })?;
    Ok(Answer::Nodes { nodes })
}

/// The authorities by their numbers, and the number of the one that signs: the last, or the one before it until the last one
/// is believed by every node.
pub(crate) fn signing(numbers: &[u32], next_signs: bool) -> u32 {
    let older = match numbers {
        [.., older, _] if !next_signs => Some(older),
        _ => numbers.last(),
    };
    older.copied().unwrap_or(0)
}

fn authority_rows(
    tables: &dyn ReadTables,
) -> Result<(Vec<(u32, AuthorityRow)>, u32), StorageFailure> {
    let all = Range::all(TableId::Authority);
    let rows = typed::collect(tables, &all, PAGE_MAX, |key, row: AuthorityRow| {
        Some((keys::read_authority(key)?, row))
    })?;
    let cluster: Option<ClusterRow> = typed::get(tables, &keys::cluster())?;
    let next_signs = cluster.is_some_and(|row| row.next_authority_signs);
    let numbers: Vec<u32> = rows.iter().map(|(number, _)| *number).collect();
    Ok((rows, signing(&numbers, next_signs)))
}

fn authority(tables: &dyn ReadTables) -> Result<Answer, StorageFailure> {
    let (mut rows, signing) = authority_rows(tables)?;
    let Some(position) = rows.iter().position(|(number, _)| *number == signing) else {
        return Ok(Answer::Absent);
    };
    let (_, row) = rows.remove(position);
    Ok(Answer::Authority {
        certificate: row.certificate,
        sealed_key: row.sealed_key,
        others: rows.into_iter().map(|(_, row)| row.certificate).collect(),
    })
}

fn authorities(tables: &dyn ReadTables) -> Result<Answer, StorageFailure> {
    let (rows, signing) = authority_rows(tables)?;
    let certificates = rows
        .into_iter()
        .map(|(number, row)| (number, row.certificate));
    Ok(Answer::Authorities {
        authorities: certificates.collect(),
        signing,
    })
}
