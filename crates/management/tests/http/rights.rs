//! Every operation of the document, asked for by everyone: who may, may, and nobody else.

use serde_json::{Value, json};

use crate::fixture::{World, create_user};

const EVERYONE: [&str; 10] = [
    "nobody",
    "stranger",
    "guest",
    "developer",
    "maintainer",
    "owner",
    "admin",
    "limited",
    "robot$team+ci",
    "outside",
];
const ADMIN: &[&str] = &["admin"];
const PULLS: &[&str] = &[
    "guest",
    "developer",
    "maintainer",
    "owner",
    "admin",
    "limited",
];
const MAINTAINS: &[&str] = &["maintainer", "owner", "admin"];
const OWNS: &[&str] = &["owner", "admin"];
const GUEST_OR_ADMIN: &[&str] = &["guest", "admin"];
const USERS: &[&str] = &[
    "stranger",
    "guest",
    "developer",
    "maintainer",
    "owner",
    "admin",
];

/// An operation, the path of the document, the path that is asked for, what is sent, who may, and what they are answered.
type Operation = (
    &'static str,
    &'static str,
    &'static str,
    Value,
    &'static [&'static str],
    u16,
);

fn operations() -> Vec<Operation> {
    let none = Value::Null;
    let robot = json!({"name": "x", "project": "team", "grants": []});
    vec![
        ("GET", "/me", "/me", none.clone(), &EVERYONE, 200),
        (
            "GET",
            "/settings",
            "/settings",
            none.clone(),
            &EVERYONE,
            200,
        ),
        (
            "POST",
            "/sessions",
            "/sessions",
            json!({"name": "nobody"}),
            &EVERYONE,
            400,
        ),
        (
            "DELETE",
            "/sessions",
            "/sessions",
            none.clone(),
            &EVERYONE,
            204,
        ),
        ("PATCH", "/settings", "/settings", json!({}), ADMIN, 204),
        ("GET", "/keys", "/keys", none.clone(), &EVERYONE, 200),
        (
            "DELETE",
            "/keys/{number}",
            "/keys/7",
            none.clone(),
            ADMIN,
            404,
        ),
        ("GET", "/audit", "/audit", none.clone(), ADMIN, 200),
        (
            "GET",
            "/audit/export",
            "/audit/export",
            none.clone(),
            ADMIN,
            200,
        ),
        ("GET", "/users", "/users", none.clone(), ADMIN, 200),
        (
            "POST",
            "/users",
            "/users",
            json!({"name": "new", "password": "12345678"}),
            ADMIN,
            201,
        ),
        (
            "GET",
            "/users/{user}",
            "/users/guest",
            none.clone(),
            GUEST_OR_ADMIN,
            200,
        ),
        (
            "PATCH",
            "/users/{user}",
            "/users/guest",
            json!({"email": "g@x"}),
            ADMIN,
            204,
        ),
        (
            "PUT",
            "/users/{user}/password",
            "/users/guest/password",
            json!({"password": "12345678"}),
            GUEST_OR_ADMIN,
            204,
        ),
        (
            "POST",
            "/users/{user}/log-out",
            "/users/guest/log-out",
            none.clone(),
            GUEST_OR_ADMIN,
            204,
        ),
        (
            "DELETE",
            "/users/{user}",
            "/users/other",
            none.clone(),
            ADMIN,
            204,
        ),
        (
            "GET",
            "/users/{user}/tokens",
            "/users/guest/tokens",
            none.clone(),
            GUEST_OR_ADMIN,
            200,
        ),
        (
            "POST",
            "/users/{user}/tokens",
            "/users/guest/tokens",
            json!({"label": "x"}),
            GUEST_OR_ADMIN,
            201,
        ),
        (
            "DELETE",
            "/users/{user}/tokens/{token}",
            "/users/guest/tokens/00000000000000000000000000000009",
            none.clone(),
            GUEST_OR_ADMIN,
            404,
        ),
        ("GET", "/groups", "/groups", none.clone(), ADMIN, 200),
        (
            "POST",
            "/groups",
            "/groups",
            json!({"name": "new"}),
            ADMIN,
            204,
        ),
        (
            "DELETE",
            "/groups/{group}",
            "/groups/crew",
            none.clone(),
            ADMIN,
            204,
        ),
        (
            "GET",
            "/groups/{group}/members",
            "/groups/crew/members",
            none.clone(),
            ADMIN,
            200,
        ),
        (
            "PUT",
            "/groups/{group}/members/{user}",
            "/groups/crew/members/guest",
            none.clone(),
            ADMIN,
            204,
        ),
        (
            "DELETE",
            "/groups/{group}/members/{user}",
            "/groups/crew/members/guest",
            none.clone(),
            ADMIN,
            204,
        ),
        (
            "GET",
            "/projects",
            "/projects",
            none.clone(),
            &EVERYONE,
            200,
        ),
        (
            "POST",
            "/projects",
            "/projects",
            json!({"name": "new"}),
            USERS,
            201,
        ),
        (
            "GET",
            "/projects/{project}",
            "/projects/team",
            none.clone(),
            PULLS,
            200,
        ),
        (
            "PATCH",
            "/projects/{project}",
            "/projects/team",
            json!({"visibility": "public"}),
            OWNS,
            204,
        ),
        (
            "DELETE",
            "/projects/{project}",
            "/projects/team",
            none.clone(),
            OWNS,
            204,
        ),
        (
            "GET",
            "/projects/{project}/members",
            "/projects/team/members",
            none.clone(),
            PULLS,
            200,
        ),
        (
            "PUT",
            "/projects/{project}/members/{kind}/{name}",
            "/projects/team/members/user/other",
            json!({"role": "guest"}),
            OWNS,
            204,
        ),
        (
            "DELETE",
            "/projects/{project}/members/{kind}/{name}",
            "/projects/team/members/group/crew",
            none.clone(),
            OWNS,
            204,
        ),
        (
            "GET",
            "/robots",
            "/robots?project=team",
            none.clone(),
            MAINTAINS,
            200,
        ),
        ("GET", "/robots", "/robots", none.clone(), ADMIN, 200),
        ("POST", "/robots", "/robots", robot, MAINTAINS, 201),
        (
            "POST",
            "/robots",
            "/robots",
            json!({"name": "x", "grants": []}),
            ADMIN,
            201,
        ),
        (
            "GET",
            "/robots/{robot}",
            "/robots/robot$team+ci",
            none.clone(),
            MAINTAINS,
            200,
        ),
        (
            "PATCH",
            "/robots/{robot}",
            "/robots/robot$team+ci",
            json!({"is_disabled": true}),
            MAINTAINS,
            204,
        ),
        (
            "POST",
            "/robots/{robot}/secret",
            "/robots/robot$team+ci/secret",
            none.clone(),
            MAINTAINS,
            200,
        ),
        (
            "DELETE",
            "/robots/{robot}",
            "/robots/robot$team+ci",
            none,
            MAINTAINS,
            204,
        ),
    ]
}

