//! The marker by which a restored cluster says that it has taken the place of another one (rule 6.3).

use metadata::{ClusterId, ObjectKey};
use ports::{BlobFailure, BlobStore, Target};

/// The cluster that has taken the place of `cluster`, if one has. Asked before each step of its collection and by each of its
/// new leaders.
///
/// # Errors
/// When the store does not answer.
pub async fn successor(
    store: &dyn BlobStore,
    cluster: ClusterId,
) -> Result<Option<ClusterId>, BlobFailure> {
    let prefix = ObjectKey::successors_prefix(cluster);
    let found = store.list(&prefix, None).await?;
    let keys = found
        .iter()
        .filter_map(|object| ObjectKey::parse(&object.key));
    Ok(keys.filter_map(|key| key.read_successor()).next())
}

/// Says that `successor` has taken the place of `cluster`. Durable when it returns. May be repeated.
pub(crate) async fn mark(
    store: &dyn BlobStore,
    cluster: ClusterId,
    successor: ClusterId,
) -> Result<(), BlobFailure> {
    let mut staged = store.stage(0).await?;
    let target = Target::Object(ObjectKey::successor(cluster, successor));
    staged.store(&target).await.map(drop)
}
