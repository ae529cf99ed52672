//! Web sessions: begun with a password, ended by everything that ends a password, and missed by nobody else.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{CONTENT_TYPE, COOKIE};
use front::{ClientPlace, Scheme};
use metadata::access::{AccessCommand, AccountName, ChangeUser, CreateUser};
use ports::{Degraded, Session, SessionKey, SessionLife, SessionStore};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::fixture::{Answered, World, name, passwords};

const PASSWORD: &str = "planted-password";

/// Keeps nothing: the Redis behind it is gone.
struct Away;

#[async_trait]
impl SessionStore for Away {
    async fn put(&self, _: &SessionKey, _: &Session, _: SessionLife) -> Result<(), Degraded> {
        Err(Degraded::because("gone"))
    }

    async fn get(&self, _: &SessionKey) -> Result<Option<Session>, Degraded> {
        Err(Degraded::because("gone"))
    }

    async fn remove(&self, _: &SessionKey) -> Result<(), Degraded> {
        Err(Degraded::because("gone"))
    }

    async fn list(&self, _: &AccountName) -> Result<Vec<(SessionKey, Session)>, Degraded> {
        Err(Degraded::because("gone"))
    }

    async fn end_all(&self, _: &AccountName) -> Result<usize, Degraded> {
        Err(Degraded::because("gone"))
    }
}

/// A registry with `mia`, who has a password that can be checked.
async fn world(store: Option<Arc<dyn SessionStore>>) -> World {
    let world = World::keeping(store).asking_for_rights();
    let checker = passwords();
    let password = checker.hash(Zeroizing::new(PASSWORD.to_owned()));
    world.commit(AccessCommand::CreateUser(CreateUser {
        user: name("mia"),
        password: password.await.expect("a hash"),
        is_admin: false,
        email: None,
    }));
    world
}

fn request(method: &str, path: &str, cookie: Option<&str>, body: Value) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"));
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, format!("other=1; {cookie}; last=2"));
    }
    let request = match body {
        Value::Null => request.body(Body::empty()),
        body => request
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string())),
    };
    request.expect("a good request")
}

async fn log_in(world: &World, user: &str, password: &str) -> Answered {
    let body = json!({"name": user, "password": password});
    world.send(request("POST", "/sessions", None, body)).await
}

/// The cookie, as it is sent back.
fn cookie(answered: &Answered) -> String {
    let set = answered.headers["set-cookie"].to_str().expect("text");
    set.split(';').next().expect("a first part").to_owned()
}

async fn begun(world: &World) -> String {
    cookie(&log_in(world, "mia", PASSWORD).await.expect(204))
}

async fn who(world: &World, cookie: &str) -> String {
    let me = world.send(request("GET", "/me", Some(cookie), Value::Null));
    let me = me.await.expect(200).json();
    me["name"].as_str().expect("a name").to_owned()
}

#[tokio::test]
async fn a_session_is_its_user_until_it_is_ended() {
    let world = world(None).await;
    let answered = log_in(&world, "mia", PASSWORD).await.expect(204);
    let set = answered.headers["set-cookie"].to_str().expect("text");
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure"), "{set}");
    let cookie = cookie(&answered);
    assert_eq!(who(&world, &cookie).await, "mia");
    let other = begun(&world).await;
    assert_ne!(cookie, other);
    let ended = request("DELETE", "/sessions", Some(&cookie), Value::Null);
    let ended = world.send(ended).await.expect(204);
    let set = ended.headers["set-cookie"].to_str().expect("text");
    assert!(set.contains("Max-Age=0"), "{set}");
    assert_eq!(who(&world, &cookie).await, "anonymous");
    assert_eq!(who(&world, &other).await, "mia");
    for made_up in ["holdfast-session=", "holdfast-session=mia"] {
        assert_eq!(who(&world, made_up).await, "anonymous");
    }
}

