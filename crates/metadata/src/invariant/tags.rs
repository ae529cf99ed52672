//! Tags and what they point at. Promise P2.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, all, same};
use crate::keys;
use crate::rows::{ManifestLinkRow, TagRow};
use crate::tables::{ReadTables, TableId};

/// The rows that lead from a manifest to its tags are the tags the other way round.
///
/// # Errors
/// [`Broken`].
pub fn manifest_tags_mirror_tags(tables: &dyn ReadTables) -> Result<(), Broken> {
    let tags: BTreeMap<_, TagRow> = all(tables, TableId::Tag, keys::read_tag)?;
    let recorded: BTreeMap<_, ()> = all(tables, TableId::ManifestTag, keys::read_manifest_tag)?;
    let expected: BTreeSet<_> = tags
        .into_iter()
        .map(|((repository, tag), row)| (repository, row.digest, tag))
        .collect();
    same(
        "tags of manifests",
        &recorded.into_keys().collect(),
        &expected,
    )
}

/// Every tag points at a link of its repository, and at the very one that it was moved to.
///
/// # Errors
/// [`Broken`].
pub fn tags_point_at_links(tables: &dyn ReadTables) -> Result<(), Broken> {
    let tags: BTreeMap<_, TagRow> = all(tables, TableId::Tag, keys::read_tag)?;
    let links: BTreeMap<_, ManifestLinkRow> =
        all(tables, TableId::ManifestLink, keys::read_in_repository)?;
    for ((repository, tag), row) in tags {
        let link = links.get(&(repository.clone(), row.digest));
        same(
            &format!("the link of {repository}:{tag}"),
            &Some(row.link),
            &link.map(|link| link.created_at),
        )?;
    }
    Ok(())
}
