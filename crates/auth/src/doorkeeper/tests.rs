//! The doorkeeper over the real state machine, in memory: each kind of proof, right and wrong.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metadata::access::{
    AccessCommand, AccountName, CreateRobot, CreateToken, CreateUser, Right, TokenId,
};
use metadata::{Command, Query, Reply};
use ports::MetadataStore;
use ports::metadata_store::memory::MemoryMetadataStore;
use ports::metadata_store::{Answered, Health, MetadataFailure};

use super::*;
use crate::{Claims, NewKey, PasswordChecker, SigningKey, new_access_token, new_robot_secret};

const LIFE: Duration = Duration::from_secs(300);

fn soon() -> Deadline {
    Deadline::now() + Duration::from_secs(10)
}

fn names() -> TokenIssuer {
    TokenIssuer {
        issuer: "holdfast".to_owned(),
        service: "registry.example".to_owned(),
    }
}

fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

/// Counts how often somebody had to be proved.
struct Counting(MemberProver, Arc<AtomicU64>);

#[async_trait]
impl Prover for Counting {
    async fn prove(
        &self,
        name: &AccountName,
        secret: Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<Option<Proved>, ProofFailure> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.prove(name, secret, deadline).await
    }
}

struct World {
    log: MemoryMetadataStore,
    door: Doorkeeper,
    proofs: Arc<AtomicU64>,
    passwords: PasswordChecker,
}

impl World {
    async fn new() -> World {
        let log = MemoryMetadataStore::new();
        let passwords = PasswordChecker::new(2, Duration::from_secs(10));
        let proofs = Arc::new(AtomicU64::new(0));
        let metadata: Arc<dyn MetadataStore> = Arc::new(log.clone());
        let prover = MemberProver {
            metadata: Arc::clone(&metadata),
            passwords: passwords.clone(),
        };
        let prover = Arc::new(Counting(prover, Arc::clone(&proofs)));
        let door = Doorkeeper::new(prover, TokenKeys::new(metadata), names(), 100);
        let world = World {
            log,
            door,
            proofs,
            passwords,
        };
        let password = world.hash("correct horse").await;
        world
            .change(AccessCommand::CreateUser(CreateUser {
                user: user("alice"),
                password,
                is_admin: false,
                email: None,
            }))
            .await;
        world
    }

    async fn hash(&self, password: &str) -> metadata::access::PasswordHash {
        let password = Zeroizing::new(password.to_owned());
        self.passwords.hash(password).await.unwrap()
    }

    async fn change(&self, command: AccessCommand) {
        let command = Command::Access(Box::new(command));
        let reply = self.log.propose(command, soon()).await.unwrap();
        assert_eq!(reply, Reply::Done);
    }

    async fn shown(&self, header: &str) -> Result<Admitted, NotAdmitted> {
        self.door.admit(Some(header), soon()).await
    }

    fn proofs(&self) -> u64 {
        self.proofs.load(Ordering::Relaxed)
    }

    /// A key in the log, and what signs with it.
    async fn key(&self) -> SigningKey {
        let NewKey { public, private } = NewKey::draw();
        let key = SigningKey::new(&public, &private).unwrap();
        self.change(AccessCommand::AddTokenKey {
            after: None,
            public: public.to_vec().into(),
            sealed: b"sealed".to_vec().into(),
        })
        .await;
        key
    }
}

fn user(name: &str) -> AccountName {
    AccountName::user(name).unwrap()
}

#[tokio::test]
async fn who_shows_nothing_is_anonymous_and_who_shows_nonsense_is_nobody() {
    let world = World::new().await;
    let nothing = world.door.admit(None, soon()).await;
    assert_eq!(nothing, Ok(Admitted::anonymous()));
    for header in ["", "Basic", "Digest x", "Basic !"] {
        assert_eq!(world.shown(header).await, Err(NotAdmitted::Malformed));
    }
}

