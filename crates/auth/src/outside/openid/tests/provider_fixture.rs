//! The provider: an HTTPS server on a port of its own, with its own authority, that does the flow and checks what it is sent.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use url::Url;
use url::form_urlencoded;

use super::super::{Callback, OpenIdSettings, WorkloadSettings};
use crate::outside::fixture::{Kind, NOW_S, Signer, certificate_pem};

pub(super) const CLIENT_SECRET: &str = "a secret:with/odd+characters";
const CLIENT: &str = "holdfast";

pub(super) struct Fixture {
    state: Arc<State>,
    server: JoinHandle<()>,
    folder: tempfile::TempDir,
    pub(super) key_fetches: Arc<AtomicU32>,
    pub(super) exchanges: Arc<AtomicU32>,
}

struct State {
    issuer: String,
    kind: Kind,
    /// The key, and what it is called.
    signer: Mutex<(Signer, String)>,
    told: Mutex<Told>,
    key_fetches: Arc<AtomicU32>,
    exchanges: Arc<AtomicU32>,
}

#[derive(Default)]
struct Told {
    document: Map<String, Value>,
    claims: Map<String, Value>,
    user_info: Option<Value>,
    instead: Option<String>,
    /// What was consented to, by code.
    codes: HashMap<String, HashMap<String, String>>,
}

/// Puts the changes over what is there; `null` takes away.
fn changed(mut value: Value, changes: &Map<String, Value>) -> Value {
    let object = value.as_object_mut().unwrap();
    for (key, change) in changes {
        match change {
            Value::Null => drop(object.remove(key)),
            change => drop(object.insert(key.clone(), change.clone())),
        }
    }
    value
}

impl Fixture {
    pub(super) async fn start(kind: Kind) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let authority = Signer::draw(Kind::P256);
        let (params, root) = authority.authority("provider's authority");
        std::fs::write(folder.path().join("authority.pem"), certificate_pem(&root)).unwrap();
        std::fs::write(folder.path().join("secret"), format!("{CLIENT_SECRET}\n")).unwrap();
        let own = Signer::draw(Kind::P256);
        let issuer = rcgen::Issuer::from_params(&params, &authority.key);
        let certificate = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&own.key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(certificate.der().to_vec())],
                PrivateKeyDer::Pkcs8(own.key.serialize_der().into()),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(State {
            issuer: format!("https://{}/realms/x", listener.local_addr().unwrap()),
            kind,
            signer: Mutex::new((Signer::draw(kind), "key-1".to_owned())),
            told: Mutex::default(),
            key_fetches: Arc::default(),
            exchanges: Arc::default(),
        });
        let server = tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(tls)),
            Arc::clone(&state),
        ));
        Fixture {
            key_fetches: Arc::clone(&state.key_fetches),
            exchanges: Arc::clone(&state.exchanges),
            state,
            server,
            folder,
        }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.state.issuer
    }

    pub(super) fn settings(&self) -> OpenIdSettings {
        let path = |name: &str| self.folder.path().join(name);
        serde_json::from_value(json!({
            "issuer": self.issuer(),
            "client_id": CLIENT,
            "client_secret_file": path("secret"),
            "authority": path("authority.pem"),
            "timeout_ms": 1500,
        }))
        .unwrap()
    }

    pub(super) fn workload(&self) -> WorkloadSettings {
        serde_json::from_value(json!({
            "issuer": self.issuer(),
            "audience": "registry.example.org",
            "authority": self.folder.path().join("authority.pem"),
            "timeout_ms": 1500,
            "rules": [
                {"claims": {"repository": "team/app", "ref": "refs/tags/*"}, "acts_as": "robot$team+release"},
                {"claims": {"repository": "team/*", "ref": "refs/heads/*"}, "acts_as": "robot$team+ci"},
            ],
        }))
        .unwrap()
    }

    pub(super) fn job_claims(&self, changes: Value) -> Value {
        let claims = json!({
            "iss": self.issuer(),
            "aud": "registry.example.org",
            "sub": "repo:team/app:ref:refs/tags/v1",
            "repository": "team/app",
            "ref": "refs/tags/v1",
            "iat": NOW_S,
            "nbf": NOW_S,
            "exp": NOW_S + 300,
        });
        changed(claims, changes.as_object().unwrap())
    }

    pub(super) fn job(&self, changes: Value) -> String {
        let claims = self.job_claims(changes);
        self.state.sign(&claims)
    }

    /// From now on another key signs, and the old one is published no more.
    pub(super) fn rotate(&self, kid: &str) {
        *self.state.signer.lock() = (Signer::draw(self.state.kind), kid.to_owned());
    }

    /// What the discovery document says otherwise.
    pub(super) fn document(&self, changes: Value) {
        self.state.told.lock().document = changes.as_object().unwrap().clone();
    }

    /// What ID tokens say otherwise.
    pub(super) fn claims(&self, changes: Value) {
        self.state.told.lock().claims = changes.as_object().unwrap().clone();
    }

    pub(super) fn user_info(&self, told: Value) {
        self.state.told.lock().user_info = Some(told);
    }

    pub(super) fn instead_of_document(&self, what: &str) {
        self.state.told.lock().instead = Some(what.to_owned());
    }

    /// Somebody logs in at the address to which the browser was sent.
    pub(super) fn consent(&self, address: &Url) -> Callback {
        assert!(
            address
                .as_str()
                .starts_with(&format!("{}/auth?", self.issuer()))
        );
        let asked: HashMap<String, String> = address.query_pairs().into_owned().collect();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], CLIENT);
        assert_eq!(asked["code_challenge_method"], "S256");
        let state = asked["state"].clone();
        let mut told = self.state.told.lock();
        let code = format!("code-{}", told.codes.len());
        told.codes.insert(code.clone(), asked);
        Callback {
            code: Some(code),
            state: Some(state),
            iss: Some(self.issuer().to_owned()),
            error: None,
        }
    }

    /// Its port is closed, and so is every connection.
    pub(super) async fn stop(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        connections.spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let answer = service_fn(move |request| answer(Arc::clone(&state), request));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let instead = state.told.lock().instead.clone();
    let path = request.uri().path().to_owned();
    let json = |value: Value| Response::new(Full::from(value.to_string()));
    let redirect = |to: &str| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::FOUND;
        response.headers_mut().insert(LOCATION, to.parse().unwrap());
        response
    };
    Ok(
        match (path.trim_start_matches("/realms/x"), instead.as_deref()) {
            (_, Some("large")) => Response::new(Full::from(vec![b' '; 2 * 1024 * 1024])),
            (_, Some("circle")) => redirect(&path),
            (_, Some("weaker")) => redirect("http://127.0.0.1:1/"),
            (_, Some("mute")) => std::future::pending().await,
            (_, Some(_)) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
            ("/.well-known/openid-configuration", _) => json(state.document()),
            ("/keys", _) => {
                state.key_fetches.fetch_add(1, SeqCst);
                let (signer, kid) = &*state.signer.lock();
                json(json!({"keys": [signer.jwk(kid)]}))
            }
            ("/token", _) => state.exchange(request).await,
            ("/userinfo", _) if request.headers()[AUTHORIZATION] == "Bearer access-1" => {
                match state.told.lock().user_info.clone() {
                    Some(Value::String(to)) => redirect(&to),
                    told => json(told.unwrap()),
                }
            }
            ("/elsewhere", _) if request.headers().contains_key(AUTHORIZATION) => {
                refusal(StatusCode::BAD_REQUEST, "it shows me its token")
            }
            ("/elsewhere", _) => json(json!({"sub": "subject-1", "groups": ["told"]})),
            _ => refusal(StatusCode::NOT_FOUND, "not_found"),
        },
    )
}

