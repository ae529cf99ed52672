//! What each resource does, as its owner sees it.

use serde_json::{Value, json};

use crate::fixture::{World, create_user};

const NONE: Value = Value::Null;

#[tokio::test]
async fn user_is_made_changed_and_ended() {
    let world = World::new();
    let new = json!({"name": "anna", "password": "correct horse", "email": "a@x"});
    let made = world
        .ask("admin", "POST", "/users", new.clone())
        .await
        .expect(201);
    let made = made.json();
    assert_eq!(
        (&made["name"], &made["source"], &made["email"], &made["by"]),
        (
            &json!("anna"),
            &json!("local"),
            &json!("a@x"),
            &json!("admin")
        )
    );
    let again = world.ask("admin", "POST", "/users", new).await.expect(409);
    assert_eq!(again.message(), "there is a user of this name");
    for _ in 0..2 {
        let change = json!({"is_disabled": true, "email": ""});
        world
            .ask("admin", "PATCH", "/users/anna", change)
            .await
            .expect(204);
    }
    let now = world
        .ask("admin", "GET", "/users/anna", NONE)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&now["is_disabled"], now.get("email")),
        (&json!(true), None)
    );
    world
        .ask("admin", "DELETE", "/users/anna", NONE)
        .await
        .expect(204);
    world
        .ask("admin", "DELETE", "/users/anna", NONE)
        .await
        .expect(404);
    world
        .ask("admin", "GET", "/users/anna", NONE)
        .await
        .expect(404);
}

#[tokio::test]
async fn last_administrator_stays() {
    let world = World::new();
    let refused = world
        .ask("admin", "DELETE", "/users/admin", NONE)
        .await
        .expect(409);
    assert_eq!(
        refused.message(),
        "the last administrator who may log in has to stay"
    );
    let change = json!({"is_admin": false});
    world
        .ask("admin", "PATCH", "/users/admin", change)
        .await
        .expect(409);
}

