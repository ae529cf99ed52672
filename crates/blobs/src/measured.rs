//! A wrapper that counts and times what a blob store does.
//!
//! It must never change an answer.

use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use metadata::{MultipartId, ObjectKey};
use ports::{
    BlobFailure, BlobStore, ByteSpan, ByteStream, CompletedPart, ListedObject, ListedUpload,
    StagedBytes, Target,
};

use crate::metric;

/// A blob store whose calls are counted and timed.
#[derive(Debug)]
pub struct Measured<S> {
    inner: S,
}

impl<S: BlobStore> Measured<S> {
    /// Wraps a store.
    #[must_use]
    pub fn new(inner: S) -> Measured<S> {
        Measured { inner }
    }
}

async fn timed<T>(
    call: &'static str,
    work: impl Future<Output = Result<T, BlobFailure>>,
) -> Result<T, BlobFailure> {
    let begun = Instant::now();
    let result = work.await;
    metrics::histogram!(metric::CALL_SECONDS, "call" => call).record(begun.elapsed());
    count(call, result.as_ref().err());
    result
}

fn count(call: &'static str, failure: Option<&BlobFailure>) {
    let outcome = match failure {
        None => "ok",
        Some(BlobFailure::NoSuchObject { .. }) => "no_such_object",
        Some(BlobFailure::NoSuchUpload { .. }) => "no_such_upload",
        Some(BlobFailure::Unavailable { .. }) => "unavailable",
        Some(BlobFailure::Full { .. }) => "full",
        Some(BlobFailure::Denied { .. }) => "denied",
        Some(BlobFailure::Other { .. }) => "other",
    };
    metrics::counter!(metric::CALLS, "call" => call, "outcome" => outcome).increment(1);
}

#[async_trait]
impl<S: BlobStore> BlobStore for Measured<S> {
    async fn stage(&self, size_max: u64) -> Result<Box<dyn StagedBytes>, BlobFailure> {
        let inner = timed("stage", self.inner.stage(size_max)).await?;
        Ok(Box::new(MeasuredStaged { inner }))
    }

    async fn begin_multipart(&self, key: &ObjectKey) -> Result<MultipartId, BlobFailure> {
        timed("begin_multipart", self.inner.begin_multipart(key)).await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
        parts: &[CompletedPart],
    ) -> Result<(), BlobFailure> {
        timed(
            "complete_multipart",
            self.inner.complete_multipart(key, multipart, parts),
        )
        .await
    }

    async fn abort_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
    ) -> Result<(), BlobFailure> {
        timed(
            "abort_multipart",
            self.inner.abort_multipart(key, multipart),
        )
        .await
    }

    /// Timed until the first bytes are there; a stream that breaks later counts as a call `read_on` that failed.
    async fn read(&self, key: &ObjectKey, span: ByteSpan) -> Result<ByteStream, BlobFailure> {
        let stream = timed("read", self.inner.read(key, span)).await?;
        let bytes = metrics::counter!(metric::BYTES, "direction" => "read");
        let stream = stream.inspect_ok(move |block| bytes.increment(block.len() as u64));
        Ok(stream
            .inspect_err(|failure| count("read_on", Some(failure)))
            .boxed())
    }

    async fn object_size(&self, key: &ObjectKey) -> Result<u64, BlobFailure> {
        timed("object_size", self.inner.object_size(key)).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Result<(), BlobFailure> {
        timed("delete", self.inner.delete(keys)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<ListedObject>, BlobFailure> {
        timed("list", self.inner.list(prefix, after)).await
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<ListedUpload>, BlobFailure> {
        timed("list_multipart", self.inner.list_multipart(prefix)).await
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

struct MeasuredStaged {
    inner: Box<dyn StagedBytes>,
}

#[async_trait]
impl StagedBytes for MeasuredStaged {
    async fn append(&mut self, bytes: Bytes) -> Result<(), BlobFailure> {
        self.inner.append(bytes).await
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    async fn store(&mut self, target: &Target) -> Result<String, BlobFailure> {
        let call = match target {
            Target::Object(_) => "store_object",
            Target::Part { .. } => "store_part",
        };
        let etag = timed(call, self.inner.store(target)).await?;
        metrics::counter!(metric::BYTES, "direction" => "written").increment(self.inner.len());
        Ok(etag)
    }
}
