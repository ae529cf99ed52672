//! Blobs in S3-compatible object storage.
//!
//! Only put, ranged get, multipart, list and delete are asked for. Pieces are gathered in memory, within one budget
//! for the node, and put as a whole with retries; reads are streamed and resumed. No conditional put is relied on:
//! several services ignore them, and no key has two writers.

mod body;
mod budget;
mod client;
mod credentials;
mod encryption;
mod failure;
mod read;
mod staged;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream as SdkStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, Delete, ObjectIdentifier, StorageClass};
use bytes::Bytes;
use futures::TryStreamExt;
use metadata::{MultipartId, ObjectKey};
use ports::{
    BlobFailure, BlobStore, ByteSpan, ByteStream, CompletedPart, ListedObject, ListedUpload,
    StagedBytes,
};

use crate::settings::S3Settings;
use crate::steps::{self, step};
use budget::Budget;
use encryption::{CustomerKey, ServerEncryption};
use failure::{CallFailure, Patience};
use staged::S3Staged;

const PAGE_MAX: i32 = 1000;
/// How many objects are deleted at once by a service that takes no lists.
const SINGLE_DELETES: usize = 8;

/// A read up to this size goes over `small_reads`.
const SMALL_READ_BYTES_MAX: u64 = 128 * 1024;

/// A blob store in a bucket. Clones are the same store.
#[derive(Clone)]
pub struct S3Store {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    small_reads: Client,
    bucket: String,
    /// Empty, or ends with a slash.
    prefix: String,
    place: String,
    encryption: ServerEncryption,
    storage_class: Option<StorageClass>,
    budget: Arc<Budget>,
    patience: Patience,
    read_timeout: Duration,
    /// The service was found not to delete lists of objects.
    deletes_singly: AtomicBool,
}

impl S3Store {
    /// Prepares a client; the store itself is not asked anything, so that a node can start before it.
    ///
    /// Fails with [`BlobFailure::Other`] when a file that the settings name cannot be read, and with
    /// [`BlobFailure::Denied`] when credentials are set up by halves.
    pub async fn open(settings: &S3Settings) -> Result<S3Store, BlobFailure> {
        let deadline = Duration::from_millis(settings.deadline_ms);
        let prefix = settings.prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        let endpoint = settings.endpoint.as_deref().unwrap_or("AWS");
        let clients = client::clients(settings).await?;
        let shared = Shared {
            client: clients.usual,
            small_reads: clients.small_reads,
            place: format!(
                "s3 bucket {} at {endpoint}, below \"{prefix}\"",
                settings.bucket
            ),
            bucket: settings.bucket.clone(),
            prefix,
            encryption: ServerEncryption::new(settings)?,
            storage_class: settings.storage_class.as_deref().map(StorageClass::from),
            budget: Arc::new(Budget::new(
                u64::from(settings.memory_mib) * 1024 * 1024,
                deadline,
            )),
            patience: Patience { deadline },
            read_timeout: Duration::from_millis(settings.read_timeout_ms),
            deletes_singly: AtomicBool::new(false),
        };
        Ok(S3Store {
            shared: Arc::new(shared),
        })
    }
}

