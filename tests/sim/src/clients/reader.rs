//! Pulls manifests and blobs, whole, and lists what there is.

use futures::TryStreamExt;
use metadata::Page;
use oci::{Digest, Reference, RepositoryName};
use ports::ByteSpan;
use registry::Error;

use super::{Client, Told};
use crate::invariants::p1::Named;
use crate::invariants::p3;

/// What became of a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled {
    /// It came, whole.
    Whole,
    /// There is no such thing.
    Absent,
    /// Nobody knows.
    Unknown,
}

impl Client {
    /// Pulls an image of which it is known that somebody pushed it, and all its blobs.
    pub(super) async fn pull_something(&self) {
        let repository = self.repository();
        let Some(image) = self.library.old_image() else {
            return;
        };
        if let Some(node) = self.any_node()
            && self.pull_image_at(node, &repository, image.digest).await == Pulled::Whole
        {
            self.world.answered("image pulled");
        }
    }

    /// Pulls a manifest by digest and every blob that it names, from one node.
    pub async fn pull_image_at(
        &self,
        node: u64,
        repository: &RepositoryName,
        digest: Digest,
    ) -> Pulled {
        let reference = Reference::Digest(digest);
        let found = self
            .ask_node(node, "GET manifest", |registry, caller| {
                let repository = repository.clone();
                async move { registry.manifest(&caller, &repository, &reference).await }
            })
            .await;
        let found = match found {
            Told::Done(found) => found,
            Told::No(Error::ManifestUnknown | Error::NameUnknown) => return Pulled::Absent,
            Told::No(_) | Told::Unknown | Told::Unsent => return Pulled::Unknown,
        };
        let Some(found) = self.served(found) else {
            return Pulled::Unknown;
        };
        p3::check_pulled(&self.world, node, &digest, &found.payload);
        let Some(image) = self.library.image(&digest) else {
            return Pulled::Whole;
        };
        if found.layers_absent > 0 {
            return Pulled::Whole;
        }
        for blob in &image.blobs {
            match self.pull_blob_at(node, repository, *blob).await {
                Pulled::Whole => {}
                Pulled::Unknown => return Pulled::Unknown,
                // Its manifest may have been deleted meanwhile, and the blob after it.
                Pulled::Absent => return Pulled::Unknown,
            }
        }
        Pulled::Whole
    }

    /// Whether a node says that something is there.
    pub async fn look_at(&self, node: u64, named: &Named) -> Pulled {
        let (repository, digest) = (named.repository.clone(), named.digest);
        let is_manifest = named.is_manifest;
        let found = self
            .ask_node(node, "HEAD", |registry, caller| async move {
                match is_manifest {
                    true => {
                        let reference = Reference::Digest(digest);
                        let found = registry.manifest(&caller, &repository, &reference).await;
                        found.map(|found| found.stale)
                    }
                    false => {
                        let found = registry.blob(&caller, &repository, &digest).await;
                        found.map(|found| found.stale)
                    }
                }
            })
            .await;
        match found {
            Told::Done(false) => Pulled::Whole,
            Told::No(Error::ManifestUnknown | Error::BlobUnknown | Error::NameUnknown) => {
                Pulled::Absent
            }
            Told::Done(true) | Told::No(_) | Told::Unknown | Told::Unsent => Pulled::Unknown,
        }
    }

    /// Pulls a blob through any node.
    pub(super) async fn pull_blob(&self, repository: &RepositoryName, digest: Digest) {
        if let Some(node) = self.any_node() {
            self.pull_blob_at(node, repository, digest).await;
        }
    }

    /// Pulls a blob from a node.
    pub async fn pull_blob_at(
        &self,
        node: u64,
        repository: &RepositoryName,
        digest: Digest,
    ) -> Pulled {
        let pulled = self
            .ask_node(node, "GET blob", |registry, caller| {
                let repository = repository.clone();
                async move {
                    let found = registry.blob(&caller, &repository, &digest).await?;
                    let (stale, found) = (found.stale, found.value);
                    if found.size == 0 {
                        return Ok((stale, Vec::new()));
                    }
                    let span = ByteSpan {
                        start: 0,
                        len: found.size,
                    };
                    let stream = registry.read_blob(&found, span).await?;
                    let bytes: Result<Vec<bytes::Bytes>, _> = stream.try_collect().await;
                    // A body that breaks off is no answer.
                    Ok((stale, bytes.map(|bytes| bytes.concat()).unwrap_or_default()))
                }
            })
            .await;
        match pulled {
            Told::Done((stale, bytes)) => {
                let whole = self.library.bytes(&digest).map_or(0, |bytes| bytes.len());
                if bytes.is_empty() && whole > 0 {
                    return Pulled::Unknown;
                }
                if stale {
                    self.world.answered("stale answer");
                }
                p3::check_pulled(&self.world, node, &digest, &bytes);
                self.world.answered("blob pulled");
                Pulled::Whole
            }
            Told::No(Error::BlobUnknown | Error::NameUnknown) => Pulled::Absent,
            Told::No(_) | Told::Unknown | Told::Unsent => Pulled::Unknown,
        }
    }

    /// Lists tags, repositories or referrers.
    pub(super) async fn list_something(&self) {
        let repository = self.repository();
        let subject = self.library.old_image().map(|image| image.digest);
        match (self.dice.within(0..3), subject) {
            (0, Some(subject)) => {
                let page = Page {
                    after: None,
                    limit: 10,
                };
                let listed = self.ask("GET referrers", |registry, caller| async move {
                    registry
                        .referrers(&caller, &repository, subject, None, page)
                        .await
                });
                if listed.await.done().is_some() {
                    self.world.answered("referrers listed");
                }
            }
            (1, _) => {
                let page = Page {
                    after: None,
                    limit: 2,
                };
                let listed = self.ask("GET catalog", |registry, caller| async move {
                    registry.repositories(&caller, page).await
                });
                if listed.await.done().is_some() {
                    self.world.answered("catalog listed");
                }
            }
            _ => {
                let page = Page {
                    after: None,
                    limit: 2,
                };
                let listed = self.ask("GET tags", |registry, caller| async move {
                    registry.tags(&caller, &repository, page).await
                });
                if listed.await.done().is_some() {
                    self.world.answered("tags listed");
                }
            }
        }
    }
}
