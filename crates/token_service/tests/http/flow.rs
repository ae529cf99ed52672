//! The ways to a token, as docker, podman, containerd and crane go them.

use auth::Scope;
use axum::body::Body;
use axum::http::Request;
use metadata::access::{AccessCommand, Grant, RepositoryPattern, Right, Role};
use ports::Deadline;
use serde_json::json;

use crate::house::{House, PASSWORD, basic, from, project, repository, user};

const TEAM: &str = "repository:team/app:pull,push";

#[tokio::test]
async fn docker_gets_what_it_asks_for_by_basic() {
    let house = House::new().await;
    let ann = basic("ann", PASSWORD);
    let query = format!("account=ann&client_id=docker&service=registry.test&scope={TEAM}");
    let answer = house.get(Some(&ann), &query).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let json = answer.json();
    assert_eq!(json["token"], json["access_token"]);
    assert_eq!(json["expires_in"], 300);
    assert_eq!(json["scope"], TEAM);
    assert_eq!(json["token_type"], "Bearer");
    assert!(json.get("refresh_token").is_none());
    let issued = answer.field("issued_at");
    assert!(issued.ends_with('Z') && issued.len() == 20, "{issued}");
    assert_eq!(house.scopes(&answer.field("token")).await, [TEAM]);
}

#[tokio::test]
async fn form_of_oauth2_gets_the_same() {
    let house = House::new().await;
    let form = format!(
        "grant_type=password&service=registry.test&client_id=containerd&access_type=offline&scope={TEAM}+registry:catalog:*&username=ann&password=a+long+password"
    );
    let answer = house.post(&form).await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.field("scope"), format!("{TEAM} registry:catalog:*"));
    assert!(!answer.field("refresh_token").is_empty());
    let token = answer.field("access_token");
    assert_eq!(house.scopes(&token).await.len(), 2);
}

#[tokio::test]
async fn what_is_given_is_what_is_asked_for_and_allowed() {
    let house = House::new().await;
    let ann = basic("ann", PASSWORD);
    let asked = "scope=repository:team/app:pull,push,delete&scope=repository:other/app:pull%20repository:open/app:pull,push&scope=repository:none/app:*";
    let given = async |who: Option<&str>| house.get(who, asked).await.expect(200).field("scope");
    assert_eq!(
        given(Some(&ann)).await,
        format!("{TEAM} repository:open/app:pull")
    );
    assert_eq!(given(None).await, "repository:open/app:pull");
    house.is_now("ann", "team", Some(Role::Guest)).await;
    assert_eq!(
        given(Some(&ann)).await,
        "repository:team/app:pull repository:open/app:pull"
    );
    // A mount is asked for with two.
    let mount = "scope=repository:team/app:pull,push&scope=repository:open/base:pull";
    house.is_now("ann", "team", Some(Role::Developer)).await;
    let answer = house.get(Some(&ann), mount).await.expect(200);
    assert_eq!(
        answer.field("scope"),
        format!("{TEAM} repository:open/base:pull")
    );
}

#[tokio::test]
async fn nothing_tells_whether_something_exists() {
    let house = House::new().await;
    let bob = basic("bob", PASSWORD);
    // Closed to him, of a project that is not there, of a name that none can have.
    let asked = [
        "scope=repository:team/app:pull,push",
        "scope=repository:none/app:pull,push",
        "scope=repository:../x:pull",
    ];
    for who in [None, Some(&*bob)] {
        let mut shapes = Vec::new();
        for asked in asked {
            let mut answer = house.get(who, asked).await.expect(200).json();
            for field in ["token", "access_token", "issued_at"] {
                answer[field] = json!("");
            }
            shapes.push(answer);
        }
        assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:?}");
        assert_eq!(shapes[0]["scope"], "");
    }
}

#[tokio::test]
async fn who_says_nothing_gets_a_token_of_nobody() {
    let house = House::new().await;
    let query = "scope=repository:open/app:pull&offline_token=true";
    let answer = house.get(None, query).await.expect(200);
    assert!(answer.json().get("refresh_token").is_none());
    let token = answer.field("token");
    assert_eq!(house.scopes(&token).await, ["repository:open/app:pull"]);
}