#[tokio::test]
async fn who_may_may_and_nobody_else() {
    for (method, _, path, body, allowed, success) in operations() {
        for who in EVERYONE {
            let world = World::new();
            world.commit(create_user("other"));
            let answered = world.ask(who, method, path, body.clone()).await;
            let expected = match who {
                who if allowed.contains(&who) => success,
                "nobody" => 401,
                _ => 403,
            };
            let status = answered.status.as_u16();
            assert_eq!(
                status, expected,
                "{who}: {method} {path}: {}",
                answered.text
            );
            let challenges = answered.headers.contains_key("www-authenticate");
            assert_eq!(challenges, status == 401, "{who}: {method} {path}");
            assert_eq!(answered.headers["cache-control"], "no-store");
            if status >= 400 {
                assert!(!answered.message().is_empty());
            }
        }
    }
}

#[test]
fn every_operation_of_the_document_is_in_the_table() {
    let document = serde_json::to_value(management::document()).unwrap();
    let mut listed: Vec<(String, String)> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            listed.push((method.to_uppercase(), path.clone()));
        }
    }
    for (method, path) in &listed {
        let is_tested = operations()
            .iter()
            .any(|(tested, template, ..)| tested == method && template == path);
        assert!(is_tested, "{method} {path} is in no test");
    }
    assert!(listed.len() > 30, "{listed:?}");
}

#[tokio::test]
async fn proof_that_has_ended_is_told_to_sign_in_again() {
    let world = World::new();
    let before = world.asker("guest");
    world
        .ask("guest", "POST", "/users/guest/log-out", Value::Null)
        .await
        .expect(204);
    let answered = world
        .ask_as(before, "GET", "/me", Value::Null)
        .await
        .expect(401);
    assert_eq!(answered.message(), "what you signed in with counts no more");
}
