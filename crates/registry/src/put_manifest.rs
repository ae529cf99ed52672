//! Stores a manifest and moves tags to it: all of them or none.
//!
//! Effects, in order: a payload too large for the log becomes an object under a fresh key; the entry `PutManifest`.
//! If the node dies between the two, the object is an orphan. If the log has no use for the object (the manifest was
//! there, or is refused), the entry itself hands it to the delete queue; hence a second entry never names it again.
//! Sent again, a request gets the first answer where that matters (compare-and-swap, `Idempotency-Key`), and otherwise
//! changes nothing. When an earlier deletion of the same manifest is still under way, it is finished first.
//!
//! Spec: distribution-spec 1.1, "Pushing manifests" and "Pushing manifests with subject"; main, several tags in one
//! push.

use std::collections::BTreeMap;

use bytes::Bytes;
use metadata::{
    Command, INLINE_PAYLOAD_BYTES_MAX, ManifestReference, ObjectKey, Payload, Precondition,
    PutManifest, Refusal, Reply, TAGS_PER_PUT_MAX,
};
use oci::{
    Algorithm, Descriptor, Digest, MANIFEST_BYTES_MAX, Manifest, ManifestError, ManifestKind,
    MediaKind, MediaType, RepositoryName, Tag,
};
use ports::{Deadline, Target};

use crate::{Caller, Error, Registry, SparseImages, metric, steps};

/// Larger payloads are parsed and hashed off the runtime's threads.
const INLINE_PARSE_BYTES: usize = 64 * 1024;

/// The most bytes of annotations of a manifest with a subject: they become part of an entry of the log.
const REFERRER_ANNOTATION_BYTES_MAX: usize = 256 * 1024;

/// The most bytes of an `Idempotency-Key`.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// A manifest that is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestPush {
    /// `Content-Type`.
    pub declared_type: Option<MediaType>,
    /// The digest that the client expects, from the path or the query; sha256 is taken where it said nothing.
    pub digest: Option<Digest>,
    /// The tags to move: all or none.
    pub tags: Vec<Tag>,
    /// The bytes.
    pub payload: Bytes,
    /// Must hold for each tag (for the manifest's link, when there are no tags), or nothing is done.
    pub precondition: Option<Precondition>,
    /// `Idempotency-Key`: the same key of the same principal gets the first answer.
    pub idempotency_key: Option<String>,
}

/// A manifest that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestStored {
    /// Its digest.
    pub digest: Digest,
    /// What it is about: the client is told that the registry knows referrers.
    pub subject: Option<Digest>,
    /// The tags that were moved, sorted.
    pub tags: Vec<Tag>,
    /// Whether the repository had no such manifest before.
    pub created: bool,
    /// How many layers of the image the repository does not have.
    pub layers_absent: u32,
}

impl Registry {
    /// Stores a manifest and moves tags to it. If the future is dropped, it may still be stored.
    ///
    /// # Errors
    /// [`Error::ManifestInvalid`], [`Error::ManifestTooLarge`], [`Error::DigestMismatch`], [`Error::BlobsUnknown`],
    /// [`Error::PreconditionFailed`], [`Error::IdempotencyKeyReused`], [`Error::Invalid`]; [`Error::Unavailable`],
    /// [`Error::StorageFull`] or [`Error::OutcomeUnknown`] when log or store fail: send it again.
    pub async fn put_manifest(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        push: ManifestPush,
    ) -> Result<ManifestStored, Error> {
        refuse_unbounded(&push)?;
        let mut command = if push.payload.len() > INLINE_PARSE_BYTES {
            let (repository, caller) = (repository.clone(), caller.clone());
            let work = tokio::task::spawn_blocking(move || check(&caller, &repository, push));
            work.await
                .map_err(|error| Error::internal(format!("a manifest was not read: {error}")))??
        } else {
            check(caller, repository, push)?
        };
        command.sparse = self.settings().sparse_images == SparseImages::Marked;
        let (registry, caller) = (self.clone(), caller.clone());
        self.owned(async move { registry.put_checked_manifest(&caller, command).await })
            .await
    }

