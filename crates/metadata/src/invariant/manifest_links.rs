//! A manifest is there because repositories link it, and what is linked is whole. Rules 2.1 and 2.5, promise P3.

use std::collections::BTreeMap;

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

/// Every blob that a linked manifest requires is visible in the repository.
///
/// # Errors
/// [`Broken`].
pub fn required_blobs_are_visible(tables: &dyn ReadTables) -> Result<(), Broken> {
    let visible: BTreeMap<_, BlobLinkRow> =
        all(tables, TableId::BlobLink, keys::read_in_repository)?;
    for (repository, digest, _, manifest) in links(tables)? {
        for reference in manifest.references {
            if let ManifestReference::RequiredBlob(blob) = reference
                && !visible.contains_key(&(repository.clone(), blob))
            {
                return Err(Broken::Contradiction(format!(
                    "{repository} does not see {blob}, which {digest} requires"
                )));
            }
        }
    }
    Ok(())
}