#[tokio::test]
async fn what_ends_a_password_ends_its_sessions() {
    let world = world(None).await;
    for end in [
        AccessCommand::EndProofs {
            account: name("mia"),
        },
        AccessCommand::ChangeUser(ChangeUser {
            user: name("mia"),
            is_admin: None,
            is_disabled: Some(true),
            email: None,
        }),
    ] {
        let cookie = begun(&world).await;
        let projects = || request("GET", "/users/mia", Some(&cookie), Value::Null);
        world.send(projects()).await.expect(200);
        world.commit(end);
        let refused = world.send(projects()).await.expect(401);
        assert_eq!(refused.message(), "what you signed in with counts no more");
        assert_eq!(who(&world, &cookie).await, "anonymous");
    }
    // Disabled: the password is right, and begins nothing.
    let refused = log_in(&world, "mia", PASSWORD).await;
    assert!(matches!(refused.status.as_u16(), 401 | 403), "{refused:?}");
    assert!(!refused.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn wrong_passwords_are_refused_alike_and_then_throttled() {
    let world = world(None).await;
    let unknown = log_in(&world, "planted-name", PASSWORD).await.expect(401);
    let wrong = log_in(&world, "mia", "planted-wrong").await.expect(401);
    assert_eq!(wrong.text, unknown.text);
    assert!(!wrong.text.contains("planted"), "{}", wrong.text);
    let mut tries = 0;
    let throttled = loop {
        let answered = log_in(&world, "mia", "planted-wrong").await;
        if answered.status.as_u16() != 401 {
            break answered.expect(429);
        }
        tries += 1;
        assert!(tries < 20, "nobody throttles");
    };
    assert!(throttled.headers.contains_key("retry-after"));
    // Somebody else from there logs in.
    let unknown = log_in(&world, "other", PASSWORD).await;
    assert_eq!(unknown.status.as_u16(), 401);
}

#[tokio::test]
async fn without_access_nobody_logs_in() {
    let world = World::open();
    log_in(&world, "mia", PASSWORD).await.expect(409);
}

#[tokio::test]
async fn only_sessions_miss_a_store_that_is_away() {
    let world = world(Some(Arc::new(Away))).await;
    let refused = log_in(&world, "mia", PASSWORD).await.expect(503);
    assert!(refused.headers.contains_key("retry-after"));
    let held = format!("holdfast-session={}", "ab".repeat(32));
    let me = request("GET", "/me", Some(&held), Value::Null);
    let refused = world.send(me).await.expect(503);
    assert!(
        refused
            .message()
            .starts_with("sessions cannot be looked up now"),
        "{}",
        refused.text
    );
    // Who shows something else, too, needs no session.
    let mut me = request("GET", "/me", Some(&held), Value::Null);
    me.extensions_mut().insert(world.asker("mia"));
    let me = world.send(me).await.expect(200).json();
    assert_eq!(me["name"], "mia");
}

#[tokio::test]
async fn by_tls_only_the_cookie_of_this_very_host_counts() {
    let world = world(None).await;
    let by_tls = |mut request: Request<Body>| {
        let address = "192.0.2.7:1".parse().expect("an address");
        request.extensions_mut().insert(ClientPlace {
            address: std::net::SocketAddr::ip(&address),
            peer: address,
            scheme: Scheme::Https,
            host: None,
            certificates: None,
        });
        request
    };
    let body = json!({"name": "mia", "password": PASSWORD});
    let log_in = by_tls(request("POST", "/sessions", None, body));
    let answered = world.send(log_in).await.expect(204);
    let set = answered.headers["set-cookie"].to_str().expect("text");
    assert!(set.starts_with("__Host-holdfast-session="), "{set}");
    assert!(set.ends_with("; Secure"), "{set}");
    let cookie = cookie(&answered);
    let plain = cookie.replace("__Host-", "");
    for (cookie, expected) in [(cookie, "mia"), (plain, "anonymous")] {
        let me = by_tls(request("GET", "/me", Some(&cookie), Value::Null));
        let me = world.send(me).await.expect(200).json();
        assert_eq!(me["name"], expected);
    }
}

#[tokio::test]
async fn a_token_begins_no_session() {
    let world = world(None).await;
    let new = json!({"label": "laptop"});
    let made = world.ask("mia", "POST", "/users/mia/tokens", new).await;
    let made = made.expect(201).json();
    let secret = made["secret"].as_str().expect("a secret");
    let refused = log_in(&world, "mia", secret).await.expect(400);
    assert!(!refused.headers.contains_key("set-cookie"));
    assert!(!refused.text.contains(secret), "{}", refused.text);
}
