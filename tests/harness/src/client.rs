//! A client that says exactly what a test wants said: no retries, no redirects, no headers of its own but `Host` and
//! `Content-Length`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest as _, Sha256};

/// No answer that a test waits for takes longer than this.
const REQUEST_MAX: Duration = Duration::from_secs(120);

type Body = BoxBody<Bytes, std::io::Error>;

/// A client of one server. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    address: String,
    http: legacy::Client<HttpConnector, Body>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

impl Client {
    /// A client of the server at `HOST:PORT`, by plain HTTP.
    pub fn new(address: &str) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self {
            address: address.to_owned(),
            http,
        }
    }

    /// A request to be sent. `target` is a path with its query, or what a `Location` said.
    pub fn request(&self, method: Method, target: &str) -> Ask<'_> {
        Ask {
            client: self,
            method,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: empty(),
        }
    }

    /// `GET`.
    pub fn get(&self, target: &str) -> Ask<'_> {
        self.request(Method::GET, target)
    }

    /// `HEAD`.
    pub fn head(&self, target: &str) -> Ask<'_> {
        self.request(Method::HEAD, target)
    }

    /// `POST`.
    pub fn post(&self, target: &str) -> Ask<'_> {
        self.request(Method::POST, target)
    }

    /// `PATCH`.
    pub fn patch(&self, target: &str) -> Ask<'_> {
        self.request(Method::PATCH, target)
    }

    /// `PUT`.
    pub fn put(&self, target: &str) -> Ask<'_> {
        self.request(Method::PUT, target)
    }

    /// `DELETE`.
    pub fn delete(&self, target: &str) -> Ask<'_> {
        self.request(Method::DELETE, target)
    }

    /// Pushes a blob by `POST` and `PUT`, and returns its digest.
    pub async fn push_blob(
        &self,
        repository: &str,
        content: impl Into<Bytes>,
    ) -> anyhow::Result<String> {
        let content = content.into();
        let digest = sha256(&content);
        let opened = self
            .post(&format!("/v2/{repository}/blobs/uploads/"))
            .send()
            .await?
            .expect(202)?;
        let target = with_query(opened.location()?, "digest", &digest);
        self.put(&target).body(content).send().await?.expect(201)?;
        Ok(digest)
    }

    /// Puts a manifest under a tag or a digest, and returns its digest.
    pub async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        payload: impl Into<Bytes>,
    ) -> anyhow::Result<String> {
        let payload = payload.into();
        let digest = sha256(&payload);
        let put = self.put(&format!("/v2/{repository}/manifests/{reference}"));
        put.header(CONTENT_TYPE.as_str(), media_type)
            .body(payload)
            .send()
            .await?
            .expect(201)?;
        Ok(digest)
    }
}

/// A request that is being put together.
pub struct Ask<'a> {
    client: &'a Client,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Body,
}

impl Ask<'_> {
    /// Adds a header; the same name twice sends it twice.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name =
            HeaderName::from_bytes(name.as_bytes()).expect("tests name headers that can be sent");
        self.headers.append(
            name,
            HeaderValue::from_str(value).expect("tests send headers that can be sent"),
        );
        self
    }

    /// A body with its length.
    #[must_use]
    pub fn body(mut self, content: impl Into<Bytes>) -> Self {
        self.body = Full::new(content.into())
            .map_err(|never| match never {})
            .boxed();
        self
    }

    /// A body in pieces, sent chunked, without its length.
    #[must_use]
    pub fn stream(
        mut self,
        pieces: impl futures::Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let frames = futures::TryStreamExt::map_ok(pieces, Frame::data);
        self.body = StreamBody::new(frames).boxed();
        self
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> anyhow::Result<Reply> {
        let shown = format!("{} {}", self.method, self.target);
        let uri = match self.target.starts_with('/') {
            true => format!("http://{}{}", self.client.address, self.target),
            false => self.target,
        };
        let mut request = Request::builder()
            .method(self.method)
            .uri(&uri)
            .body(self.body)
            .context(shown.clone())?;
        request.headers_mut().extend(self.headers);
        let exchange = async {
            let (head, body) = self.client.http.request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Reply {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        tokio::time::timeout(REQUEST_MAX, exchange)
            .await
            .map_err(anyhow::Error::from)
            .flatten()
            .context(shown)
    }
}

impl Reply {
    /// The answer, if it has this status; else an error that shows it.
    pub fn expect(self, status: u16) -> anyhow::Result<Self> {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]).into_owned();
        ensure!(
            self.status.as_u16() == status,
            "expected {status}, got {} {:?}\n{text}",
            self.status,
            self.headers
        );
        Ok(self)
    }

    /// A header's text, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Location`, which must be there.
    pub fn location(&self) -> anyhow::Result<&str> {
        self.header(LOCATION.as_str())
            .context("the answer has no Location")
    }

    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body).context("the body is not JSON")
    }

    /// The code of the first error in an OCI error body.
    pub fn error_code(&self) -> Option<String> {
        Some(self.json().ok()?["errors"][0]["code"].as_str()?.to_owned())
    }
}

/// Adds to a query, as the specification wants it for `Location` and `digest`.
pub fn with_query(target: &str, name: &str, value: &str) -> String {
    let joint = if target.contains('?') { '&' } else { '?' };
    format!("{target}{joint}{name}={value}")
}

/// `sha256:` and the hash of the bytes.
pub fn sha256(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// The status of one `GET`, without a runtime: for waiting while a server starts.
pub fn status_of(address: &str, path: &str) -> anyhow::Result<u16> {
    let mut line = String::new();
    BufReader::new(ask_briefly(address, path)?).read_line(&mut line)?;
    line.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .with_context(|| format!("odd answer: {line}"))
}

/// The whole answer to one `GET`, head and all, without a runtime.
pub fn text_of(address: &str, path: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    ask_briefly(address, path)?.read_to_string(&mut text)?;
    Ok(text)
}

fn ask_briefly(address: &str, path: &str) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    (&stream).write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    Ok(stream)
}

fn empty() -> Body {
    Full::new(Bytes::new())
        .map_err(|never| match never {})
        .boxed()
}
