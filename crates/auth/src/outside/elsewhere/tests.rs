//! Logins that a file checks, over the real state machine in memory; directories and providers have real servers in a suite of
//! their own.

use std::time::Duration;

use metadata::access::CreateUser;
use ports::metadata_store::memory::MemoryMetadataStore;

use super::*;
use crate::outside::{HtpasswdSettings, OutsideSettings};

struct House {
    log: MemoryMetadataStore,
    elsewhere: Elsewhere,
    _folder: tempfile::TempDir,
}

fn soon() -> Deadline {
    Deadline::now() + Duration::from_secs(20)
}

fn user(name: &str) -> AccountName {
    AccountName::user(name).expect("a name for a user")
}

/// `ann` and `bob` are in the file; `bob` and `carl` have passwords in the log.
async fn house() -> House {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("users");
    let line = |name: &str| {
        let hash = bcrypt::hash(format!("{name} of the file"), 4).expect("a hash");
        format!("{name}:{hash}\n")
    };
    std::fs::write(&file, line("ann") + &line("bob")).expect("a file");
    let settings = OutsideSettings {
        htpasswd: Some(HtpasswdSettings { file }),
        ..OutsideSettings::default()
    };
    let log = MemoryMetadataStore::new();
    let elsewhere = Elsewhere {
        outside: Arc::new(Outside::open(settings).expect("what is configured")),
        metadata: Arc::new(log.clone()),
        passwords: PasswordChecker::new(1, Duration::from_secs(10)),
    };
    let password = Zeroizing::new("a password of the log".to_owned());
    let password = elsewhere.passwords.hash(password).await.expect("a hash");
    for name in ["bob", "carl"] {
        let command = AccessCommand::CreateUser(CreateUser {
            user: user(name),
            password: password.clone(),
            is_admin: false,
            email: None,
        });
        let reply = log
            .propose(Command::Access(Box::new(command)), soon())
            .await;
        assert_eq!(reply.expect("a reply"), Reply::Done);
    }
    House {
        log,
        elsewhere,
        _folder: folder,
    }
}

impl House {
    async fn shown(&self, name: &str, secret: &str) -> Found {
        let name = AccountName::parse(name).expect("a name");
        let secret = Zeroizing::new(secret.to_owned());
        let found = self.elsewhere.prove(&name, &secret, soon()).await;
        found.expect("everybody answers")
    }

    async fn applied(&self) -> metadata::LogIndex {
        self.log.health().applied
    }
}

#[tokio::test]
async fn user_of_the_file_becomes_one_of_the_log_once() {
    let house = house().await;
    let Found::Somebody(first, None) = house.shown("ann", "ann of the file").await else {
        panic!("ann is in the file");
    };
    assert_eq!(first.name, user("ann"));
    let noted = house.applied().await;
    let again = house.shown("ann", "ann of the file").await;
    assert_eq!(again, Found::Somebody(first, None));
    assert_eq!(house.applied().await, noted, "nothing new was told");
}

#[tokio::test]
async fn wrong_passwords_and_unknown_names_are_refused_and_leave_no_entry() {
    let house = house().await;
    let before = house.applied().await;
    for (name, secret) in [
        ("ann", "bob of the file"),
        ("ann", ""),
        ("zoe", "ann of the file"),
        ("zoe", ""),
    ] {
        assert_eq!(house.shown(name, secret).await, Found::Refused, "{name}");
    }
    assert_eq!(house.applied().await, before);
}

#[tokio::test]
async fn name_belongs_to_the_source_that_it_came_from_first() {
    let house = house().await;
    for (name, secret) in [
        ("bob", "bob of the file"),
        ("carl", "anything"),
        ("robot$ci", "x"),
    ] {
        assert_eq!(
            house.shown(name, secret).await,
            Found::NotElsewhere,
            "{name}"
        );
    }
    let login = Login {
        user: user("carl"),
        source: Source::Ldap,
        email: None,
        groups: None,
    };
    let noted = house.elsewhere.noted(login, soon()).await;
    assert_eq!(noted, Ok(Found::Refused));
}

#[tokio::test]
async fn personal_token_is_never_shown_to_a_source() {
    let house = house().await;
    let (text, _, _) = crate::new_access_token();
    assert_eq!(house.shown("ann", &text).await, Found::NotElsewhere);
}
