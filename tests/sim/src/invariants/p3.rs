//! P3, whole: what metadata names is in the store with exactly its bytes, and nothing is deleted that metadata names.

use std::collections::{BTreeMap, BTreeSet};

use metadata::{ObjectKey, Payload, Row, TableId, UploadState};
use oci::Digest;

use crate::census::Kind;
use crate::log::{Applied, Change};
use crate::world::World;

/// An object that an entry names is there, with the bytes of its digest.
pub const NAMED: &str = "P3 what is named is there";
/// An object that is deleted is named by nothing.
pub const DELETED: &str = "P3 what is deleted is not named";
/// What a client pulled has the bytes of its digest.
pub const PULLED: &str = "P3 what is pulled is whole";

/// Which rows name which objects, as of the last entry.
#[derive(Debug, Default)]
pub struct Objects {
    names: BTreeMap<(TableId, Vec<u8>), Vec<String>>,
    counts: BTreeMap<String, u64>,
    /// Of those, the objects of blobs.
    blobs: BTreeMap<String, u64>,
}

impl Objects {
    /// An entry was applied, for the first time.
    pub fn check(&mut self, world: &World, applied: &Applied) {
        for change in applied.changes.iter() {
            let names = match &change.row {
                Some(row) => names_of(row),
                None => Vec::new(),
            };
            if let Some(Row::Blob(blob)) = &change.row {
                self.check_blob(world, applied.index, change, &blob.key);
            } else {
                for key in &names {
                    self.check_is_there(world, applied.index, key);
                }
            }
            self.rename(change, names);
        }
    }

    fn rename(&mut self, change: &Change, names: Vec<String>) {
        let at = (change.table, change.key.clone());
        let is_blob = change.table == TableId::Blob;
        for name in &names {
            *self.counts.entry(name.clone()).or_default() += 1;
            if is_blob {
                *self.blobs.entry(name.clone()).or_default() += 1;
            }
        }
        let before = match names.is_empty() {
            true => self.names.remove(&at),
            false => self.names.insert(at, names),
        };
        for name in before.into_iter().flatten() {
            one_less(&mut self.counts, &name);
            if is_blob {
                one_less(&mut self.blobs, &name);
            }
        }
    }

    fn check_is_there(&self, world: &World, index: u64, key: &str) {
        if self.counts.contains_key(key) {
            return;
        }
        world.census.count(Kind::Invariant, NAMED);
        if world.store.objects.object(key).is_none() {
            world.breach(
                "P3",
                format!("entry {index} names {key}, which is not in the store"),
            );
        }
    }

    fn check_blob(&self, world: &World, index: u64, change: &Change, key: &ObjectKey) {
        if self
            .names
            .get(&(change.table, change.key.clone()))
            .is_some_and(|names| names[0] == key.as_str())
        {
            return;
        }
        world.census.count(Kind::Invariant, NAMED);
        let digest = metadata::keys::read_digest(&change.key);
        let bytes = world.store.objects.object(key.as_str());
        let is_whole = match (&digest, &bytes) {
            (Some(digest), Some(bytes)) => Digest::of(digest.algorithm(), bytes) == *digest,
            _ => false,
        };
        if !is_whole {
            let held = bytes.map(|bytes| bytes.len());
            world.breach(
                "P3",
                format!("entry {index} gives {digest:?} the object {key}, whose bytes are others ({held:?} of them)"),
            );
        }
    }

    /// Whether a blob is in this object.
    #[must_use]
    pub fn is_blob(&self, key: &ObjectKey) -> bool {
        self.blobs.contains_key(key.as_str())
    }

    /// Objects are about to be deleted.
    pub fn check_deletion(&self, world: &World, keys: &[ObjectKey]) {
        world.census.count(Kind::Invariant, DELETED);
        for key in keys {
            if self.counts.contains_key(key.as_str()) {
                let by: BTreeSet<_> = self
                    .names
                    .iter()
                    .filter(|(_, names)| names.iter().any(|name| name == key.as_str()))
                    .map(|((table, _), _)| *table)
                    .collect();
                world.breach("P3", format!("{key} is deleted while {by:?} name it"));
            }
        }
    }
}

fn one_less(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}

/// The objects that must be in the store for as long as a row stands.
fn names_of(row: &Row) -> Vec<String> {
    match row {
        Row::Blob(blob) => vec![blob.key.to_string()],
        Row::Manifest(manifest) => match &manifest.payload {
            Payload::Object(key) => vec![key.to_string()],
            Payload::Inline(_) => Vec::new(),
        },
        Row::Upload(upload) if upload.state == UploadState::Open => {
            let kept = [Some(&upload.acknowledged), upload.checkpoint.as_ref()];
            let tails = kept
                .into_iter()
                .flatten()
                .filter_map(|progress| progress.tail.as_ref());
            tails.map(|tail| tail.key.to_string()).collect()
        }
        _ => Vec::new(),
    }
}

/// Compares what a client pulled with what it asked for.
pub fn check_pulled(world: &World, node: u64, digest: &Digest, bytes: &[u8]) {
    world.census.count(Kind::Invariant, PULLED);
    let actual = Digest::of(digest.algorithm(), bytes);
    if actual != *digest {
        world.breach(
            "P3",
            format!(
                "node {node} serves {actual} ({} bytes) as {digest}",
                bytes.len()
            ),
        );
    }
}
