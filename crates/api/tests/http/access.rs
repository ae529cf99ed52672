//! Who may do what over HTTP: every role at every route, the challenges, and what is told to those who may not know.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::{Access, Limits};
use auth::{
    Claims, Doorkeeper, MemberProver, NewKey, PasswordChecker, Proved, Purpose, Scope, SigningKey,
    TokenIssuer, TokenKeys,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metadata::access::{
    AccessCommand, AccountName, CreateUser, MemberName, PasswordHash, Right, Role, Visibility,
};
use metadata::{Command, Reply};
use oci::{ProjectName, RepositoryName};
use ports::metadata_store::memory::MemoryMetadataStore;
use ports::{Deadline, MetadataStore};
use zeroize::Zeroizing;

use crate::client::{Answer, Call, call, get};
use crate::fixture::{Fixture, manifest_put};

const SERVICE: &str = "registry.test";
const PASSWORD: &str = "a long password";
/// A blob that only `team/app` has.
const SECRET: &[u8] = b"secret";

/// A registry with an image in `team/app`, whose project is private, and one in `open/app`, whose project is public.
pub struct House {
    pub server: Fixture,
    pub log: MemoryMetadataStore,
    names: TokenIssuer,
    key: SigningKey,
    /// The digest of the image, of its manifest.
    image: String,
    blob: String,
}

fn user(name: &str) -> AccountName {
    AccountName::user(name).expect("a name for a user")
}

fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).expect("a name for a project")
}

pub fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

impl House {
    async fn new() -> House {
        House::limited(None).await
    }

    /// One that counts pulls and failed logins, too.
    pub async fn limited(limits: Option<Limits>) -> House {
        let log = MemoryMetadataStore::new();
        let metadata: Arc<dyn MetadataStore> = Arc::new(log.clone());
        let passwords = PasswordChecker::new(2, Duration::from_secs(30));
        let names = TokenIssuer {
            issuer: "holdfast".to_owned(),
            service: SERVICE.to_owned(),
        };
        let prover = MemberProver {
            metadata: Arc::clone(&metadata),
            passwords: passwords.clone(),
        };
        let keys = TokenKeys::new(metadata);
        let doorkeeper = Doorkeeper::new(Arc::new(prover), keys, names.clone(), 1_000);
        let access = Access {
            doorkeeper: Arc::new(doorkeeper),
            service: SERVICE.to_owned(),
        };
        let server = Fixture::limited(log.clone(), access, limits).await;
        let image = server
            .push_image("team/app", "v1", "layer")
            .await
            .to_string();
        server.push_image("open/app", "v1", "layer").await;
        server.push_blob("team/app", SECRET).await;
        let blob = crate::fixture::sha256(b"layer").to_string();
        let NewKey { public, private } = NewKey::draw();
        let house = House {
            server,
            log,
            names,
            key: SigningKey::new(&public, &private).expect("a key that was drawn"),
            image,
            blob,
        };
        let password = passwords.hash(Zeroizing::new(PASSWORD.to_owned())).await;
        house.people(&password.expect("a hash")).await;
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
        let roles = [
            ("guest", Some(Role::Guest)),
            ("developer", Some(Role::Developer)),
            ("maintainer", Some(Role::Maintainer)),
            ("owner", Some(Role::Owner)),
            ("stranger", None),
        ];
        for (name, role) in roles {
            self.change(AccessCommand::CreateUser(CreateUser {
                user: user(name),
                password: password.clone(),
                is_admin: false,
                email: None,
            }))
            .await;
            self.is_now(name, role).await;
        }
        self.change(AccessCommand::SetVisibility {
            project: project("open"),
            visibility: Visibility::Public,
        })
        .await;
        self.change(AccessCommand::SwitchOn {
            admin: user("admin"),
            password: password.clone(),
        })
        .await;
    }