fn refusal(status: StatusCode, error: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(json!({"error": error}).to_string()));
    *response.status_mut() = status;
    response
}

impl State {
    fn sign(&self, claims: &Value) -> String {
        let (signer, kid) = &*self.signer.lock();
        signer.token(json!({"kid": kid}), claims)
    }

    fn document(&self) -> Value {
        let issuer = &self.issuer;
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "authorization_response_iss_parameter_supported": true,
        });
        changed(document, &self.told.lock().document)
    }

    async fn exchange(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let basic = request.headers().get(AUTHORIZATION).cloned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
        let proves_itself = match basic {
            Some(basic) => {
                let pair = basic.to_str().unwrap().strip_prefix("Basic ").unwrap();
                let pair = String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap();
                let secret = pair.strip_prefix("holdfast:").unwrap().to_owned();
                let mut decoded = form_urlencoded::parse(secret.as_bytes());
                decoded.next().unwrap().0 == CLIENT_SECRET
            }
            None => form["client_id"] == CLIENT && form["client_secret"] == CLIENT_SECRET,
        };
        if !proves_itself {
            return refusal(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        let asked = self.told.lock().codes.remove(&form["code"]);
        let verifier = digest::digest(&digest::SHA256, form["code_verifier"].as_bytes());
        let good = asked.filter(|asked| {
            form["grant_type"] == "authorization_code"
                && asked["redirect_uri"] == form["redirect_uri"]
                && asked["code_challenge"] == URL_SAFE_NO_PAD.encode(verifier)
        });
        let Some(asked) = good else {
            return refusal(StatusCode::BAD_REQUEST, "invalid_grant");
        };
        self.exchanges.fetch_add(1, SeqCst);
        let claims = json!({
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "subject-1",
            "nonce": asked["nonce"],
            "iat": NOW_S,
            "exp": NOW_S + 300,
            "preferred_username": "ann",
            "email": "ann@example.org",
            "email_verified": true,
            "groups": ["ops", "dev", "no group"],
        });
        let claims = changed(claims, &self.told.lock().claims);
        let token = self.sign(&claims);
        let tokens = json!({"id_token": token, "access_token": "access-1", "token_type": "Bearer"});
        Response::new(Full::from(tokens.to_string()))
    }
}
