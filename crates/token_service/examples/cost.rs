//! What a token costs: `cargo run --release -p token_service --example cost`. Processor time of the one thread that does all of
//! it: the request, the proof that is remembered, the look into the log, which is in memory here, the signature and the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use auth::{
    Claims, Doorkeeper, MemberProver, NewKey, PasswordChecker, ProofFailure, Purpose, Signer,
    SigningKey, TokenIssuer, TokenKeys,
};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metadata::Command;
use metadata::access::{AccessCommand, AccountName};
use ports::blob_store::memory::MemoryBlobStore;
use ports::metadata_store::memory::MemoryMetadataStore;
use ports::{Deadline, MetadataStore, RandomIds};
use registry::Registry;
use sessions::{Sessions, SessionsSettings};
use tower::ServiceExt as _;
use zeroize::Zeroizing;

const PASSWORD: &str = "a long password";
const ROUNDS: u32 = 5_000;
const QUERY: &str = "/token?service=holdfast&account=admin&scope=repository:team/app:pull,push&scope=repository:open/base:pull";

struct OwnKey(TokenIssuer, SigningKey, AtomicU64);

#[async_trait]
impl Signer for OwnKey {
    async fn sign(
        &self,
        purpose: Purpose,
        claims: &Claims,
        life: Duration,
        _: Deadline,
    ) -> Result<String, ProofFailure> {
        let id = self.2.fetch_add(1, Ordering::Relaxed).into();
        let now = SystemTime::now();
        Ok(self.0.issue(&self.1, purpose, claims, now, life, id))
    }
}

/// Nanoseconds of processor that this thread has had.
fn spent() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or_default()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = MemoryMetadataStore::new();
    let metadata: Arc<dyn MetadataStore> = Arc::new(log.clone());
    let passwords = PasswordChecker::new(1, Duration::from_secs(30));
    let names = TokenIssuer {
        issuer: "holdfast".to_owned(),
        service: "holdfast".to_owned(),
    };
    let NewKey { public, private } = NewKey::draw();
    let key = SigningKey::new(&public, &private)?;
    let hash = passwords.hash(Zeroizing::new(PASSWORD.to_owned())).await?;
    log.commit(Command::Access(Box::new(AccessCommand::SwitchOn {
        admin: AccountName::user("admin")?,
        password: hash,
    })));
    let prover = MemberProver {
        metadata: Arc::clone(&metadata),
        passwords,
    };
    let keys = TokenKeys::new(Arc::clone(&metadata));
    let sessions = Sessions::start(&SessionsSettings::default())?;
    let router = token_service::router(token_service::Parts {
        registry: Registry::new(registry::Parts {
            metadata,
            blobs: Arc::new(MemoryBlobStore::new()),
            ids: Arc::new(RandomIds),
            settings: registry::Settings::default(),
        }),
        doorkeeper: Arc::new(Doorkeeper::new(Arc::new(prover), keys, names.clone(), 100)),
        signer: Arc::new(OwnKey(names, key, AtomicU64::new(1))),
        logins: sessions.login_gate(),
        hold: Duration::from_secs(10),
    });
    let shown = format!("Basic {}", STANDARD.encode(format!("admin:{PASSWORD}")));
    let mut begun = 0;
    // The first one proves the password.
    for round in 0..=ROUNDS {
        if round == 1 {
            begun = spent();
        }
        let request = Request::get(QUERY).header("authorization", &shown);
        let answer = router.clone().oneshot(request.body(Body::empty())?).await?;
        assert_eq!(answer.status(), StatusCode::OK);
        to_bytes(answer.into_body(), usize::MAX).await?;
    }
    let each = (spent() - begun) / u64::from(ROUNDS) / 1_000;
    println!("{each} µs of processor for each of {ROUNDS} tokens");
    Ok(())
}
