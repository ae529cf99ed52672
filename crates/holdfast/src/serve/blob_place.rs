//! Finds the store where the blobs are, when a node starts: that of its settings, or the one that they were moved to.
//!
//! The log says where they are, but this node's part of it may be behind; each store says whether they are there or where they
//! went. It must never use a store that does not say that they are there, once anybody could have moved them.

use std::sync::Arc;
use std::time::Duration;

use blobs::{StorageKind, StorageSettings};
use metadata::{ClusterId, StorageRow};
use registry::{Marks, marks as marks_of};

use super::blob_move::BlobMove;
use crate::failure::Failure;
use crate::s3_place::S3Place;

/// How long the store that blobs went to may take to say that they are there: it is asked for a node with other settings.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// What a node knows of its blobs before it can ask anybody.
pub struct Known<'a> {
    /// Its cluster.
    pub cluster: ClusterId,
    /// What its own part of the log says, which may be behind.
    pub row: &'a StorageRow,
    /// Whether it is one of several nodes, or may be.
    pub is_founded: bool,
}

impl BlobMove {
    /// Uses the store where the blobs are, and the one that they go to beside it. Comes before anything is done with a blob, and
    /// before a cluster is founded.
    ///
    /// # Errors
    /// One line that names the fix.
    pub async fn place(&self, known: Known<'_>) -> Result<(), Failure> {
        let row = known.row;
        if !known.is_founded && row.generation == 0 && row.moving_to.is_none() {
            return Ok(());
        }
        let store = &self.shared.store;
        let generation = match marks_of(&store.unguarded(), known.cluster).await {
            Ok(marks) if marks.is_here(row.generation) => marks.here.unwrap_or(row.generation),
            // Only the entry was missing when the one who moves died, or this node's log lacks it: the move goes on.
            Ok(marks) if is_leaving(&marks, row) => row.generation,
            Ok(marks) => self.find(&known, &marks).await?,
            Err(failure) if known.is_founded || is_named_by(&self.shared.storage, row) => {
                tracing::warn!(%failure, "the store of blobs does not answer now");
                row.generation
            }
            Err(failure) => {
                return Err(Failure::new(format!(
                    "{failure}: it cannot be told whether {} is where the blobs are",
                    store.describe_present()
                )));
            }
        };
        let mut followed = self.shared.followed.lock().await;
        followed.generation = generation;
        let Some(to) = row
            .moving_to
            .as_ref()
            .filter(|_| generation == row.generation)
        else {
            return Ok(());
        };
        let unfinished = |why: String| {
            Failure::new(format!(
                "the blobs are being moved to {to}, and some are there only, but it cannot be used: {why}"
            ))
        };
        let place: S3Place = to.parse().map_err(unfinished)?;
        let new = self.open(&place).await.map_err(unfinished)?;
        tracing::info!(%to, "the blobs move: both stores are open");
        *self.shared.from.lock() = Some(store.describe_present());
        store.open_new(Arc::clone(&new));
        if row.writes_to_new {
            store.fill_new();
        }
        followed.new = Some((to.clone(), new));
        Ok(())
    }

    /// The store of the settings is not where the blobs are: they may have left it.
    async fn find(&self, known: &Known<'_>, marks: &Marks) -> Result<u64, Failure> {
        let (row, store) = (known.row, &self.shared.store);
        let configured = store.describe_present();
        let left = marks.left.as_ref().map(|(_, to)| to.as_str());
        let Some(to) = left.or(row.place.as_deref()) else {
            return Err(match row.moving_to {
                Some(_) => wrong_store(row, &configured, None),
                None => Failure::new(
                    "this node's store of blobs is not that of its cluster: all nodes are given one bucket, or one folder that they share (settings storage.…)",
                ),
            });
        };
        let moved = StorageRow {
            place: Some(to.to_owned()),
            ..row.clone()
        };
        let wrong = |why: String| wrong_store(&moved, &configured, Some(why.trim()));
        let place: S3Place = to.parse().map_err(wrong)?;
        let new = self.open(&place).await.map_err(wrong)?;
        let there = tokio::time::timeout(ANSWER_TIME_MAX, marks_of(&*new, known.cluster)).await;
        let there = there.map_err(|_| wrong("it does not answer".to_owned()))?;
        let there = there.map_err(|failure| wrong(failure.to_string()))?;
        if !there.is_here(row.generation) {
            return Err(wrong(format!("{place} does not say that they are there")));
        }
        store.replace(new);
        remind(&place);
        Ok(there.here.unwrap_or(row.generation))
    }
}

