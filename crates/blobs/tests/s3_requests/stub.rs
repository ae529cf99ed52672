//! A service in this process that records what it is asked and answers as S3, as the token service (STS), as the metadata
//! service of an instance (IMDSv2) or as that of a container would.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What the token of an instance must be given back as.
pub(crate) const INSTANCE_TOKEN: &str = "token-of-the-instance";

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub method: Method,
    /// As the request line says it: with scheme and host when it came to a proxy.
    pub target: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The path without the query and without what a proxy is told.
    pub fn path(&self) -> &str {
        let target = self.target.split('?').next().unwrap_or_default();
        match target.split_once("://") {
            Some((_, rest)) => &rest[rest.find('/').unwrap_or(rest.len())..],
            None => target,
        }
    }

    /// Whose key signed it, and for which day, region and service.
    pub fn credential(&self) -> Vec<String> {
        let signed = self.header("authorization").unwrap_or_default();
        let scope = signed
            .split_once("Credential=")
            .and_then(|(_, rest)| rest.split(',').next())
            .unwrap_or_default();
        scope.split('/').map(str::to_owned).collect()
    }

    fn is_of_metadata(&self) -> bool {
        self.path().starts_with("/latest/") || self.path() == "/container"
    }

    fn is_of_tokens(&self) -> bool {
        self.body.contains("Action=AssumeRole")
    }
}

/// A running stub; ends when it is dropped.
pub(crate) struct Stub {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    accepting: JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Stub {
    pub async fn start() -> Stub {
        Stub::listen(None).await
    }

    /// With TLS, for the name `localhost`; gives the certificate of its authority, as a PEM file has it.
    pub async fn start_with_tls() -> (Stub, String) {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate: CertificateDer<'static> = signed.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .unwrap();
        let stub = Stub::listen(Some(TlsAcceptor::from(Arc::new(config)))).await;
        (stub, signed.cert.pem())
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (record, tls) = (Arc::clone(&record), tls.clone());
                // Ends with the client's connection.
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&record), request));
                    let connections = Builder::new(TokioExecutor::new());
                    // A client that leaves is none of our concern.
                    let _ = match tls {
                        None => {
                            connections
                                .serve_connection(TokioIo::new(socket), service)
                                .await
                        }
                        Some(tls) => match tls.accept(socket).await {
                            Ok(socket) => {
                                connections
                                    .serve_connection(TokioIo::new(socket), service)
                                    .await
                            }
                            Err(_) => Ok(()),
                        },
                    };
                });
            }
        });
        Stub {
            address,
            asked,
            accepting,
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that was asked.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// What S3 was asked.
    pub fn asked_of_s3(&self) -> Vec<Asked> {
        let all = self.asked().into_iter();
        all.filter(|asked| !asked.is_of_metadata() && !asked.is_of_tokens())
            .collect()
    }

    /// The one request that S3 was asked.
    pub fn only(&self) -> Asked {
        let mut asked = self.asked_of_s3();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }
}

async fn answer(
    record: Arc<Mutex<Vec<Asked>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let asked = Asked {
        method: head.method,
        target: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let reply = reply(&asked);
    record.lock().unwrap().push(asked);
    Ok(reply)
}

fn reply(asked: &Asked) -> Response<Full<Bytes>> {
    if asked.is_of_metadata() {
        return of_metadata(asked);
    }
    if asked.is_of_tokens() {
        return with(200, &[("Content-Type", "text/xml")], TOKENS);
    }
    let query = asked.target.split_once('?').map_or("", |(_, query)| query);
    match asked.method {
        Method::PUT => with(200, &[("ETag", "\"etag\"")], ""),
        Method::POST if query.contains("uploads") => with(200, &[], MULTIPART),
        Method::GET => with(206, &[("Content-Range", "bytes 0-9/10")], "0123456789"),
        _ => with(502, &[], ""),
    }
}

/// Instance: only who shows the token that a `PUT` gave is answered, as version 2 of the service demands.
fn of_metadata(asked: &Asked) -> Response<Full<Bytes>> {
    let shows_token = asked.header("x-aws-ec2-metadata-token") == Some(INSTANCE_TOKEN);
    let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    match (asked.path(), shows_token) {
        ("/container", _) => with(200, &[], &keys("CONTAINERKEY", "container-token")),
        ("/latest/api/token", _) if asked.method == Method::PUT => {
            with(200, &[ttl], INSTANCE_TOKEN)
        }
        (_, false) => with(401, &[], ""),
        ("/latest/meta-data/iam/security-credentials/", true) => with(200, &[], "registry-role"),
        ("/latest/meta-data/iam/security-credentials/registry-role", true) => {
            with(200, &[], &keys("INSTANCEKEY", "instance-token"))
        }
        (_, true) => with(404, &[], ""),
    }
}

fn keys(id: &str, token: &str) -> String {
    format!(
        "{{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"LastUpdated\":\"2026-01-01T00:00:00Z\",\"AccessKeyId\":\"{id}\",\
         \"SecretAccessKey\":\"secret\",\"Token\":\"{token}\",\"Expiration\":\"2099-01-01T00:00:00Z\"}}"
    )
}

fn with(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Full<Bytes>> {
    let mut reply = Response::builder().status(status);
    for (name, value) in headers {
        reply = reply.header(*name, *value);
    }
    reply.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

const TOKENS: &str = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>WEBIDENTITYKEY</AccessKeyId>\
<SecretAccessKey>secret</SecretAccessKey><SessionToken>web-identity-token</SessionToken>\
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>\
<Arn>arn:aws:sts::123456789012:assumed-role/registry/holdfast</Arn><AssumedRoleId>ID:holdfast</AssumedRoleId>\
</AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

const MULTIPART: &str = "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
<Bucket>blobs</Bucket><Key>key</Key><UploadId>multipart-1</UploadId></InitiateMultipartUploadResult>";
