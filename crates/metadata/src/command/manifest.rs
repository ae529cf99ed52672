//! What the commands of blobs, manifests and tags say.

use bytes::Bytes;
use oci::{Descriptor, Digest, MediaType, RepositoryName, Tag};

use crate::ids::PrincipalName;
use crate::object_key::ObjectKey;

/// See [`super::Command::Mount`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where the blob is to be visible.
    pub repository: RepositoryName,
    /// The blob.
    pub digest: Digest,
    /// Where the asker may see it already. `None`: in any repository.
    pub from: Option<RepositoryName>,
    /// Who asked.
    pub principal: PrincipalName,
}

/// What a manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ManifestReference {
    /// A blob that the repository must see, or the manifest is refused; some layers of a sparse image excepted.
    RequiredBlob(Digest),
    /// A blob that may be absent (a layer which may not be distributed, a blob in an index).
    OptionalBlob(Digest),
    /// A manifest of an index, which may be absent.
    Child(Digest),
}

/// Where a manifest's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Here; at most [`crate::INLINE_PAYLOAD_BYTES_MAX`].
    Inline(Bytes),
    /// In an object that is durable before the command is proposed. If the command does not make use of it, apply
    /// hands the key to the delete queue.
    Object(ObjectKey),
}

/// What must hold for a tag to be moved or removed (RFC 9110, sections 13.1.1 and 13.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// `If-Match: "<digest>", …`: the reference points at one of these.
    Matches(Vec<Digest>),
    /// `If-Match: *`: the reference exists.
    Exists,
    /// `If-None-Match: *`: the reference does not exist.
    Absent,
    /// `If-None-Match: "<digest>", …`: the reference points at none of these.
    MatchesNone(Vec<Digest>),
}

/// See [`super::Command::PutManifest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutManifest {
    /// Where the manifest is linked.
    pub repository: RepositoryName,
    /// The digest of the payload, which the proposer has verified.
    pub digest: Digest,
    /// What it is served as.
    pub media_type: MediaType,
    /// Bytes of the payload.
    pub size: u64,
    /// The payload.
    pub payload: Payload,
    /// What it names, each digest once and sorted; at most [`oci::REFERENCES_MAX`].
    pub references: Vec<ManifestReference>,
    /// The digest of an image's config.
    pub config: Option<Digest>,
    /// The manifest that it is about, which may be absent.
    pub subject: Option<Digest>,
    /// How the referrers API describes it; `Some` when there is a subject.
    pub referrer: Option<Box<Descriptor>>,
    /// The tags to move; all or none. Sorted, each once, at most 100.
    pub tags: Vec<Tag>,
    /// Must hold for each tag (for the link, when there are no tags), or nothing is done.
    pub precondition: Option<Precondition>,
    /// The client's `Idempotency-Key`, at most 255 bytes: the same key of the same principal gets the first answer.
    pub idempotency_key: Option<String>,
    /// Whether some layers of an image may be absent, if others are there: the image is then marked as sparse. The
    /// proposer's setting; the entry carries it, so that all members decide alike.
    pub sparse: bool,
    /// Who asked.
    pub principal: PrincipalName,
}
