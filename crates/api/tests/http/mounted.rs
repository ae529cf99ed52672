//! Routers of others beside the registry protocol: what they are told, and what the server keeps from them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::{Access, Mounted};
use async_trait::async_trait;
use auth::{Claims, Purpose};
use auth::{Doorkeeper, NewKey, ProofFailure, Proved, Prover, SigningKey, TokenIssuer, TokenKeys};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Uri};
use axum::routing::{any, get as routed, post};
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use front::ClientPlace;
use metadata::access::{AccessCommand, AccountName, Asker, PasswordHash, Who};
use metadata::{Command, Reply};
use ports::metadata_store::memory::MemoryMetadataStore;
use ports::{Deadline, MetadataStore};
use zeroize::Zeroizing;

use crate::client::{Connection, call, get};
use crate::fixture::Fixture;

const SERVICE: &str = "registry.test";
const MIB: usize = 1024 * 1024;

/// Believes everybody whose secret is `secret`, and counts how often it was asked: that is their generation, too.
#[derive(Default)]
struct Credulous(AtomicUsize);

#[async_trait]
impl Prover for Credulous {
    async fn prove(
        &self,
        name: &AccountName,
        secret: Zeroizing<String>,
        _: Deadline,
    ) -> Result<Option<Proved>, ProofFailure> {
        let proofs = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Ok((*secret == "secret").then(|| Proved {
            generation: proofs as u64,
            ..proved(name.clone())
        }))
    }
}

fn proved(name: AccountName) -> Proved {
    Proved {
        name,
        generation: 1,
        token: None,
    }
}

fn names() -> TokenIssuer {
    TokenIssuer {
        issuer: "holdfast".to_owned(),
        service: SERVICE.to_owned(),
    }
}

/// Says what it was told.
fn echo() -> Router {
    let told = async |method: Method,
                      uri: Uri,
                      headers: HeaderMap,
                      place: Option<Extension<ClientPlace>>,
                      asker: Option<Extension<Asker>>,
                      body: Bytes| {
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
        let who = asker.map(|Extension(asker)| match asker.who {
            Who::Account { name, .. } => name.to_string(),
            who => format!("{who:?}"),
        });
        format!(
            "{method} {uri} x={:?} authorization={:?} from={:?} who={who:?} body={}",
            header("x-thing"),
            header("authorization"),
            place.map(|Extension(place)| place.address.to_string()),
            String::from_utf8_lossy(&body),
        )
    };
    Router::new()
        .route("/echo", any(told))
        .route("/size", post(async |body: Bytes| body.len().to_string()))
        .route("/panics", routed(async || -> &str { panic!("a bug") }))
        .route(
            "/denied",
            routed(async || axum::http::StatusCode::UNAUTHORIZED),
        )
        .route(
            "/second",
            routed(async |Extension(asker): Extension<Asker>| match asker.who {
                Who::Account { generation: 1, .. } => axum::http::StatusCode::UNAUTHORIZED,
                _ => axum::http::StatusCode::OK,
            }),
        )
        .route(
            "/lines",
            routed(async || {
                let lines = (0..1000).map(|n| Ok::<_, std::io::Error>(format!("{n}\n")));
                Body::from_stream(futures::stream::iter(lines))
            }),
        )
}

fn both() -> Mounted {
    Mounted {
        management: Some(echo()),
        auth: Some(echo()),
    }
}

async fn open() -> Fixture {
    Fixture::mounting(MemoryMetadataStore::new(), None, both()).await
}

/// A server that asks for rights.
struct House {
    server: Fixture,
    prover: Arc<Credulous>,
    /// With which its tokens are signed.
    key: SigningKey,
}

async fn asking() -> House {
    let log = MemoryMetadataStore::new();
    let NewKey { public, private } = NewKey::draw();
    let password: PasswordHash = auth::PasswordChecker::new(1, Duration::from_secs(30))
        .hash(Zeroizing::new("a long password".to_owned()))
        .await
        .expect("a hash");
    for command in [
        AccessCommand::AddTokenKey {
            after: None,
            public: public.to_vec().into(),
            sealed: b"sealed".to_vec().into(),
        },
        AccessCommand::SwitchOn {
            admin: AccountName::user("admin").expect("a name"),
            password,
        },
    ] {
        let deadline = Deadline::now() + Duration::from_secs(10);
        let reply = log.propose(Command::Access(Box::new(command)), deadline);
        assert_eq!(reply.await.expect("a reply"), Reply::Done);
    }
    let keys = TokenKeys::new(Arc::new(log.clone()));
    let prover = Arc::new(Credulous::default());
    let access = Access {
        doorkeeper: Arc::new(Doorkeeper::new(
            Arc::clone(&prover) as _,
            keys,
            names(),
            100,
        )),
        service: SERVICE.to_owned(),
    };
    let server = Fixture::mounting(log, Some(access), both()).await;
    let key = SigningKey::new(&public, &private).expect("a key that was drawn");
    House {
        server,
        prover,
        key,
    }
}

fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

#[tokio::test]
async fn a_router_is_told_the_whole_request() {
    let server = open().await;
    for below in ["/api/v1", "/auth"] {
        let put = call("PUT", format!("{below}/echo?a=1&b=%20"))
            .header("X-Thing", "thing")
            .chunked(b"what is sent");
        let answer = server.send(put).await.expect(200);
        let who = match below {
            "/auth" => "None",
            _ => "Some(\"Anonymous\")",
        };
        assert_eq!(
            String::from_utf8_lossy(&answer.body),
            format!(
                "PUT /echo?a=1&b=%20 x=Some(\"thing\") authorization=None from=Some(\"127.0.0.1\") who={who} \
                 body=what is sent"
            )
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("x-request-id").is_some());
        assert_eq!(answer.header("docker-distribution-api-version"), None);
    }
}

