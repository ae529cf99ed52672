//! What holds of the tables after every entry: one function for each invariant, the same for unit tests, simulator and
//! debug builds.
//!
//! They read whole tables, so they are for small states. They trust nothing that [`crate::apply`] counts: each compares
//! counts with what is counted anew.

mod access;
mod blob_counts;
mod deletions;
mod holders;
mod manifest_links;
mod nodes;
mod referrers;
mod replies;
mod repository_counts;
mod tags;
mod uploads;

pub use access::{
    administrators_are_counted, audit_is_a_chain, groups_mirror_users, members_mirror_memberships,
    projects_count_repositories, tokens_mirror_accounts,
};
pub use blob_counts::blob_counts_are_exact;
pub use deletions::no_live_object_is_queued;
pub use holders::holders_mirror_links;
pub use manifest_links::{manifest_counts_are_exact, required_blobs_are_visible};
pub use nodes::{
    every_node_knows_the_format, founded_cluster_has_a_member, nodes_are_their_keys,
    storage_moves_in_steps, used_tokens_name_nodes,
};
pub use referrers::{parents_mirror_links, referrers_mirror_links};
pub use replies::{first_answers_are_ordered, replies_are_ordered};
pub use repository_counts::repository_counts_are_exact;
pub use tags::{manifest_tags_mirror_tags, tags_point_at_links};
pub use uploads::{finished_uploads_are_ordered, parts_belong_to_open_uploads};

use std::collections::BTreeMap;
use std::fmt::Debug;

use oci::{Digest, RepositoryName};

use crate::keys::{self, Range};
use crate::rows::{ManifestLinkRow, ManifestRow};
use crate::tables::{ReadTables, StorageFailure, TableId};
use crate::typed::{self, TypedRow};

/// An invariant does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The tables cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageFailure),
    /// They contradict themselves.
    #[error("{0}")]
    Contradiction(String),
}

/// Checks every invariant.
///
/// # Errors
/// The first that is broken.
pub fn check_all(tables: &dyn ReadTables) -> Result<(), Broken> {
    blob_counts_are_exact(tables)?;
    holders_mirror_links(tables)?;
    manifest_counts_are_exact(tables)?;
    required_blobs_are_visible(tables)?;
    repository_counts_are_exact(tables)?;
    manifest_tags_mirror_tags(tables)?;
    tags_point_at_links(tables)?;
    referrers_mirror_links(tables)?;
    parents_mirror_links(tables)?;
    parts_belong_to_open_uploads(tables)?;
    finished_uploads_are_ordered(tables)?;
    no_live_object_is_queued(tables)?;
    replies_are_ordered(tables)?;
    first_answers_are_ordered(tables)?;
    nodes_are_their_keys(tables)?;
    used_tokens_name_nodes(tables)?;
    founded_cluster_has_a_member(tables)?;
    every_node_knows_the_format(tables)?;
    storage_moves_in_steps(tables)?;
    administrators_are_counted(tables)?;
    groups_mirror_users(tables)?;
    members_mirror_memberships(tables)?;
    projects_count_repositories(tables)?;
    tokens_mirror_accounts(tables)?;
    audit_is_a_chain(tables)
}

/// Every row of a table by its key.
fn all<R: TypedRow, K: Ord>(
    tables: &dyn ReadTables,
    table: TableId,
    mut read: impl FnMut(&[u8]) -> Option<K>,
) -> Result<BTreeMap<K, R>, StorageFailure> {
    let rows = typed::collect(tables, &Range::all(table), usize::MAX, |key, row: R| {
        Some((read(key)?, row))
    })?;
    Ok(rows.into_iter().collect())
}

/// Every manifest link, with the manifest that it links.
fn links(
    tables: &dyn ReadTables,
) -> Result<Vec<(RepositoryName, Digest, ManifestLinkRow, ManifestRow)>, Broken> {
    let links: BTreeMap<_, ManifestLinkRow> =
        all(tables, TableId::ManifestLink, keys::read_in_repository)?;
    let manifests: BTreeMap<_, ManifestRow> = all(tables, TableId::Manifest, keys::read_digest)?;
    links
        .into_iter()
        .map(|((repository, digest), link)| {
            let manifest = manifests.get(&digest).cloned().ok_or_else(|| {
                Broken::Contradiction(format!("{repository} links {digest}, which is missing"))
            })?;
            Ok((repository, digest, link, manifest))
        })
        .collect()
}

/// Compares what is recorded with what was counted anew.
fn same<T: PartialEq + Debug>(what: &str, recorded: &T, counted: &T) -> Result<(), Broken> {
    if recorded == counted {
        return Ok(());
    }
    Err(Broken::Contradiction(format!(
        "{what}: recorded {recorded:?}, counted {counted:?}"
    )))
}
