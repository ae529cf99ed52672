//! Files against a real API over a log in memory: what is shown, what is done, and that a second time there is nothing to do.

use std::sync::Arc;
use std::time::Duration;

use auth::PasswordChecker;
use axum::Extension;
use metadata::Command;
use metadata::access::{AccessCommand, AccountName, Asker, CreateUser, PasswordHash, Who};
use ports::RandomIds;
use ports::blob_store::memory::MemoryBlobStore;
use ports::metadata_store::memory::MemoryMetadataStore;
use registry::{Parts, Registry, Settings};

use super::wanted::Wanted;
use super::{difference, shown, take};
use crate::manage::client::Client;

const FILE: &str = r#"
groups:
  - name: devs
    members: [anna, bob]
  - name: a/b
projects:
  - name: team
    visibility: internal
    members:
      - {user: anna, role: owner}
      - {group: devs, role: developer}
    robots:
      - name: deploy
        description: pulls
        grants: [{repositories: "team/*", rights: [push, pull]}]
        expires: 2030-01-01T00:00:00Z
  - name: library
    visibility: public
robots:
  - name: mirror
    grants: [{repositories: "*", rights: [pull]}]
"#;

/// A registry with users `admin`, `anna`, `bob`, whose API is served to `who` until the test ends.
struct Site {
    log: MemoryMetadataStore,
    runtime: tokio::runtime::Runtime,
}

