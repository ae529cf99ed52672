//! One request over HTTPS to somebody who may be slow, wrong or large: a new connection each time, a deadline over all of it, and
//! a bound on what is read. Logins are rare; a connection that is kept would have to be watched.
//!
//! Only `https` is spoken, but for the machine's own loopback interface. A `GET` follows a few redirects, never from `https` to
//! less; a `POST`, which carries secrets, follows none.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::trust::{self, TrustError};

/// The most bytes of an answer.
const BYTES_MAX: usize = 1024 * 1024;
/// The most redirects of one `GET`.
const REDIRECTS_MAX: usize = 3;

/// Why an answer did not come, without what was asked or answered.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Plain HTTP would show it to anybody.
    #[error("`{0}` is no https address")]
    NotHttps(String),
    /// No connection, or it broke.
    #[error("{host} cannot be reached: {cause}")]
    Unreachable {
        /// Whom.
        host: String,
        /// Why.
        cause: String,
    },
    /// It took too long.
    #[error("{host} did not answer in time")]
    TooSlow {
        /// Whom.
        host: String,
    },
    /// It said more than is read.
    #[error("{host} answered with more than {BYTES_MAX} bytes, or broke off")]
    BadBody {
        /// Whom.
        host: String,
    },
    /// It sends from place to place.
    #[error("{host} redirects too often, or to where it must not")]
    BadRedirect {
        /// Whom.
        host: String,
    },
    /// Another status than a success.
    #[error("{host} answered with {status}")]
    Status {
        /// Whom.
        host: String,
        /// With what.
        status: StatusCode,
    },
}

/// What asks.
#[derive(Clone)]
pub(super) struct Fetcher {
    tls: TlsConnector,
    time_max: Duration,
}

/// What a `POST` is answered with: a refusal has a body, too.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Whether an address may be asked: `https`, or the loopback interface.
pub(super) fn may_be_asked(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.host().is_some(),
        "http" => is_loopback(url),
        _ => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or("nobody").to_owned()
}

impl Fetcher {
    /// Reads the authority's file: not to be called where nothing may block.
    pub(super) fn new(authority: Option<&Path>, time_max: Duration) -> Result<Fetcher, TrustError> {
        Ok(Fetcher {
            tls: TlsConnector::from(trust::client_config(authority)?),
            time_max,
        })
    }

    /// The body of what is there. May be dropped half-way.
    pub(super) async fn get(&self, url: &Url, bearer: Option<&str>) -> Result<Bytes, FetchError> {
        let (mut url, mut bearer) = (url.clone(), bearer);
        let too_slow = FetchError::TooSlow {
            host: host_of(&url),
        };
        let all = async {
            for _ in 0..=REDIRECTS_MAX {
                let mut request = request(Method::GET, &url)?;
                if let Some(bearer) = bearer {
                    set_secret(&mut request, &format!("Bearer {bearer}"), &url)?;
                }
                let (answer, location) = self.once(&url, request).await?;
                if answer.status.is_success() {
                    return Ok(answer.body);
                }
                let Some(next) = location.filter(|_| answer.status.is_redirection()) else {
                    return Err(FetchError::Status {
                        host: host_of(&url),
                        status: answer.status,
                    });
                };
                url = redirected(&url, &next)?;
                // What was meant for one place is not shown to another.
                bearer = None;
            }
            Err(FetchError::BadRedirect {
                host: host_of(&url),
            })
        };
        match tokio::time::timeout(self.time_max, all).await {
            Ok(result) => result,
            Err(_) => Err(too_slow),
        }
    }

