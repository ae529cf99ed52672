//! A registry with people, projects and a key, and the service in front of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use auth::{
    Claims, Doorkeeper, MemberProver, NewKey, PasswordChecker, ProofFailure, Purpose, Scope,
    Signer, SigningKey, TokenIssuer, TokenKeys,
};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use front::{ClientPlace, Scheme};
use metadata::access::{
    AccessCommand, AccountName, CreateUser, MemberName, PasswordHash, Role, Visibility,
};
use metadata::{Command, Reply};
use oci::{ProjectName, RepositoryName};
use ports::blob_store::memory::MemoryBlobStore;
use ports::metadata_store::memory::MemoryMetadataStore;
use ports::{Deadline, MetadataStore, RandomIds, ThrottlePolicy};
use registry::Registry;
use serde_json::Value;
use sessions::{Sessions, SessionsSettings};
use token_service::{Parts, router};
use tower::ServiceExt as _;
use zeroize::Zeroizing;

pub const SERVICE: &str = "registry.test";
pub const PASSWORD: &str = "a long password";

/// Signs with a key that the test has.
pub struct TestSigner {
    pub names: TokenIssuer,
    pub key: SigningKey,
    /// How many were signed; the next one's id.
    pub signed: AtomicU64,
}

#[async_trait]
impl Signer for TestSigner {
    async fn sign(
        &self,
        purpose: Purpose,
        claims: &Claims,
        life: Duration,
        _: Deadline,
    ) -> Result<String, ProofFailure> {
        let id = self.signed.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now();
        Ok(self
            .names
            .issue(&self.key, purpose, claims, now, life, id.into()))
    }
}

/// `team` is private and has the developer `ann`, `open` is public, `other` is private and has nobody.
pub struct House {
    pub log: MemoryMetadataStore,
    pub doorkeeper: Arc<Doorkeeper>,
    pub signer: Arc<TestSigner>,
    pub passwords: PasswordChecker,
    router: Router,
    /// Keeps the tasks of the gate.
    _sessions: Sessions,
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("an answer is JSON")
    }

    pub fn field(&self, name: &str) -> String {
        let json = self.json();
        let field = json[name].as_str();
        field
            .unwrap_or_else(|| panic!("{name} is in {json}"))
            .to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }
}

pub fn user(name: &str) -> AccountName {
    AccountName::user(name).expect("a name for a user")
}

pub fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).expect("a name for a project")
}

pub fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

/// Addresses for documentation.
pub fn from(number: u8) -> IpAddr {
    [203, 0, 113, number].into()
}

impl House {
    pub async fn new() -> House {
        House::with(ThrottlePolicy::default()).await
    }

    /// One in which nobody is ever told to wait.
    pub async fn patient() -> House {
        House::with(ThrottlePolicy {
            free_failures: 1_000,
            address_failures_max: 1_000_000,
            ..ThrottlePolicy::default()
        })
        .await
    }

    async fn with(throttle: ThrottlePolicy) -> House {
        let log = MemoryMetadataStore::new();
        let metadata: Arc<dyn MetadataStore> = Arc::new(log.clone());
        let passwords = PasswordChecker::new(2, Duration::from_secs(30));
        let names = TokenIssuer {
            issuer: "holdfast".to_owned(),
            service: SERVICE.to_owned(),
        };
        let prover = Arc::new(MemberProver {
            metadata: Arc::clone(&metadata),
            passwords: passwords.clone(),
        });
        let keys = TokenKeys::new(Arc::clone(&metadata));
        let doorkeeper = Arc::new(Doorkeeper::new(prover, keys, names.clone(), 1_000));
        let NewKey { public, private } = NewKey::draw();
        let signer = Arc::new(TestSigner {
            names,
            key: SigningKey::new(&public, &private).expect("a key that was drawn"),
            signed: AtomicU64::new(1),
        });
        let settings = SessionsSettings {
            throttle,
            ..SessionsSettings::default()
        };
        let sessions = Sessions::start(&settings).expect("memory has no settings");
        let router = router(Parts {
            registry: Registry::new(registry::Parts {
                metadata,
                blobs: Arc::new(MemoryBlobStore::new()),
                ids: Arc::new(RandomIds),
                settings: registry::Settings::default(),
            }),
            doorkeeper: Arc::clone(&doorkeeper),
            signer: Arc::clone(&signer) as _,
            logins: sessions.login_gate(),
            hold: Duration::from_secs(10),
        });
        let house = House {
            log,
            doorkeeper,
            signer,
            passwords,
            router,
            _sessions: sessions,
        };
        let password = house.hash(PASSWORD).await;
        house.people(&password).await;
        house
            .change(AccessCommand::AddTokenKey {
                after: None,
                public: public.to_vec().into(),
                sealed: b"sealed".to_vec().into(),
            })
            .await;
        house
    }

