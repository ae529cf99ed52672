//! Where a blob is visible is told twice, and counted for each project. Rule 2.2.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, all, same};
use crate::keys;
use crate::rows::{BlobLinkRow, BlobRow};
use crate::tables::{ReadTables, TableId};

/// Holders are the links the other way round, project counts count them, and each links a blob.
///
/// # Errors
/// [`Broken`].
pub fn holders_mirror_links(tables: &dyn ReadTables) -> Result<(), Broken> {
    let links: BTreeMap<_, BlobLinkRow> = all(tables, TableId::BlobLink, keys::read_in_repository)?;
    let holders: BTreeMap<_, ()> = all(tables, TableId::BlobHolder, keys::read_blob_holder)?;
    let mirrored: BTreeSet<_> = links
        .keys()
        .map(|(repository, digest)| (*digest, repository.clone()))
        .collect();
    same("holders", &holders.into_keys().collect(), &mirrored)?;

    let mut counted: BTreeMap<_, u64> = BTreeMap::new();
    for (repository, digest) in links.keys() {
        let project = repository.project().to_owned();
        *counted.entry((project, *digest)).or_default() += 1;
    }
    let recorded = all(tables, TableId::ProjectCount, keys::read_project_count)?;
    same("project counts", &recorded, &counted)?;

    let blobs: BTreeMap<_, BlobRow> = all(tables, TableId::Blob, keys::read_digest)?;
    match links.keys().find(|(_, digest)| !blobs.contains_key(digest)) {
        None => Ok(()),
        Some((repository, digest)) => Err(Broken::Contradiction(format!(
            "{repository} links the blob {digest}, which is missing"
        ))),
    }
}