    /// Sends a form, and `authorization` with it. May be dropped half-way; what it did there is not known then.
    pub(super) async fn post_form(
        &self,
        url: &Url,
        form: String,
        authorization: Option<&str>,
    ) -> Result<Answer, FetchError> {
        let mut request = request(Method::POST, url)?;
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form_type);
        if let Some(value) = authorization {
            set_secret(&mut request, value, url)?;
        }
        *request.body_mut() = Full::from(form);
        let once = self.once(url, request);
        match tokio::time::timeout(self.time_max, once).await {
            Ok(result) => result.map(|(answer, _)| answer),
            Err(_) => Err(FetchError::TooSlow { host: host_of(url) }),
        }
    }

    async fn once(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
    ) -> Result<(Answer, Option<String>), FetchError> {
        let unreachable = |cause: &dyn std::fmt::Display| FetchError::Unreachable {
            host: host_of(url),
            cause: cause.to_string(),
        };
        let port = url.port_or_known_default().unwrap_or(443);
        let host = host_of(url);
        let bare = host.trim_matches(['[', ']']).to_owned();
        let stream = TcpStream::connect((&*bare, port));
        let stream = stream.await.map_err(|error| unreachable(&error))?;
        if url.scheme() == "http" {
            return exchange(host, stream, request).await;
        }
        let name = ServerName::try_from(bare).map_err(|error| unreachable(&error))?;
        let stream = self.tls.connect(name, stream).await;
        exchange(host, stream.map_err(|error| unreachable(&error))?, request).await
    }
}

async fn exchange(
    host: String,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(Answer, Option<String>), FetchError> {
    let unreachable = |error: hyper::Error| FetchError::Unreachable {
        host: host.clone(),
        cause: error.to_string(),
    };
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(unreachable)?;
    // It ends with this call, answered or not.
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection);
    let answer = sender.send_request(request).await.map_err(unreachable)?;
    let status = answer.status();
    let location = answer.headers().get(LOCATION).cloned();
    let body = Limited::new(answer.into_body(), BYTES_MAX).collect().await;
    let body = body.map_err(|_| FetchError::BadBody { host: host.clone() })?;
    let location = location.and_then(|value| value.to_str().map(str::to_owned).ok());
    let body = body.to_bytes();
    Ok((Answer { status, body }, location))
}

fn request(method: Method, url: &Url) -> Result<Request<Full<Bytes>>, FetchError> {
    if !may_be_asked(url) {
        return Err(FetchError::NotHttps(url.to_string()));
    }
    let host = host_of(url);
    let shown = url
        .port()
        .map_or(host.clone(), |port| format!("{host}:{port}"));
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, shown)
        .header(USER_AGENT, concat!("holdfast/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json")
        .body(Full::default())
        .map_err(|_| FetchError::NotHttps(host))
}

fn set_secret(
    request: &mut Request<Full<Bytes>>,
    value: &str,
    url: &Url,
) -> Result<(), FetchError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| FetchError::Unreachable {
        host: host_of(url),
        cause: "a secret has characters that no header may have".to_owned(),
    })?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

fn redirected(from: &Url, location: &str) -> Result<Url, FetchError> {
    let bad = || FetchError::BadRedirect {
        host: host_of(from),
    };
    let to = from.join(location).map_err(|_| bad())?;
    let is_weaker = from.scheme() == "https" && to.scheme() != "https";
    match may_be_asked(&to) && !is_weaker {
        true => Ok(to),
        false => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for good in [
            "https://id.example.org/x",
            "http://127.0.0.1:5556/dex",
            "http://localhost/",
            "http://[::1]:80/",
        ] {
            assert!(may_be_asked(&url(good)), "{good}");
        }
        for bad in [
            "http://id.example.org/",
            "http://localhost.evil.org/",
            "http://10.0.0.1/",
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
        ] {
            assert!(!may_be_asked(&url(bad)), "{bad}");
        }
    }

    #[test]
    fn redirect_never_leads_to_less() {
        let from = url("https://id.example.org/a/b");
        assert_eq!(
            redirected(&from, "c").unwrap(),
            url("https://id.example.org/a/c")
        );
        for bad in ["http://id.example.org/", "http://127.0.0.1/", "file:///x"] {
            assert!(redirected(&from, bad).is_err(), "{bad}");
        }
    }
}