    async fn is_now(&self, name: &str, role: Option<Role>) {
        self.change(AccessCommand::SetMember {
            project: project("team"),
            member: MemberName::User(user(name)),
            role,
        })
        .await;
    }

    pub async fn change(&self, command: AccessCommand) {
        let deadline = Deadline::now() + Duration::from_secs(10);
        let command = Command::Access(Box::new(command));
        let reply = self.log.propose(command, deadline).await.expect("a reply");
        assert_eq!(reply, Reply::Done);
    }

    pub async fn ask(&self, who: Option<&str>, call: Call) -> Answer {
        let call = match who {
            Some(name) => call.header("Authorization", basic(name, PASSWORD)),
            None => call,
        };
        self.server.send(call).await
    }

    pub fn token(&self, name: &str, scopes: Vec<Scope>) -> String {
        let claims = Claims {
            account: Some(Proved {
                name: user(name),
                generation: self.generation(name),
                token: None,
            }),
            scopes,
        };
        let (now, life) = (SystemTime::now(), Duration::from_secs(300));
        let token = self
            .names
            .issue(&self.key, Purpose::Access, &claims, now, life, 1);
        format!("Bearer {token}")
    }

    fn generation(&self, name: &str) -> u64 {
        let tables = self.log.tables();
        let query = metadata::Query::Access(Box::new(metadata::access::AccessQuery::Account {
            name: user(name),
        }));
        let metadata::Answer::Access(answer) =
            metadata::answer(&tables, &query).expect("an answer")
        else {
            panic!("{name} has an account");
        };
        let metadata::access::AccessAnswer::Account(view) = *answer else {
            panic!("{name} has an account");
        };
        view.row.generation
    }

    /// One request for each right that there is at a route.
    fn calls(&self, repository: &str) -> Vec<(&'static str, Right, Call)> {
        let path = |rest: &str| format!("/v2/{repository}/{rest}");
        let (image, blob) = (&self.image, &self.blob);
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": crate::fixture::OCI_INDEX,
            "manifests": [],
        });
        vec![
            ("pull by tag", Right::Pull, get(path("manifests/v1"))),
            (
                "look by tag",
                Right::Pull,
                call("HEAD", path("manifests/v1")),
            ),
            (
                "pull by digest",
                Right::Pull,
                get(path(&format!("manifests/{image}"))),
            ),
            (
                "pull a blob",
                Right::Pull,
                get(path(&format!("blobs/{blob}"))),
            ),
            ("list tags", Right::Pull, get(path("tags/list"))),
            (
                "referrers",
                Right::Pull,
                get(path(&format!("referrers/{image}"))),
            ),
            (
                "begin an upload",
                Right::Push,
                call("POST", path("blobs/uploads/")).body(""),
            ),
            (
                "push a blob",
                Right::Push,
                call("POST", path(&format!("blobs/uploads/?digest={blob}"))).body("layer"),
            ),
            (
                "push a manifest",
                Right::Push,
                manifest_put(repository, "v2", &manifest),
            ),
            (
                "delete a tag",
                Right::Delete,
                call("DELETE", path("manifests/v2")),
            ),
        ]
    }
}

fn has(role: &str, right: Right) -> bool {
    match role {
        "guest" => right == Right::Pull,
        "developer" => right <= Right::Push,
        "maintainer" | "owner" | "admin" => true,
        _ => false,
    }
}

#[tokio::test]
async fn every_role_may_at_every_route_what_it_may_and_no_more() {
    let house = House::new().await;
    for role in [
        "guest",
        "developer",
        "maintainer",
        "owner",
        "admin",
        "stranger",
    ] {
        for (what, right, call) in house.calls("team/app") {
            // What is deleted was pushed before, by whoever may.
            if right == Right::Delete {
                let push = house.calls("team/app").remove(8).2;
                house.ask(Some("owner"), push).await.expect(201);
            }
            let status = house.ask(Some(role), call).await.status;
            let is_well = (200..300).contains(&status);
            assert_eq!(is_well, has(role, right), "{role}: {what} gave {status}");
            assert!(is_well || status == 403, "{role}: {what} gave {status}");
        }
    }
}

