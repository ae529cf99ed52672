//! Browsers: what they are refused, and the token that is made for whom a cookie names. A whole login needs a provider, and is in
//! a suite of its own.

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{CONTENT_SECURITY_POLICY, COOKIE, SET_COOKIE};
use metadata::access::AccessCommand;

use crate::house::{Answer, House, PASSWORD, basic, from, user};

impl House {
    async fn browse(&self, method: &str, path: &str, cookie: Option<&str>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        let request = request.body(Body::empty()).expect("a request");
        self.send(request, from(1)).await
    }

    /// Who has logged in, as a browser has it.
    async fn person(&self, name: &str) -> String {
        let query = "service=registry.test&offline_token=true";
        let answer = self.get(Some(&basic(name, PASSWORD)), query).await;
        answer.expect(200).field("refresh_token")
    }
}

/// What a page shows to be copied.
fn shown(answer: &Answer) -> &str {
    let rest = answer
        .text
        .split_once("<pre>")
        .expect("something to copy")
        .1;
    rest.split_once("</pre>").expect("its end").0
}

#[tokio::test]
async fn without_a_provider_nobody_logs_in_by_a_browser() {
    let house = House::new().await;
    for path in ["/openid/login", "/openid/callback?code=c&state=s"] {
        let answer = house.browse("GET", path, None).await.expect(404);
        assert!(answer.text.contains("<h1>"), "{}", answer.text);
        assert!(answer.headers.get(SET_COOKIE).is_none());
    }
}

#[tokio::test]
async fn token_is_made_for_whom_the_cookie_names_and_shown_once() {
    let house = House::new().await;
    let cookie = format!(
        "a=b; __Secure-holdfast-person={}",
        house.person("ann").await
    );
    let answer = house.browse("POST", "/openid/token", Some(&cookie)).await;
    let answer = answer.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.headers.contains_key(CONTENT_SECURITY_POLICY));
    let ended = answer.header("set-cookie");
    assert!(
        ended.contains("__Secure-holdfast-person=; Path=/auth/openid; Max-Age=0; HttpOnly"),
        "{ended}"
    );
    let token = shown(&answer);
    let query = "service=registry.test&scope=repository:team/app:pull";
    let given = house
        .get(Some(&basic("ann", token)), query)
        .await
        .expect(200);
    assert_eq!(given.field("scope"), "repository:team/app:pull");
    house
        .get(Some(&basic("bob", token)), query)
        .await
        .expect(401);
}

#[tokio::test]
async fn cookie_that_does_not_count_makes_no_token() {
    let house = House::new().await;
    let person = house.person("ann").await;
    let access = house
        .get(Some(&basic("ann", PASSWORD)), "")
        .await
        .field("token");
    for cookie in [
        None,
        Some("__Secure-holdfast-person=nonsense".to_owned()),
        // A page without TLS could have set it.
        Some(format!("holdfast-person={person}")),
        // Another kind of token.
        Some(format!("__Secure-holdfast-person={access}")),
    ] {
        let answer = house
            .browse("POST", "/openid/token", cookie.as_deref())
            .await;
        assert!(answer.expect(400).text.contains("Begin again"));
    }
    house
        .change(AccessCommand::EndProofs {
            account: user("ann"),
        })
        .await;
    let cookie = format!("__Secure-holdfast-person={person}");
    house
        .browse("POST", "/openid/token", Some(&cookie))
        .await
        .expect(400);
}
