//! A manifest's link ends. Rules 2.1 and 2.6: the first entry hides it at once; as many more as its tags need follow.

use oci::{Digest, RepositoryName, Tag};

use super::state::{State, Stop, less};
use super::{deletion, reference};
use crate::command::Payload;
use crate::keys;
use crate::reply::{Refusal, Reply};
use crate::rows::{ManifestLinkRow, ManifestRow};

/// How many tags one entry removes.
const TAGS_PER_ENTRY_MAX: usize = 4_000;

/// An entry that removes tags goes on to the rest of the manifest only if that keeps it well within
/// [`crate::ROWS_PER_ENTRY_MAX`].
const ROWS_OF_TAGS_AND_REFERENCES_MAX: usize = 9_000;

/// [`crate::Command::DeleteManifest`].
pub(super) fn delete(
    state: &mut State<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Reply, Stop> {
    state.repository(repository)?;
    let link = state
        .get(&keys::manifest_link(repository, digest))?
        .ok_or(Refusal::ManifestUnknown)?;
    let manifest = state.require(&keys::manifest(digest), "a manifest that a link names")?;
    if !link.ending {
        hide(state, repository, digest, link, &manifest)?;
    }

    let range = keys::manifest_tags(repository, digest);
    let tags = state.collect(&range, TAGS_PER_ENTRY_MAX + 1, |key, (): ()| {
        Some(keys::read_manifest_tag(key)?.2)
    })?;
    let removed = &tags[..tags.len().min(TAGS_PER_ENTRY_MAX)];
    if !mutants::active!("leave_tags_of_a_deleted_manifest") {
        remove_tags(state, repository, digest, removed)?;
    }
    let rows = 2 * removed.len() + 2 * manifest.references.len();
    let is_too_much = !removed.is_empty() && rows > ROWS_OF_TAGS_AND_REFERENCES_MAX;
    if tags.len() > removed.len() || is_too_much {
        return Ok(Reply::DeletionContinues);
    }
    end(state, repository, digest, manifest)?;
    Ok(Reply::Done)
}

/// From here on nobody sees the manifest, its tags, or what it says of its subject.
fn hide(
    state: &mut State<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    mut link: ManifestLinkRow,
    manifest: &ManifestRow,
) -> Result<(), Stop> {
    link.ending = true;
    state.put(&keys::manifest_link(repository, digest), link)?;
    if let Some(subject) = &manifest.subject {
        state.remove(&keys::referrer(repository, subject, digest))?;
    }
    state.change_repository(repository, |row| {
        row.ending += 1;
        Ok(())
    })
}

fn remove_tags(
    state: &mut State<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    tags: &[Tag],
) -> Result<(), Stop> {
    for tag in tags {
        state.remove(&keys::tag(repository, tag))?;
        state.remove(&keys::manifest_tag(repository, digest, tag))?;
    }
    state.change_repository(repository, |row| {
        row.tags = less(row.tags, tags.len() as u64, "a repository's count of tags")?;
        Ok(())
    })
}

fn end(
    state: &mut State<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    mut manifest: ManifestRow,
) -> Result<(), Stop> {
    state.remove(&keys::manifest_link(repository, digest))?;
    state.change_repository(repository, |row| {
        row.manifests = less(row.manifests, 1, "a repository's count of manifests")?;
        row.ending = less(row.ending, 1, "a repository's count of ending manifests")?;
        row.bytes = less(row.bytes, manifest.size, "a repository's bytes")?;
        Ok(())
    })?;
    reference::detach(state, repository, digest, &manifest.references)?;
    manifest.count = less(manifest.count, 1, "a manifest's count")?;
    let key = keys::manifest(digest);
    if manifest.count > 0 {
        return state.put(&key, manifest);
    }
    state.remove(&key)?;
    match manifest.payload {
        Payload::Inline(_) => Ok(()),
        Payload::Object(object) => deletion::queue_after_reads(state, object),
    }
}
