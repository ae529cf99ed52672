//! A registry with a project and people in it, and requests of theirs.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use auth::{Doorkeeper, MemberProver, PasswordChecker, TokenIssuer, TokenKeys};
use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Request, StatusCode};
use management::Logins;
use metadata::access::{
    AccessAnswer, AccessCommand, AccessQuery, AccountName, Asker, CreateRobot, CreateToken,
    CreateUser, Grant, GroupName, MemberName, PasswordHash, RepositoryPattern, Right, Role,
    SecretHash, TokenId, Visibility, Who,
};
use metadata::{Answer, Command, PrincipalName, Query, Reply};
use oci::ProjectName;
use ports::blob_store::memory::MemoryBlobStore;
use ports::metadata_store::memory::MemoryMetadataStore;
use ports::{MetadataStore, RandomIds, SessionStore};
use registry::{Parts, Registry, Settings};
use serde_json::Value;
use sessions::{Sessions, SessionsSettings};
use tower::ServiceExt as _;

/// The token of `limited`.
const LIMITED: TokenId = TokenId(1);

/// A registry that asks for rights: `admin`, `stranger`, and a private project `team` with a member of each role, named like
/// the role, and a robot `robot$team+ci`.
pub struct World {
    pub log: MemoryMetadataStore,
    pub router: Router,
}

/// What came back.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn expect(self, status: u16) -> Answered {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    pub fn message(&self) -> String {
        let message = &self.json()["errors"][0]["message"];
        message.as_str().expect("an error has a message").to_owned()
    }
}

pub fn name(text: &str) -> AccountName {
    AccountName::parse(text).expect("a good name")
}

fn hash() -> PasswordHash {
    PasswordHash("$argon2id$nobody".into())
}

pub fn create_user(text: &str) -> AccessCommand {
    AccessCommand::CreateUser(CreateUser {
        user: name(text),
        password: hash(),
        is_admin: false,
        email: None,
    })
}

/// Shared, since to begin one takes as long as a password does.
pub fn passwords() -> PasswordChecker {
    static PASSWORDS: LazyLock<PasswordChecker> =
        LazyLock::new(|| PasswordChecker::new(2, Duration::from_secs(30)));
    PASSWORDS.clone()
}

fn grants() -> Vec<Grant> {
    vec![Grant {
        repositories: RepositoryPattern::parse("team/*").expect("a good pattern"),
        rights: vec![Right::Pull],
    }]
}

impl World {
    /// A registry where anyone may do anything.
    pub fn open() -> World {
        World::keeping(None)
    }

    /// A registry whose sessions are kept there.
    pub fn keeping(store: Option<Arc<dyn SessionStore>>) -> World {
        let log = MemoryMetadataStore::new();
        let registry = Registry::new(Parts {
            metadata: Arc::new(log.clone()),
            blobs: Arc::new(MemoryBlobStore::new()),
            ids: Arc::new(RandomIds),
            settings: Settings::default(),
        });
        let metadata: Arc<dyn MetadataStore> = Arc::new(log.clone());
        let prover = MemberProver {
            metadata: Arc::clone(&metadata),
            passwords: passwords(),
        };
        let names = TokenIssuer {
            issuer: "holdfast".to_owned(),
            service: "registry.test".to_owned(),
        };
        let keys = TokenKeys::new(metadata);
        let sessions = Sessions::start(&SessionsSettings::default()).expect("good settings");
        let parts = management::Parts {
            registry,
            passwords: passwords(),
            logins: Some(Logins {
                doorkeeper: Arc::new(Doorkeeper::new(Arc::new(prover), keys, names, 100)),
                gate: sessions.login_gate(),
                store: store.unwrap_or_else(|| sessions.store()),
            }),
        };
        let router = Router::new().nest("/api/v1", management::router(parts));
        World { log, router }
    }

    pub fn new() -> World {
        World::open().asking_for_rights()
    }

    pub fn asking_for_rights(self) -> World {
        let world = self;
        world.commit(AccessCommand::SwitchOn {
            admin: name("admin"),
            password: hash(),
        });
        let team = ProjectName::parse("team").expect("a good name");
        world.commit(create_user("stranger"));
        world.commit(AccessCommand::CreateProject {
            project: team.clone(),
            visibility: Visibility::Private,
        });
        for role in Role::ALL {
            world.commit(create_user(role.name()));
            world.commit(AccessCommand::SetMember {
                project: team.clone(),
                member: MemberName::User(name(role.name())),
                role: Some(role),
            });
        }
        world.commit(AccessCommand::CreateGroup {
            group: GroupName::parse("crew").expect("a good name"),
        });
        world.commit(AccessCommand::CreateRobot(CreateRobot {
            robot: name("robot$team+ci"),
            project: Some(team),
            secret: SecretHash([7; 32]),
            grants: grants(),
            expires: None,
            description: "builds".into(),
        }));
        world.commit(AccessCommand::CreateToken(CreateToken {
            token: LIMITED,
            account: name("admin"),
            secret: SecretHash([8; 32]),
            label: "limited".into(),
            limits: Some(grants()),
            expires: None,
        }));
        world
    }

    /// Applies what nobody asks for.
    pub fn commit(&self, command: AccessCommand) {
        let reply = self.log.commit(Command::Access(Box::new(command)));
        assert_eq!(reply, Reply::Done);
    }

    /// Whoever proved to be `who` now; `nobody`, `outside` and `limited` are not accounts.
    pub fn asker(&self, who: &str) -> Asker {
        let account = |name, generation, token| Who::Account {
            name,
            generation,
            token,
            key: None,
        };
        let who = match who {
            "nobody" => Who::Anonymous,
            "outside" => Who::Outside(PrincipalName("project:7".into())),
            "limited" => account(name("admin"), 0, Some(LIMITED)),
            text => {
                let query = AccessQuery::Account { name: name(text) };
                let query = Query::Access(Box::new(query));
                let answer = metadata::answer(&self.log.tables(), &query);
                let Ok(Answer::Access(answer)) = answer else {
                    panic!("there is no {text}")
                };
                let AccessAnswer::Account(view) = *answer else {
                    panic!("no account: {answer:?}")
                };
                account(name(text), view.row.generation, None)
            }
        };
        Asker { who, from: None }
    }

    /// What is answered when `who` asks; a body is sent when it is not null.
    pub async fn ask(&self, who: &str, method: &str, path: &str, body: Value) -> Answered {
        self.ask_as(self.asker(who), method, path, body).await
    }

    pub async fn ask_as(&self, asker: Asker, method: &str, path: &str, body: Value) -> Answered {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .extension(asker);
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => request
                .header(CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string())),
        };
        self.send(request.expect("a good request")).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await;
        let (head, body) = response.expect("it cannot fail").into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await;
        let bytes = bytes.expect("the body comes whole");
        Answered {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(bytes.to_vec()).expect("answers are text"),
        }
    }
}
