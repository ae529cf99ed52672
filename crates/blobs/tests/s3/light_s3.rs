//! A light S3 server for tests: in this process, in memory, strict, and failing when it is told to.
//!
//! The crate `s3s` speaks the protocol and checks signatures; what is kept and refused is decided here. (`s3s-fs`
//! checks no receipts, refuses gaps between part numbers, and does not list uploads.)

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder as Connections;
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

pub(crate) const BUCKET: &str = "blobs";
pub(crate) const ACCESS_KEY: &str = "test-access-key";
pub(crate) const SECRET_KEY: &str = "test-secret-key";
const PART_BYTES_MIN: usize = 5 * 1024 * 1024;

/// What goes wrong with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is refused for lack of a permission, for ever.
    Denied,
    /// It is answered with this code, this often.
    Code(&'static str, u32),
    /// It takes effect and is answered 500, this often.
    LostAnswer(u32),
    /// Bodies of answers break after this many bytes, this often.
    Cut(usize, u32),
}

#[derive(Default)]
struct Content {
    objects: BTreeMap<String, Bytes>,
    uploads: BTreeMap<String, Upload>,
    troubles: BTreeMap<&'static str, Trouble>,
    requests: BTreeMap<&'static str, u32>,
    last_put: Option<PutObjectInput>,
}

struct Upload {
    key: String,
    parts: BTreeMap<i32, (String, Bytes)>,
}

#[derive(Clone, Default)]
struct Service {
    content: Arc<Mutex<Content>>,
}

/// A running server; ends when it is dropped.
pub(crate) struct LightS3 {
    content: Arc<Mutex<Content>>,
    scheme: &'static str,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for LightS3 {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl LightS3 {
    pub async fn start() -> LightS3 {
        LightS3::listen(None).await
    }

