//! Deletes tags, manifests and blobs, and sweeps what was deleted.

use linearizability::tag::{Input, Output};
use metadata::Precondition;
use oci::{Digest, RepositoryName, Tag};
use registry::{Error, Sweeper};

use super::{Client, Told};
use crate::invariants::p1::Named;
use crate::invariants::p2::{self, Condition};

impl Client {
    /// Deletes a tag, a manifest or a blob.
    pub(super) async fn delete_something(&self) {
        let repository = self.repository();
        match (self.dice.within(0..4), self.library.old_image()) {
            (0, Some(image)) => self.delete_manifest(&repository, image.digest).await,
            (1, Some(image)) if self.dice.hits(400) => {
                let blob = *self.dice.pick(&image.blobs);
                self.delete_blob(&repository, blob).await;
            }
            (1, _) => {
                let (blob, bytes) = self.library.any_blob();
                // What nothing names yet can be deleted at once.
                if self.dice.hits(600) {
                    self.push_at_once(&repository, blob, &bytes).await;
                }
                self.delete_blob(&repository, blob).await;
            }
            _ => self.delete_tag(&repository).await,
        }
    }

    async fn delete_tag(&self, repository: &RepositoryName) {
        let tag = self.tag();
        let condition = match self.dice.hits(500) {
            true => match self.where_tag_points(repository, &tag).await {
                Some(Some(digest)) => Condition::Matches(digest),
                _ => return,
            },
            false => Condition::None,
        };
        self.delete_this_tag(repository, &tag, condition).await;
    }

    /// Deletes a tag on a condition. Whether that was done.
    pub(super) async fn delete_this_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        condition: Condition,
    ) -> bool {
        let precondition = match condition {
            Condition::Matches(digest) => Some(Precondition::Matches(vec![digest])),
            Condition::None | Condition::Absent => None,
        };
        let watch = &self.world.watch;
        let input = Input::Delete {
            when: condition.when(),
        };
        let history = watch.tags.begin(self.number, (repository, tag), input);
        let deleted = self
            .ask("DELETE tag", |registry, caller| {
                let (repository, tag) = (repository.clone(), tag.clone());
                async move {
                    registry
                        .delete_tag(&caller, &repository, &tag, precondition)
                        .await
                }
            })
            .await;
        let is_done = matches!(deleted, Told::Done(()));
        match deleted {
            Told::Done(()) => {
                watch.tags.end(history, Output::Done);
                self.world.answered("tag deleted");
            }
            Told::No(Error::TagUnknown | Error::NameUnknown) => {
                watch.tags.end(history, Output::Absent);
            }
            Told::No(Error::PreconditionFailed { current, .. }) => {
                let current = current.as_ref().map(p2::target);
                watch.tags.end(history, Output::Refused { current });
            }
            Told::No(_) | Told::Unsent => watch.tags.had_no_effect(history),
            Told::Unknown => {}
        }
        is_done
    }

    async fn delete_manifest(&self, repository: &RepositoryName, digest: Digest) {
        let watch = &self.world.watch;
        let named = Named {
            repository: repository.clone(),
            digest,
            is_manifest: true,
        };
        let told = watch.told.begin(named, false);
        let input = Input::DeleteManifest {
            target: p2::target(&digest),
        };
        let histories: Vec<_> = self
            .library
            .tags
            .iter()
            .map(|tag| {
                watch
                    .tags
                    .begin(self.number, (repository, tag), input.clone())
            })
            .collect();
        let deleted = self
            .ask("DELETE manifest", |registry, caller| {
                let repository = repository.clone();
                async move { registry.delete_manifest(&caller, &repository, digest).await }
            })
            .await;
        match deleted {
            Told::Done(()) => {
                watch.told.end(&told);
                for history in histories {
                    watch.tags.end(history, Output::Done);
                }
                self.world.answered("manifest deleted");
            }
            Told::No(_) | Told::Unsent => {
                watch.told.had_no_effect(&told);
                for history in histories {
                    watch.tags.had_no_effect(history);
                }
            }
            Told::Unknown => {}
        }
    }

    async fn delete_blob(&self, repository: &RepositoryName, digest: Digest) {
        let watch = &self.world.watch;
        let named = Named {
            repository: repository.clone(),
            digest,
            is_manifest: false,
        };
        let told = watch.told.begin(named, false);
        let deleted = self
            .ask("DELETE blob", |registry, caller| {
                let repository = repository.clone();
                async move { registry.delete_blob(&caller, &repository, digest).await }
            })
            .await;
        match deleted {
            Told::Done(()) => {
                watch.told.end(&told);
                self.world.answered("blob deleted");
            }
            Told::No(error) => {
                if let Error::BlobInUse { .. } = error {
                    self.world.answered("blob in use");
                }
                watch.told.had_no_effect(&told);
            }
            Told::Unsent => watch.told.had_no_effect(&told),
            Told::Unknown => {}
        }
    }

    /// Removes what nothing names any more, or ends idle uploads, as every leader does; two may do it at once.
    pub(super) async fn sweep(&self) {
        let expires = self.dice.hits(300);
        let swept = self
            .ask("sweep", |registry, _| async move {
                let mut sweeper = Sweeper::new(registry);
                if expires {
                    sweeper.expire_uploads().await?;
                    return Ok(0);
                }
                sweeper.step().await
            })
            .await;
        match swept.done() {
            Some(_) if expires => self.world.answered("uploads expired"),
            Some(count) if count > 0 => self.world.answered("swept"),
            _ => {}
        }
    }
}