#[tokio::test]
async fn password_is_proved_once_and_wrong_ones_each_time() {
    let world = World::new().await;
    let right = basic("alice", "correct horse");
    let admitted = world.shown(&right).await.unwrap();
    let Who::Account { name, token, .. } = &admitted.who else {
        panic!("{admitted:?}");
    };
    assert_eq!((name.as_str(), *token), ("alice", None));
    assert!(admitted.scopes.is_none());
    assert!(world.door.remembers(&right));
    assert_eq!(world.shown(&right).await, Ok(admitted.clone()));
    assert_eq!(world.proofs(), 1);
    for wrong in [
        basic("alice", "wrong horse!"),
        basic("alice", ""),
        basic("bob", "correct horse"),
        basic("../x", "correct horse"),
        basic("alice", &"x".repeat(crate::PASSWORD_BYTES_MAX + 1)),
    ] {
        for _ in 0..2 {
            assert_eq!(
                world.shown(&wrong).await,
                Err(NotAdmitted::Wrong),
                "{wrong}"
            );
            assert!(!world.door.remembers(&wrong), "{wrong}");
        }
    }
    assert_eq!(world.proofs(), 11);
}

#[tokio::test]
async fn what_counts_no_more_is_proved_again() {
    let world = World::new().await;
    let old = basic("alice", "correct horse");
    let admitted = world.shown(&old).await.unwrap();
    let password = world.hash("battery staple").await;
    world
        .change(AccessCommand::SetPassword {
            user: user("alice"),
            password,
        })
        .await;
    // The log refuses the old generation; then it is forgotten here.
    world.door.forget(&admitted);
    assert_eq!(world.shown(&old).await, Err(NotAdmitted::Wrong));
    let new = world
        .shown(&basic("alice", "battery staple"))
        .await
        .unwrap();
    assert_ne!(new.who, admitted.who, "a later generation");
}

#[tokio::test]
async fn robots_and_personal_tokens_are_proved_by_their_secrets() {
    let world = World::new().await;
    let robot = AccountName::robot(None, "ci").unwrap();
    let (secret, hash) = new_robot_secret();
    world
        .change(AccessCommand::CreateRobot(CreateRobot {
            robot: robot.clone(),
            project: None,
            secret: hash,
            grants: vec![metadata::access::Grant {
                repositories: metadata::access::RepositoryPattern::parse("**").unwrap(),
                rights: vec![Right::Pull],
            }],
            expires: None,
            description: "".into(),
        }))
        .await;
    let shown = world.shown(&basic(robot.as_str(), &secret)).await.unwrap();
    assert!(matches!(shown.who, Who::Account { name, .. } if name == robot));
    let (other, _) = new_robot_secret();
    let wrong = world.shown(&basic(robot.as_str(), &other)).await;
    assert_eq!(wrong, Err(NotAdmitted::Wrong));

    let (text, token, hash) = new_access_token();
    world
        .change(AccessCommand::CreateToken(CreateToken {
            token,
            account: user("alice"),
            secret: hash,
            label: "laptop".into(),
            limits: None,
            expires: None,
        }))
        .await;
    let shown = world.shown(&basic("alice", &text)).await.unwrap();
    assert!(matches!(shown.who, Who::Account { token: Some(of), .. } if of == token));
    // Somebody else's is wrong for them, and so is one that was never made.
    let (unknown, _, _) = new_access_token();
    for (name, text) in [(robot.as_str(), &text), ("bob", &text), ("alice", &unknown)] {
        let wrong = world.shown(&basic(name, text)).await;
        assert_eq!(wrong, Err(NotAdmitted::Wrong), "{name}");
    }
}

#[tokio::test]
async fn token_counts_for_what_it_was_given_for_by_the_keys_of_the_log() {
    let world = World::new().await;
    let repository = RepositoryName::parse("team/app").unwrap();
    let key = world.key().await;
    let claims = Claims {
        account: Some(Proved {
            name: user("alice"),
            generation: 3,
            token: Some(TokenId(5)),
        }),
        scopes: vec![Scope::Repository(repository.clone(), vec![Right::Pull])],
    };
    let now = SystemTime::now();
    let issue = |key: &SigningKey, now| {
        let token = names().issue(key, Purpose::Access, &claims, now, LIFE, 1);
        format!("Bearer {token}")
    };
    let token = issue(&key, now);
    let admitted = world.shown(&token).await.unwrap();
    assert_eq!(admitted.who, claims.who(1));
    assert!(admitted.covers(&repository, Right::Pull));
    assert!(!admitted.covers(&repository, Right::Push));
    assert_eq!(world.shown(&token).await, Ok(admitted));

    // A key that comes now is known to whoever shows a token of it, and one that never came is not.
    let later = world.key().await;
    let by_later = issue(&later, now);
    let admitted = world.shown(&by_later).await.unwrap();
    assert_eq!(admitted.who, claims.who(2));
    let unknown = Err(NotAdmitted::Token(TokenError::UnknownKey));
    let NewKey { public, private } = NewKey::draw();
    let strange = SigningKey::new(&public, &private).unwrap();
    assert_eq!(world.shown(&issue(&strange, now)).await, unknown);
    let expired = world.shown(&issue(&later, now - 2 * LIFE)).await;
    assert_eq!(expired, Err(NotAdmitted::Token(TokenError::Expired)));
    assert_eq!(world.proofs(), 0);
}

