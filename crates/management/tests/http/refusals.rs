//! What cannot be right is refused with words, and shows nothing of what was sent.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::fixture::World;

#[tokio::test]
async fn without_access_there_is_nobody_to_be_managed() {
    let world = World::open();
    let new = json!({"name": "admin", "password": "12345678", "is_admin": true});
    let refused = world.ask("nobody", "POST", "/users", new).await.expect(409);
    assert_eq!(
        refused.message(),
        "access is not switched on in this registry: start a member with the setting access.mode = \"on\""
    );
    for path in [
        "/users",
        "/projects",
        "/groups",
        "/keys",
        "/audit",
        "/robots",
    ] {
        world
            .ask("nobody", "GET", path, Value::Null)
            .await
            .expect(409);
    }
    let settings = world
        .ask("nobody", "GET", "/settings", Value::Null)
        .await
        .expect(200);
    assert_eq!(settings.json()["is_on"], false);
    let me = world
        .ask("nobody", "GET", "/me", Value::Null)
        .await
        .expect(200);
    assert_eq!(me.json()["access_is_on"], false);
}

#[tokio::test]
async fn names_outside_the_grammar_are_refused() {
    let world = World::new();
    for (method, path, body) in [
        (
            "POST",
            "/users",
            json!({"name": "a b", "password": "12345678"}),
        ),
        (
            "POST",
            "/users",
            json!({"name": "robot", "password": "12345678"}),
        ),
        (
            "POST",
            "/users",
            json!({"name": "robot$x", "password": "12345678"}),
        ),
        ("GET", "/users/%00", Value::Null),
        ("POST", "/groups", json!({"name": ""})),
        ("POST", "/projects", json!({"name": "../x"})),
        ("POST", "/projects", json!({"name": "A"})),
        ("GET", "/projects/a%2Fb", Value::Null),
        ("GET", "/robots/anna", Value::Null),
        ("POST", "/robots", json!({"name": "a+b", "grants": []})),
        ("DELETE", "/users/guest/tokens/1", Value::Null),
        ("DELETE", "/keys/one", Value::Null),
    ] {
        let answered = world.ask("admin", method, path, body).await.expect(400);
        assert!(
            answered.message().starts_with("invalid name: "),
            "{}",
            answered.text
        );
        assert_eq!(answered.json()["errors"][0]["code"], "NAME_INVALID");
    }
}

#[tokio::test]
async fn what_was_sent_is_not_shown() {
    let world = World::new();
    for body in [
        json!({"name": "anna", "password": ["planted-secret"]}),
        json!({"name": "anna", "password": "planted-secret", "planted-secret": 1}),
        json!("planted-secret"),
        json!({"name": {"planted-secret": 1}, "password": "planted-secret"}),
    ] {
        let answered = world.ask("admin", "POST", "/users", body).await.expect(400);
        assert!(
            answered.message().starts_with("invalid body: "),
            "{}",
            answered.text
        );
        assert!(!answered.text.contains("planted"), "{}", answered.text);
    }
    let short = json!({"name": "anna", "password": "planted"});
    let answered = world
        .ask("admin", "POST", "/users", short)
        .await
        .expect(400);
    assert!(!answered.text.contains("planted"), "{}", answered.text);
}

#[tokio::test]
async fn body_says_that_it_is_json_and_is_bounded() {
    let world = World::new();
    let post = |kind: Option<&str>, body: String| {
        let request = Request::post("/api/v1/groups").extension(world.asker("admin"));
        let request = match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        };
        world.send(request.body(Body::from(body)).unwrap())
    };
    let good = r#"{"name": "x"}"#.to_owned();
    post(None, good.clone()).await.expect(415);
    post(Some("text/plain"), good.clone()).await.expect(415);
    post(Some("application/json; charset=utf-8"), good)
        .await
        .expect(204);
    let long = format!(r#"{{"name": "{}"}}"#, "x".repeat(1 << 20));
    post(Some("application/json"), long).await.expect(413);
}

#[tokio::test]
async fn query_that_nobody_knows_is_refused() {
    let world = World::new();
    for path in [
        "/users?N=3",
        "/users?n=many",
        "/audit?from=today",
        "/projects/team/members?after=x",
    ] {
        let answered = world
            .ask("admin", "GET", path, Value::Null)
            .await
            .expect(400);
        assert!(
            answered.message().starts_with("invalid request: "),
            "{}",
            answered.text
        );
    }
}

#[tokio::test]
async fn what_does_not_exist_is_an_error_of_the_same_form() {
    let world = World::new();
    let absent = world
        .ask("admin", "GET", "/nothing", Value::Null)
        .await
        .expect(404);
    assert_eq!(absent.message(), "no such endpoint");
    let method = world
        .ask("admin", "DELETE", "/users", Value::Null)
        .await
        .expect(405);
    assert_eq!(method.message(), "this endpoint does not take the method");
    assert!(method.headers.contains_key("allow"));
    // A part of the path that is no text.
    let unread = world
        .ask("admin", "GET", "/users/%aa", Value::Null)
        .await
        .expect(400);
    assert!(
        unread.message().starts_with("invalid name: "),
        "{}",
        unread.text
    );
}
