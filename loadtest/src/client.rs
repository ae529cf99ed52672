//! One connection to a registry, made again when it was lost. HTTP/1.1, one request at a time, as real clients do.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::layer::Layer;

/// What is sent.
pub type Outgoing = UnsyncBoxBody<Bytes, Infallible>;

/// Replies that are not blobs are refused beyond this size.
const REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How a registry is reached.
pub struct TargetOptions<'a> {
    /// Its scheme, host and port.
    pub url: &'a url::Url,
    /// An authority to trust beside the system's.
    pub ca_file: Option<&'a Path>,
    /// `NAME:PASSWORD`.
    pub user: Option<&'a str>,
    /// The longest that one request may take.
    pub timeout: Duration,
}

/// A registry.
pub struct Target {
    host: String,
    port: u16,
    authority: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

impl Target {
    /// Checks what can be checked without asking the registry.
    pub fn new(options: TargetOptions<'_>) -> anyhow::Result<Target> {
        let url = options.url;
        let host = url.host_str().context("--url has no host")?.to_owned();
        let port = url.port_or_known_default().context("--url has no port")?;
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some((
                connector(options.ca_file)?,
                ServerName::try_from(host.clone())?,
            )),
            other => bail!("--url wants http or https, not {other}"),
        };
        let authorization = options
            .user
            .map(|user| {
                let encoded = base64::engine::general_purpose::STANDARD.encode(user);
                let mut value = HeaderValue::from_str(&format!("Basic {encoded}"))?;
                value.set_sensitive(true);
                anyhow::Ok(value)
            })
            .transpose()?;
        let authority =
            HeaderValue::from_str(&url[url::Position::BeforeHost..url::Position::AfterPort])?;
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Target {
            host,
            port,
            authority,
            tls,
            authorization,
            timeout: options.timeout,
        })
    }

    /// `HOST:PORT`, as it stands in names of images.
    pub fn authority(&self) -> &str {
        self.authority.to_str().unwrap_or_default()
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Outgoing>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .with_context(|| NotConnected(format!("{}:{}", self.host, self.port)))?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => handshake(stream).await,
            Some((connector, name)) => {
                handshake(connector.connect(name.clone(), stream).await?).await
            }
        }
    }
}

fn connector(ca_file: Option<&Path>) -> anyhow::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = ca_file {
        for certificate in CertificateDer::pem_file_iter(file)
            .with_context(|| format!("cannot read {}", file.display()))?
        {
            roots.add(certificate?)?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn handshake<S>(stream: S) -> anyhow::Result<SendRequest<Outgoing>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .handshake(TokioIo::new(stream))
        .await?;
    // The task ends with the connection, which ends when the sender is dropped.
    tokio::spawn(connection);
    Ok(sender)
}

/// There was no connection, and so nothing was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotConnected(String);

impl std::fmt::Display for NotConnected {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "cannot connect to {}", self.0)
    }
}

impl std::error::Error for NotConnected {}

/// A worker's connection.
pub struct Client {
    target: Arc<Target>,
    sender: Option<SendRequest<Outgoing>>,
}

impl Client {
    /// Connects with the first request.
    pub fn new(target: Arc<Target>) -> Client {
        Client {
            target,
            sender: None,
        }
    }

    /// Sends a request and gives the reply's head; the body is yet to be read. What the request shows of who asks goes before
    /// what is shown with all.
    pub async fn send(
        &mut self,
        mut request: Request<Outgoing>,
    ) -> anyhow::Result<Response<Incoming>> {
        let headers = request.headers_mut();
        headers.insert(HOST, self.target.authority.clone());
        if let Some(value) = &self.target.authorization {
            headers
                .entry(AUTHORIZATION)
                .or_insert_with(|| value.clone());
        }
        let timeout = self.target.timeout;
        let outcome = tokio::time::timeout(timeout, async {
            let mut sender = match self.kept().await {
                Some(sender) => sender,
                None => self.target.connect().await?,
            };
            let response = sender.send_request(request).await?;
            self.sender = Some(sender);
            anyhow::Ok(response)
        });
        outcome
            .await
            .with_context(|| format!("no answer within {timeout:?}"))?
    }

