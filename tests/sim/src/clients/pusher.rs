//! Pushes images: blobs, and then the manifest with its tag, as docker does; the manifest sent again by the balancer when a
//! node breaks off, or twice at once.

use bytes::Bytes;
use linearizability::tag::{Input, Output};
use metadata::Precondition;
use oci::{Digest, RepositoryName, Tag};
use registry::{Body, Error, ManifestPush, ManifestStored, MountOutcome};

use super::{Client, Image, Pulled, Told};
use crate::invariants::p1::Named;
use crate::invariants::p2::{self, Condition};

/// How often the balancer sends a manifest.
const SENT_MAX: u32 = 3;
/// How often a client tries to get a blob there.
const BLOB_TRIES: u32 = 3;

impl Client {
    /// Pushes a new image, or one that was pushed before, under a tag.
    pub(super) async fn push_image(&self) {
        let repository = self.repository();
        let tag = self.tag();
        let image = self.some_image();
        if self.push_blobs(&repository, &image).await {
            self.put_image(&repository, Some(&tag), &image, Condition::None, false)
                .await;
        }
    }

    /// An image to be pushed.
    pub(super) fn some_image(&self) -> Image {
        let old = self.library.old_image();
        match (self.dice.within(0..10), old) {
            (0..2, Some(old)) => old,
            (2, Some(subject)) => self.library.new_image(Some(&subject), false),
            (3, _) => self.library.new_image(None, true),
            _ => self.library.new_image(None, false),
        }
    }

    /// Gets every blob of an image into a repository. Whether all are there, as far as the client knows.
    pub(super) async fn push_blobs(&self, repository: &RepositoryName, image: &Image) -> bool {
        for digest in &image.blobs {
            let Some(bytes) = self.library.bytes(digest) else {
                return false;
            };
            let mut is_there = false;
            for _ in 0..BLOB_TRIES {
                is_there = self.push_blob(repository, *digest, &bytes).await;
                if is_there {
                    break;
                }
            }
            if !is_there {
                return false;
            }
        }
        true
    }

    /// Gets a blob into a repository, by whatever way.
    async fn push_blob(&self, repository: &RepositoryName, digest: Digest, bytes: &Bytes) -> bool {
        let found = self
            .ask("HEAD blob", |registry, caller| {
                let repository = repository.clone();
                async move { registry.blob(&caller, &repository, &digest).await }
            })
            .await;
        if found
            .done()
            .is_some_and(|found| self.served(found).is_some())
        {
            self.world.answered("blob found");
            return true;
        }
        match self.dice.within(0..10) {
            0..2 => self.mount_blob(repository, digest).await,
            2..6 => self.push_in_chunks(repository, digest, bytes).await,
            _ => self.push_at_once(repository, digest, bytes).await,
        }
    }

    fn named_blob(&self, repository: &RepositoryName, digest: Digest) -> Named {
        Named {
            repository: repository.clone(),
            digest,
            is_manifest: false,
        }
    }

    pub(super) async fn push_at_once(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        bytes: &Bytes,
    ) -> bool {
        let begun = self
            .world
            .watch
            .told
            .begin(self.named_blob(repository, digest), true);
        let body = self.body(bytes);
        let pushed = self
            .ask("POST blob", |registry, caller| {
                let repository = repository.clone();
                async move { registry.push_blob(&caller, &repository, digest, body).await }
            })
            .await;
        let is_done = pushed.done().is_some();
        if is_done {
            self.world.watch.told.end(&begun);
            self.world.answered("blob pushed at once");
        }
        is_done
    }

    async fn mount_blob(&self, repository: &RepositoryName, digest: Digest) -> bool {
        let begun = self
            .world
            .watch
            .told
            .begin(self.named_blob(repository, digest), true);
        let from = self.dice.hits(500).then(|| self.repository());
        let mounted = self
            .ask("mount", |registry, caller| {
                let repository = repository.clone();
                async move { registry.mount(&caller, &repository, digest, from).await }
            })
            .await;
        match mounted {
            Told::Done(MountOutcome::Mounted { .. }) => {
                self.world.watch.told.end(&begun);
                self.world.answered("blob mounted");
                true
            }
            Told::Done(MountOutcome::Opened(_)) => {
                self.world.watch.told.had_no_effect(&begun);
                self.world.answered("mount missed");
                false
            }
            Told::No(_) | Told::Unknown | Told::Unsent => false,
        }
    }

