//! Tags: where they point, how they move, how they end.
//!
//! A tag whose manifest's link is ending is hidden: it counts as absent everywhere, though its row may wait for its
//! removal.

use oci::{Digest, RepositoryName, Tag};

use super::precondition;
use super::state::{State, Stop, less};
use crate::command::Precondition;
use crate::ids::{LogIndex, PrincipalName};
use crate::keys;
use crate::reply::{Refusal, Reply};
use crate::rows::{ManifestRow, TagRow};

/// A tag's row as it stands, and whether it is hidden.
pub(super) struct Current {
    row: Option<TagRow>,
    hidden: bool,
}

impl Current {
    /// Where the tag points, for those who may see it.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.visible().map(|row| row.digest)
    }

    fn visible(&self) -> Option<&TagRow> {
        self.row.as_ref().filter(|_| !self.hidden)
    }
}

/// Looks a tag up.
pub(super) fn look_up(
    state: &State<'_>,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<Current, Stop> {
    let row = state.get(&keys::tag(repository, tag))?;
    let hidden = match &row {
        None => false,
        Some(row) => !state
            .get(&keys::manifest_link(repository, &row.digest))?
            .is_some_and(|link| !link.ending && link.created_at == row.link),
    };
    Ok(Current { row, hidden })
}

/// The manifest that tags are moved to.
pub(super) struct Target<'a> {
    /// The repository.
    pub(super) repository: &'a RepositoryName,
    /// The manifest.
    pub(super) digest: Digest,
    /// Its row.
    pub(super) manifest: &'a ManifestRow,
    /// When its link was made.
    pub(super) link: LogIndex,
    /// Who moves them.
    pub(super) by: &'a PrincipalName,
}

/// Moves a tag. One that points there already is left as it is.
pub(super) fn move_to(
    state: &mut State<'_>,
    target: &Target<'_>,
    tag: &Tag,
    current: &Current,
) -> Result<(), Stop> {
    if current.digest() == Some(target.digest) {
        return Ok(());
    }
    match &current.row {
        Some(old) => state.remove(&keys::manifest_tag(target.repository, &old.digest, tag))?,
        None => state.change_repository(target.repository, |row| {
            row.tags += 1;
            Ok(())
        })?,
    }
    let row = TagRow {
        digest: target.digest,
        media_type: target.manifest.media_type.clone(),
        size: target.manifest.size,
        version: match mutants::active!("count_beside_the_tables") {
            true => mutants::count(),
            false => current.visible().map_or(1, |row| row.version + 1),
        },
        moved: state.now(),
        by: target.by.clone(),
        link: target.link,
    };
    state.put(&keys::tag(target.repository, tag), row)?;
    state.put(
        &keys::manifest_tag(target.repository, &target.digest, tag),
        (),
    )
}

/// [`crate::Command::DeleteTag`].
pub(super) fn delete(
    state: &mut State<'_>,
    repository: &RepositoryName,
    tag: &Tag,
    precondition: Option<&Precondition>,
) -> Result<Reply, Stop> {
    state.repository(repository)?;
    let current = look_up(state, repository, tag)?
        .digest()
        .ok_or(Refusal::TagUnknown)?;
    precondition::check(precondition, Some(tag), Some(current))?;
    state.remove(&keys::tag(repository, tag))?;
    state.remove(&keys::manifest_tag(repository, &current, tag))?;
    state.change_repository(repository, |row| {
        row.tags = less(row.tags, 1, "a repository's count of tags")?;
        Ok(())
    })?;
    Ok(Reply::Done)
}
