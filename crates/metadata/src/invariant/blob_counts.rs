//! A blob's count is the number of manifest links that name it where it is visible. Rule 2.2.

use std::collections::BTreeMap;

use super::{Broken, all, links, same};
use crate::command::ManifestReference;
use crate::keys;
use crate::rows::{BlobLinkRow, BlobRow, BlobState};
use crate::tables::{ReadTables, TableId};

/// The counts on blobs, on their links and of absent blobs are those of the linked manifests, and a blob that nothing
/// names has a grace.
///
/// # Errors
/// [`Broken`].
pub fn blob_counts_are_exact(tables: &dyn ReadTables) -> Result<(), Broken> {
    let blobs: BTreeMap<_, BlobRow> = all(tables, TableId::Blob, keys::read_digest)?;
    let blob_links: BTreeMap<_, BlobLinkRow> =
        all(tables, TableId::BlobLink, keys::read_in_repository)?;
    let awaited: BTreeMap<_, u64> = all(tables, TableId::AwaitedBlob, keys::read_in_repository)?;

    let mut of_blobs: BTreeMap<_, u64> = blobs.keys().map(|digest| (*digest, 0)).collect();
    let mut of_links: BTreeMap<_, u64> = blob_links.keys().map(|key| (key.clone(), 0)).collect();
    let mut of_absent = BTreeMap::new();
    for (repository, _, _, manifest) in links(tables)? {
        for reference in manifest.references {
            let (ManifestReference::RequiredBlob(digest) | ManifestReference::OptionalBlob(digest)) =
                reference
            else {
                continue;
            };
            let key = (repository.clone(), digest);
            if let Some(count) = of_links.get_mut(&key) {
                *count += 1;
                *of_blobs.entry(digest).or_default() += 1;
            } else {
                *of_absent.entry(key).or_default() += 1;
            }
        }
    }

    let recorded = blobs.iter().map(|(digest, row)| (*digest, row.count));
    same("counts of blobs", &recorded.collect(), &of_blobs)?;
    let recorded = blob_links
        .iter()
        .map(|(key, row)| (key.clone(), row.manifests));
    same("counts of blob links", &recorded.collect(), &of_links)?;
    same("counts of absent blobs", &awaited, &of_absent)?;
    for (digest, blob) in blobs {
        let is_referenced = blob.state == BlobState::Referenced;
        same(
            &format!("whether {digest} is referenced"),
            &is_referenced,
            &(blob.count > 0),
        )?;
    }
    Ok(())
}
