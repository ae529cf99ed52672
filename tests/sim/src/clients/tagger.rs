//! Moves tags by compare-and-swap.

use linearizability::tag::{Input, Output};
use oci::{Digest, Reference, RepositoryName, Tag};
use registry::Error;

use super::{Client, Told};
use crate::invariants::p2::{self, Condition};
use crate::invariants::p3;

impl Client {
    /// Reads a tag and moves it on, if nobody else has.
    pub(super) async fn swap_tag(&self) {
        let repository = self.repository();
        let tag = self.tag();
        let condition = match self.where_tag_points(&repository, &tag).await {
            Some(Some(digest)) => Condition::Matches(digest),
            Some(None) => Condition::Absent,
            None => return,
        };
        // A new one: a conditional push that was made before would be answered as that one was.
        let image = self.library.new_image(None, false);
        if self.push_blobs(&repository, &image).await {
            self.put_image(&repository, Some(&tag), &image, condition, false)
                .await;
        }
    }

    /// Makes a tag on the condition that there is none, deletes it, and makes it again: the same request, with an effect of its own.
    pub(super) async fn make_tag_again(&self) {
        let repository = self.repository();
        let tag = self.tag();
        let image = self.library.new_image(None, false);
        if !self.push_blobs(&repository, &image).await {
            return;
        }
        self.delete_this_tag(&repository, &tag, Condition::None)
            .await;
        self.put_image(&repository, Some(&tag), &image, Condition::Absent, false)
            .await;
        // Somebody else takes the tag away, or moves it on: then the second request is refused.
        let other = self.library.new_image(None, false);
        let moves = self.dice.hits(500) && self.push_blobs(&repository, &other).await;
        if moves {
            self.put_image(&repository, Some(&tag), &other, Condition::None, false)
                .await;
        }
        if moves
            || self
                .delete_this_tag(&repository, &tag, Condition::Matches(image.digest))
                .await
        {
            self.put_image(&repository, Some(&tag), &image, Condition::Absent, false)
                .await;
            self.where_tag_points(&repository, &tag).await;
            self.world.answered("tag made again");
        }
    }

    /// Reads a tag.
    pub(super) async fn read_tag(&self) {
        let repository = self.repository();
        let tag = self.tag();
        self.where_tag_points(&repository, &tag).await;
    }

    /// Where a tag points; `None` when nobody knows.
    pub(super) async fn where_tag_points(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Option<Option<Digest>> {
        let node = self.any_node()?;
        self.read_tag_at(node, repository, tag).await
    }

    /// Where a tag points, as a node says.
    pub async fn read_tag_at(
        &self,
        node: u64,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Option<Option<Digest>> {
        let history = self
            .world
            .watch
            .tags
            .begin(self.number, (repository, tag), Input::Read);
        let reference = Reference::Tag(tag.clone());
        let found = self
            .ask_node(node, "GET tag", |registry, caller| {
                let repository = repository.clone();
                async move { registry.manifest(&caller, &repository, &reference).await }
            })
            .await;
        let at = match found {
            Told::Done(found) => {
                let found = self.served(found)?;
                p3::check_pulled(&self.world, node, &found.digest, &found.payload);
                self.world.answered("tag read");
                Some(found.digest)
            }
            Told::No(Error::ManifestUnknown | Error::NameUnknown) => {
                self.world.answered("tag absent");
                None
            }
            Told::No(_) | Told::Unknown | Told::Unsent => return None,
        };
        let output = match &at {
            Some(digest) => Output::Is {
                target: p2::target(digest),
                version: None,
            },
            None => Output::Absent,
        };
        self.world.watch.tags.end(history, output);
        Some(at)
    }
}
