//! Asks a registry's management API: one request after the other, each with a deadline and a bounded answer.
//!
//! A password goes to the URL that it was kept for and nowhere else: redirects are not followed.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;
use url::Url;

use super::credentials::Login;
use crate::failure::Failure;

/// How long an answer may take to begin, and each further piece of it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// The largest answer that is taken whole, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often a removal is asked for again when more is left than the registry removes at once.
const REMOVALS_MAX: usize = 1_000;

type Http = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;
type Answer = Response<hyper::body::Incoming>;

/// A registry that is asked.
pub struct Client {
    base: Url,
    authorization: Option<HeaderValue>,
    http: Http,
    runtime: Runtime,
}

/// Why something was not answered as it was meant.
#[derive(Debug)]
pub enum CallError {
    /// The registry says no.
    Refused {
        /// The status.
        status: StatusCode,
        /// What it says.
        message: String,
    },
    /// Nobody answers, or not as a registry does.
    Failed(String),
}

impl CallError {
    /// Whether it may be that what was asked for does not exist.
    pub fn is_absent(&self) -> bool {
        let absent = [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN];
        matches!(self, CallError::Refused { status, .. } if absent.contains(status))
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Failure {
        Failure::new(match error {
            CallError::Refused { status, message } => match status {
                StatusCode::UNAUTHORIZED => format!("{message}: `holdfast login`"),
                _ => message,
            },
            CallError::Failed(why) => why,
        })
    }
}

impl Client {
    /// A client of the registry at `url`, which signs in if it is said how.
    ///
    /// # Errors
    /// When the URL or the authority's certificate is none.
    pub fn new(url: &str, login: Option<&Login>) -> Result<Client, Failure> {
        let base = Url::parse(url).map_err(|error| Failure::new(format!("{url}: {error}")))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("the work cannot be started: {error}")))?;
        let tls = tls(login.and_then(|login| login.authority.as_deref()))?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Client {
            base,
            authorization: login.map(basic),
            http,
            runtime,
        })
    }

    /// The host and port, as clients of images name the registry.
    pub fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The URL of a resource: each segment is one part of the path, whatever it contains.
    fn target(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut target = self.base.clone();
        if let Ok(mut segments) = target.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            target.query_pairs_mut().extend_pairs(query);
        }
        target
    }

    async fn ask(
        &self,
        method: Method,
        target: &Url,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, CallError> {
        let mut request = Request::builder().method(method).uri(target.as_str());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let failed = |why: String| CallError::Failed(format!("{}: {why}", self.base));
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())));
        let request = request.map_err(|error| failed(error.to_string()))?;
        match tokio::time::timeout(ANSWER_TIME_MAX, self.http.request(request)).await {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(answer),
            Ok(Ok(answer)) => Err(refusal(answer).await),
            Ok(Err(error)) => Err(failed(chain(&error))),
            Err(_) => Err(failed("it does not answer".to_owned())),
        }
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, CallError> {
        self.call(Method::GET, &self.target(path, query), None)
    }

    /// Sends what is to be changed, and gives what is answered.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<T, CallError> {
        let body = body.map(|body| serde_json::to_vec(body).expect("bodies are plain data"));
        self.call(method, &self.target(path, &[]), body)
    }

    /// Sends what is to be changed, with no answer but that it is so.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn change(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<(), CallError> {
        self.send::<Value>(method, path, body).map(drop)
    }

    /// Removes something, as often as it has to be asked for.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn remove(&self, path: &[&str]) -> Result<(), CallError> {
        let target = self.target(path, &[]);
        self.runtime.block_on(async {
            for _ in 0..REMOVALS_MAX {
                let answer = self.ask(Method::DELETE, &target, None).await?;
                if answer.status() != StatusCode::ACCEPTED {
                    return Ok(());
                }
            }
            let why = "more is left than could be removed: run the command again";
            Err(CallError::Failed(why.to_owned()))
        })
    }

    /// Every entry of a list that comes in pages, under this name in each.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn all<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        name: &str,
    ) -> Result<Vec<T>, CallError> {
        let mut entries = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.push(("n", "1000"));
            query.extend(after.as_deref().map(|after| ("after", after)));
            let mut page: Value = self.get(path, &query)?;
            let found: Vec<T> = read(page[name].take())?;
            entries.extend(found);
            match page["next"].take() {
                Value::String(next) => after = Some(next),
                _ => return Ok(entries),
            }
        }
    }

    /// Hands over an answer as it comes.
    ///
    /// # Errors
    /// See [`CallError`]; those of `take`.
    pub fn stream(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let target = self.target(path, query);
        self.runtime.block_on(async {
            let mut body = self.ask(Method::GET, &target, None).await?.into_body();
            loop {
                let frame = tokio::time::timeout(ANSWER_TIME_MAX, body.frame()).await;
                match frame {
                    Ok(None) => return Ok(()),
                    Ok(Some(Ok(frame))) => take(frame.data_ref().map_or(&[], |data| data))?,
                    Ok(Some(Err(_))) | Err(_) => {
                        let line = "the answer ended early: what was printed is not all";
                        return Err(Failure::new(line));
                    }
                }
            }
        })
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &Url,
        body: Option<Vec<u8>>,
    ) -> Result<T, CallError> {
        self.runtime.block_on(async {
            let answer = self.ask(method, target, body).await?;
            let bytes = whole(answer).await?;
            let value = match bytes.is_empty() {
                true => Value::Null,
                false => serde_json::from_slice(&bytes).map_err(|_| not_an_answer())?,
            };
            read(value)
        })
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, CallError> {
    serde_json::from_value(value).map_err(|_| not_an_answer())
}

fn not_an_answer() -> CallError {
    let why = "the answer is not that of a registry of this version: is the URL right?";
    CallError::Failed(why.to_owned())
}

async fn whole(answer: Answer) -> Result<Bytes, CallError> {
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
    match tokio::time::timeout(ANSWER_TIME_MAX, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        _ => Err(CallError::Failed("the answer ended early".to_owned())),
    }
}

async fn refusal(answer: Answer) -> CallError {
    let status = answer.status();
    let bytes = whole(answer).await.unwrap_or_default();
    let errors: Option<management::Errors> = serde_json::from_slice(&bytes).ok();
    let errors = errors.map(|errors| errors.errors).unwrap_or_default();
    let message = match errors.into_iter().next() {
        Some(error) => error.message,
        None => format!("the registry answers {status}"),
    };
    CallError::Refused { status, message }
}

/// What is wrong, to its root: the outermost says only that a request failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        told = format!("{told}: {inner}");
        source = inner.source();
    }
    told
}

