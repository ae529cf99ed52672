//! A manifest is there because repositories link it, and what is linked is whole. Rules 2.1 and 2.5, promise P3.

use std::collections::BTreeMap;

use oci::Digest;

use super::{Broken, all, links, same};
use crate::command::ManifestReference;
use crate::keys;
use crate::rows::{BlobLinkRow, ManifestRow};
use crate::tables::{ReadTables, TableId};

/// A manifest's count is the number of its links, and is never 0.
///
/// # Errors
/// [`Broken`].
pub fn manifest_counts_are_exact(tables: &dyn ReadTables) -> Result<(), Broken> {
    let manifests: BTreeMap<_, ManifestRow> = all(tables, TableId::Manifest, keys::read_digest)?;
    let mut counted: BTreeMap<_, u64> = BTreeMap::new();
    for (_, digest, _, _) in links(tables)? {
        *counted.entry(digest).or_default() += 1;
    }
    let recorded = manifests.iter().map(|(digest, row)| (*digest, row.count));
    same("counts of manifests", &recorded.collect(), &counted)
}

/// Every blob that a linked manifest requires is visible in the repository; of an image that is marked as sparse, its
/// config and a layer at least.
///
/// # Errors
/// [`Broken`].
pub fn required_blobs_are_visible(tables: &dyn ReadTables) -> Result<(), Broken> {
    let visible: BTreeMap<_, BlobLinkRow> =
        all(tables, TableId::BlobLink, keys::read_in_repository)?;
    for (repository, digest, link, manifest) in links(tables)? {
        let (seen, unseen): (Vec<Digest>, Vec<Digest>) = manifest
            .references
            .iter()
            .filter_map(|reference| match reference {
                ManifestReference::RequiredBlob(blob) => Some(*blob),
                ManifestReference::OptionalBlob(_) | ManifestReference::Child(_) => None,
            })
            .partition(|blob| visible.contains_key(&(repository.clone(), *blob)));
        let is_sparse = manifest.config.is_some_and(|config| {
            link.sparse && seen.contains(&config) && seen.iter().any(|blob| *blob != config)
        });
        if let Some(blob) = unseen.first()
            && !is_sparse
        {
            return Err(Broken::Contradiction(format!(
                "{repository} does not see {blob}, which {digest} requires"
            )));
        }
    }
    Ok(())
}