    async fn people(&self, password: &PasswordHash) {
        for name in ["ann", "bob"] {
            self.change(AccessCommand::CreateUser(CreateUser {
                user: user(name),
                password: password.clone(),
                is_admin: false,
                email: None,
            }))
            .await;
        }
        for (name, visibility) in [
            ("team", Visibility::Private),
            ("other", Visibility::Private),
            ("open", Visibility::Public),
        ] {
            self.change(AccessCommand::CreateProject {
                project: project(name),
                visibility,
            })
            .await;
        }
        self.is_now("ann", "team", Some(Role::Developer)).await;
        self.change(AccessCommand::SwitchOn {
            admin: user("admin"),
            password: password.clone(),
        })
        .await;
    }

    pub async fn is_now(&self, name: &str, of: &str, role: Option<Role>) {
        self.change(AccessCommand::SetMember {
            project: project(of),
            member: MemberName::User(user(name)),
            role,
        })
        .await;
    }

    pub async fn hash(&self, password: &str) -> PasswordHash {
        let password = Zeroizing::new(password.to_owned());
        self.passwords.hash(password).await.expect("a hash")
    }

    pub async fn change(&self, command: AccessCommand) {
        let deadline = Deadline::now() + Duration::from_secs(10);
        let command = Command::Access(Box::new(command));
        let reply = self.log.propose(command, deadline).await.expect("a reply");
        assert_eq!(reply, Reply::Done);
    }

    pub async fn send(&self, request: Request<Body>, from: IpAddr) -> Answer {
        let mut request = request;
        request.extensions_mut().insert(ClientPlace {
            address: from,
            peer: SocketAddr::new(from, 1),
            scheme: Scheme::Https,
            host: None,
            certificates: None,
        });
        let response = self.router.clone().oneshot(request).await;
        let response = response.unwrap_or_else(|never| match never {});
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        Answer {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    /// `GET /auth/token?QUERY`.
    pub async fn get(&self, who: Option<&str>, query: &str) -> Answer {
        self.get_from(from(1), who, query).await
    }

    pub async fn get_from(&self, from: IpAddr, who: Option<&str>, query: &str) -> Answer {
        let mut request = Request::get(format!("/token?{query}"));
        if let Some(header) = who {
            request = request.header(AUTHORIZATION, header);
        }
        let request = request.body(Body::empty()).expect("a request");
        self.send(request, from).await
    }

    /// `POST /auth/token` with a form.
    pub async fn post(&self, form: &str) -> Answer {
        let request = Request::post("/token")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()));
        self.send(request.expect("a request"), from(1)).await
    }

    /// What a token of access is good for.
    pub async fn scopes(&self, token: &str) -> Vec<String> {
        let deadline = Deadline::now() + Duration::from_secs(10);
        let header = format!("Bearer {token}");
        let admitted = self.doorkeeper.admit(Some(&header), deadline).await;
        let scopes = admitted.expect("it counts").scopes.expect("it is limited");
        scopes.iter().map(Scope::to_string).collect()
    }
}

/// A repository that a test names.
pub fn repository(name: &str) -> RepositoryName {
    RepositoryName::parse(name).expect("a name of a repository")
}
