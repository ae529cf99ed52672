//! Which repository sees which blob: links, mounts, renewals, and their end. Rules 2.2 to 2.5.

use oci::{Digest, RepositoryName};

use super::access;
use super::state::{State, Stop, less};
use crate::access::Asker;
use crate::command::Mount;
use crate::ids::PrincipalName;
use crate::keys;
use crate::reply::{Refusal, Reply};
use crate::rows::{BlobLinkRow, BlobRow, BlobState};

/// How many repositories that see a blob are looked at for one from which the asker may pull.
const HOLDERS_LOOKED_AT: usize = 100;

/// Makes a blob visible in a repository, and starts its grace anew or ends its condemnation. `blob` is its row as it
/// stands, or a new one; this writes it.
pub(super) fn link(
    state: &mut State<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    mut blob: BlobRow,
    by: &PrincipalName,
    mounted_from: Option<RepositoryName>,
) -> Result<(), Stop> {
    let key = keys::blob_link(repository, digest);
    if state.get(&key)?.is_none() {
        let manifests = take_awaited(state, repository, digest)?;
        blob.count += manifests;
        let row = BlobLinkRow {
            created: state.now(),
            by: by.clone(),
            mounted_from,
            manifests,
        };
        state.put(&key, row)?;
        state.put(&keys::blob_holder(digest, repository), ())?;
        change_project_count(state, repository, digest, |count| Ok(count + 1))?;
        state.change_repository(repository, |row| {
            row.blobs += 1;
            row.bytes += blob.size;
            Ok(())
        })?;
    }
    renew_row(state, digest, blob)
}

/// How many manifests of the repository named the blob before it came; their count goes to its link.
fn take_awaited(
    state: &mut State<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<u64, Stop> {
    let key = keys::awaited_blob(repository, digest);
    let Some(manifests) = state.get(&key)? else {
        return Ok(0);
    };
    state.remove(&key)?;
    Ok(manifests)
}

/// Writes a blob's row: what nothing names has its grace from now on.
fn renew_row(state: &mut State<'_>, digest: &Digest, mut blob: BlobRow) -> Result<(), Stop> {
    blob.state = state_of(state, blob.count);
    state.put(&keys::blob(digest), blob)
}

fn state_of(state: &State<'_>, count: u64) -> BlobState {
    if count > 0 {
        BlobState::Referenced
    } else {
        BlobState::Unreferenced { since: state.now() }
    }
}

/// Changes how many linked manifests name a blob of `repository` by `change`, on its link and on the blob.
pub(super) fn change_count(
    state: &mut State<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    mut link: BlobLinkRow,
    change: impl Fn(u64) -> Result<u64, Stop>,
) -> Result<(), Stop> {
    link.manifests = change(link.manifests)?;
    state.put(&keys::blob_link(repository, digest), link)?;
    let key = keys::blob(digest);
    let mut blob = state.require(&key, "a blob that a link names")?;
    blob.count = change(blob.count)?;
    blob.state = state_of(state, blob.count);
    state.put(&key, blob)
}

fn change_project_count(
    state: &mut State<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    change: impl FnOnce(u64) -> Result<u64, Stop>,
) -> Result<(), Stop> {
    let key = keys::project_count(repository.project(), digest);
    match change(state.get(&key)?.unwrap_or(0))? {
        0 => state.remove(&key),
        count => state.put(&key, count),
    }
}

/// [`crate::Command::Mount`]. A miss is no error: the asker goes on with a plain upload.
pub(super) fn mount(
    state: &mut State<'_>,
    asker: Option<&Asker>,
    mount: &Mount,
) -> Result<Reply, Stop> {
    let already = state.get(&keys::blob_link(&mount.repository, &mount.digest))?;
    let source = match &mount.from {
        _ if already.is_some() => None,
        // What may not be pulled looks as if it were not there.
        Some(from) if !access::may_pull(state, asker, from)? => None,
        Some(from) => state
            .get(&keys::blob_link(from, &mount.digest))?
            .map(|_| from.clone()),
        None => any_holder(state, asker, &mount.digest)?,
    };
    if already.is_none() && source.is_none() {
        return Ok(Reply::MountMissed);
    }
    let blob = state.require(&keys::blob(&mount.digest), "a blob that a link names")?;
    let size = blob.size;
    link(
        state,
        &mount.repository,
        &mount.digest,
        blob,
        &mount.principal,
        source,
    )?;
    Ok(Reply::Mounted { size })
}

/// A repository that sees the blob and from which the asker may pull. Only so many are looked at: a blob that many others
/// see first is uploaded anew.
fn any_holder(
    state: &State<'_>,
    asker: Option<&Asker>,
    digest: &Digest,
) -> Result<Option<RepositoryName>, Stop> {
    let looked_at = asker.map_or(1, |_| HOLDERS_LOOKED_AT);
    let holders = state.collect(&keys::blob_holders(digest), looked_at, |key, (): ()| {
        Some(keys::read_blob_holder(key)?.1)
    })?;
    if mutants::active!("take_rows_in_hash_order") {
        return Ok(mutants::first_by_hash(holders));
    }
    for holder in holders {
        if access::may_pull(state, asker, &holder)? {
            return Ok(Some(holder));
        }
    }
    Ok(None)
}

/// [`crate::Command::RenewBlob`].
pub(super) fn renew(
    state: &mut State<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Reply, Stop> {
    state.repository(repository)?;
    state
        .get(&keys::blob_link(repository, digest))?
        .ok_or(Refusal::BlobUnknown)?;
    let blob = state.require(&keys::blob(digest), "a blob that a link names")?;
    renew_row(state, digest, blob)?;
    Ok(Reply::Done)
}

/// [`crate::Command::DeleteBlob`]: ends the link. The blob itself goes when nothing holds it and its grace is over.
pub(super) fn delete(
    state: &mut State<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Reply, Stop> {
    state.repository(repository)?;
    let key = keys::blob_link(repository, digest);
    let link = state.get(&key)?.ok_or(Refusal::BlobUnknown)?;
    if link.manifests > 0 && !mutants::active!("delete_a_blob_in_use") {
        return Err(Refusal::BlobInUse {
            manifests: link.manifests,
        }
        .into());
    }
    let blob = state.require(&keys::blob(digest), "a blob that a link names")?;
    state.remove(&key)?;
    state.remove(&keys::blob_holder(digest, repository))?;
    change_project_count(state, repository, digest, |count| {
        less(count, 1, "a project's count of a blob")
    })?;
    state.change_repository(repository, |row| {
        row.blobs = less(row.blobs, 1, "a repository's count of blobs")?;
        row.bytes = less(row.bytes, blob.size, "a repository's bytes")?;
        Ok(())
    })?;
    Ok(Reply::Done)
}