    /// Proposes the manifest; `command` has its payload inline, whatever its size.
    async fn put_checked_manifest(
        &self,
        caller: &Caller,
        command: PutManifest,
    ) -> Result<ManifestStored, Error> {
        loop {
            let mut attempt = command.clone();
            let object = self.store_large(&mut attempt, caller.deadline).await?;
            steps::reach(steps::MANIFEST_BEFORE_ENTRY);
            let reply = self.propose(caller, Command::PutManifest(attempt)).await;
            steps::reach(steps::MANIFEST_AFTER_ENTRY);
            match reply {
                Ok(Reply::ManifestPut { created, absent }) => {
                    metric::manifest_pushed();
                    return Ok(stored(command, created, absent));
                }
                Err(_) if mutants::active!("answer_without_the_entry") => {
                    return Ok(stored(command, true, 0));
                }
                Ok(Reply::Refused(Refusal::DeletionInProgress)) => {
                    self.finish_deletion(caller, &command).await?;
                }
                Ok(other) => return Err(Error::unexpected_reply(other)),
                Err(error) => {
                    self.free_unused(object, &error).await;
                    return Err(error);
                }
            }
        }
    }

    /// Makes an object of a payload that is too large for the log, under a key that was never used.
    async fn store_large(
        &self,
        command: &mut PutManifest,
        deadline: Deadline,
    ) -> Result<Option<ObjectKey>, Error> {
        let bytes = match &command.payload {
            Payload::Inline(bytes) if bytes.len() > INLINE_PAYLOAD_BYTES_MAX => bytes.clone(),
            Payload::Inline(_) | Payload::Object(_) => return Ok(None),
        };
        let cluster = self.cluster_id(deadline).await?;
        let key = ObjectKey::manifest(cluster, self.fresh_id());
        steps::reach(steps::MANIFEST_BEFORE_OBJECT);
        let mut piece = self.blobs().stage(bytes.len() as u64).await?;
        piece.append(bytes).await?;
        piece.store(&Target::Object(key.clone())).await?;
        steps::reach(steps::MANIFEST_AFTER_OBJECT);
        command.payload = Payload::Object(key.clone());
        Ok(Some(key))
    }