    /// Puts an image whose blobs are there, under a tag if one is given; the answer is what the history says. What has no key is
    /// another request when it is sent again: nobody can tell it from one, and in between others may have moved the tag.
    pub(super) async fn put_image(
        &self,
        repository: &RepositoryName,
        tag: Option<&Tag>,
        image: &Image,
        condition: Condition,
        twice: bool,
    ) {
        let has_key = twice || self.dice.hits(500);
        for _ in 0..SENT_MAX {
            let is_known = self
                .put_as_one_request(repository, tag, image, condition, (twice, has_key))
                .await;
            if is_known || has_key {
                return;
            }
            self.world.answered("pushed again after a break");
        }
    }

    /// Puts an image, and tells whether the client knows what became of it.
    async fn put_as_one_request(
        &self,
        repository: &RepositoryName,
        tag: Option<&Tag>,
        image: &Image,
        condition: Condition,
        (twice, has_key): (bool, bool),
    ) -> bool {
        let named = Named {
            repository: repository.clone(),
            digest: image.digest,
            is_manifest: true,
        };
        let told = self.world.watch.told.begin(named, true);
        let history = tag.map(|tag| {
            let input = Input::Push {
                to: p2::target(&image.digest),
                when: condition.when(),
                key: None,
            };
            self.world
                .watch
                .tags
                .begin(self.number, (repository, tag), input)
        });
        let key = format!("{}-{:x}", self.number, self.dice.number());
        let push = ManifestPush {
            declared_type: None,
            digest: None,
            tags: tag.cloned().into_iter().collect(),
            payload: image.payload.clone(),
            precondition: match condition {
                Condition::None => None,
                Condition::Matches(digest) => Some(Precondition::Matches(vec![digest])),
                Condition::Absent => Some(Precondition::Absent),
            },
            idempotency_key: has_key.then_some(key),
        };
        let answer = match (twice, has_key) {
            (true, _) => self.send_twice(repository, push).await,
            (false, true) => self.send_until_answered(repository, push).await,
            (false, false) => self.send(repository, push).await,
        };
        let is_known = !matches!(answer, Told::Unknown);
        let watch = &self.world.watch;
        match answer {
            Told::Done(_) => {
                watch.told.end(&told);
                if let Some(history) = history {
                    watch.tags.end(history, Output::Done);
                }
                self.count_push(image, condition);
            }
            Told::No(error) => {
                watch.told.had_no_effect(&told);
                let Some(history) = history else { return true };
                if let Error::PreconditionFailed { current, .. } = error {
                    self.world.answered("precondition failed");
                    let current = current.as_ref().map(p2::target);
                    watch.tags.end(history, Output::Refused { current });
                } else {
                    watch.tags.had_no_effect(history);
                }
            }
            Told::Unsent => {
                watch.told.had_no_effect(&told);
                if let Some(history) = history {
                    watch.tags.had_no_effect(history);
                }
            }
            Told::Unknown => {}
        }
        is_known
    }

    fn count_push(&self, image: &Image, condition: Condition) {
        self.world
            .answered(match (condition, image.subject, image.payload.len()) {
                (Condition::Matches(_) | Condition::Absent, _, _) => "tag swapped",
                (Condition::None, Some(_), _) => "artifact pushed",
                (Condition::None, None, 16_384..) => "large manifest pushed",
                (Condition::None, None, _) => "image pushed",
            });
    }

    /// As a balancer does with what has a key: sent again through another node when one broke off without an answer.
    async fn send_until_answered(
        &self,
        repository: &RepositoryName,
        push: ManifestPush,
    ) -> Told<ManifestStored> {
        let mut may_have_effect = false;
        for _ in 0..SENT_MAX {
            match self.send(repository, push.clone()).await {
                Told::Unknown => {
                    may_have_effect = true;
                    self.world.answered("pushed again after a break");
                }
                Told::Unsent => {}
                // What was sent before may have had its effect, unless the log has decided for both.
                Told::No(error) if may_have_effect && !is_decided(&error) => return Told::Unknown,
                answered => return answered,
            }
        }
        if may_have_effect {
            Told::Unknown
        } else {
            Told::Unsent
        }
    }

    async fn send(&self, repository: &RepositoryName, push: ManifestPush) -> Told<ManifestStored> {
        self.ask("PUT manifest", |registry, caller| {
            let repository = repository.clone();
            async move { registry.put_manifest(&caller, &repository, push).await }
        })
        .await
    }