    /// With TLS, for the name `localhost`.
    pub async fn start_with_certificate(
        certificate: CertificateDer<'static>,
        key: Vec<u8>,
    ) -> LightS3 {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key).into())
            .unwrap();
        LightS3::listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> LightS3 {
        let service = Service::default();
        let content = Arc::clone(&service.content);
        let mut builder = S3ServiceBuilder::new(service);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let accepting = tokio::spawn(async move {
            // The connections end with this task.
            let mut serving = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (service, tls) = (service.clone(), tls.clone());
                serving.spawn(async move {
                    let connections = Connections::new(TokioExecutor::new());
                    // A client that leaves is none of our concern.
                    let _ = match tls {
                        None => {
                            connections
                                .serve_connection(TokioIo::new(socket), service)
                                .await
                        }
                        Some(tls) => {
                            let Ok(socket) = tls.accept(socket).await else {
                                return;
                            };
                            connections
                                .serve_connection(TokioIo::new(socket), service)
                                .await
                        }
                    };
                });
            }
        });
        LightS3 {
            content,
            scheme,
            address,
            accepting,
        }
    }

    pub fn settings(&self) -> blobs::S3Settings {
        blobs::S3Settings {
            bucket: BUCKET.to_owned(),
            endpoint: Some(format!(
                "{}://localhost:{}",
                self.scheme,
                self.address.port()
            )),
            proxy: Some("none".to_owned()),
            access_key_id: Some(ACCESS_KEY.to_owned()),
            secret_access_key: Some(blobs::Secret::new(SECRET_KEY)),
            ..blobs::S3Settings::default()
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, this operation (as S3 calls it) meets this trouble.
    pub fn trouble(&self, operation: &'static str, trouble: Trouble) {
        self.content.lock().troubles.insert(operation, trouble);
    }

    /// How often this operation was asked for.
    pub fn requests(&self, operation: &str) -> u32 {
        self.content
            .lock()
            .requests
            .get(operation)
            .copied()
            .unwrap_or(0)
    }

    pub fn keys(&self) -> Vec<String> {
        self.content.lock().objects.keys().cloned().collect()
    }

    pub fn uploads_open(&self) -> usize {
        self.content.lock().uploads.len()
    }

    /// The latest put, without its body.
    pub fn last_put(&self) -> Option<PutObjectInput> {
        self.content.lock().last_put.take()
    }
}

impl Service {
    /// Counts the request and answers with its trouble; gives whether the answer is to be lost.
    fn enter(&self, operation: &'static str) -> S3Result<bool> {
        let mut content = self.content.lock();
        *content.requests.entry(operation).or_default() += 1;
        let trouble = content.troubles.get_mut(operation);
        match trouble {
            Some(Trouble::Denied) => Err(s3_error!(AccessDenied)),
            Some(Trouble::Code(code, left)) if *left > 0 => {
                *left -= 1;
                let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap();
                Err(S3Error::new(code))
            }
            Some(Trouble::LostAnswer(left)) if *left > 0 => {
                *left -= 1;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn cut(&self) -> Option<usize> {
        match self.content.lock().troubles.get_mut("GetObject") {
            Some(Trouble::Cut(after, left)) if *left > 0 => {
                *left -= 1;
                Some(*after)
            }
            _ => None,
        }
    }
}

fn answer<T>(output: T, is_lost: bool) -> S3Result<S3Response<T>> {
    if is_lost {
        Err(s3_error!(InternalError))
    } else {
        Ok(S3Response::new(output))
    }
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let mut bytes = BytesMut::new();
    if let Some(mut body) = body {
        while let Some(block) = body
            .try_next()
            .await
            .map_err(|_| s3_error!(IncompleteBody))?
        {
            bytes.extend_from_slice(&block);
        }
    }
    Ok(bytes.freeze())
}

fn etag(bytes: &Bytes) -> String {
    // Receipts must differ with the bytes; what they are made of does not matter.
    format!("{:08x}-{}", crc32fast::hash(bytes), bytes.len())
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let is_lost = self.enter("PutObject")?;
        let mut input = req.input;
        let bytes = collect(input.body.take()).await?;
        let output = PutObjectOutput {
            e_tag: Some(ETag::Strong(etag(&bytes))),
            ..Default::default()
        };
        let mut content = self.content.lock();
        content.objects.insert(input.key.clone(), bytes);
        content.last_put = Some(input);
        answer(output, is_lost)
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.enter("GetObject")?;
        let whole = self.content.lock().objects.get(&req.input.key).cloned();
        let whole = whole.ok_or_else(|| s3_error!(NoSuchKey))?;
        let total = whole.len();
        let (bytes, content_range) = match req.input.range {
            None => (whole, None),
            Some(range) => {
                let range = range.check(total as u64)?;
                let said = format!("bytes {}-{}/{total}", range.start, range.end - 1);
                (
                    whole.slice(range.start as usize..range.end as usize),
                    Some(said),
                )
            }
        };
        let content_length = Some(bytes.len() as i64);
        let blocks: Vec<std::io::Result<Bytes>> = match self.cut() {
            Some(after) if after < bytes.len() => {
                vec![
                    Ok(bytes.slice(..after)),
                    Err(std::io::ErrorKind::ConnectionReset.into()),
                ]
            }
            _ => vec![Ok(bytes)],
        };
        let body = Some(StreamingBlob::wrap(futures::stream::iter(blocks)));
        answer(
            GetObjectOutput {
                body,
                content_length,
                content_range,
                ..Default::default()
            },
            false,
        )
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let is_lost = self.enter("DeleteObject")?;
        self.content.lock().objects.remove(&req.input.key);
        answer(DeleteObjectOutput::default(), is_lost)
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let is_lost = self.enter("DeleteObjects")?;
        for object in &req.input.delete.objects {
            self.content.lock().objects.remove(&object.key);
        }
        answer(DeleteObjectsOutput::default(), is_lost)
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.enter("ListObjectsV2")?;
        let (prefix, after) = (
            req.input.prefix.unwrap_or_default(),
            req.input.start_after.unwrap_or_default(),
        );
        let content = self.content.lock();
        let listed = content
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix) && **key > after);
        let contents: Vec<Object> = listed
            .take(1000)
            .map(|(key, bytes)| Object {
                key: Some(key.clone()),
                size: Some(bytes.len() as i64),
                ..Default::default()
            })
            .collect();
        answer(
            ListObjectsV2Output {
                contents: Some(contents),
                ..Default::default()
            },
            false,
        )
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let is_lost = self.enter("CreateMultipartUpload")?;
        let upload_id = uuid::Uuid::new_v4().to_string();
        let upload = Upload {
            key: req.input.key,
            parts: BTreeMap::new(),
        };
        self.content
            .lock()
            .uploads
            .insert(upload_id.clone(), upload);
        answer(
            CreateMultipartUploadOutput {
                upload_id: Some(upload_id),
                ..Default::default()
            },
            is_lost,
        )
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let is_lost = self.enter("UploadPart")?;
        let bytes = collect(req.input.body).await?;
        let etag = etag(&bytes);
        let mut content = self.content.lock();
        let upload = content
            .uploads
            .get_mut(&req.input.upload_id)
            .filter(|upload| upload.key == req.input.key);
        let upload = upload.ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload
            .parts
            .insert(req.input.part_number, (etag.clone(), bytes));
        answer(
            UploadPartOutput {
                e_tag: Some(ETag::Strong(etag)),
                ..Default::default()
            },
            is_lost,
        )
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let is_lost = self.enter("CompleteMultipartUpload")?;
        let mut content = self.content.lock();
        let upload = content
            .uploads
            .get(&req.input.upload_id)
            .ok_or_else(|| s3_error!(NoSuchUpload))?;
        let listed = req
            .input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        if listed.is_empty() || !listed.is_sorted_by(|a, b| a.part_number < b.part_number) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let mut whole = BytesMut::new();
        for (n, part) in listed.iter().enumerate() {
            let stored = part
                .part_number
                .and_then(|number| upload.parts.get(&number));
            let said = part.e_tag.as_ref().map(|etag| etag.value().to_owned());
            let (_, bytes) = stored
                .filter(|(etag, _)| said.as_ref() == Some(etag))
                .ok_or_else(|| s3_error!(InvalidPart))?;
            if n + 1 < listed.len() && bytes.len() < PART_BYTES_MIN {
                return Err(s3_error!(EntityTooSmall));
            }
            whole.extend_from_slice(bytes);
        }
        content.uploads.remove(&req.input.upload_id);
        content.objects.insert(req.input.key, whole.freeze());
        answer(CompleteMultipartUploadOutput::default(), is_lost)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let is_lost = self.enter("AbortMultipartUpload")?;
        let removed = self.content.lock().uploads.remove(&req.input.upload_id);
        removed.ok_or_else(|| s3_error!(NoSuchUpload))?;
        answer(AbortMultipartUploadOutput::default(), is_lost)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.enter("ListMultipartUploads")?;
        let prefix = req.input.prefix.unwrap_or_default();
        let content = self.content.lock();
        let open = content
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(&prefix));
        let uploads: Vec<MultipartUpload> = open
            .map(|(id, upload)| MultipartUpload {
                key: Some(upload.key.clone()),
                upload_id: Some(id.clone()),
                ..Default::default()
            })
            .collect();
        answer(
            ListMultipartUploadsOutput {
                uploads: Some(uploads),
                ..Default::default()
            },
            false,
        )
    }
}
