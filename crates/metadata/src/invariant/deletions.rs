//! Nothing that is named is deleted, and nothing that is named has two owners. Rules 1.1 and 2.4, promise P3.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, all};
use crate::command::Payload;
use crate::keys;
use crate::object_key::ObjectKey;
use crate::rows::{BlobRow, DeletionRow, ManifestRow, UploadRow, UploadState};
use crate::tables::{ReadTables, StorageFailure, TableId};

/// No object is both named and in the delete queue, none is a blob or a payload twice, and none is queued twice.
///
/// # Errors
/// [`Broken`].
pub fn no_live_object_is_queued(tables: &dyn ReadTables) -> Result<(), Broken> {
    let mut live = BTreeSet::new();
    let blobs: BTreeMap<_, BlobRow> = all(tables, TableId::Blob, keys::read_digest)?;
    let manifests: BTreeMap<_, ManifestRow> = all(tables, TableId::Manifest, keys::read_digest)?;
    let payloads = manifests.into_values().filter_map(|row| match row.payload {
        Payload::Object(object) => Some(object),
        Payload::Inline(_) => None,
    });
    let stored = blobs.into_values().map(|row| row.key).chain(payloads);
    let of_uploads = objects_of_uploads(tables)?;
    for object in stored.chain(of_uploads) {
        if !live.insert(object.clone()) {
            let text = format!("the object {object} has two owners");
            return Err(Broken::Contradiction(text));
        }
    }
    let queued: BTreeMap<_, DeletionRow> = all(tables, TableId::Deletion, keys::read_deletion)?;
    let mut seen = BTreeSet::new();
    for ((_, object), _) in queued {
        if live.contains(&object) || !seen.insert(object.clone()) {
            let text = format!("the object {object} is queued, and named or queued elsewhere");
            return Err(Broken::Contradiction(text));
        }
    }
    Ok(())
}

/// What the uploads that have not ended name, each object once for each upload.
fn objects_of_uploads(tables: &dyn ReadTables) -> Result<Vec<ObjectKey>, StorageFailure> {
    let uploads: BTreeMap<_, UploadRow> = all(tables, TableId::Upload, keys::read_upload)?;
    let mut objects = Vec::new();
    for row in uploads.into_values() {
        if matches!(row.state, UploadState::Finished { .. }) {
            continue;
        }
        let kept = [Some(row.acknowledged), row.started, row.checkpoint];
        let tails = kept.into_iter().flatten().filter_map(|kept| kept.tail);
        let own: BTreeSet<_> = tails.map(|tail| tail.key).chain(row.key).collect();
        objects.extend(own);
    }
    Ok(objects)
}
