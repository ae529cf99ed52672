//! What has to be there: repositories with their tags, manifests and blobs, and uploads under way.

use std::collections::{BTreeMap, BTreeSet};

use oci::{Algorithm, Digest};

use super::universe::{self, Fixed};

/// One repository.
#[derive(Debug, Default)]
pub struct Repository {
    /// Where tags point.
    pub tags: BTreeMap<&'static str, Digest>,
    /// Which manifests are there.
    pub manifests: BTreeSet<Digest>,
    /// Which blobs are there.
    pub blobs: BTreeSet<Digest>,
}

impl Repository {
    /// Whether a manifest names the blob.
    pub fn uses(&self, blob: &Digest) -> bool {
        let names = |manifest: &Digest| universe::manifest_of(manifest).blobs.contains(blob);
        self.manifests.iter().any(names)
    }

    /// How many blobs of a manifest are absent.
    pub fn absent(&self, manifest: &Fixed) -> usize {
        let is_absent = |blob: &&Digest| !self.blobs.contains(*blob);
        manifest.blobs.iter().filter(is_absent).count()
    }

    /// Whether the manifest may be stored: whole, or without some of its layers but with its config and another.
    pub fn takes(&self, manifest: &Fixed) -> bool {
        let absent = self.absent(manifest);
        let Some((config, layers)) = manifest.blobs.split_first() else {
            return true;
        };
        let is_there = |blob: &Digest| self.blobs.contains(blob);
        absent == 0 || (is_there(config) && layers.iter().any(is_there))
    }
}

/// One upload.
#[derive(Debug)]
pub struct Upload {
    /// Of which repository.
    pub repository: &'static str,
    /// By which it is hashed as it comes.
    pub algorithm: Algorithm,
    /// Its path.
    pub path: String,
    /// What was acknowledged.
    pub bytes: Vec<u8>,
    /// Where the last write began.
    pub started: Option<u64>,
    /// What it was closed as.
    pub closed: Option<Digest>,
    /// It was cancelled.
    pub cancelled: bool,
}

/// What a conditional push was remembered by: repository, manifest, tags, condition.
pub type Remembered = (&'static str, Digest, Vec<&'static str>, String);

/// Everything.
#[derive(Debug, Default)]
pub struct Model {
    repositories: BTreeMap<&'static str, Repository>,
    /// In the order in which they were opened.
    pub uploads: Vec<Upload>,
    /// Contents of blobs that were ever pushed.
    pub contents: BTreeMap<Digest, Vec<u8>>,
    /// Conditional pushes that were done.
    pub remembered: BTreeSet<Remembered>,
    /// Damaged requests were sent, which may have made repositories of other names.
    pub is_wild: bool,
}

impl Model {
    /// The repository, if it was ever pushed to.
    pub fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name)
    }

    /// The repository, which begins now if it is not there.
    pub fn repository_mut(&mut self, name: &'static str) -> &mut Repository {
        self.repositories.entry(name).or_default()
    }

    /// The repository, to be changed, if it is there.
    pub fn existing_mut(&mut self, name: &str) -> Option<&mut Repository> {
        self.repositories.get_mut(name)
    }

    /// The names of repositories, sorted.
    pub fn names(&self) -> Vec<&'static str> {
        self.repositories.keys().copied().collect()
    }

    /// A blob is visible in a repository.
    pub fn link_blob(&mut self, name: &'static str, digest: Digest, content: &[u8]) {
        self.contents
            .entry(digest)
            .or_insert_with(|| content.to_vec());
        self.repository_mut(name).blobs.insert(digest);
    }
}
