//! The blob store that tests of callers use: everything in memory, with the strictness of the strictest real store.
//!
//! It must never be kinder than S3: a completed upload is unknown afterwards, receipts and sizes are compared, and a
//! key that is written twice with other bytes is a bug of the caller and panics.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use metadata::{MultipartId, ObjectKey};
use parking_lot::Mutex;

use super::{
    BlobFailure, BlobStore, ByteSpan, ByteStream, CompletedPart, ListedObject, ListedUpload,
    StagedBytes, Target,
};

/// How much of an object one item of a read stream holds.
const READ_BLOCK_BYTES: usize = 64 * 1024;

/// A blob store in memory. Clones share one content, so that a test may stop and start what uses it.
#[derive(Debug, Clone, Default)]
pub struct MemoryBlobStore {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    objects: BTreeMap<String, Bytes>,
    uploads: BTreeMap<MultipartId, Upload>,
    uploads_begun: u64,
}

#[derive(Debug)]
struct Upload {
    key: ObjectKey,
    parts: BTreeMap<u32, Part>,
}

#[derive(Debug)]
struct Part {
    etag: String,
    bytes: Bytes,
}

impl MemoryBlobStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> MemoryBlobStore {
        MemoryBlobStore::default()
    }

    /// The keys of all objects, for the assertions of tests.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.content.lock().objects.keys().cloned().collect()
    }

    /// The bytes of an object, for the assertions of tests.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Bytes> {
        self.content.lock().objects.get(key).cloned()
    }

    /// How many multipart uploads were begun and neither completed nor aborted.
    #[must_use]
    pub fn uploads_open(&self) -> usize {
        self.content.lock().uploads.len()
    }

    /// Puts `bytes` in the place of an object, as a failing disk would. For tests of what verifies.
    pub fn corrupt(&self, key: &str, bytes: Bytes) {
        self.content.lock().objects.insert(key.to_owned(), bytes);
    }
}

impl Content {
    fn put(&mut self, key: &ObjectKey, bytes: Bytes) {
        let before = self.objects.insert(key.as_str().to_owned(), bytes.clone());
        // Invariant: no key has two writers (PROTOCOLS 1.1).
        assert!(
            before.is_none_or(|before| before == bytes),
            "{key} was written twice with different bytes"
        );
    }

    fn object(&self, key: &ObjectKey) -> Result<Bytes, BlobFailure> {
        let found = self.objects.get(key.as_str()).cloned();
        found.ok_or_else(|| BlobFailure::NoSuchObject {
            key: key.to_string(),
        })
    }

    fn upload(
        &mut self,
        key: &ObjectKey,
        multipart: &MultipartId,
    ) -> Result<&mut Upload, BlobFailure> {
        let found = self
            .uploads
            .get_mut(multipart)
            .filter(|upload| upload.key == *key);
        found.ok_or_else(|| BlobFailure::NoSuchUpload {
            key: key.to_string(),
        })
    }

    fn put_part(
        &mut self,
        key: &ObjectKey,
        multipart: &MultipartId,
        number: u32,
        bytes: Bytes,
    ) -> Result<String, BlobFailure> {
        if !(1..=10_000).contains(&number) {
            return Err(other(format!("{number} is no part number")));
        }
        let etag = format!("\"{multipart}-{number}-{}\"", bytes.len());
        self.upload(key, multipart)?.parts.insert(
            number,
            Part {
                etag: etag.clone(),
                bytes,
            },
        );
        Ok(etag)
    }

    fn complete(
        &mut self,
        key: &ObjectKey,
        multipart: &MultipartId,
        listed: &[CompletedPart],
    ) -> Result<(), BlobFailure> {
        let upload = self.upload(key, multipart)?;
        if listed.is_empty() || !listed.is_sorted_by(|a, b| a.number < b.number) {
            return Err(other(format!("the parts of {key} are not listed in order")));
        }
        let mut whole = BytesMut::new();
        for part in listed {
            match upload.parts.get(&part.number) {
                Some(stored)
                    if stored.etag == part.etag && stored.bytes.len() as u64 == part.size =>
                {
                    whole.extend_from_slice(&stored.bytes);
                }
                _ => {
                    return Err(other(format!(
                        "part {} of {key} is not what was listed",
                        part.number
                    )));
                }
            }
        }
        self.put(key, whole.freeze());
        self.uploads.remove(multipart);
        Ok(())
    }
}