fn basic(login: &Login) -> HeaderValue {
    let pair = format!("{}:{}", login.user, login.password);
    let pair = base64::engine::general_purpose::STANDARD.encode(pair);
    let mut value = HeaderValue::try_from(format!("Basic {pair}")).expect("base64 is plain text");
    value.set_sensitive(true);
    value
}

/// What certificates are believed: the machine's authorities, and this one.
fn tls(authority: Option<&str>) -> Result<rustls::ClientConfig, Failure> {
    crate::crypto::install();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(authority) = authority {
        let certificates = CertificateDer::pem_slice_iter(authority.as_bytes());
        let certificates = certificates
            .collect::<Result<Vec<_>, _>>()
            .unwrap_or_default();
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(Failure::new("the authority's file holds no certificate"));
        }
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    Ok(config.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_segment_is_one_part_of_the_path() {
        let client = Client::new("http://127.0.0.1:1/", None).unwrap();
        let target = client.target(&["groups", "a/b c", "members", "x%y"], &[("after", "a&b")]);
        assert_eq!(
            target.as_str(),
            "http://127.0.0.1:1/api/v1/groups/a%2Fb%20c/members/x%25y?after=a%26b"
        );
        let robot = client.target(&["robots", "robot$team+ci"], &[]);
        assert!(robot.path().ends_with("/robots/robot$team+ci"), "{robot}");
    }

    #[test]
    fn password_does_not_show() {
        let login = Login {
            user: "anna".to_owned(),
            password: "planted".to_owned(),
            authority: None,
        };
        let shown = format!("{:?}", basic(&login));
        assert!(!shown.contains("Basic"), "{shown}");
        assert_eq!(basic(&login), "Basic YW5uYTpwbGFudGVk");
    }
}
