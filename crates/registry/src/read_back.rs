//! Hashes an object by reading it back: only when a closing request names another algorithm than the upload's.
//!
//! Reads only. A blob is never held in memory.

use futures::TryStreamExt;
use metadata::ObjectKey;
use oci::{Algorithm, Digest};
use ports::ByteSpan;

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
            let mut stream = self.blobs().read(key, span).await?;
            while let Some(bytes) = stream.try_next().await? {
                hash.update(bytes).await?;
            }
        }
        hash.digest().await
    }
}