#[async_trait]
impl BlobStore for MemoryBlobStore {
    async fn stage(&self, size_max: u64) -> Result<Box<dyn StagedBytes>, BlobFailure> {
        Ok(Box::new(MemoryStaged {
            content: Arc::clone(&self.content),
            bytes: BytesMut::new(),
            size_max,
        }))
    }

    async fn begin_multipart(&self, key: &ObjectKey) -> Result<MultipartId, BlobFailure> {
        let mut content = self.content.lock();
        content.uploads_begun += 1;
        let multipart = MultipartId(format!("upload-{}", content.uploads_begun).into());
        content.uploads.insert(
            multipart.clone(),
            Upload {
                key: key.clone(),
                parts: BTreeMap::new(),
            },
        );
        Ok(multipart)
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
        parts: &[CompletedPart],
    ) -> Result<(), BlobFailure> {
        self.content.lock().complete(key, multipart, parts)
    }

    async fn abort_multipart(
        &self,
        _key: &ObjectKey,
        multipart: &MultipartId,
    ) -> Result<(), BlobFailure> {
        self.content.lock().uploads.remove(multipart);
        Ok(())
    }

    async fn read(&self, key: &ObjectKey, span: ByteSpan) -> Result<ByteStream, BlobFailure> {
        let object = self.content.lock().object(key)?;
        let end = span
            .start
            .checked_add(span.len)
            .filter(|end| *end <= object.len() as u64);
        let Some(end) = end else {
            return Err(other(format!(
                "{span} is not within the {} bytes of {key}",
                object.len()
            )));
        };
        let mut rest = object.slice(span.start as usize..end as usize);
        let blocks = std::iter::from_fn(move || {
            let block = rest.split_to(rest.len().min(READ_BLOCK_BYTES));
            (!block.is_empty()).then_some(Ok(block))
        });
        Ok(futures::stream::iter(blocks).boxed())
    }

    async fn object_size(&self, key: &ObjectKey) -> Result<u64, BlobFailure> {
        Ok(self.content.lock().object(key)?.len() as u64)
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Result<(), BlobFailure> {
        let mut content = self.content.lock();
        for key in keys {
            content.objects.remove(key.as_str());
        }
        Ok(())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<ListedObject>, BlobFailure> {
        let content = self.content.lock();
        let listed = content
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix));
        let listed = listed.filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        Ok(listed
            .take(1000)
            .map(|(key, bytes)| ListedObject {
                key: key.clone(),
                size: bytes.len() as u64,
            })
            .collect())
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<ListedUpload>, BlobFailure> {
        let content = self.content.lock();
        let open = content
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.as_str().starts_with(prefix));
        Ok(open
            .take(1000)
            .map(|(multipart, upload)| ListedUpload {
                key: upload.key.to_string(),
                multipart: multipart.clone(),
            })
            .collect())
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

struct MemoryStaged {
    content: Arc<Mutex<Content>>,
    bytes: BytesMut,
    size_max: u64,
}

#[async_trait]
impl StagedBytes for MemoryStaged {
    async fn append(&mut self, bytes: Bytes) -> Result<(), BlobFailure> {
        if self.len() + bytes.len() as u64 > self.size_max {
            return Err(other(format!(
                "more than the {} bytes that were announced",
                self.size_max
            )));
        }
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn store(&mut self, target: &Target) -> Result<String, BlobFailure> {
        let bytes = Bytes::copy_from_slice(&self.bytes);
        let mut content = self.content.lock();
        match target {
            Target::Object(key) => {
                content.put(key, bytes);
                Ok(format!("\"{key}\""))
            }
            Target::Part {
                key,
                multipart,
                number,
            } => content.put_part(key, multipart, *number, bytes),
        }
    }
}

fn other(reason: String) -> BlobFailure {
    BlobFailure::Other { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob_store::suite::Subject;

    async fn memory() -> Subject {
        Subject::new(Arc::new(MemoryBlobStore::new()))
    }

    crate::blob_store_suite!(memory);

    #[tokio::test]
    #[should_panic(expected = "written twice")]
    async fn a_key_with_two_writers_is_a_bug() {
        let store = MemoryBlobStore::new();
        let key = ObjectKey::probe(metadata::ClusterId(1), 1);
        for text in ["one", "two"] {
            let mut staged = store.stage(3).await.unwrap();
            staged.append(Bytes::from(text)).await.unwrap();
            staged.store(&Target::Object(key.clone())).await.unwrap();
        }
    }
}
