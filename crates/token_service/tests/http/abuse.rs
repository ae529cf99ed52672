//! Those who guess, ask for too much, or measure time.

use std::time::{Duration, Instant};

use auth::SCOPES_MAX;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;

use crate::house::{House, PASSWORD, basic, from};

#[tokio::test]
async fn guesses_are_held_up_where_they_come_from_and_nowhere_else() {
    let house = House::new().await;
    let entries = house.log.commands().len();
    let (right, wrong) = (basic("ann", PASSWORD), basic("ann", "wrong password"));
    for _ in 0..6 {
        house.get(Some(&wrong), "").await.expect(401);
    }
    for _ in 0..100 {
        let held = house.get(Some(&wrong), "").await.expect(429);
        let wait: u64 = held.header("retry-after").parse().expect("seconds");
        assert!((1..=300).contains(&wait), "{wait}");
        assert_eq!(held.json()["errors"][0]["code"], "TOOMANYREQUESTS");
        assert_eq!(held.field("error"), "temporarily_unavailable");
    }
    // Nor does the right one help there, and the form is no other way.
    house.get(Some(&right), "").await.expect(429);
    let form = "grant_type=password&username=ann&password=a+long+password";
    house.post(form).await.expect(429);
    // Others from there, and the same from elsewhere, are not held up.
    let bob = basic("bob", PASSWORD);
    house.get(Some(&bob), "").await.expect(200);
    house.get_from(from(2), Some(&right), "").await.expect(200);
    // None of it came into the log.
    assert_eq!(house.log.commands().len(), entries);
}

#[tokio::test]
async fn who_was_right_a_moment_ago_is_not_held_up_by_a_neighbour() {
    let house = House::new().await;
    let (right, wrong) = (basic("ann", PASSWORD), basic("ann", "wrong password"));
    house.get(Some(&right), "").await.expect(200);
    for _ in 0..20 {
        house.get(Some(&wrong), "").await;
    }
    house.get(Some(&wrong), "").await.expect(429);
    house.get(Some(&right), "").await.expect(200);
}

#[tokio::test]
async fn flood_of_bad_logins_leaves_the_log_where_it_was() {
    let house = House::patient().await;
    let entries = house.log.commands().len();
    for number in 0..10 {
        let name = format!("user{number}");
        house
            .get(Some(&basic(&name, "guess")), "")
            .await
            .expect(401);
        house.get(Some(&basic("ann", &name)), "").await.expect(401);
        let form = format!("grant_type=refresh_token&refresh_token={name}");
        house.post(&form).await.expect(400);
    }
    assert_eq!(house.log.commands().len(), entries);
}

#[tokio::test]
async fn tricks_of_scopes_get_nothing() {
    let house = House::new().await;
    let admin = basic("admin", PASSWORD);
    for scope in [
        "repository:../x:pull",
        "repository:team/../other:pull",
        "*",
        "*:*:*",
        "repository:*:pull",
        "repository:team/*:pull",
        "repository:team/app:own,maintain,admin",
        "registry:catalog:pull",
        "registry:*:*",
        "repository:TEAM/app:pull",
        "repository:team%00/app:pull",
        "%F0%9F%A6%80",
    ] {
        let query = format!("scope={scope}");
        let answer = house.get(Some(&admin), &query).await.expect(200);
        assert_eq!(answer.field("scope"), "", "{scope}");
        assert!(house.scopes(&answer.field("token")).await.is_empty());
    }
    let query = "scope=repository(plugin):team/app:pull";
    let answer = house.get(Some(&admin), query).await.expect(200);
    assert_eq!(answer.field("scope"), "repository:team/app:pull");
}

#[tokio::test]
async fn how_much_is_asked_for_is_bounded() {
    let house = House::new().await;
    let admin = basic("admin", PASSWORD);
    let many = |count: usize| {
        let scopes = (0..count).map(|number| format!("repository:team/r{number}:pull,push"));
        scopes.collect::<Vec<_>>()
    };
    let thousand = many(1_000);
    let joined = format!("scope={}", thousand.join("%20"));
    let answer = house.get(Some(&admin), &joined).await.expect(400);
    assert_eq!(answer.field("error"), "invalid_scope");
    let repeated = format!("scope={}", thousand[..200].join("&scope="));
    house.get(Some(&admin), &repeated).await.expect(400);
    let most = format!("scope={}", many(SCOPES_MAX).join("%20"));
    let answer = house.get(Some(&admin), &most).await.expect(200);
    let token = answer.field("token");
    assert_eq!(house.scopes(&token).await.len(), SCOPES_MAX);

    let mebibyte = format!("grant_type=password&scope={}", "a".repeat(1024 * 1024));
    let answer = house.post(&mebibyte).await.expect(400);
    assert!(answer.text.len() < 1_000, "it is not told what was sent");
    let request = Request::post("/token")
        .header(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=utf-8",
        )
        .body(Body::from("&".repeat(60_000)));
    let request = request.expect("a request");
    house.send(request, from(1)).await.expect(400);
}

/// Nobody can be found out by the clock: a name that nobody has takes as long as a wrong password.
#[tokio::test]
async fn unknown_name_takes_as_long_as_a_wrong_password() {
    let house = House::patient().await;
    let taken = async |name: &str, number: u32| {
        let shown = basic(name, &format!("wrong password {number}"));
        let begun = Instant::now();
        house.get(Some(&shown), "").await.expect(401);
        begun.elapsed()
    };
    let (mut known, mut unknown, mut impossible) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..9 {
        known.push(taken("ann", number).await);
        unknown.push(taken("zoe", number).await);
        impossible.push(taken("../etc", number).await);
    }
    let middle = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    };
    let known = middle(&mut known);
    for other in [middle(&mut unknown), middle(&mut impossible)] {
        let ratio = other / known;
        assert!((0.6..1.7).contains(&ratio), "{other} s beside {known} s");
    }
}
