//! What a manifest says of others is listed while it is linked: of its subject until its link ends, of its children for
//! as long as the link is there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, all, links, same};
use crate::command::ManifestReference;
use crate::keys;
use crate::rows::ReferrerRow;
use crate::tables::{ReadTables, TableId};

/// The referrers are the linked manifests that have a subject, but those that are ending.
///
/// # Errors
/// [`Broken`].
pub fn referrers_mirror_links(tables: &dyn ReadTables) -> Result<(), Broken> {
    let recorded: BTreeMap<_, ReferrerRow> = all(tables, TableId::Referrer, keys::read_pair)?;
    let mut expected = BTreeMap::new();
    for (repository, digest, link, manifest) in links(tables)? {
        if let (Some(subject), Some(descriptor), false) =
            (manifest.subject, manifest.referrer, link.ending)
        {
            let row = ReferrerRow {
                descriptor: *descriptor,
            };
            expected.insert((repository, subject, digest), row);
        }
    }
    same("referrers", &recorded, &expected)
}

/// The parents are the linked indexes, by child.
///
/// # Errors
/// [`Broken`].
pub fn parents_mirror_links(tables: &dyn ReadTables) -> Result<(), Broken> {
    let recorded: BTreeMap<_, ()> = all(tables, TableId::Parent, keys::read_pair)?;
    let mut expected = BTreeSet::new();
    for (repository, digest, _, manifest) in links(tables)? {
        for reference in manifest.references {
            if let ManifestReference::Child(child) = reference {
                expected.insert((repository.clone(), child, digest));
            }
        }
    }
    same("parents", &recorded.into_keys().collect(), &expected)
}