impl Shared {
    fn key(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The key without the store's prefix; `None` when it does not lie below.
    fn own_key(&self, key: Option<&str>) -> Option<String> {
        key?.strip_prefix(&self.prefix).map(str::to_owned)
    }

    fn customer(&self) -> [Option<String>; 3] {
        match &self.encryption.customer {
            None => [None, None, None],
            Some(customer) => {
                let algorithm = CustomerKey::ALGORITHM.to_owned();
                [
                    Some(algorithm),
                    Some(customer.key.clone()),
                    Some(customer.md5.clone()),
                ]
            }
        }
    }

    async fn put_object(&self, key: &ObjectKey, blocks: &[Bytes]) -> Result<String, BlobFailure> {
        let [algorithm, customer_key, customer_md5] = self.customer();
        let call = || {
            self.client
                .put_object()
                .bucket(&self.bucket)
                .key(self.key(key))
                .set_server_side_encryption(self.encryption.method.clone())
                .set_ssekms_key_id(self.encryption.kms_key_id.clone())
                .set_sse_customer_algorithm(algorithm.clone())
                .set_sse_customer_key(customer_key.clone())
                .set_sse_customer_key_md5(customer_md5.clone())
                .set_storage_class(self.storage_class.clone())
                .body(body::of_blocks(blocks))
        };
        let put = self
            .patience
            .retry(|| async { Ok(call().send().await?.e_tag.unwrap_or_default()) });
        put.await.map_err(|failure| failure.about(key))
    }

    async fn put_part(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
        number: u32,
        blocks: &[Bytes],
    ) -> Result<String, BlobFailure> {
        let [algorithm, customer_key, customer_md5] = self.customer();
        let call = || {
            self.client
                .upload_part()
                .bucket(&self.bucket)
                .key(self.key(key))
                .upload_id(&*multipart.0)
                .part_number(number.cast_signed())
                .set_sse_customer_algorithm(algorithm.clone())
                .set_sse_customer_key(customer_key.clone())
                .set_sse_customer_key_md5(customer_md5.clone())
                .body(body::of_blocks(blocks))
        };
        let put = self
            .patience
            .retry(|| async { Ok(call().send().await?.e_tag.unwrap_or_default()) });
        put.await
            .map_err(|failure| upload_failure(failure).about(key))
    }

    /// A stream of the span, and how many bytes the store says it has.
    async fn get_range(
        &self,
        key: &ObjectKey,
        span: ByteSpan,
    ) -> Result<(SdkStream, Option<u64>), CallFailure> {
        let range = format!("bytes={}-{}", span.start, span.start + span.len - 1);
        let client = if span.len <= SMALL_READ_BYTES_MAX {
            &self.small_reads
        } else {
            &self.client
        };
        let answer = self.get(client, key, Some(range)).await?;
        Ok((
            answer.body,
            answer
                .content_length
                .and_then(|len| u64::try_from(len).ok()),
        ))
    }

    async fn get(
        &self,
        client: &Client,
        key: &ObjectKey,
        range: Option<String>,
    ) -> Result<aws_sdk_s3::operation::get_object::GetObjectOutput, CallFailure> {
        let [algorithm, customer_key, customer_md5] = self.customer();
        let call = client
            .get_object()
            .bucket(&self.bucket)
            .key(self.key(key))
            .set_range(range)
            .set_sse_customer_algorithm(algorithm)
            .set_sse_customer_key(customer_key)
            .set_sse_customer_key_md5(customer_md5);
        self.patience
            .retry(|| async { Ok(call.clone().send().await?) })
            .await
    }

    async fn object_size(&self, key: &ObjectKey) -> Result<u64, CallFailure> {
        let unclear = || CallFailure::Other {
            reason: format!("the store did not say how large {key} is"),
        };
        match self
            .get(&self.small_reads, key, Some("bytes=0-0".to_owned()))
            .await
        {
            Ok(answer) => {
                let total = answer
                    .content_range
                    .as_deref()
                    .and_then(|range| range.rsplit_once('/'));
                total
                    .and_then(|(_, total)| total.parse().ok())
                    .ok_or_else(unclear)
            }
            // An empty object has no first byte.
            Err(CallFailure::BadRange) => {
                let len = self.get(&self.small_reads, key, None).await?.content_length;
                len.and_then(|len| u64::try_from(len).ok())
                    .ok_or_else(unclear)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn delete_one(&self, key: &ObjectKey) -> Result<(), CallFailure> {
        let call = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .key(self.key(key));
        let deleted = self.patience.retry(|| async {
            call.clone().send().await?;
            Ok(())
        });
        match deleted.await {
            Err(CallFailure::NoSuchKey) => Ok(()),
            deleted => deleted,
        }
    }

    async fn delete_list(&self, keys: &[ObjectKey]) -> Result<(), CallFailure> {
        let objects: Result<Vec<_>, _> = keys
            .iter()
            .map(|key| ObjectIdentifier::builder().key(self.key(key)).build())
            .collect();
        let list = objects.and_then(|objects| {
            Delete::builder()
                .set_objects(Some(objects))
                .quiet(true)
                .build()
        });
        let list = list.map_err(|error| CallFailure::Other {
            reason: error.to_string(),
        })?;
        let call = self
            .client
            .delete_objects()
            .bucket(&self.bucket)
            .delete(list);
        let deleted = self.patience.retry(|| async {
            let answer = call.clone().send().await?;
            match answer
                .errors()
                .iter()
                .find(|error| error.code() != Some("NoSuchKey"))
            {
                None => Ok(()),
                Some(error) => {
                    let (code, message) =
                        (error.code().unwrap_or(""), error.message().unwrap_or(""));
                    let reason = format!("{code} {message}");
                    match code {
                        "AccessDenied" => Err(CallFailure::Denied { reason }),
                        _ => Err(CallFailure::Retryable {
                            reason,
                            retry_after: None,
                        }),
                    }
                }
            }
        });
        deleted.await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Result<(), CallFailure> {
        if keys.len() > 1 && !self.deletes_singly.load(Ordering::Relaxed) {
            match self.delete_list(keys).await {
                // Some services know no lists, or want a checksum of another kind with them.
                Err(CallFailure::NotImplemented { reason } | CallFailure::Other { reason }) => {
                    tracing::info!(
                        reason,
                        "the blob store deletes no lists: objects are deleted one by one"
                    );
                    self.deletes_singly.store(true, Ordering::Relaxed);
                }
                deleted => return deleted,
            }
        }
        let singly = futures::stream::iter(keys.iter().map(Ok));
        singly
            .try_for_each_concurrent(SINGLE_DELETES, |key| self.delete_one(key))
            .await
    }
}

/// What is not found in a call about an upload is the upload.
fn upload_failure(failure: CallFailure) -> CallFailure {
    match failure {
        CallFailure::NoSuchKey => CallFailure::NoSuchUpload,
        failure => failure,
    }
}

/// Marks a step between calls.
fn at_step(name: &'static str) -> Result<(), BlobFailure> {
    step(name).map_err(|error| BlobFailure::Unavailable {
        reason: error.to_string(),
        retry_after: None,
    })
}

#[async_trait]
impl BlobStore for S3Store {
    async fn stage(&self, size_max: u64) -> Result<Box<dyn StagedBytes>, BlobFailure> {
        let most = self.shared.budget.piece_bytes_max();
        if size_max > most {
            let reason = format!(
                "a piece of {size_max} bytes is more than {most}: raise storage.s3.memory_mib"
            );
            return Err(BlobFailure::Other { reason });
        }
        Ok(Box::new(S3Staged::new(Arc::clone(&self.shared), size_max)))
    }

    async fn begin_multipart(&self, key: &ObjectKey) -> Result<MultipartId, BlobFailure> {
        let shared = &self.shared;
        let [algorithm, customer_key, customer_md5] = shared.customer();
        let call = shared
            .client
            .create_multipart_upload()
            .bucket(&shared.bucket)
            .key(shared.key(key))
            .set_server_side_encryption(shared.encryption.method.clone())
            .set_ssekms_key_id(shared.encryption.kms_key_id.clone())
            .set_sse_customer_algorithm(algorithm)
            .set_sse_customer_key(customer_key)
            .set_sse_customer_key_md5(customer_md5)
            .set_storage_class(shared.storage_class.clone());
        let begun = shared
            .patience
            .retry(|| async { Ok(call.clone().send().await?.upload_id) })
            .await;
        let id = begun.map_err(|failure| failure.about(key))?;
        at_step(steps::S3_AFTER_BEGIN)?;
        let id = id.filter(|id| !id.is_empty());
        id.map(|id| MultipartId(id.into()))
            .ok_or_else(|| BlobFailure::Other {
                reason: "the store gave a multipart upload no id".to_owned(),
            })
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
        parts: &[CompletedPart],
    ) -> Result<(), BlobFailure> {
        // S3 gives every part a tag: one without is of a store that the blobs were moved from, and so is its upload. Servers
        // look at the list before the upload, and say that the list is wrong.
        if parts.iter().any(|part| part.etag.is_empty()) {
            return Err(CallFailure::NoSuchUpload.about(key));
        }
        let shared = &self.shared;
        let listed = parts.iter().map(|part| {
            aws_sdk_s3::types::CompletedPart::builder()
                .part_number(part.number.cast_signed())
                .e_tag(&part.etag)
                .build()
        });
        let [algorithm, customer_key, customer_md5] = shared.customer();
        let call = shared
            .client
            .complete_multipart_upload()
            .bucket(&shared.bucket)
            .key(shared.key(key))
            .upload_id(&*multipart.0)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(listed.collect()))
                    .build(),
            )
            .set_sse_customer_algorithm(algorithm)
            .set_sse_customer_key(customer_key)
            .set_sse_customer_key_md5(customer_md5);
        at_step(steps::S3_BEFORE_COMPLETE)?;
        let completed = shared.patience.retry(|| async {
            call.clone().send().await?;
            Ok(())
        });
        completed
            .await
            .map_err(|failure| upload_failure(failure).about(key))?;
        at_step(steps::S3_AFTER_COMPLETE)
    }

    async fn abort_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
    ) -> Result<(), BlobFailure> {
        let shared = &self.shared;
        let call = shared
            .client
            .abort_multipart_upload()
            .bucket(&shared.bucket)
            .key(shared.key(key));
        let call = call.upload_id(&*multipart.0);
        let aborted = shared.patience.retry(|| async {
            call.clone().send().await?;
            Ok(())
        });
        match aborted.await.map_err(upload_failure) {
            Ok(()) | Err(CallFailure::NoSuchUpload) => Ok(()),
            Err(failure) => Err(failure.about(key)),
        }
    }

    async fn read(&self, key: &ObjectKey, span: ByteSpan) -> Result<ByteStream, BlobFailure> {
        read::open(Arc::clone(&self.shared), key.clone(), span).await
    }

    async fn object_size(&self, key: &ObjectKey) -> Result<u64, BlobFailure> {
        self.shared
            .object_size(key)
            .await
            .map_err(|failure| failure.about(key))
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Result<(), BlobFailure> {
        for batch in keys.chunks(PAGE_MAX as usize) {
            self.shared
                .delete(batch)
                .await
                .map_err(|failure| failure.about("the objects to delete"))?;
        }
        at_step(steps::S3_AFTER_DELETE)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<ListedObject>, BlobFailure> {
        let shared = &self.shared;
        let call = shared
            .client
            .list_objects_v2()
            .bucket(&shared.bucket)
            .prefix(format!("{}{prefix}", shared.prefix))
            .set_start_after(after.map(|after| format!("{}{after}", shared.prefix)))
            .max_keys(PAGE_MAX);
        let page = shared
            .patience
            .retry(|| async { Ok(call.clone().send().await?) })
            .await;
        let page = page.map_err(|failure| failure.about(prefix))?;
        let objects = page.contents().iter().filter_map(|object| {
            let size = u64::try_from(object.size().unwrap_or(0)).unwrap_or(0);
            Some(ListedObject {
                key: shared.own_key(object.key())?,
                size,
            })
        });
        Ok(objects.collect())
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<ListedUpload>, BlobFailure> {
        let shared = &self.shared;
        let call = shared
            .client
            .list_multipart_uploads()
            .bucket(&shared.bucket)
            .prefix(format!("{}{prefix}", shared.prefix))
            .max_uploads(PAGE_MAX);
        let page = shared
            .patience
            .retry(|| async { Ok(call.clone().send().await?) })
            .await;
        let page = page.map_err(|failure| failure.about(prefix))?;
        let uploads = page.uploads().iter().filter_map(|upload| {
            Some(ListedUpload {
                key: shared.own_key(upload.key())?,
                multipart: MultipartId(upload.upload_id()?.into()),
            })
        });
        Ok(uploads.collect())
    }

    fn describe(&self) -> String {
        self.shared.place.clone()
    }
}
