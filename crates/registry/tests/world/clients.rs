//! Clients that push a blob as the real ones do, and try again as they do. Each call runs in a task of its own, so that
//! a node which dies in it looks like a connection that broke.

use bytes::Bytes;
use metadata::WriteFrom;
use oci::Digest;
use registry::{Body, Caller, Error, Registry};

use super::{caller, repository, sha256, sized, streamed};

/// A real client has given up long before.
const TRIES: usize = 12;

/// How a client pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// docker: `POST`, one streamed `PATCH`, an empty `PUT`; after a failure all of it anew.
    Docker,
    /// containerd: `POST`, `PUT` of the whole body; after a failure the same `PUT` from byte 0.
    Containerd,
    /// One `POST` with the whole body.
    SinglePost,
    /// `PATCH`es with `Content-Range`; after a failure it asks for the offset and goes on there.
    Chunked,
    /// Like docker, but the closing `PUT` names sha512 without having said so before.
    OtherAlgorithm,
}

impl Client {
    pub const ALL: [Client; 5] = [
        Client::Docker,
        Client::Containerd,
        Client::SinglePost,
        Client::Chunked,
        Client::OtherAlgorithm,
    ];

    /// What the client calls the blob.
    pub fn digest(self, content: &[u8]) -> Digest {
        match self {
            Client::OtherAlgorithm => Digest::of(oci::Algorithm::Sha512, content),
            _ => sha256(content),
        }
    }

    /// Pushes until it is told that the blob is stored.
    pub async fn push(self, registry: &Registry, content: &Bytes) -> Result<(), Error> {
        match self {
            Client::Docker | Client::OtherAlgorithm => {
                retry(|| docker(registry, content, self.digest(content))).await
            }
            Client::Containerd => containerd(registry, content).await,
            Client::SinglePost => retry(|| single_post(registry, content)).await,
            Client::Chunked => chunked(registry, content).await,
        }
    }
}

async fn retry<F: Future<Output = Result<(), Error>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<(), Error> {
    let mut last = attempt().await;
    for _ in 1..TRIES {
        if last.is_ok() {
            break;
        }
        last = attempt().await;
    }
    last
}

/// One request, on a node that may die in it.
pub async fn request<T, F>(
    registry: &Registry,
    work: impl FnOnce(Registry, Caller) -> F,
) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let work = work(registry.clone(), caller());
    let joined = tokio::spawn(work).await;
    joined.unwrap_or_else(|_| {
        Err(Error::Internal {
            reason: "the node died".into(),
        })
    })
}

async fn open(registry: &Registry) -> Result<oci::UploadId, Error> {
    let opened = request(registry, |registry, caller| async move {
        registry.open_upload(&caller, &repository(), None).await
    });
    Ok(opened.await?.upload)
}

async fn write(
    registry: &Registry,
    upload: oci::UploadId,
    from: WriteFrom,
    body: Body,
) -> Result<u64, Error> {
    let written = request(registry, move |registry, caller| async move {
        registry
            .write_upload(&caller, &repository(), upload, from, body)
            .await
    });
    Ok(written.await?.offset)
}

async fn close(
    registry: &Registry,
    upload: oci::UploadId,
    from: WriteFrom,
    body: Body,
    digest: Digest,
) -> Result<(), Error> {
    let closed = request(registry, move |registry, caller| async move {
        registry
            .close_upload(&caller, &repository(), upload, from, body, digest)
            .await
    });
    assert_eq!(closed.await?.digest, digest);
    Ok(())
}

async fn docker(registry: &Registry, content: &Bytes, digest: Digest) -> Result<(), Error> {
    let upload = open(registry).await?;
    let body = streamed(content, 23);
    let offset = write(registry, upload, WriteFrom::Location(0), body).await?;
    assert_eq!(offset, content.len() as u64);
    close(
        registry,
        upload,
        WriteFrom::Location(offset),
        Body::empty(),
        digest,
    )
    .await
}

async fn containerd(registry: &Registry, content: &Bytes) -> Result<(), Error> {
    let digest = sha256(content);
    let mut upload = None;
    let mut last = Err(Error::UploadUnknown);
    for _ in 0..TRIES {
        let opened = match upload {
            Some(upload) => Ok(upload),
            None => open(registry).await,
        };
        let id = match opened {
            Ok(id) => *upload.insert(id),
            Err(error) => {
                last = Err(error);
                continue;
            }
        };
        last = close(
            registry,
            id,
            WriteFrom::Location(0),
            sized(content, 50),
            digest,
        )
        .await;
        match &last {
            Ok(()) => break,
            Err(Error::UploadUnknown | Error::OffsetMismatch { .. }) => upload = None,
            Err(_) => {}
        }
    }
    last
}

async fn single_post(registry: &Registry, content: &Bytes) -> Result<(), Error> {
    let digest = sha256(content);
    let body = sized(content, 40);
    let pushed = request(registry, move |registry, caller| async move {
        registry
            .push_blob(&caller, &repository(), digest, body)
            .await
    });
    assert_eq!(pushed.await?.digest, digest);
    Ok(())
}

async fn chunked(registry: &Registry, content: &Bytes) -> Result<(), Error> {
    let mut last = Err(Error::UploadUnknown);
    for _ in 0..3 {
        let Ok(upload) = open(registry).await else {
            continue;
        };
        last = chunks(registry, upload, content).await;
        if last.is_ok() {
            break;
        }
    }
    last
}

async fn chunks(registry: &Registry, upload: oci::UploadId, content: &Bytes) -> Result<(), Error> {
    let digest = sha256(content);
    let mut acknowledged = 0;
    let mut last = Err(Error::UploadUnknown);
    for _ in 0..TRIES {
        last = match write_rest(registry, upload, content, &mut acknowledged).await {
            Ok(()) => {
                let from = WriteFrom::Exactly(acknowledged);
                close(registry, upload, from, Body::empty(), digest).await
            }
            Err(error) => Err(error),
        };
        if last.is_ok() {
            break;
        }
        let status = request(registry, move |registry, caller| async move {
            registry.upload_status(&caller, &repository(), upload).await
        });
        // An upload that is not known is finished perhaps: the closing request is sent again.
        if let Ok(status) = status.await {
            let offset = status.offset;
            assert!(offset >= acknowledged, "an acknowledged byte was lost");
            acknowledged = offset;
        }
    }
    last
}

async fn write_rest(
    registry: &Registry,
    upload: oci::UploadId,
    content: &Bytes,
    acknowledged: &mut u64,
) -> Result<(), Error> {
    for end in [100, 101, 128, 300, content.len()] {
        let start = *acknowledged as usize;
        if end > start && end <= content.len() {
            let body = sized(&content.slice(start..end), 33);
            *acknowledged =
                write(registry, upload, WriteFrom::Exactly(*acknowledged), body).await?;
            assert_eq!(*acknowledged, end as u64);
        }
    }
    Ok(())
}
