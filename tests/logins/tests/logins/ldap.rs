//! Logins that a real OpenLDAP server checks: over each kind of connection, with passwords and names of every kind, and while it
//! is killed, paused and brought back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth::outside::ldap::{Directory, LdapError, LdapSettings};
use auth::outside::{Elsewhere, Found, Login, Outside};
use auth::{PasswordChecker, ProofFailure};
use metadata::access::{AccessCommand, AccessQuery, AccountName, CreateUser, GroupName, Source};
use metadata::{Command, Page, Query, Reply};
use ports::metadata_store::memory::MemoryMetadataStore;
use ports::{Deadline, MetadataStore as _};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::slapd::{GROUPS, PASSWORD, PEOPLE, SERVICE_DN, Slapd};

/// How long it may take until a login works again after the server does.
const RECOVERY_MAX: Duration = Duration::from_secs(30);

fn settings(slapd: &Slapd, changes: Value) -> LdapSettings {
    let mut all = json!({
        "url": format!("ldap://{}", slapd.plain),
        "bind_dn": SERVICE_DN,
        "bind_password_file": slapd.service_password_file(),
        "user_base": PEOPLE,
        "authority": slapd.authority(),
        "timeout_ms": 3000,
        "group_search": {"search": {"base": GROUPS}},
    });
    let changes = changes.as_object().expect("an object").clone();
    all.as_object_mut().expect("an object").extend(changes);
    serde_json::from_value(all).expect("settings of LDAP")
}

fn directory(slapd: &Slapd, changes: Value) -> Directory {
    Directory::new(settings(slapd, changes)).expect("settings that can be")
}

fn groups(login: &Login) -> Vec<&str> {
    let groups = login.groups.as_deref().expect("groups were looked for");
    groups.iter().map(|group| group.as_str()).collect()
}

fn is_refused(outcome: &Result<Login, LdapError>) -> bool {
    matches!(outcome, Err(LdapError::Refused))
}

#[tokio::test]
async fn user_logs_in_over_every_kind_of_connection() {
    let slapd = Slapd::start().unwrap();
    let by_attribute = json!({"attribute": {"name": "memberOf", "base": GROUPS}});
    for (url, start_tls) in [
        (format!("ldap://{}", slapd.plain), false),
        (format!("ldap://{}", slapd.plain), true),
        (format!("ldaps://{}", slapd.encrypted), false),
    ] {
        for search in [json!({"search": {"base": GROUPS}}), by_attribute.clone()] {
            let connection = json!({"url": url, "start_tls": start_tls, "group_search": search});
            let directory = directory(&slapd, connection);
            let login = directory.login("ann", PASSWORD).await.unwrap();
            assert_eq!(login.user.as_str(), "ann");
            assert_eq!(login.source, Source::Ldap);
            assert_eq!(login.email.as_deref(), Some("ann@example.org"));
            // `admins` is elsewhere.
            assert_eq!(groups(&login), ["dev", "ops"], "{url} {start_tls} {search}");
            let wrong = directory.login("ann", "wrong horse").await;
            assert!(is_refused(&wrong), "{wrong:?}");
        }
    }
}

#[tokio::test]
async fn name_comes_from_the_entry_and_not_from_what_was_typed() {
    let slapd = Slapd::start().unwrap();
    let directory = directory(
        &slapd,
        json!({"groups": {"only": ["d*"], "prefix": "corp:"}}),
    );
    for typed in ["ann", "ANN", "Ann"] {
        let login = directory.login(typed, PASSWORD).await.unwrap();
        assert_eq!(login.user.as_str(), "ann", "{typed}");
        assert_eq!(groups(&login), ["corp:dev"]);
    }
}

#[tokio::test]
async fn what_is_special_in_names_and_filters_is_nothing_special() {
    let slapd = Slapd::start().unwrap();
    let directory = directory(&slapd, json!({}));
    let lee = directory.login("lee", PASSWORD).await.unwrap();
    assert_eq!(groups(&lee), ["dev"]);
    for trick in [
        "*",
        "an*",
        "ann)(uid=*",
        "*)(objectClass=*",
        "ann)(|(uid=*",
        "\\61nn",
        "uid=ann,ou=people,dc=example,dc=org",
        "nobody",
        "twin",
    ] {
        let outcome = directory.login(trick, PASSWORD).await;
        assert!(is_refused(&outcome), "{trick}: {outcome:?}");
    }
    for name in ["one-name", "other-name"] {
        let outcome = directory.login(name, PASSWORD).await;
        assert!(matches!(outcome, Err(LdapError::Login(_))), "{outcome:?}");
    }
    assert!(!directory.is_away(), "a refusal is an answer");
}