#[tokio::test]
async fn lists_come_in_pages_that_join() {
    let world = World::new();
    for number in 0..7 {
        world.commit(create_user(&format!("user{number}")));
    }
    let mut names = Vec::new();
    let mut path = "/users?n=3".to_owned();
    loop {
        let page = world
            .ask("admin", "GET", &path, NONE)
            .await
            .expect(200)
            .json();
        let users = page["users"].as_array().unwrap();
        assert!(users.len() <= 3);
        names.extend(
            users
                .iter()
                .map(|user| user["name"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/users?n=3&after={next}"),
            None => break,
        }
    }
    assert_eq!(names.len(), 13, "{names:?}");
    assert!(names.is_sorted());
}

#[tokio::test]
async fn group_gives_its_members_its_role() {
    let world = World::new();
    // A name with a slash is one part of the path.
    for _ in 0..2 {
        let new = json!({"name": "a/b"});
        world.ask("admin", "POST", "/groups", new).await.expect(204);
        world
            .ask("admin", "PUT", "/groups/a%2Fb/members/stranger", NONE)
            .await
            .expect(204);
        let role = json!({"role": "maintainer"});
        world
            .ask("owner", "PUT", "/projects/team/members/group/a%2Fb", role)
            .await
            .expect(204);
    }
    let page = world
        .ask("admin", "GET", "/groups/a%2Fb/members", NONE)
        .await
        .json();
    assert_eq!(page, json!({"users": ["stranger"]}));
    let shown = world
        .ask("stranger", "GET", "/projects/team", NONE)
        .await
        .expect(200)
        .json();
    assert_eq!(shown["role"], "maintainer");
    let members = world
        .ask("stranger", "GET", "/projects/team/members?n=4", NONE)
        .await
        .json();
    assert_eq!(members["next"], "user:owner");
    let rest = "/projects/team/members?after=user:owner";
    let rest = world.ask("stranger", "GET", rest, NONE).await.json();
    assert_eq!(rest["members"][0]["name"], "a/b");
    for _ in 0..2 {
        let path = "/groups/a%2Fb/members/stranger";
        world.ask("admin", "DELETE", path, NONE).await.expect(204);
    }
    world
        .ask("stranger", "GET", "/projects/team", NONE)
        .await
        .expect(403);
}

#[tokio::test]
async fn project_is_its_makers_and_what_is_closed_looks_like_nothing() {
    let world = World::new();
    let new = json!({"name": "mine", "visibility": "internal"});
    let made = world
        .ask("stranger", "POST", "/projects", new)
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&made["role"], &made["by"]),
        (&json!("owner"), &json!("stranger"))
    );
    let names = async |who: &str| {
        let list = world
            .ask(who, "GET", "/projects", NONE)
            .await
            .expect(200)
            .json();
        let projects = list["projects"].as_array().unwrap().clone();
        let names = projects
            .iter()
            .map(|project| project["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names("nobody").await, [""; 0]);
    assert_eq!(names("stranger").await, ["mine"]);
    assert_eq!(names("guest").await, ["mine", "team"]);
    let closed = world
        .ask("stranger", "GET", "/projects/team", NONE)
        .await
        .expect(403);
    let absent = world
        .ask("stranger", "GET", "/projects/absent", NONE)
        .await
        .expect(403);
    assert_eq!(closed.text, absent.text);
    world
        .ask("admin", "GET", "/projects/absent", NONE)
        .await
        .expect(404);
    world
        .ask("admin", "GET", "/projects/absent/members", NONE)
        .await
        .expect(404);
}

#[tokio::test]
async fn robots_secret_is_shown_once_and_its_grants_stay_inside() {
    let world = World::new();
    let new = json!({
        "name": "deploy", "project": "team", "expires": "2030-01-01T00:00:00Z",
        "grants": [{"repositories": "team/*", "rights": ["push", "pull"]}],
    });
    let made = world
        .ask("maintainer", "POST", "/robots", new.clone())
        .await
        .expect(201)
        .json();
    assert_eq!(made["name"], "robot$team+deploy");
    assert!(made["secret"].as_str().unwrap().starts_with("hfr_"));
    world
        .ask("maintainer", "POST", "/robots", new)
        .await
        .expect(409);
    let path = "/robots/robot$team+deploy";
    let shown = world.ask("maintainer", "GET", path, NONE).await.expect(200);
    assert!(!shown.text.contains("hfr_") && !shown.text.contains("secret"));
    let shown = shown.json();
    assert_eq!(shown["grants"][0]["rights"], json!(["pull", "push"]));
    assert_eq!(shown["expires"], "2030-01-01T00:00:00Z");
    let renewed = world
        .ask("maintainer", "POST", &format!("{path}/secret"), NONE)
        .await
        .expect(200);
    assert_ne!(renewed.json()["secret"], made["secret"]);
    let forever = json!({"expires": null});
    world
        .ask("maintainer", "PATCH", path, forever)
        .await
        .expect(204);
    let shown = world.ask("maintainer", "GET", path, NONE).await.json();
    assert_eq!(shown.get("expires"), None);
    let wide = json!({"grants": [{"repositories": "*", "rights": ["pull"]}]});
    let refused = world
        .ask("maintainer", "PATCH", path, wide)
        .await
        .expect(400);
    assert!(
        refused.message().contains("reaches out of the project"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn token_is_shown_once_and_belongs_to_its_owner() {
    let world = World::new();
    let limits = json!([{"repositories": "*", "rights": ["pull"]}]);
    let new = json!({"label": "laptop", "limits": limits});
    let made = world
        .ask("guest", "POST", "/users/guest/tokens", new)
        .await
        .expect(201)
        .json();
    let secret = made["secret"].as_str().unwrap();
    let parsed = auth::AccessToken::parse(secret).expect("a token");
    assert_eq!(made["id"], format!("{:032x}", parsed.token.0));
    let list = world
        .ask("guest", "GET", "/users/guest/tokens", NONE)
        .await
        .expect(200);
    assert!(!list.text.contains("hfp_"));
    assert_eq!(list.json()["tokens"][0]["limits"], limits);
    let path = format!("/users/guest/tokens/{}", made["id"].as_str().unwrap());
    world.ask("guest", "DELETE", &path, NONE).await.expect(204);
    world.ask("guest", "DELETE", &path, NONE).await.expect(404);
}

#[tokio::test]
async fn settings_that_are_not_given_stay() {
    let world = World::new();
    let change = json!({"users_create_projects": false});
    world
        .ask("admin", "PATCH", "/settings", change)
        .await
        .expect(204);
    let change = json!({"auto_create_projects": true});
    world
        .ask("admin", "PATCH", "/settings", change)
        .await
        .expect(204);
    let now = world
        .ask("nobody", "GET", "/settings", NONE)
        .await
        .expect(200)
        .json();
    assert_eq!(
        now,
        json!({"is_on": true, "users_create_projects": false, "auto_create_projects": true})
    );
    let new = json!({"name": "new"});
    world
        .ask("guest", "POST", "/projects", new)
        .await
        .expect(403);
}

#[tokio::test]
async fn me_tells_who_asks_and_what_they_may() {
    let world = World::new();
    let path = "/me?repository=team/app";
    let developer = world
        .ask("developer", "GET", path, NONE)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &developer["kind"],
            &developer["rights"],
            &developer["user"]["name"]
        ),
        (
            &json!("user"),
            &json!(["pull", "push"]),
            &json!("developer")
        )
    );
    let admin = world.ask("admin", "GET", "/me", NONE).await.json();
    assert_eq!(
        (&admin["may_administer"], admin.get("rights")),
        (&json!(true), None)
    );
    let limited = world
        .ask("limited", "GET", "/me?project=team", NONE)
        .await
        .json();
    assert_eq!(
        (
            &limited["may_administer"],
            &limited["rights"],
            limited.get("user")
        ),
        (&json!(false), &json!(["pull"]), None)
    );
    let robot = world.ask("robot$team+ci", "GET", path, NONE).await.json();
    assert_eq!(
        (&robot["kind"], &robot["rights"]),
        (&json!("robot"), &json!(["pull"]))
    );
    let nobody = world.ask("nobody", "GET", path, NONE).await.json();
    assert_eq!(
        (&nobody["name"], &nobody["rights"]),
        (&json!("anonymous"), &json!([]))
    );
    let both = "/me?project=team&repository=team/app";
    world.ask("admin", "GET", both, NONE).await.expect(400);
}