/// Whether blobs are about to leave a store for the place that the log says they move to.
fn is_leaving(marks: &Marks, row: &StorageRow) -> bool {
    let Some(to) = &row.moving_to else {
        return false;
    };
    marks.here == Some(row.generation) && marks.left == Some((row.generation + 1, to.clone()))
}

/// Whether the settings name the very place that the log does.
fn is_named_by(storage: &StorageSettings, row: &StorageRow) -> bool {
    let named = row
        .place
        .as_deref()
        .and_then(|place| place.parse::<S3Place>().ok());
    let set = match storage.kind {
        StorageKind::S3 => S3Place::of(&storage.s3),
        StorageKind::Folder => None,
    };
    named.is_some_and(|named| set.is_some_and(|set| set.to_string() == named.to_string()))
}

/// Says which settings the next start should have.
pub(super) fn remind(place: &S3Place) {
    tracing::warn!(
        to = %place,
        settings = settings_of(place),
        "the blobs were moved, and this node uses the new store: give it these settings; with the old ones it can only start while it finds the new store by itself"
    );
}

fn settings_of(place: &S3Place) -> String {
    let settings = place.settings().into_iter();
    let settings = settings.map(|(name, value)| format!("{name} = \"{value}\""));
    settings.collect::<Vec<_>>().join(", ")
}

/// The store of the settings is not where the blobs are, and the one that the log names was not to be had.
fn wrong_store(row: &StorageRow, configured: &str, why: Option<&str>) -> Failure {
    let wanted = |place: &str| {
        let place = place.parse::<S3Place>();
        place.map(|place| settings_of(&place)).unwrap_or_default()
    };
    let mut line = match (&row.place, &row.moving_to) {
        (Some(place), None) => format!(
            "the blobs of this registry were moved to {place}, and the settings name {configured}, which is another store: set {}",
            wanted(place)
        ),
        (Some(place), Some(to)) => format!(
            "the blobs of this registry are being moved to {to}, and the settings name {configured}: leave them as they were until that is done, {}",
            wanted(place)
        ),
        (None, to) => format!(
            "the blobs of this registry are being moved to {}, and the settings name {configured}, which is not the store that they are moved from: leave the settings of the store as they were until that is done",
            to.as_deref().unwrap_or_default()
        ),
    };
    if let Some(why) = why {
        line.push_str(&format!(" (it cannot be used by itself: {why})"));
    }
    Failure::new(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_store_is_told_with_the_settings_that_mend_it() {
        let row = |place: Option<&str>, moving_to: Option<&str>| StorageRow {
            generation: 1,
            place: place.map(str::to_owned),
            moving_to: moving_to.map(str::to_owned),
            ..StorageRow::default()
        };
        let moved = row(Some("http://s3:3900/images/a?region=garage"), None);
        assert_eq!(
            wrong_store(&moved, "folder /data/blobs", None).lines,
            [
                "the blobs of this registry were moved to http://s3:3900/images/a?region=garage, and the settings name folder /data/blobs, which is another store: set storage.kind = \"s3\", storage.s3.bucket = \"images\", storage.s3.prefix = \"a\", storage.s3.endpoint = \"http://s3:3900\", storage.s3.region = \"garage\""
            ]
        );
        let moving = row(None, Some("s3://images"));
        let line = &wrong_store(&moving, "folder /other", None).lines[0];
        assert!(
            line.contains("s3://images") && line.contains("as they were"),
            "{line}"
        );
    }
}
