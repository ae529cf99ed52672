//! Refresh tokens: what they are exchanged for, and what ends them.

use std::time::{Duration, SystemTime};

use auth::{Claims, NewKey, Proved, Purpose, SigningKey, TokenIssuer};
use metadata::access::{AccessCommand, ChangeUser, Role};

use crate::house::{House, PASSWORD, SERVICE, basic, user};

const TEAM: &str = "repository:team/app:pull,push";

impl House {
    /// What docker stores after a login.
    async fn identity_token(&self, name: &str, secret: &str) -> String {
        let query = "service=registry.test&client_id=docker&offline_token=true";
        let answer = self.get(Some(&basic(name, secret)), query).await;
        answer.expect(200).field("refresh_token")
    }

    /// What docker sends with it.
    async fn exchange(&self, refresh: &str) -> crate::house::Answer {
        let form = format!(
            "grant_type=refresh_token&service=registry.test&client_id=docker&refresh_token={refresh}&scope={TEAM}"
        );
        self.post(&form).await
    }

    async fn is_over(&self, refresh: &str) {
        let answer = self.exchange(refresh).await.expect(400);
        assert_eq!(answer.field("error"), "invalid_grant");
        assert_eq!(answer.json()["errors"][0]["code"], "UNAUTHORIZED");
        assert!(!answer.text.contains(refresh));
    }
}

#[tokio::test]
async fn it_is_exchanged_for_what_is_allowed_then() {
    let house = House::new().await;
    let refresh = house.identity_token("ann", PASSWORD).await;
    let answer = house.exchange(&refresh).await.expect(200);
    assert_eq!(answer.field("scope"), TEAM);
    assert!(answer.json().get("refresh_token").is_none());
    assert_eq!(house.scopes(&answer.field("access_token")).await, [TEAM]);
    house.is_now("ann", "team", Some(Role::Guest)).await;
    let answer = house.exchange(&refresh).await.expect(200);
    assert_eq!(answer.field("scope"), "repository:team/app:pull");
    // It is not prolonged.
    let form = format!("grant_type=refresh_token&access_type=offline&refresh_token={refresh}");
    let answer = house.post(&form).await.expect(200);
    assert_eq!(answer.field("refresh_token"), refresh);
    // It is no token for requests.
    let shown = format!("Bearer {refresh}");
    house.get(Some(&shown), "").await.expect(401);
    let soon = ports::Deadline::now() + Duration::from_secs(10);
    assert!(house.doorkeeper.admit(Some(&shown), soon).await.is_err());
}

#[tokio::test]
async fn new_password_ends_it() {
    let house = House::new().await;
    let refresh = house.identity_token("ann", PASSWORD).await;
    let password = house.hash("another password").await;
    let user = user("ann");
    house
        .change(AccessCommand::SetPassword { user, password })
        .await;
    house.is_over(&refresh).await;
    let new = house.identity_token("ann", "another password").await;
    house.exchange(&new).await.expect(200);
}

#[tokio::test]
async fn log_out_ends_it() {
    let house = House::new().await;
    let refresh = house.identity_token("ann", PASSWORD).await;
    let of_bob = house.identity_token("bob", PASSWORD).await;
    let account = user("ann");
    house.change(AccessCommand::EndProofs { account }).await;
    house.is_over(&refresh).await;
    house.exchange(&of_bob).await.expect(200);
}

#[tokio::test]
async fn lock_ends_it_and_so_does_the_end_of_the_account() {
    let house = House::new().await;
    let refresh = house.identity_token("ann", PASSWORD).await;
    house.change(AccessCommand::ChangeUser(lock("ann"))).await;
    house.is_over(&refresh).await;
    let refresh = house.identity_token("bob", PASSWORD).await;
    house
        .change(AccessCommand::DeleteUser { user: user("bob") })
        .await;
    house.is_over(&refresh).await;
}

fn lock(name: &str) -> ChangeUser {
    ChangeUser {
        user: user(name),
        is_admin: None,
        is_disabled: Some(true),
        email: None,
    }
}

#[tokio::test]
async fn end_of_the_personal_token_ends_what_it_gave() {
    let house = House::new().await;
    let (text, token, secret) = auth::new_access_token();
    let create = metadata::access::CreateToken {
        token,
        account: user("ann"),
        secret,
        label: "laptop".into(),
        limits: None,
        expires: None,
    };
    house.change(AccessCommand::CreateToken(create)).await;
    let refresh = house.identity_token("ann", &text).await;
    house.exchange(&refresh).await.expect(200);
    let account = user("ann");
    house
        .change(AccessCommand::DeleteToken { account, token })
        .await;
    house.is_over(&refresh).await;
}

#[tokio::test]
async fn dropped_key_ends_it() {
    let house = House::new().await;
    let refresh = house.identity_token("ann", PASSWORD).await;
    house.exchange(&refresh).await.expect(200);
    let NewKey { public, .. } = NewKey::draw();
    house
        .change(AccessCommand::AddTokenKey {
            after: None,
            public: public.to_vec().into(),
            sealed: b"sealed".to_vec().into(),
        })
        .await;
    house.exchange(&refresh).await.expect(200);
    house
        .change(AccessCommand::DropTokenKey { number: 1 })
        .await;
    house.is_over(&refresh).await;
}

#[tokio::test]
async fn forged_and_foreign_ones_do_not_count() {
    let house = House::new().await;
    let now = SystemTime::now();
    let claims = Claims {
        account: Some(Proved {
            name: user("ann"),
            generation: 0,
            token: None,
        }),
        scopes: Vec::new(),
    };
    let life = Duration::from_secs(300);
    let (names, key) = (&house.signer.names, &house.signer.key);
    let elsewhere = TokenIssuer {
        service: "elsewhere".to_owned(),
        ..names.clone()
    };
    let NewKey { public, private } = NewKey::draw();
    let strange = SigningKey::new(&public, &private).expect("a key that was drawn");
    let nobody = Claims {
        account: None,
        scopes: Vec::new(),
    };
    assert_eq!(names.service, SERVICE);
    let refresh = Purpose::Refresh;
    for (what, token) in [
        (
            "of another service",
            elsewhere.issue(key, refresh, &claims, now, life, 1),
        ),
        (
            "of a strange key",
            names.issue(&strange, refresh, &claims, now, life, 1),
        ),
        (
            "expired",
            names.issue(key, refresh, &claims, now - 2 * life, life, 1),
        ),
        (
            "not yet valid",
            names.issue(key, refresh, &claims, now + life, life, 1),
        ),
        (
            "for requests",
            names.issue(key, Purpose::Access, &claims, now, life, 1),
        ),
        (
            "of nobody",
            names.issue(key, refresh, &nobody, now, life, 1),
        ),
        ("without algorithm", unsigned()),
        ("nothing", "a.b.c".to_owned()),
    ] {
        let answer = house.exchange(&token).await;
        assert_eq!(answer.status.as_u16(), 400, "{what}");
        assert_eq!(answer.field("error"), "invalid_grant", "{what}");
    }
}

/// `alg: none`, for an administrator.
fn unsigned() -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let body = r#"{"iss":"holdfast","aud":"registry.test","sub":"admin","iat":0,"nbf":0,"exp":9999999999,"jti":"0","gen":0}"#;
    let head = r#"{"alg":"none","typ":"refresh+JWT","kid":"x"}"#;
    format!("{}.{}.", part(head), part(body))
}