    /// A balancer sends it to a second node while the first one hangs, or much later when that one wakes: the first
    /// answer of the log is the client's, who does not know of the other.
    async fn send_twice(
        &self,
        repository: &RepositoryName,
        push: ManifestPush,
    ) -> Told<ManifestStored> {
        let (client, to, copy) = (self.clone(), repository.clone(), push.clone());
        let again = tokio::spawn(async move {
            let late = if client.dice.hits(500) {
                1..40
            } else {
                40..3_000
            };
            tokio::time::sleep(client.dice.ms(late)).await;
            client.send(&to, copy).await
        });
        match self.send(repository, push).await {
            Told::Done(stored) => {
                self.world.answered("pushed twice at once");
                Told::Done(stored)
            }
            Told::No(error) if is_decided(&error) => Told::No(error),
            first => match (first, again.await) {
                (_, Ok(Told::Done(stored))) => Told::Done(stored),
                (_, Ok(Told::No(error))) if is_decided(&error) => Told::No(error),
                (Told::No(error), Ok(Told::No(_) | Told::Unsent)) => Told::No(error),
                (Told::Unsent, Ok(second)) => second,
                _ => Told::Unknown,
            },
        }
    }

    /// Pushes an image whose manifest comes twice.
    pub(super) async fn push_twice(&self) {
        let repository = self.repository();
        let tag = self.tag();
        let image = self.library.new_image(None, self.dice.hits(100));
        if !self.push_blobs(&repository, &image).await {
            return;
        }
        let condition = match self.where_tag_points(&repository, &tag).await {
            _ if self.dice.hits(500) => Condition::None,
            Some(Some(digest)) => Condition::Matches(digest),
            Some(None) => Condition::Absent,
            None => return,
        };
        self.put_image(&repository, Some(&tag), &image, condition, true)
            .await;
    }

    /// A body of these bytes, in pieces.
    pub(super) fn body(&self, bytes: &Bytes) -> Body {
        use futures::StreamExt;
        let mut pieces = Vec::new();
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let len = self.dice.within(1..(rest.len() as u64).clamp(2, 90)) as usize;
            pieces.push(rest.split_to(len.min(rest.len())));
        }
        let dice = std::sync::Arc::clone(&self.dice);
        let is_slow = self.dice.hits(200);
        let breaks = self
            .dice
            .hits(30)
            .then(|| self.dice.within(0..pieces.len() as u64 + 1) as usize);
        if breaks.is_some() {
            self.world
                .census
                .count(crate::census::Kind::Fault, "body breaks off");
        }
        let stream =
            futures::stream::iter(pieces.into_iter().enumerate()).then(move |(at, piece)| {
                let wait = dice.ms(if is_slow { 1..60 } else { 0..2 });
                async move {
                    if !wait.is_zero() {
                        tokio::time::sleep(wait).await;
                    }
                    match breaks {
                        Some(breaks) if breaks <= at => Err(registry::BodyFailure::Disconnected {
                            reason: "the client is gone".to_owned(),
                        }),
                        _ => Ok(piece),
                    }
                }
            });
        Body {
            stream: stream.boxed(),
            length: self.dice.hits(600).then_some(bytes.len() as u64),
        }
    }
}

impl Client {
    /// Pushes a new image through one node, and pulls it there.
    ///
    /// # Errors
    /// What was not served.
    pub async fn push_through(&self, node: u64) -> Result<(), String> {
        let repository = self.repository();
        let image = self.library.new_image(None, false);
        for digest in &image.blobs {
            let bytes = self.library.bytes(digest).unwrap_or_default();
            let named = self.named_blob(&repository, *digest);
            let told = self.world.watch.told.begin(named, true);
            let pushed = self.ask_node(node, "POST blob", |registry, caller| {
                let (repository, digest, body) =
                    (repository.clone(), *digest, Body::from_bytes(bytes));
                async move { registry.push_blob(&caller, &repository, digest, body).await }
            });
            match pushed.await {
                Told::Done(_) => self.world.watch.told.end(&told),
                other => return Err(format!("POST blob: {other:?}")),
            }
        }
        let named = Named {
            repository: repository.clone(),
            digest: image.digest,
            is_manifest: true,
        };
        let told = self.world.watch.told.begin(named, true);
        let push = ManifestPush {
            declared_type: None,
            digest: None,
            tags: Vec::new(),
            payload: image.payload.clone(),
            precondition: None,
            idempotency_key: None,
        };
        let put = self.ask_node(node, "PUT manifest", |registry, caller| {
            let repository = repository.clone();
            async move { registry.put_manifest(&caller, &repository, push).await }
        });
        match put.await {
            Told::Done(_) => self.world.watch.told.end(&told),
            other => return Err(format!("PUT manifest: {other:?}")),
        }
        match self.pull_image_at(node, &repository, image.digest).await {
            Pulled::Whole => Ok(()),
            other => Err(format!("GET manifest: {other:?}")),
        }
    }
}

/// Whether the log has refused it for good, by its key: what was sent before or comes later has the same answer.
fn is_decided(error: &Error) -> bool {
    matches!(error, Error::PreconditionFailed { .. })
}