fn name(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

impl Site {
    fn new() -> Site {
        let log = MemoryMetadataStore::new();
        let password = PasswordHash("$argon2id$nobody".into());
        let mut commands = vec![AccessCommand::SwitchOn {
            admin: name("admin"),
            password: password.clone(),
        }];
        commands.extend(["anna", "bob"].map(|user| {
            AccessCommand::CreateUser(CreateUser {
                user: name(user),
                password: password.clone(),
                is_admin: false,
                email: None,
            })
        }));
        for command in commands {
            log.commit(Command::Access(Box::new(command)));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Site { log, runtime }
    }

    /// A client whom the API takes for `who` with this generation.
    fn client(&self, who: &str, generation: u64) -> Client {
        let registry = Registry::new(Parts {
            metadata: Arc::new(self.log.clone()),
            blobs: Arc::new(MemoryBlobStore::new()),
            ids: Arc::new(RandomIds),
            settings: Settings::default(),
        });
        let passwords = PasswordChecker::new(1, Duration::from_secs(30));
        let asker = Asker {
            who: Who::Account {
                name: name(who),
                generation,
                token: None,
                key: None,
            },
            from: None,
        };
        let parts = management::Parts {
            registry,
            passwords,
            logins: None,
        };
        let router = axum::Router::new().nest("/api/v1", management::router(parts));
        let router = router.layer(Extension(asker));
        let listener = self
            .runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        self.runtime
            .spawn(async move { axum::serve(listener, router).await });
        Client::new(&format!("http://{address}"), None).unwrap()
    }
}

fn wanted(text: &str) -> Wanted {
    Wanted::parse(text, "yaml").unwrap()
}

/// Applies a file and tells what was shown.
fn apply(client: &Client, text: &str) -> (String, usize) {
    let steps = difference(client, &wanted(text)).unwrap();
    let mut secrets = Vec::new();
    take(client, &steps, &mut secrets).unwrap();
    (shown(&steps), secrets.len())
}

#[test]
fn second_time_there_is_no_difference() {
    let site = Site::new();
    let client = site.client("admin", 1);
    let (first, secrets) = apply(&client, FILE);
    expect_test::expect![[r#"
        + group devs
        + group devs: anna
        + group devs: bob
        + group a/b
        + project team: internal
        + project team: user anna is owner
        + project team: group devs is developer
        + robot$team+deploy: team/*:push,pull, until 2030-01-01T00:00:00Z
        ~ project library: public, was private
        + robot$mirror: *:pull
        - project team: user admin, was owner

        11 changes
    "#]]
    .assert_eq(&first);
    assert_eq!(secrets, 2);
    assert_eq!(
        apply(&client, FILE),
        ("there is no difference\n".to_owned(), 0)
    );
}

#[test]
fn what_is_left_out_of_a_complete_list_goes_and_the_rest_stays() {
    let site = Site::new();
    let client = site.client("admin", 1);
    apply(&client, FILE);
    let less = r#"
groups:
  - name: devs
    members: [anna]
projects:
  - name: team
    visibility: private
    members: [{user: anna, role: maintainer}, {user: bob, role: guest}]
    robots: []
robots:
  - name: mirror
    grants: [{repositories: "library/*", rights: [pull]}]
    expires: 2031-01-01T00:00:00Z
"#;
    let (told, _) = apply(&client, less);
    expect_test::expect![[r#"
        ~ project team: private, was internal
        + project team: user bob is guest
        ~ robot$mirror: library/*:pull until 2031-01-01T00:00:00Z
        - group devs: bob
        ~ project team: user anna is maintainer, was owner
        - project team: group devs, was developer
        - robot$team+deploy

        7 changes
    "#]]
    .assert_eq(&told);
    assert_eq!(apply(&client, less).0, "there is no difference\n");
    let silent = "projects: [{name: team}, {name: library}]\ngroups: [{name: devs}, {name: a/b}]";
    assert_eq!(apply(&client, silent).0, "there is no difference\n");
}

#[test]
fn who_gives_a_project_away_does_so_last() {
    let site = Site::new();
    // Whoever may make projects, and is no administrator.
    let client = site.client("anna", 3);
    let given = r#"
projects:
  - name: gift
    members: [{user: bob, role: owner}]
    robots: [{name: ci, grants: [{repositories: "gift/*", rights: [push]}]}]
"#;
    let (told, _) = apply(&client, given);
    expect_test::expect![[r#"
        + project gift: private
        + project gift: user bob is owner
        + robot$gift+ci: gift/*:push
        - project gift: user anna, was owner

        4 changes
    "#]]
    .assert_eq(&told);
    let closed = difference(&client, &wanted(given)).unwrap();
    let refused = take(&client, &closed, &mut Vec::new()).unwrap_err();
    assert!(
        refused
            .lines
            .iter()
            .any(|line| line.contains("there is a project of this name")),
        "{refused:?}"
    );
}

#[test]
fn three_forms_say_the_same() {
    let yaml = wanted(
        "projects: [{name: team, visibility: public, members: [{user: anna, role: owner}]}]",
    );
    let json = r#"{"projects": [{"name": "team", "visibility": "public", "members": [{"user": "anna", "role": "owner"}]}]}"#;
    let toml = "[[projects]]\nname = \"team\"\nvisibility = \"public\"\n[[projects.members]]\nuser = \"anna\"\nrole = \"owner\"\n";
    let yaml = format!("{yaml:?}");
    assert_eq!(format!("{:?}", Wanted::parse(json, "json").unwrap()), yaml);
    assert_eq!(format!("{:?}", Wanted::parse(toml, "toml").unwrap()), yaml);
}

#[test]
fn what_could_mean_two_things_is_refused() {
    for (bad, why) in [
        (
            "projects: [{name: a}, {name: a}]",
            "the project a is there twice",
        ),
        (
            "groups: [{name: a}, {name: a}]",
            "the group a is there twice",
        ),
        (
            "projects: [{name: a, members: [{role: owner}]}]",
            "either `user` or `group`",
        ),
        (
            "projects: [{name: a, members: [{user: b, role: owner}, {user: b, role: guest}]}]",
            "the member user b in project a is there twice",
        ),
        ("projects: [{name: a, colour: red}]", "colour"),
        ("projects: [{name: a, visibility: secret}]", "secret"),
        ("users: []", "users"),
        ("[1, 2", ""),
    ] {
        let error = Wanted::parse(bad, "yaml").unwrap_err();
        assert!(error.contains(why), "{bad}: {error}");
    }
    assert!(Wanted::parse("", "ini").is_err());
}
