//! Restoring: from the copy of a cluster's log, the folder of a node that is alone in a new cluster.
//!
//! Effects, in order:
//! 1. beside the place of the folder another one is made: the newest snapshot and every entry after it are read, opened,
//!    checked and applied, and the rows become those of the new cluster;
//! 2. the old cluster's store is marked with the new one's name, after which the old one writes and deletes nothing more;
//! 3. the folder is moved into its place.
//!
//! A failure or crash before 2 has changed nothing outside of the folder aside, which the next try removes. One between 2
//! and 3 has stopped the old cluster, which the operator has given up, and the next try gives the new one another name. Must
//! never leave a folder in its place before the old cluster is told.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use identity::{OpenError, RecoveryKey};
use metadata::{ClusterId, ObjectKey};
use metadata_raft::{MemberConfig, Restoration, RestorationFailure, RestoredState};
use ports::{BlobFailure, BlobStore};

use crate::catalog::{Catalog, Chain, Place, Snapshot};
use crate::object::{self, GetFailure};
use crate::succession;

/// No segment is larger.
const SEGMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What is to be restored, and to where.
pub struct RestoreWish<'a> {
    /// Where the blobs and the copy are.
    pub store: &'a dyn BlobStore,
    /// The cluster that was lost.
    pub from: ClusterId,
    /// The key of its secrets.
    pub key: &'a RecoveryKey,
    /// The name of the new one.
    pub successor: ClusterId,
    /// The member that is made; its folder is not there yet.
    pub member: MemberConfig,
}

/// What was restored.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The state.
    pub state: RestoredState,
    /// Segments that were applied after the snapshot.
    pub segments: usize,
    /// A newer snapshot that was damaged and passed over.
    pub passed_over: Option<String>,
    /// A cluster that was restored from the same one before.
    pub earlier: Option<ClusterId>,
}

/// Nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreFailure {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] BlobFailure),
    /// There is nothing to restore from.
    #[error(
        "the store has no copy of the log of cluster {from}: check the cluster's id, and that the settings storage.… are those of that cluster"
    )]
    NoCopy {
        /// The cluster.
        from: ClusterId,
    },
    /// The key is another cluster's.
    #[error(
        "the recovery key is not that of cluster {from}: take the one that `cluster init` printed for it"
    )]
    OtherKey {
        /// The cluster.
        from: ClusterId,
    },
    /// An object of the copy cannot be used.
    #[error("{key} of the log's copy cannot be used: {problem}")]
    Damaged {
        /// Which.
        key: ObjectKey,
        /// What is wrong.
        problem: String,
    },
    /// Entries are not in the copy although later ones are.
    #[error(
        "entries {first} to {last} are missing in the log's copy, and later ones are there: bring the missing objects below {prefix} back, from a version of the bucket, say"
    )]
    Missing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
        /// Where they belong.
        prefix: String,
    },
    /// The folder is in use already.
    #[error("{folder} holds metadata already: restore into an empty data folder")]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder cannot be made.
    #[error("the folder {folder} cannot be made: {error}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The state cannot be made from what the copy holds.
    #[error("the metadata cannot be restored: {0}")]
    State(RestorationFailure),
}

/// Restores. Nothing else may use the member's folder.
///
/// # Errors
/// See [`RestoreFailure`]. May be repeated.
pub async fn restore(wish: RestoreWish<'_>) -> Result<Restored, RestoreFailure> {
    let folder = wish.member.data_dir.clone();
    if folder.exists() {
        return Err(RestoreFailure::NotEmpty { folder });
    }
    let aside = folder.with_extension("restoring");
    let unusable = |error| RestoreFailure::Folder {
        folder: aside.clone(),
        error,
    };
    make_anew(&aside).map_err(unusable)?;
    let catalog = Catalog::list(wish.store, wish.from).await?;
    let (restoration, chain, passed_over) = newest(&wish, &catalog, &aside).await?;
    let restoration = apply(&wish, restoration, &chain).await?;
    let finished = restoration.finish(wish.from, wish.successor).await;
    let state = finished.map_err(RestoreFailure::State)?;
    let earlier = succession::successor(wish.store, wish.from).await?;
    succession::mark(wish.store, wish.from, wish.successor).await?;
    move_into_place(&aside, &folder).map_err(unusable)?;
    Ok(Restored {
        state,
        segments: chain.segments.len(),
        passed_over,
        earlier,
    })
}

fn make_anew(aside: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir_all(aside)
}

fn move_into_place(aside: &Path, folder: &Path) -> io::Result<()> {
    std::fs::rename(aside.join("metadata"), folder)?;
    if let Some(parent) = folder.parent() {
        File::open(parent)?.sync_all()?;
    }
    std::fs::remove_dir_all(aside)
}

