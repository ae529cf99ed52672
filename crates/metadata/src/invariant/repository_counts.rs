//! A repository's row counts what is in it.

use std::collections::BTreeMap;

use oci::RepositoryName;

use super::{Broken, all, links, same};
use crate::keys;
use crate::rows::{BlobLinkRow, BlobRow, ClusterRow, RepositoryRow, TagRow};
use crate::tables::{ReadTables, TableId};
use crate::typed;

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    manifests: u64,
    tags: u64,
    blobs: u64,
    bytes: u64,
    ending: u64,
}

/// Links, tags and bytes of each repository are as many as its row says, and repositories as many as the cluster's says.
///
/// # Errors
/// [`Broken`].
pub fn repository_counts_are_exact(tables: &dyn ReadTables) -> Result<(), Broken> {
    let rows: BTreeMap<_, RepositoryRow> = all(tables, TableId::Repository, keys::read_repository)?;
    let mut counted: BTreeMap<RepositoryName, Counts> = rows
        .keys()
        .map(|name| (name.clone(), Counts::default()))
        .collect();
    for (repository, _, link, manifest) in links(tables)? {
        let counts = counted.entry(repository).or_default();
        counts.manifests += 1;
        counts.bytes += manifest.size;
        counts.ending += u64::from(link.ending);
    }
    let tags: BTreeMap<_, TagRow> = all(tables, TableId::Tag, keys::read_tag)?;
    for (repository, _) in tags.into_keys() {
        counted.entry(repository).or_default().tags += 1;
    }
    let blobs: BTreeMap<_, BlobRow> = all(tables, TableId::Blob, keys::read_digest)?;
    let blob_links: BTreeMap<_, BlobLinkRow> =
        all(tables, TableId::BlobLink, keys::read_in_repository)?;
    for (repository, digest) in blob_links.into_keys() {
        let counts = counted.entry(repository).or_default();
        counts.blobs += 1;
        counts.bytes += blobs.get(&digest).map_or(0, |blob| blob.size);
    }

    let repositories = rows.len() as u64;
    let recorded = rows.into_iter().map(|(name, row)| {
        let counts = Counts {
            manifests: row.manifests,
            tags: row.tags,
            blobs: row.blobs,
            bytes: row.bytes,
            ending: row.ending,
        };
        (name, counts)
    });
    same("counts of repositories", &recorded.collect(), &counted)?;
    let cluster: Option<ClusterRow> = typed::get(tables, &keys::cluster())?;
    let recorded = cluster.map_or(0, |row| row.repositories);
    same("the number of repositories", &recorded, &repositories)
}
