//! Reads back what an upload has stored: its tail, to go on after it, and all of it when a closing request names another
//! algorithm than the upload's.
//!
//! Reads only. A blob is never held in memory.

use futures::TryStreamExt;
use metadata::ObjectKey;
use oci::{Algorithm, Digest};
use ports::{BlobFailure, ByteSpan, ByteStream};

use crate::hash_pipeline::HashPipeline;
use crate::{Error, Registry};

impl Registry {
    /// The digest of the object's `size` bytes.
    pub(crate) async fn digest_of_object(
        &self,
        key: &ObjectKey,
        size: u64,
        algorithm: Algorithm,
    ) -> Result<Digest, Error> {
        let mut hash = HashPipeline::new(algorithm);
        let span = ByteSpan {
            start: 0,
            len: size,
        };
        if size > 0 {
            let mut stream = self.read_tail(key, span).await?;
            while let Some(bytes) = stream.try_next().await? {
                hash.update(bytes).await?;
            }
        }
        hash.digest().await
    }

    /// Reads an object of an upload that is open: another request may end that state, and its object, at any time.
    pub(crate) async fn read_tail(
        &self,
        key: &ObjectKey,
        span: ByteSpan,
    ) -> Result<ByteStream, Error> {
        match self.blobs().read(key, span).await {
            Ok(stream) => Ok(stream),
            Err(BlobFailure::NoSuchObject { .. }) => Err(Error::unavailable(format!(
                "{key} is gone: another request writes to the upload"
            ))),
            Err(failure) => Err(failure.into()),
        }
    }
}