/// Begins with the newest snapshot, or with the one before it when that one is damaged.
async fn newest(
    wish: &RestoreWish<'_>,
    catalog: &Catalog,
    aside: &Path,
) -> Result<(Restoration, Chain, Option<String>), RestoreFailure> {
    let mut passed_over = None;
    let mut failure = RestoreFailure::NoCopy { from: wish.from };
    for snapshot in &catalog.snapshots {
        match begin(wish, snapshot, aside).await {
            Ok(restoration) => {
                let chain = catalog.chain(snapshot.at);
                if let Some((first, last)) = catalog.missing(&chain) {
                    let prefix = ObjectKey::log_copy_prefix(wish.from);
                    return Err(RestoreFailure::Missing {
                        first,
                        last,
                        prefix,
                    });
                }
                return Ok((restoration, chain, passed_over));
            }
            Err(damaged @ RestoreFailure::Damaged { .. }) => {
                passed_over.get_or_insert_with(|| damaged.to_string());
                if matches!(failure, RestoreFailure::NoCopy { .. }) {
                    failure = damaged;
                }
            }
            Err(other) => return Err(other),
        }
    }
    Err(failure)
}

async fn begin(
    wish: &RestoreWish<'_>,
    snapshot: &Snapshot,
    aside: &Path,
) -> Result<Restoration, RestoreFailure> {
    let unusable = |error| RestoreFailure::Folder {
        folder: aside.to_owned(),
        error,
    };
    let path = aside.join("snapshot");
    let mut file = File::create(&path).map_err(unusable)?;
    let read = object::get(
        wish.store,
        wish.key,
        &snapshot.key,
        snapshot.size,
        |bytes| file.write_all(bytes),
    );
    read.await
        .map_err(|failure| failed(wish, &snapshot.key, aside, failure))?;
    let data_dir = aside.join("metadata");
    make_anew(&data_dir).map_err(unusable)?;
    let member = MemberConfig {
        data_dir,
        ..wish.member.clone()
    };
    let begun = tokio::task::spawn_blocking(move || Restoration::begin(&member, &path));
    let restoration = begun
        .await
        .map_err(|error| unusable(io::Error::other(error)))?;
    let restoration = restoration.map_err(|failure| match failure {
        RestorationFailure::Content { reason } => damaged(&snapshot.key, reason),
        other => RestoreFailure::State(other),
    })?;
    match restoration.last().map(Place::from) {
        Ok(at) if at == snapshot.at => Ok(restoration),
        _ => Err(damaged(
            &snapshot.key,
            "it holds another state than its name says",
        )),
    }
}

async fn apply(
    wish: &RestoreWish<'_>,
    mut restoration: Restoration,
    chain: &Chain,
) -> Result<Restoration, RestoreFailure> {
    for segment in &chain.segments {
        if segment.size > SEGMENT_BYTES_MAX {
            return Err(damaged(&segment.key, "it is larger than any segment"));
        }
        let mut content = Vec::new();
        let read = object::get(wish.store, wish.key, &segment.key, segment.size, |bytes| {
            content.extend_from_slice(bytes);
            Ok(())
        });
        let folder = &wish.member.data_dir;
        read.await
            .map_err(|failure| failed(wish, &segment.key, folder, failure))?;
        let entries: Vec<Bytes> =
            wire::decode_log_segment(&content).map_err(|error| damaged(&segment.key, error))?;
        let applied = tokio::task::spawn_blocking(move || {
            let applied = restoration.apply(&entries);
            (restoration, applied)
        });
        let (applied_to, applied) = applied
            .await
            .map_err(|error| damaged(&segment.key, error))?;
        restoration = applied_to;
        applied.map_err(|failure| damaged(&segment.key, failure))?;
        let last = restoration.last().map(Place::from);
        if last.ok() != Some(segment.last) {
            return Err(damaged(&segment.key, "it does not end where its name says"));
        }
    }
    Ok(restoration)
}

fn damaged(key: &ObjectKey, problem: impl ToString) -> RestoreFailure {
    RestoreFailure::Damaged {
        key: key.clone(),
        problem: problem.to_string(),
    }
}

fn failed(
    wish: &RestoreWish<'_>,
    key: &ObjectKey,
    folder: &Path,
    failure: GetFailure,
) -> RestoreFailure {
    match failure {
        GetFailure::Store(BlobFailure::NoSuchObject { .. }) => damaged(key, "it is gone"),
        GetFailure::Store(failure) => RestoreFailure::Store(failure),
        GetFailure::Open(OpenError::OtherKey) => RestoreFailure::OtherKey { from: wish.from },
        GetFailure::Open(error) => damaged(key, error),
        GetFailure::Disk(error) => RestoreFailure::Folder {
            folder: folder.to_owned(),
            error,
        },
    }
}