#[tokio::test]
async fn who_did_not_say_who_they_are_is_asked_to_and_pulls_what_is_public() {
    let house = House::new().await;
    for (what, right, call) in house.calls("open/app") {
        let status = house.ask(None, call).await.status;
        let wanted = if right == Right::Pull { 200 } else { 401 };
        assert_eq!(status, wanted, "{what}");
    }
    for (what, _, call) in house.calls("team/app") {
        assert_eq!(house.ask(None, call).await.status, 401, "{what}");
    }
}

#[tokio::test]
async fn what_is_closed_and_what_does_not_exist_are_told_alike() {
    let house = House::new().await;
    for who in [None, Some("stranger")] {
        for other in ["team/none", "none/app"] {
            for ((what, _, closed), (_, _, missing)) in
                house.calls("team/app").into_iter().zip(house.calls(other))
            {
                let closed = house.ask(who, closed).await;
                let missing = house.ask(who, missing).await;
                assert_eq!(closed.status, missing.status, "{who:?}: {what} in {other}");
                // A push names the command that would make its project, whatever there is.
                let missing = String::from_utf8_lossy(&missing.body);
                let missing = missing.replace("project none", "project team");
                let missing = missing.replace("create none", "create team");
                assert_eq!(
                    closed.body,
                    missing.as_bytes(),
                    "{who:?}: {what} in {other}"
                );
            }
        }
    }
    // A blob that is there, in a closed repository, is missed like one that is not.
    house
        .change(AccessCommand::SetMember {
            project: project("open"),
            member: MemberName::User(user("stranger")),
            role: Some(Role::Developer),
        })
        .await;
    for from in ["&from=team/app", "&from=none/app", ""] {
        for digest in [
            crate::fixture::sha256(SECRET),
            crate::fixture::sha256(b"none"),
        ] {
            let target = format!("/v2/open/app/blobs/uploads/?mount={digest}{from}");
            let mount = call("POST", target).body("");
            let missed = house.ask(Some("stranger"), mount).await;
            assert_eq!(missed.status, 202, "{digest} {from}");
        }
    }
}

#[tokio::test]
async fn challenge_names_everything_that_the_request_needs() {
    let house = House::new().await;
    let challenge = |answer: &Answer| answer.header("www-authenticate").unwrap().to_owned();
    let realm = "Bearer realm=\"http://registry.test/auth/token\",service=\"registry.test\"";
    let knock = house
        .ask(None, get("/v2/"))
        .await
        .expect_error(401, "UNAUTHORIZED");
    assert_eq!(challenge(&knock), realm);
    house.ask(Some("guest"), get("/v2/")).await.expect(200);
    let upload = "/v2/team/app/blobs/uploads/";
    let mount = format!("{upload}?mount={}&from=open/app", house.blob);
    for (call, scope) in [
        (get("/v2/team/app/tags/list"), "repository:team/app:pull"),
        (
            call("POST", upload).body(""),
            "repository:team/app:pull,push",
        ),
        (
            call("POST", mount).body(""),
            "repository:team/app:pull,push repository:open/app:pull",
        ),
        (
            call("DELETE", "/v2/team/app/manifests/v1"),
            "repository:team/app:delete",
        ),
    ] {
        let refused = house
            .ask(None, call)
            .await
            .expect_error(401, "UNAUTHORIZED");
        assert_eq!(challenge(&refused), format!("{realm},scope=\"{scope}\""));
    }
    let wrong = get("/v2/").header("Authorization", basic("guest", "another password"));
    let wrong = house
        .server
        .send(wrong)
        .await
        .expect_error(401, "UNAUTHORIZED");
    let nobody = get("/v2/").header("Authorization", basic("nobody", PASSWORD));
    let nobody = house
        .server
        .send(nobody)
        .await
        .expect_error(401, "UNAUTHORIZED");
    assert_eq!(
        (challenge(&wrong), &wrong.body),
        (realm.to_owned(), &nobody.body)
    );
}