#[tokio::test]
async fn no_password_is_no_proof() {
    let slapd = Slapd::start().unwrap();
    let directory = directory(&slapd, json!({}));
    for (user, password) in [
        ("ann", ""),
        ("locked", ""),
        ("locked", PASSWORD),
        ("ann", "\0"),
    ] {
        let outcome = directory.login(user, password).await;
        assert!(is_refused(&outcome), "{user} {password:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn directory_that_cannot_prove_itself_gets_no_password() {
    let (slapd, other) = (Slapd::start().unwrap(), Slapd::start().unwrap());
    let encrypted = format!("ldaps://{}", slapd.encrypted);
    let plain = format!("ldap://{}", slapd.plain);
    for connection in [
        json!({"url": encrypted, "authority": other.authority()}),
        json!({"url": plain, "start_tls": true, "authority": other.authority()}),
    ] {
        let outcome = directory(&slapd, connection).login("ann", PASSWORD).await;
        assert!(matches!(outcome, Err(LdapError::Failed(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn own_wrong_password_is_not_told_as_the_users() {
    let slapd = Slapd::start().unwrap();
    let path = slapd.service_password_file();
    std::fs::write(&path, "wrong").unwrap();
    let directory = directory(&slapd, json!({}));
    let outcome = directory.login("ann", PASSWORD).await;
    assert!(matches!(outcome, Err(LdapError::Failed(_))), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("wrong"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_log_in_at_once() {
    let slapd = Slapd::start().unwrap();
    let changes = json!({"timeout_ms": 20_000});
    let directory = std::sync::Arc::new(directory(&slapd, changes));
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let directory = std::sync::Arc::clone(&directory);
        logins.spawn(async move { directory.login("ann", PASSWORD).await.map(drop) });
    }
    while let Some(outcome) = logins.join_next().await {
        outcome.unwrap().unwrap();
    }
}

/// Logs in until it works.
async fn wait_for_login(directory: &Directory) {
    let deadline = Instant::now() + RECOVERY_MAX;
    loop {
        match directory.login("ann", PASSWORD).await {
            Ok(_) => return,
            Err(error) => assert!(Instant::now() < deadline, "it is still away: {error}"),
        }
        tokio::task::yield_now().await;
    }
}

/// Three logins fail; from then on none waits.
async fn expect_away(directory: &Directory) {
    for _ in 0..3 {
        let outcome = directory.login("ann", PASSWORD).await;
        assert!(matches!(outcome, Err(LdapError::Failed(_))), "{outcome:?}");
    }
    let start = Instant::now();
    let outcome = directory.login("ann", PASSWORD).await;
    assert!(matches!(outcome, Err(LdapError::Away)), "{outcome:?}");
    assert!(start.elapsed() < Duration::from_millis(100));
    assert!(directory.is_away());
}

#[tokio::test]
async fn killed_directory_is_refused_at_once_and_comes_back() {
    let mut slapd = Slapd::start().unwrap();
    let directory = directory(&slapd, json!({}));
    assert!(directory.login("ann", PASSWORD).await.is_ok());
    slapd.kill();
    expect_away(&directory).await;
    slapd.restart().unwrap();
    wait_for_login(&directory).await;
    assert!(!directory.is_away());
}

#[tokio::test]
async fn paused_directory_costs_a_bounded_time_and_comes_back() {
    let mut slapd = Slapd::start().unwrap();
    let encrypted = format!("ldaps://{}", slapd.encrypted);
    let directory = directory(&slapd, json!({"url": encrypted, "timeout_ms": 500}));
    assert!(directory.login("ann", PASSWORD).await.is_ok());
    slapd.process().pause().unwrap();
    let start = Instant::now();
    expect_away(&directory).await;
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    slapd.process().resume().unwrap();
    wait_for_login(&directory).await;
}

#[tokio::test]
async fn login_makes_a_user_of_the_log_once_and_nobody_else_waits_for_the_directory() {
    let mut slapd = Slapd::start().unwrap();
    let log = MemoryMetadataStore::new();
    let ldap = serde_json::from_value(json!({"ldap": settings(&slapd, json!({}))})).unwrap();
    let elsewhere = Elsewhere {
        outside: Arc::new(Outside::open(ldap).unwrap()),
        metadata: Arc::new(log.clone()),
        passwords: PasswordChecker::new(1, Duration::from_secs(10)),
    };
    let soon = || Deadline::now() + Duration::from_secs(20);
    let shown = async |name: &str, password: &str| {
        let name = AccountName::parse(name).unwrap();
        let password = Zeroizing::new(password.to_owned());
        elsewhere.prove(&name, &password, soon()).await
    };
    let command = AccessCommand::CreateUser(CreateUser {
        user: AccountName::user("local").unwrap(),
        password: elsewhere
            .passwords
            .hash(Zeroizing::new("a local password".to_owned()))
            .await
            .unwrap(),
        is_admin: false,
        email: None,
    });
    let made = log
        .propose(Command::Access(Box::new(command)), soon())
        .await;
    assert_eq!(made.unwrap(), Reply::Done);

    let first = shown("ann", PASSWORD).await.unwrap();
    assert!(matches!(first, Found::Somebody(_, None)), "{first:?}");
    let noted = log.health().applied;
    assert_eq!(shown("ANN", PASSWORD).await.unwrap(), first);
    assert_eq!(shown("ann", "wrong horse").await.unwrap(), Found::Refused);
    assert_eq!(shown("nobody", PASSWORD).await.unwrap(), Found::Refused);
    assert_eq!(log.health().applied, noted, "nothing of it was news");
    let query = AccessQuery::GroupMembers {
        group: GroupName::parse("dev").unwrap(),
        page: Page {
            after: None,
            limit: 10,
        },
    };
    let members = log
        .read(Query::Access(Box::new(query)), soon())
        .await
        .unwrap();
    let members = format!("{:?}", members.answer);
    assert!(members.contains("ann"), "{members}");

    slapd.kill();
    let away = shown("ann", PASSWORD).await;
    assert!(
        matches!(away, Err(ProofFailure::Unavailable { .. })),
        "{away:?}"
    );
    let began = Instant::now();
    for own in ["local", "robot$ci"] {
        assert_eq!(
            shown(own, "a local password").await.unwrap(),
            Found::NotElsewhere
        );
    }
    assert!(began.elapsed() < Duration::from_secs(1));
}