#[tokio::test]
async fn wrong_secret_is_a_challenge_to_get_and_a_bad_grant_to_post() {
    let house = House::new().await;
    for (name, secret) in [
        ("ann", "wrong password"),
        ("nobody", PASSWORD),
        ("../x", PASSWORD),
    ] {
        let answer = house.get(Some(&basic(name, secret)), "").await.expect(401);
        assert!(
            answer
                .header("www-authenticate")
                .starts_with("Basic realm=")
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        let json = answer.json();
        assert_eq!(json["errors"][0]["code"], "UNAUTHORIZED");
        assert_eq!(
            json["errors"][0]["message"],
            "the name or the secret is wrong"
        );
        assert!(!answer.text.contains(secret));
    }
    let form = "grant_type=password&service=registry.test&username=ann&password=wrong+password";
    let answer = house.post(form).await.expect(400);
    assert_eq!(answer.field("error"), "invalid_grant");
    assert!(answer.header("www-authenticate").is_empty());
    assert!(!answer.text.contains("wrong password"));
}

#[tokio::test]
async fn token_is_not_exchanged_for_another() {
    let house = House::new().await;
    let ann = basic("ann", PASSWORD);
    let token = house.get(Some(&ann), "").await.expect(200).field("token");
    let bearer = format!("Bearer {token}");
    house.get(Some(&bearer), "").await.expect(401);
    let form = format!("grant_type=refresh_token&refresh_token={token}");
    let answer = house.post(&form).await.expect(400);
    assert_eq!(answer.field("error"), "invalid_grant");
}

#[tokio::test]
async fn what_cannot_be_right_is_told() {
    let house = House::new().await;
    for (form, error) in [
        ("", "invalid_request"),
        ("grant_type=password&username=ann", "invalid_request"),
        ("grant_type=refresh_token", "invalid_request"),
        (
            "grant_type=authorization_code&code=x",
            "unsupported_grant_type",
        ),
        (
            "grant_type=password&grant_type=refresh_token",
            "invalid_request",
        ),
        ("service=elsewhere&grant_type=password", "invalid_target"),
        ("grant_type=refresh_token&refresh_token=x", "invalid_grant"),
    ] {
        let answer = house.post(form).await.expect(400);
        assert_eq!(answer.field("error"), error, "{form}");
        assert!(answer.json()["errors"][0]["message"].is_string());
    }
    house.get(None, "service=elsewhere").await.expect(400);
    let send = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        house
            .send(request.body(Body::empty()).expect("a request"), from(1))
            .await
    };
    assert_eq!(
        send("PUT", "/token").await.expect(405).json()["error"],
        "invalid_request"
    );
    send("GET", "/other").await.expect(404);
    let no_form = send("POST", "/token").await.expect(400);
    assert_eq!(no_form.field("error"), "invalid_request");
}

#[tokio::test]
async fn keys_are_published_and_may_be_kept_shortly() {
    let house = House::new().await;
    let request = Request::get("/keys")
        .body(Body::empty())
        .expect("a request");
    let answer = house.send(request, from(1)).await.expect(200);
    assert_eq!(answer.header("cache-control"), "public, max-age=60");
    let json = answer.json();
    let keys = json["keys"].as_array().expect("a set of keys");
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["alg"], "ES256");
    assert!(keys[0].get("d").is_none());
}

#[tokio::test]
async fn limits_of_a_personal_token_limit_what_it_gets() {
    let house = House::new().await;
    let (text, token, secret) = auth::new_access_token();
    let pulls = Grant {
        repositories: RepositoryPattern::parse("team/app").expect("a pattern"),
        rights: vec![Right::Pull],
    };
    let create = metadata::access::CreateToken {
        token,
        account: user("ann"),
        secret,
        label: "laptop".into(),
        limits: Some(vec![pulls]),
        expires: None,
    };
    house.change(AccessCommand::CreateToken(create)).await;
    let shown = basic("ann", &text);
    let query = "scope=repository:team/app:pull,push&scope=repository:team/web:pull";
    let answer = house.get(Some(&shown), query).await.expect(200);
    assert_eq!(answer.field("scope"), "repository:team/app:pull");
    assert!(!answer.text.contains(&**text));
}

#[tokio::test]
async fn token_that_was_given_ends_with_its_account() {
    let house = House::new().await;
    let ann = basic("ann", PASSWORD);
    let query = format!("scope={TEAM}");
    house.get(Some(&ann), &query).await.expect(200);
    house
        .change(AccessCommand::EndProofs {
            account: user("ann"),
        })
        .await;
    // What is remembered of the password is of before; it is looked at once more, and is right.
    let answer = house.get(Some(&ann), &query).await.expect(200);
    let shown = format!("Bearer {}", answer.field("token"));
    let soon = Deadline::now() + std::time::Duration::from_secs(10);
    let admitted = house.doorkeeper.admit(Some(&shown), soon).await;
    let admitted = admitted.expect("it counts");
    assert!(admitted.covers(&repository("team/app"), Right::Push));
    assert!(
        admitted
            .scopes
            .is_some_and(|scopes| !scopes.contains(&Scope::Catalog))
    );
    house
        .change(AccessCommand::DeleteUser { user: user("ann") })
        .await;
    house.get(Some(&ann), &query).await.expect(401);
    let _ = project("team");
}