    /// Goes on with a deletion of the same manifest that somebody began: whoever pushes need not be allowed to delete.
    async fn finish_deletion(&self, caller: &Caller, command: &PutManifest) -> Result<(), Error> {
        let finishing = Caller::finishing_for(caller.principal(), caller.deadline);
        let ended = self
            .end_manifest_link(&finishing, &command.repository, command.digest)
            .await;
        match ended {
            Ok(()) | Err(Error::ManifestUnknown | Error::NameUnknown) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes the object of an entry that has no effect and never will; of any other outcome the log takes care.
    async fn free_unused(&self, object: Option<ObjectKey>, error: &Error) {
        let (Some(key), Error::Unavailable { .. }) = (object, error) else {
            return;
        };
        if let Err(error) = self.blobs().delete(std::slice::from_ref(&key)).await {
            tracing::debug!(%key, %error, "the object of a manifest that was not put is left to the collector");
        }
    }
}

/// What the client is told of a command that was decided.
fn stored(command: PutManifest, created: bool, layers_absent: u32) -> ManifestStored {
    ManifestStored {
        digest: command.digest,
        subject: command.subject,
        tags: command.tags,
        created,
        layers_absent,
    }
}

fn refuse_unbounded(push: &ManifestPush) -> Result<(), Error> {
    if push.payload.len() > MANIFEST_BYTES_MAX {
        return Err(Error::ManifestTooLarge {
            max: MANIFEST_BYTES_MAX,
        });
    }
    if push.tags.len() > TAGS_PER_PUT_MAX {
        let reason = format!("one push may move at most {TAGS_PER_PUT_MAX} tags");
        return Err(Error::Invalid { reason });
    }
    let key_len = push.idempotency_key.as_ref().map_or(0, String::len);
    if key_len > IDEMPOTENCY_KEY_BYTES_MAX {
        let reason =
            format!("an Idempotency-Key may have at most {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
        return Err(Error::Invalid { reason });
    }
    Ok(())
}

/// Parses the payload, and says in the log's words what it is; what the settings allow is added later. Pure.
fn check(
    caller: &Caller,
    repository: &RepositoryName,
    push: ManifestPush,
) -> Result<PutManifest, Error> {
    let algorithm = push
        .digest
        .map_or(Algorithm::Sha256, |digest| digest.algorithm());
    let actual = Digest::of(algorithm, &push.payload);
    if let Some(expected) = push.digest.filter(|expected| *expected != actual) {
        return Err(Error::DigestMismatch { expected, actual });
    }
    let parsed = Manifest::parse(&push.payload, push.declared_type.as_ref());
    let manifest = parsed.map_err(|error| match error {
        ManifestError::TooLarge => Error::ManifestTooLarge {
            max: MANIFEST_BYTES_MAX,
        },
        other => Error::ManifestInvalid(other),
    })?;
    let size = push.payload.len() as u64;
    let mut tags = push.tags;
    tags.sort();
    tags.dedup();
    Ok(PutManifest {
        repository: repository.clone(),
        digest: actual,
        size,
        payload: Payload::Inline(push.payload),
        references: references(&manifest),
        config: match &manifest.kind {
            ManifestKind::Image { config, .. } => Some(config.digest),
            ManifestKind::Index { .. } => None,
        },
        subject: manifest.subject.as_ref().map(|subject| subject.digest),
        referrer: referrer(&manifest, actual, size)?,
        media_type: manifest.media_type,
        tags,
        precondition: push.precondition,
        idempotency_key: push.idempotency_key,
        sparse: false,
        principal: caller.principal(),
    })
}

/// What the manifest names, each digest once. Required wins: a digest may be named twice.
fn references(manifest: &Manifest) -> Vec<ManifestReference> {
    let of_layer = |layer: &Descriptor| match layer.media_type.is_nondistributable() {
        true => ManifestReference::OptionalBlob(layer.digest),
        false => ManifestReference::RequiredBlob(layer.digest),
    };
    let of_child = |child: &Descriptor| match child.media_type.kind() {
        MediaKind::ImageManifest | MediaKind::ImageIndex | MediaKind::Schema1 => {
            ManifestReference::Child(child.digest)
        }
        // Build caches are indexes whose children are layers.
        MediaKind::Other => ManifestReference::OptionalBlob(child.digest),
    };
    let named: Vec<ManifestReference> = match &manifest.kind {
        ManifestKind::Image { config, layers } => {
            let config = ManifestReference::RequiredBlob(config.digest);
            layers.iter().map(of_layer).chain([config]).collect()
        }
        ManifestKind::Index { manifests } => manifests.iter().map(of_child).collect(),
    };
    each_digest_once(named)
}

fn each_digest_once(named: Vec<ManifestReference>) -> Vec<ManifestReference> {
    let digest_of = |reference: &ManifestReference| match reference {
        ManifestReference::RequiredBlob(digest)
        | ManifestReference::Child(digest)
        | ManifestReference::OptionalBlob(digest) => *digest,
    };
    let rank = |reference: &ManifestReference| match reference {
        ManifestReference::RequiredBlob(_) => 2,
        ManifestReference::Child(_) => 1,
        ManifestReference::OptionalBlob(_) => 0,
    };
    let mut by_digest: BTreeMap<Digest, ManifestReference> = BTreeMap::new();
    for new in named {
        let known = by_digest.entry(digest_of(&new)).or_insert(new);
        if rank(&new) > rank(known) {
            *known = new;
        }
    }
    let mut references: Vec<ManifestReference> = by_digest.into_values().collect();
    references.sort();
    references
}

/// How the referrers API describes the manifest, if it is about another.
fn referrer(
    manifest: &Manifest,
    digest: Digest,
    size: u64,
) -> Result<Option<Box<Descriptor>>, Error> {
    if manifest.subject.is_none() {
        return Ok(None);
    }
    let annotations = manifest.annotations.iter();
    let annotation_bytes: usize = annotations
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if annotation_bytes > REFERRER_ANNOTATION_BYTES_MAX {
        let reason = format!(
            "a manifest with a subject may have at most {REFERRER_ANNOTATION_BYTES_MAX} bytes of annotations"
        );
        return Err(Error::Invalid { reason });
    }
    let mut descriptor = Descriptor::new(manifest.media_type.clone(), digest, size);
    descriptor.artifact_type = manifest.artifact_type.clone();
    descriptor.annotations = manifest.annotations.clone();
    Ok(Some(Box::new(descriptor)))
}
