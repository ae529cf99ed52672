//! What is refused before a directory is asked, and a directory that says nothing. The rest is in `tests/logins`.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

fn settings(changes: Value) -> LdapSettings {
    let mut all = json!({"url": "ldap://127.0.0.1:1", "user_base": "ou=people,dc=example,dc=org"});
    let changes = changes.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(changes);
    serde_json::from_value(all).unwrap()
}

fn refused(changes: Value) -> String {
    match Directory::new(settings(changes)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it was taken"),
    }
}

#[test]
fn settings_that_would_betray_passwords_are_refused() {
    assert!(refused(json!({"url": "ldap://ldap.example.org"})).contains("unencrypted"));
    assert!(refused(json!({"url": "ldap://localhost.example.org"})).contains("unencrypted"));
    assert!(refused(json!({"url": "http://127.0.0.1"})).contains("ldaps://"));
    assert!(refused(json!({"user_filter": "(uid=*)"})).contains("{user}"));
    assert!(refused(json!({"bind_dn": "cn=x"})).contains("together"));
    assert!(refused(json!({"timeout_ms": 0})).contains("timeout_ms"));
    let meant = json!({"url": "ldap://ldap.example.org", "allow_plain": true});
    assert!(Directory::new(settings(meant)).is_ok());
    for loopback in ["ldap://127.0.0.1", "ldap://localhost:1389", "ldap://[::1]"] {
        assert!(
            Directory::new(settings(json!({"url": loopback}))).is_ok(),
            "{loopback}"
        );
    }
}

/// A directory that takes connections and never says anything.
async fn mute() -> (TcpListener, Directory) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ldap://{}", listener.local_addr().unwrap());
    let directory = Directory::new(settings(json!({"url": url, "timeout_ms": 100})));
    (listener, directory.unwrap())
}

#[tokio::test]
async fn empty_password_is_refused_before_the_directory_is_asked() {
    let (listener, directory) = mute().await;
    let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
    for (user, password) in [
        ("ann", ""),
        ("", "secret"),
        ("a\0", "secret"),
        ("ann", &long),
    ] {
        let refused = directory.login(user, password).await;
        assert!(matches!(refused, Err(LdapError::Refused)), "{user:?}");
    }
    let accepted = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(accepted.is_err(), "somebody asked");
}

#[tokio::test]
async fn directory_that_says_nothing_is_waited_for_three_times_and_then_not_at_all() {
    let (_listener, directory) = mute().await;
    for _ in 0..3 {
        assert!(!directory.is_away());
        let outcome = directory.login("ann", "secret").await;
        assert!(matches!(outcome, Err(LdapError::Failed(_))));
    }
    assert!(directory.is_away());
    let outcome = directory.login("ann", "secret").await;
    assert!(matches!(outcome, Err(LdapError::Away)));
}

#[test]
fn attributes_are_known_however_they_are_spelled() {
    assert!(is_attribute("memberOf", "memberof"));
    assert!(is_attribute("cn;lang-de", "CN"));
    assert!(!is_attribute("cnx", "cn"));
}