#[tokio::test]
async fn denied_push_names_the_command_that_makes_its_project() {
    let house = House::new().await;
    let upload = call("POST", "/v2/none/app/blobs/uploads/").body("");
    let denied = house.ask(Some("owner"), upload).await;
    let denied = denied.expect_error(403, "DENIED");
    let told = String::from_utf8_lossy(&denied.body).into_owned();
    let command = "you may not do this, or it does not exist: if there is no project none, `holdfast project create none` makes it";
    assert!(told.contains(command), "{told}");
    let pull = house
        .ask(Some("owner"), get("/v2/none/app/tags/list"))
        .await;
    let told = String::from_utf8_lossy(&pull.expect_error(403, "DENIED").body).into_owned();
    assert!(!told.contains("create"), "{told}");
}

#[tokio::test]
async fn token_is_good_for_what_it_was_given_for_and_only_while_its_owner_may() {
    let house = House::new().await;
    let team = RepositoryName::parse("team/app").unwrap();
    let pull = house.token(
        "owner",
        vec![Scope::Repository(team.clone(), vec![Right::Pull])],
    );
    let with = |call: Call, token: &str| house.server.send(call.header("Authorization", token));
    let manifest = || get("/v2/team/app/manifests/v1");
    let upload = || call("POST", "/v2/team/app/blobs/uploads/").body("");
    with(manifest(), &pull).await.expect(200);
    let less = with(upload(), &pull)
        .await
        .expect_error(401, "UNAUTHORIZED");
    let challenge = less.header("www-authenticate").unwrap();
    let end = "scope=\"repository:team/app:pull,push\",error=\"insufficient_scope\"";
    assert!(challenge.ends_with(end), "{challenge}");
    with(get("/v2/_catalog"), &pull).await.expect(401);

    let push = house.token(
        "owner",
        vec![Scope::Repository(team, vec![Right::Pull, Right::Push])],
    );
    with(upload(), &push).await.expect(202);
    // Whom another token would not help is not sent for one.
    let team = RepositoryName::parse("team/app").unwrap();
    let of_guest = house.token("guest", vec![Scope::Repository(team, vec![Right::Pull])]);
    with(manifest(), &of_guest).await.expect(200);
    let refused = with(upload(), &of_guest).await;
    let refused = refused.expect_error(403, "DENIED");
    assert_eq!(refused.header("www-authenticate"), None);
    house.is_now("owner", Some(Role::Guest)).await;
    with(upload(), &push).await.expect_error(403, "DENIED");
    with(manifest(), &push).await.expect(200);
    house.is_now("owner", None).await;
    with(manifest(), &pull).await.expect_error(403, "DENIED");
    house
        .change(AccessCommand::EndProofs {
            account: user("owner"),
        })
        .await;
    with(manifest(), &pull)
        .await
        .expect_error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn lists_show_what_the_caller_may_pull() {
    let house = House::new().await;
    let listed = async |who| {
        let list = house.ask(who, get("/v2/_catalog")).await.expect(200);
        list.json()["repositories"].to_string()
    };
    assert_eq!(listed(None).await, "[\"open/app\"]");
    assert_eq!(listed(Some("stranger")).await, "[\"open/app\"]");
    assert_eq!(listed(Some("guest")).await, "[\"open/app\",\"team/app\"]");
}

#[tokio::test]
async fn while_nobodys_rights_are_asked_for_nobody_has_to_prove_anything() {
    let house = House::new().await;
    house.change(AccessCommand::SwitchOff).await;
    let wrong = get("/v2/").header("Authorization", basic("guest", "wrong"));
    house.server.send(wrong).await.expect(200);
    house
        .ask(None, get("/v2/team/app/manifests/v1"))
        .await
        .expect(200);
}
