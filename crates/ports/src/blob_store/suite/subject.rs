//! The store that a case of the suite works on, with the calls that most cases need.

use std::any::Any;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use metadata::{ClusterId, Epoch, MultipartId, ObjectKey};
use oci::UploadId;

use crate::blob_store::{BlobFailure, BlobStore, ByteSpan, CompletedPart, Target};

/// A store to be tried.
pub struct Subject {
    pub(super) store: Arc<dyn BlobStore>,
    pub(super) lists_multipart: bool,
    pub(super) cluster: ClusterId,
    _keep: Box<dyn Any + Send>,
}

impl Subject {
    /// A store that does everything.
    #[must_use]
    pub fn new(store: Arc<dyn BlobStore>) -> Subject {
        let cluster = ClusterId(uuid::Uuid::new_v4().as_u128());
        Subject {
            store,
            lists_multipart: true,
            cluster,
            _keep: Box::new(()),
        }
    }

    /// The server behind it does not list multipart uploads: that case is left out.
    #[must_use]
    pub fn without_listing_multipart(mut self) -> Subject {
        self.lists_multipart = false;
        self
    }

    /// Keeps something (a folder, a server) until the case has ended.
    #[must_use]
    pub fn keeping(mut self, what: impl Any + Send) -> Subject {
        self._keep = Box::new(what);
        self
    }

    pub(super) fn data_key(&self, id: u128) -> ObjectKey {
        ObjectKey::data(self.cluster, UploadId::from_u128(id), Epoch(1))
    }

    pub(super) fn tail_key(&self, id: u128) -> ObjectKey {
        ObjectKey::tail(self.cluster, UploadId::from_u128(id), Epoch(1), 0)
    }

    pub(super) fn prefix(&self) -> String {
        ObjectKey::cluster_prefix(self.cluster)
    }

    pub(super) async fn put(&self, key: &ObjectKey, bytes: &Bytes) {
        let mut staged = self.store.stage(bytes.len() as u64).await.unwrap();
        staged.append(bytes.clone()).await.unwrap();
        staged.store(&Target::Object(key.clone())).await.unwrap();
    }

    pub(super) async fn put_part(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
        number: u32,
        bytes: &Bytes,
    ) -> CompletedPart {
        let mut staged = self.store.stage(bytes.len() as u64).await.unwrap();
        staged.append(bytes.clone()).await.unwrap();
        let target = Target::Part {
            key: key.clone(),
            multipart: multipart.clone(),
            number,
        };
        let etag = staged.store(&target).await.unwrap();
        CompletedPart {
            number,
            etag,
            size: bytes.len() as u64,
        }
    }

    pub(super) async fn read(
        &self,
        key: &ObjectKey,
        start: u64,
        len: u64,
    ) -> Result<Bytes, BlobFailure> {
        let mut stream = self.store.read(key, ByteSpan { start, len }).await?;
        let mut whole = BytesMut::new();
        while let Some(block) = stream.try_next().await? {
            whole.extend_from_slice(&block);
        }
        Ok(whole.freeze())
    }

    pub(super) async fn keys(&self) -> Vec<String> {
        let listed = self.store.list(&self.prefix(), None).await.unwrap();
        listed.into_iter().map(|object| object.key).collect()
    }
}

/// Bytes that differ from their neighbours, so that a shifted or swapped block is seen.
#[must_use]
pub fn pattern(seed: u64, len: u64) -> Bytes {
    let word = |n: u64| {
        (n ^ seed.rotate_left(17))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(word).collect();
    bytes.truncate(len as usize);
    bytes.into()
}
