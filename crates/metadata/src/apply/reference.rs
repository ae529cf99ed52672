//! What a linked manifest names, and the counts that follow from it. Rules 2.2 and 2.5.
//!
//! A blob is counted on its link in the repository and on itself. One that may be absent, and is, is counted in a row of
//! its own until it comes, so that its coming touches one row however many manifests name it. So are the absent layers of
//! a sparse image, which is let in only here. A child manifest is not
//! counted: that an index names it is remembered, for whoever decides what may go.

use oci::{Digest, RepositoryName};

use super::blob;
use super::state::{State, Stop, less};
use crate::command::ManifestReference;
use crate::keys;
use crate::reply::Refusal;
use crate::rows::{BlobLinkRow, ManifestRow};

/// How many missing blobs a refusal lists.
const MISSING_LISTED_MAX: usize = 100;

/// A reference and, for a blob that the repository sees, its link.
pub(super) type Found = (ManifestReference, Option<BlobLinkRow>);

/// What a manifest names, as a repository sees it.
pub(super) struct LookedUp {
    /// Each reference.
    pub(super) found: Vec<Found>,
    /// How many layers of a sparse image are absent; 0 for all others.
    pub(super) absent: u32,
}

/// Looks up what `manifest` names.
///
/// Refuses when a blob that must be visible is not, unless the manifest is a sparse image and `may_be_sparse`.
pub(super) fn look_up(
    state: &State<'_>,
    repository: &RepositoryName,
    manifest: &ManifestRow,
    may_be_sparse: bool,
) -> Result<LookedUp, Stop> {
    let mut found = Vec::with_capacity(manifest.references.len());
    let mut missing = Vec::new();
    for reference in &manifest.references {
        let link = match reference {
            ManifestReference::RequiredBlob(digest) | ManifestReference::OptionalBlob(digest) => {
                state.get(&keys::blob_link(repository, digest))?
            }
            ManifestReference::Child(_) => None,
        };
        if let (ManifestReference::RequiredBlob(digest), None) = (reference, &link) {
            missing.push(*digest);
        }
        found.push((*reference, link));
    }
    if mutants::active!("link_without_the_blobs") {
        return Ok(LookedUp { found, absent: 0 });
    }
    if missing.is_empty() || (may_be_sparse && is_sparse(manifest.config, &found)) {
        let absent = u32::try_from(missing.len()).expect("a manifest names a few thousand blobs");
        return Ok(LookedUp { found, absent });
    }
    missing.truncate(MISSING_LISTED_MAX);
    Err(Refusal::BlobsUnknown { digests: missing }.into())
}

/// Whether an image of which something is absent is a sparse one: its config is there, and at least one of the layers
/// that must be. What has nothing there is more likely to be pushed in the wrong order, or to the wrong place.
fn is_sparse(config: Option<Digest>, found: &[Found]) -> bool {
    let is_there = |wanted: &dyn Fn(Digest) -> bool| {
        found.iter().any(|(reference, link)| {
            matches!(reference, ManifestReference::RequiredBlob(digest) if wanted(*digest))
                && link.is_some()
        })
    };
    config.is_some_and(|config| {
        is_there(&|digest| digest == config) && is_there(&|digest| digest != config)
    })
}

/// Counts what the manifest `naming`, which gets its link, names.
pub(super) fn attach(
    state: &mut State<'_>,
    repository: &RepositoryName,
    naming: &Digest,
    found: Vec<Found>,
) -> Result<(), Stop> {
    for (reference, link) in found {
        match (reference, link) {
            (
                ManifestReference::RequiredBlob(digest) | ManifestReference::OptionalBlob(digest),
                Some(link),
            ) => blob::change_count(state, repository, &digest, link, |count| Ok(count + 1))?,
            (
                ManifestReference::RequiredBlob(digest) | ManifestReference::OptionalBlob(digest),
                None,
            ) => {
                let key = keys::awaited_blob(repository, &digest);
                let count = state.get(&key)?.unwrap_or(0);
                state.put(&key, count + 1)?;
            }
            (ManifestReference::Child(child), _) => {
                state.put(&keys::parent(repository, &child, naming), ())?;
            }
        }
    }
    Ok(())
}

/// Counts what the manifest `naming`, whose link ends, names no more.
pub(super) fn detach(
    state: &mut State<'_>,
    repository: &RepositoryName,
    naming: &Digest,
    references: &[ManifestReference],
) -> Result<(), Stop> {
    for reference in references {
        match reference {
            ManifestReference::RequiredBlob(digest) | ManifestReference::OptionalBlob(digest) => {
                match state.get(&keys::blob_link(repository, digest))? {
                    Some(link) => blob::change_count(state, repository, digest, link, |count| {
                        less(count, 1, "a blob's count")
                    })?,
                    None => detach_awaited(state, repository, digest)?,
                }
            }
            ManifestReference::Child(child) => {
                state.remove(&keys::parent(repository, child, naming))?;
            }
        }
    }
    Ok(())
}

fn detach_awaited(
    state: &mut State<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<(), Stop> {
    let key = keys::awaited_blob(repository, digest);
    let count = state.require(&key, "the count of a blob that is named and absent")?;
    match less(count, 1, "the count of an absent blob")? {
        0 => state.remove(&key),
        count => state.put(&key, count),
    }
}