#[tokio::test]
async fn what_is_not_mounted_is_not_there() {
    let server = Fixture::start().await;
    for path in ["/api/v1/me", "/api/v1", "/auth/token", "/api", "/authority"] {
        let answer = server.send(get(path)).await.expect(404);
        assert_eq!(answer.code(), "UNSUPPORTED");
    }
}

#[tokio::test]
async fn answers_that_come_bit_by_bit_arrive_whole() {
    let server = open().await;
    let answer = server.send(get("/api/v1/lines")).await.expect(200);
    assert_eq!(answer.body.iter().filter(|b| **b == b'\n').count(), 1000);
}

#[tokio::test]
async fn a_body_is_taken_up_to_its_limit() {
    let server = open().await;
    let largest = call("POST", "/auth/size").body(vec![b'x'; MIB]);
    let answer = server.send(largest).await.expect(200);
    assert_eq!(answer.body, MIB.to_string().as_bytes());
    let announced = call("POST", "/auth/size").body(vec![b'x'; MIB + 1]);
    let chunked = call("POST", "/auth/size").chunked(&vec![b'x'; MIB + 1]);
    for call in [announced, chunked] {
        let answer = server.send(call).await.expect(413);
        assert_eq!(answer.code(), "SIZE_INVALID");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_neither_writes_nor_reads_what_is_managed() {
    let server = open().await;
    for path in ["/api/v1/echo", "/auth/echo"] {
        let stranger = call("POST", path)
            .header("Origin", "https://elsewhere.test")
            .body("{}");
        let answer = server.send(stranger).await.expect(403);
        assert_eq!(answer.code(), "DENIED");
        let own = call("POST", path)
            .header("Origin", "http://registry.test")
            .body("{}");
        server.send(own).await.expect(200);
    }
    let read = get("/api/v1/echo").header("Origin", "https://elsewhere.test");
    let answer = server.send(read).await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let preflight = call("OPTIONS", "/api/v1/echo").header("Origin", "https://elsewhere.test");
    let answer = server.send(preflight).await.expect(204);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert!(answer.header("allow").is_some());
}

#[tokio::test]
async fn a_bug_in_a_router_is_answered_and_the_next_request_served() {
    let server = open().await;
    let mut connection = Connection::open(server.address).await;
    let failed = connection.send(&get("/auth/panics")).await;
    assert_eq!(failed.expect(500).code(), "UNKNOWN");
    connection.send(&get("/auth/echo")).await.expect(200);
}

#[tokio::test]
async fn who_asks_is_made_sure_of_before_the_management_api_hears_of_it() {
    let House { server, key, .. } = asking().await;
    let told = async |authorization: Option<String>| {
        let call = match authorization {
            Some(shown) => get("/api/v1/echo").header("Authorization", shown),
            None => get("/api/v1/echo"),
        };
        server.send(call).await
    };
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    let mia = told(Some(basic("mia", "secret"))).await.expect(200);
    assert!(text(&mia.body).contains("who=Some(\"mia\")"), "{mia:?}");
    assert!(text(&mia.body).contains("authorization=None"), "{mia:?}");
    let nobody = told(None).await.expect(200);
    assert!(text(&nobody.body).contains("who=Some(\"Anonymous\")"));

    let claims = Claims {
        account: Some(proved(AccountName::user("mia").expect("a name"))),
        scopes: Vec::new(),
    };
    let (now, life) = (std::time::SystemTime::now(), Duration::from_secs(300));
    let token = names().issue(&key, Purpose::Access, &claims, now, life, 1);
    for shown in [
        basic("mia", "wrong"),
        "Nonsense".to_owned(),
        "Bearer nonsense".to_owned(),
        // Good for what it was given for, and for no more.
        format!("Bearer {token}"),
    ] {
        let refused = told(Some(shown)).await.expect(401);
        assert_eq!(refused.code(), "UNAUTHORIZED");
        let challenge = refused.header("www-authenticate");
        assert_eq!(
            challenge,
            Some("Basic realm=\"holdfast\", charset=\"UTF-8\"")
        );
    }
    // What gives tokens asks for itself.
    let shown = basic("mia", "wrong");
    let answer = server
        .send(get("/auth/echo").header("Authorization", shown.clone()))
        .await
        .expect(200);
    assert!(text(&answer.body).contains(&shown), "{answer:?}");
}

#[tokio::test]
async fn what_a_router_refuses_as_ended_is_proved_anew() {
    let House { server, prover, .. } = asking().await;
    let shown = |path: &str| get(path).header("Authorization", basic("mia", "secret"));
    let proofs = || prover.0.load(Ordering::Relaxed);
    for _ in 0..2 {
        server.send(shown("/api/v1/echo")).await.expect(200);
        assert_eq!(proofs(), 1);
    }
    server.send(shown("/api/v1/denied")).await.expect(401);
    server.send(shown("/api/v1/echo")).await.expect(200);
    assert_eq!(proofs(), 2);
}

#[tokio::test]
async fn a_right_password_is_not_refused_for_what_was_remembered_of_it() {
    let House { server, prover, .. } = asking().await;
    let shown = get("/api/v1/second").header("Authorization", basic("mia", "secret"));
    server.send(shown).await.expect(200);
    assert_eq!(prover.0.load(Ordering::Relaxed), 2);
}