    /// The connection of the last request, if it can take another.
    async fn kept(&mut self) -> Option<SendRequest<Outgoing>> {
        let mut sender = self.sender.take()?;
        sender.ready().await.is_ok().then_some(sender)
    }

    /// Sends a request, wants one of these statuses, and reads the whole reply, which is small.
    pub async fn call(
        &mut self,
        request: Request<Outgoing>,
        wanted: &[StatusCode],
    ) -> anyhow::Result<Response<Bytes>> {
        let what = format!("{} {}", request.method(), request.uri().path());
        let response = self.send(request).await.with_context(|| what.clone())?;
        let response = self.whole(response).await.with_context(|| what.clone())?;
        let (body, status) = (response.body(), response.status());
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]);
        ensure!(wanted.contains(&status), "{what}: {status}: {shown}");
        Ok(response)
    }

    /// Reads the whole of a reply, which is small.
    pub async fn whole(&self, response: Response<Incoming>) -> anyhow::Result<Response<Bytes>> {
        let (parts, body) = response.into_parts();
        let body = http_body_util::Limited::new(body, REPLY_BYTES_MAX);
        let read = tokio::time::timeout(self.target.timeout, body.collect()).await;
        match read {
            Ok(Ok(collected)) => Ok(Response::from_parts(parts, collected.to_bytes())),
            Ok(Err(error)) => bail!("{error}"),
            Err(_) => bail!("the reply did not end in time"),
        }
    }

    /// Reads a blob, hashing it as it comes, and gives its size. Nothing of it is kept.
    pub async fn check_blob(&mut self, path: &str, digest: &str) -> anyhow::Result<u64> {
        let response = self.send(get(path)?).await?;
        ensure!(
            response.status() == StatusCode::OK,
            "GET {path}: {}",
            response.status()
        );
        let mut body = response.into_body();
        let mut hash = Sha256::new();
        let mut size = 0;
        while let Some(frame) = tokio::time::timeout(self.target.timeout, body.frame()).await? {
            if let Some(data) = frame?.data_ref() {
                hash.update(data);
                size += data.len() as u64;
            }
        }
        let found = format!("sha256:{}", hex::encode(hash.finalize()));
        ensure!(
            found == digest,
            "GET {path}: the bytes are {found} and not {digest}"
        );
        Ok(size)
    }
}

/// A request without a body.
pub fn request(method: Method, path: &str) -> anyhow::Result<Request<Outgoing>> {
    Ok(Request::builder().method(method).uri(path).body(empty())?)
}

/// A `GET`.
pub fn get(path: &str) -> anyhow::Result<Request<Outgoing>> {
    request(Method::GET, path)
}

/// A body of bytes that are in memory.
pub fn full(bytes: Bytes) -> Outgoing {
    Full::new(bytes).boxed_unsync()
}

/// No body.
pub fn empty() -> Outgoing {
    full(Bytes::new())
}

/// A body that is made as it is sent.
pub fn streamed(layer: &Layer) -> Outgoing {
    StreamBody::new(stream::iter(layer.blocks()).map(|block| Ok(Frame::data(block)))).boxed_unsync()
}

/// A request with a layer's bytes and their length.
pub fn sized(method: Method, path: &str, layer: &Layer) -> anyhow::Result<Request<Outgoing>> {
    Ok(Request::builder()
        .method(method)
        .uri(path)
        .header(CONTENT_LENGTH, layer.size())
        .body(streamed(layer))?)
}

/// Where a reply sends the client on to, as a path; `digest` is added to its query.
pub fn location<B>(response: &Response<B>, digest: Option<&str>) -> anyhow::Result<String> {
    let location = response
        .headers()
        .get(LOCATION)
        .context("the reply has no Location")?
        .to_str()?;
    let mut path = match url::Url::parse(location) {
        Ok(absolute) => absolute[url::Position::BeforePath..].to_owned(),
        Err(_) => location.to_owned(),
    };
    if let Some(digest) = digest {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str("digest=");
        path.push_str(digest);
    }
    Ok(path)
}
