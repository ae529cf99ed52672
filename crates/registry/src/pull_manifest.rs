//! Serves a manifest by tag or digest. Reads only: nothing to be harmed by a crash.
//!
//! The right to see it and where it is come in one look-up. A payload that is kept as an object is read whole, bounded
//! by the size of a manifest, and never served unless it has its digest.
//!
//! Spec: distribution-spec 1.1, "Pulling manifests".

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use metadata::{Answer, ManifestView, ObjectKey, Payload, Query};
use oci::{Digest, MANIFEST_BYTES_MAX, MediaType, Reference, RepositoryName};
use ports::{BlobFailure, ByteSpan};

use crate::read_for_pull::Pulled;
use crate::{Caller, Error, Registry, Served, metric};

/// A manifest, with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFound {
    /// What the reference points at.
    pub digest: Digest,
    /// What it is served as.
    pub media_type: MediaType,
    /// Bytes.
    pub size: u64,
    /// The bytes, exactly as they were pushed.
    pub payload: Bytes,
    /// How many layers of the image the repository does not have: above 0, the client is told so by `Warning: 299`.
    pub layers_absent: u32,
}

impl Registry {
    /// The manifest that `reference` points at. May be repeated, and dropped at any time.
    ///
    /// # Errors
    /// [`Error::NameUnknown`], [`Error::ManifestUnknown`]; [`Error::Unavailable`] when the log or the store does not
    /// answer, or it is not known here and nobody confirms that it is absent; [`Error::Internal`] when the stored bytes are damaged.
    pub async fn manifest(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Served<ManifestFound>, Error> {
        let query = Query::Manifest {
            repository: repository.clone(),
            reference: reference.clone(),
        };
        let pulled = match reference {
            Reference::Digest(_) => Pulled::ByDigest,
            Reference::Tag(_) => Pulled::Changing,
        };
        let answered = self.read_for_pull(caller, pulled, query).await?;
        let view = match answered.value {
            Answer::Manifest(view) => *view,
            Answer::RepositoryUnknown => return Err(Error::NameUnknown),
            Answer::Absent => return Err(Error::ManifestUnknown),
            other => return Err(Error::unexpected_answer(&other)),
        };
        let ManifestView {
            digest,
            media_type,
            size,
            payload,
            absent,
        } = view;
        let payload = match payload {
            Payload::Inline(bytes) => bytes,
            Payload::Object(key) => self.read_payload(&key, digest, size).await?,
        };
        metric::manifest_pulled(payload.len());
        Ok(Served {
            value: ManifestFound {
                digest,
                media_type,
                size,
                payload,
                layers_absent: absent,
            },
            stale: answered.stale,
        })
    }

    async fn read_payload(
        &self,
        key: &ObjectKey,
        digest: Digest,
        size: u64,
    ) -> Result<Bytes, Error> {
        let len = usize::try_from(size)
            .ok()
            .filter(|len| *len <= MANIFEST_BYTES_MAX);
        let len = len.ok_or_else(|| {
            Error::internal(format!("manifest {digest} is recorded with {size} bytes"))
        })?;
        let stream = self
            .blobs()
            .read(
                key,
                ByteSpan {
                    start: 0,
                    len: size,
                },
            )
            .await?;
        let collect = |mut all: BytesMut, bytes: Bytes| async move {
            all.extend_from_slice(&bytes);
            Ok::<_, BlobFailure>(all)
        };
        let payload = stream
            .try_fold(BytesMut::with_capacity(len), collect)
            .await?
            .freeze();
        if payload.len() != len || Digest::of(digest.algorithm(), &payload) != digest {
            return Err(Error::internal(format!(
                "the stored bytes of manifest {digest} are damaged ({key})"
            )));
        }
        Ok(payload)
    }
}
