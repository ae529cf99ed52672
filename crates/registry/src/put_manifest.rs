use bytes::Bytes;
use metadata::Precondition;
use oci::{Digest, MediaType, RepositoryName, Tag};

use crate::{Caller, Error, Registry};

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
}

impl Registry {
    /// Stores a manifest and moves tags to it.
    pub async fn put_manifest(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        push: ManifestPush,
    ) -> Result<ManifestStored, Error> {
        let _ = (caller, repository, push);
        Err(Error::internal("stub"))
    }
}