#[tokio::test]
async fn log_is_asked_for_unknown_keys_in_turn_and_once_for_all_who_wait() {
    let world = World::new().await;
    let key = world.key().await;
    let asked = Arc::new(AtomicU64::new(0));
    let keys = TokenKeys::new(Arc::new(CountedReads(
        world.log.clone(),
        Arc::clone(&asked),
    )));
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let keys = keys.clone();
            crowd.spawn(async move { keys.news(soon()).await });
        }
        for news in crowd.join_all().await {
            assert!(news.unwrap().find(&key.kid).is_some());
        }
    }
    // The first of a crowd asks for itself, those who came before its question share the next one's answer.
    assert!(asked.load(Ordering::Relaxed) <= 6, "{asked:?}");
    assert!(began.elapsed() >= Duration::from_millis(200));
}

/// Counts how often the log was asked.
struct CountedReads(MemoryMetadataStore, Arc<AtomicU64>);

#[async_trait]
impl MetadataStore for CountedReads {
    async fn propose(
        &self,
        command: Command,
        deadline: Deadline,
    ) -> Result<Reply, MetadataFailure> {
        self.0.propose(command, deadline).await
    }

    async fn read(&self, query: Query, deadline: Deadline) -> Result<Answered, MetadataFailure> {
        self.0.read(query, deadline).await
    }

    async fn read_even_stale(
        &self,
        query: Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read_even_stale(query, deadline).await
    }

    fn health(&self) -> Health {
        self.0.health()
    }
}

#[tokio::test]
async fn token_of_a_dropped_key_is_forgotten_though_it_is_nobodys() {
    let world = World::new().await;
    let key = world.key().await;
    let nobodys = Claims {
        account: None,
        scopes: Vec::new(),
    };
    let now = SystemTime::now();
    let token = names().issue(&key, Purpose::Access, &nobodys, now, LIFE, 1);
    let token = format!("Bearer {token}");
    let admitted = world.shown(&token).await.unwrap();
    assert_eq!(admitted.who, Who::Anonymous);
    world.key().await;
    world
        .change(AccessCommand::DropTokenKey { number: 1 })
        .await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    // The first who comes has the log asked in the background, and who comes when that was answered is not believed.
    assert!(world.shown(&token).await.is_ok());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let unknown = Err(NotAdmitted::Token(TokenError::UnknownKey));
    assert_eq!(world.shown(&token).await, unknown);
}

#[tokio::test]
async fn who_is_refused_by_the_log_has_the_keys_asked_for_anew() {
    let world = World::new().await;
    let key = world.key().await;
    let claims = Claims {
        account: Some(Proved {
            name: user("alice"),
            generation: 1,
            token: None,
        }),
        scopes: Vec::new(),
    };
    let now = SystemTime::now();
    let token = |key: &SigningKey| {
        let token = names().issue(key, Purpose::Access, &claims, now, LIFE, 1);
        format!("Bearer {token}")
    };
    let old = token(&key);
    let admitted = world.shown(&old).await.unwrap();
    let next = world.key().await;
    world
        .change(AccessCommand::DropTokenKey { number: 1 })
        .await;
    world.door.forget(&admitted);
    assert!(world.shown(&token(&next)).await.is_ok());
    let unknown = Err(NotAdmitted::Token(TokenError::UnknownKey));
    assert_eq!(world.shown(&old).await, unknown);
}
