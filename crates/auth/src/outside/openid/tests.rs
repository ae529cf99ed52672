//! Against a provider of the tests' own, which speaks real HTTPS with real signatures and can be told to lie.

mod provider_fixture;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use metadata::access::Source;
use serde_json::{Value, json};

use super::*;
use crate::outside::fixture::{Kind, NOW_S, Signer, now};
use crate::outside::login::Login;
use provider_fixture::{CLIENT_SECRET, Fixture};

const BACK: &str = "https://registry.example.org/auth/callback";

/// A whole login: begins it, lets the provider log somebody in, and comes back.
async fn log_in(fixture: &Fixture, provider: &Provider) -> Result<Login, OpenIdError> {
    let (address, pending) = provider.begin(BACK, now()).await?;
    let callback = fixture.consent(&address);
    provider.finish(&pending, &callback, now()).await
}

fn settings(fixture: &Fixture) -> OpenIdSettings {
    let mut settings = fixture.settings();
    settings.groups_claim = Some("groups".to_owned());
    settings
}

#[tokio::test]
async fn person_logs_in_with_name_address_and_groups() {
    for kind in [Kind::Rsa, Kind::P256] {
        let fixture = Fixture::start(kind).await;
        let provider = Provider::new(settings(&fixture)).unwrap();
        let login = log_in(&fixture, &provider).await.unwrap();
        assert_eq!(login.user.as_str(), "ann");
        assert_eq!(login.email.as_deref(), Some("ann@example.org"));
        let groups: Vec<String> = login
            .groups
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(groups, ["dev", "ops"]);
        let source = Source::OpenId {
            issuer: fixture.issuer().into(),
            subject: "subject-1".into(),
        };
        assert_eq!(login.source, source);
        // What the provider saw: the secret in the header, and the verifier of the challenge (checked there).
        assert_eq!(fixture.exchanges.load(SeqCst), 1);
    }
}

#[tokio::test]
async fn secret_goes_into_the_form_for_providers_that_want_it_there() {
    let fixture = Fixture::start(Kind::P256).await;
    fixture.document(json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}));
    let provider = Provider::new(settings(&fixture)).unwrap();
    assert!(log_in(&fixture, &provider).await.is_ok());
}

#[tokio::test]
async fn code_serves_one_login_and_not_twice() {
    let fixture = Fixture::start(Kind::P256).await;
    let provider = Provider::new(settings(&fixture)).unwrap();
    let (address, pending) = provider.begin(BACK, now()).await.unwrap();
    let callback = fixture.consent(&address);
    // Somebody else's browser brings it.
    let (_, of_other) = provider.begin(BACK, now()).await.unwrap();
    let stolen = provider.finish(&of_other, &callback, now()).await;
    assert!(matches!(stolen, Err(OpenIdError::State)));
    let mut forced = callback.clone();
    forced.state = Some(of_other.state.clone());
    let stolen = provider.finish(&of_other, &forced, now()).await;
    assert!(matches!(stolen, Err(OpenIdError::Refused(why)) if why == "invalid_grant"));
    // The code is spent by the attempt.
    let again = provider.finish(&pending, &callback, now()).await;
    assert!(matches!(again, Err(OpenIdError::Refused(_))));
}

#[tokio::test]
async fn id_token_that_is_not_for_this_login_is_refused() {
    let cases = [
        ("iss", json!("https://evil.example.org"), ProofError::Issuer),
        ("aud", json!("other"), ProofError::Audience),
        ("aud", json!(["holdfast", "other"]), ProofError::Audience),
        ("azp", json!("other"), ProofError::Audience),
        ("exp", json!(NOW_S - 61), ProofError::Expired),
        ("nbf", json!(NOW_S + 61), ProofError::TooEarly),
        ("nonce", json!("other"), ProofError::Nonce),
        ("nonce", Value::Null, ProofError::Nonce),
    ];
    let fixture = Fixture::start(Kind::P256).await;
    let provider = Provider::new(settings(&fixture)).unwrap();
    for (claim, value, expected) in cases {
        fixture.claims(json!({claim: value}));
        let refused = log_in(&fixture, &provider).await;
        assert!(
            matches!(refused, Err(OpenIdError::Proof(why)) if why == expected),
            "{claim}: {refused:?}"
        );
    }
    fixture.claims(json!({"aud": ["holdfast", "other"], "azp": "holdfast"}));
    assert!(log_in(&fixture, &provider).await.is_ok());
}

#[tokio::test]
async fn names_that_are_not_sure_are_refused() {
    let fixture = Fixture::start(Kind::P256).await;
    let mut by_email = settings(&fixture);
    by_email.user_claim = "email".to_owned();
    let provider = Provider::new(by_email.clone()).unwrap();
    assert!(log_in(&fixture, &provider).await.is_ok());
    for unverified in [json!(false), json!("true"), Value::Null] {
        fixture.claims(json!({"email_verified": unverified}));
        let refused = log_in(&fixture, &provider).await;
        assert!(matches!(
            refused,
            Err(OpenIdError::Login(LoginError::UnverifiedEmail))
        ));
    }
    by_email.accept_unverified_email = true;
    assert!(
        log_in(&fixture, &Provider::new(by_email).unwrap())
            .await
            .is_ok()
    );
    fixture.claims(json!({"preferred_username": "robot$team+ci"}));
    let provider = Provider::new(settings(&fixture)).unwrap();
    let refused = log_in(&fixture, &provider).await;
    assert!(matches!(
        refused,
        Err(OpenIdError::Login(LoginError::NotAName(_)))
    ));
    fixture.claims(json!({"sub": ""}));
    assert!(matches!(
        log_in(&fixture, &provider).await,
        Err(OpenIdError::Nonsense(_))
    ));
}

#[tokio::test]
async fn what_the_token_lacks_is_asked_for_and_must_be_about_the_same_user() {
    let fixture = Fixture::start(Kind::P256).await;
    let provider = Provider::new(settings(&fixture)).unwrap();
    fixture.claims(json!({"groups": Value::Null}));
    fixture
        .user_info(json!({"sub": "subject-1", "groups": ["told"], "preferred_username": "evil"}));
    let login = log_in(&fixture, &provider).await.unwrap();
    assert_eq!(login.user.as_str(), "ann", "what was signed stays");
    assert_eq!(login.groups.unwrap()[0].as_str(), "told");
    fixture.user_info(json!({"sub": "subject-2", "groups": ["told"]}));
    assert!(matches!(
        log_in(&fixture, &provider).await,
        Err(OpenIdError::Nonsense(_))
    ));
    // Whoever is in no group any more is in none here.
    fixture.user_info(json!({"sub": "subject-1"}));
    let login = log_in(&fixture, &provider).await.unwrap();
    assert_eq!(login.groups, Some(Vec::new()));
}

#[tokio::test]
async fn new_key_is_fetched_once_and_unknown_ones_not_again_and_again() {
    let fixture = Fixture::start(Kind::P256).await;
    let workloads = Workloads::new(vec![fixture.workload()]).unwrap();
    let verify = async |token: &str| workloads.verify(token, now()).await;
    assert!(verify(&fixture.job(json!({}))).await.is_ok());
    assert_eq!(fixture.key_fetches.load(SeqCst), 1);
    for number in 0..20 {
        let unknown = Signer::draw(Kind::P256);
        let token = unknown.token(
            json!({"kid": format!("k{number}")}),
            &fixture.job_claims(json!({})),
        );
        let refused = verify(&token).await;
        assert!(matches!(
            refused,
            Err(OpenIdError::Proof(ProofError::UnknownKey))
        ));
    }
    assert_eq!(
        fixture.key_fetches.load(SeqCst),
        1,
        "it was asked within the minute"
    );
    assert!(verify(&fixture.job(json!({}))).await.is_ok());
}

#[tokio::test]
async fn token_that_is_for_one_place_is_not_shown_to_another() {
    let fixture = Fixture::start(Kind::P256).await;
    let provider = Provider::new(settings(&fixture)).unwrap();
    fixture.claims(json!({"groups": Value::Null}));
    fixture.user_info(json!("elsewhere"));
    let login = log_in(&fixture, &provider).await.unwrap();
    assert_eq!(login.groups.unwrap()[0].as_str(), "told");
}

#[tokio::test]
async fn rotated_key_is_followed_and_the_removed_one_counts_no_more() {
    let mut fixture = Fixture::start(Kind::P256).await;
    let workloads = Workloads::new(vec![fixture.workload()]).unwrap();
    let old = fixture.job(json!({}));
    assert!(workloads.verify(&old, now()).await.is_ok());
    fixture.rotate("key-2");
    let new = fixture.job(json!({}));
    let at_once = workloads.verify(&new, now()).await;
    assert!(matches!(
        at_once,
        Err(OpenIdError::Proof(ProofError::UnknownKey))
    ));
    workloads.make_older(Duration::from_secs(60));
    assert!(workloads.verify(&new, now()).await.is_ok());
    assert_eq!(fixture.key_fetches.load(SeqCst), 2);
    let removed = workloads.verify(&old, now()).await;
    assert!(matches!(
        removed,
        Err(OpenIdError::Proof(ProofError::UnknownKey))
    ));
    // An hour later they are renewed without a reason; when that fails, they go on counting.
    workloads.make_older(Duration::from_secs(3600));
    assert!(workloads.verify(&new, now()).await.is_ok());
    assert_eq!(fixture.key_fetches.load(SeqCst), 3);
    fixture.stop().await;
    for _ in 0..3 {
        workloads.make_older(Duration::from_secs(3600));
        assert!(workloads.verify(&new, now()).await.is_ok());
    }
}

#[tokio::test]
async fn provider_that_is_gone_ends_nothing_that_was_known() {
    let mut fixture = Fixture::start(Kind::P256).await;
    let workloads = Workloads::new(vec![fixture.workload()]).unwrap();
    let early = fixture.job(json!({}));
    assert!(workloads.verify(&early, now()).await.is_ok());
    let unknown = Workloads::new(vec![fixture.workload()]).unwrap();
    fixture.stop().await;
    assert!(workloads.verify(&early, now()).await.is_ok());
    let first = unknown.verify(&early, now()).await.unwrap_err();
    assert!(
        matches!(first, OpenIdError::Fetch(_)) && first.is_retryable(),
        "{first}"
    );
    let second = unknown.verify(&early, now()).await.unwrap_err();
    assert!(
        matches!(second, OpenIdError::Away) && second.is_retryable(),
        "{second}"
    );
}

#[tokio::test]
async fn job_acts_as_the_first_rule_says_that_fits() {
    let fixture = Fixture::start(Kind::Rsa).await;
    let workloads = Workloads::new(vec![fixture.workload()]).unwrap();
    let acts = async |changes: Value| {
        let proof = workloads.verify(&fixture.job(changes), now()).await;
        proof.map(|proof| proof.account.to_string())
    };
    assert_eq!(acts(json!({})).await.unwrap(), "robot$team+release");
    assert_eq!(
        acts(json!({"ref": "refs/heads/try"})).await.unwrap(),
        "robot$team+ci"
    );
    for foreign in [
        json!({"repository": "evil/app"}),
        json!({"repository": "team/app/../../x", "ref": 7}),
        json!({"repository": Value::Null}),
    ] {
        assert!(matches!(acts(foreign).await, Err(OpenIdError::NoRule)));
    }
    let for_other = acts(json!({"aud": "elsewhere"})).await;
    assert!(matches!(
        for_other,
        Err(OpenIdError::Proof(ProofError::Audience))
    ));
    let of_other = acts(json!({"iss": "https://evil.example.org"})).await;
    assert!(matches!(
        of_other,
        Err(OpenIdError::Proof(ProofError::Issuer))
    ));
    assert!(workloads.knows_issuer_of(&fixture.job(json!({}))));
    assert!(!workloads.knows_issuer_of("hfp_secret"));
}

#[tokio::test]
async fn id_token_of_a_person_is_no_token_of_a_job() {
    let fixture = Fixture::start(Kind::P256).await;
    let workloads = Workloads::new(vec![fixture.workload()]).unwrap();
    let token = fixture.job(json!({"aud": "holdfast"}));
    let refused = workloads.verify(&token, now()).await;
    assert!(matches!(
        refused,
        Err(OpenIdError::Proof(ProofError::Audience))
    ));
}

#[tokio::test]
async fn provider_that_lies_about_itself_is_not_believed() {
    for lie in [
        json!({"issuer": "https://evil.example.org"}),
        json!({"token_endpoint": "http://evil.example.org/token"}),
        json!({"jwks_uri": "file:///etc/passwd"}),
        json!({"jwks_uri": Value::Null}),
    ] {
        let fixture = Fixture::start(Kind::P256).await;
        fixture.document(lie.clone());
        let provider = Provider::new(settings(&fixture)).unwrap();
        let refused = provider.begin(BACK, now()).await;
        assert!(matches!(refused, Err(OpenIdError::Nonsense(_))), "{lie}");
    }
}

#[tokio::test]
async fn answers_without_end_and_redirects_without_end_are_given_up() {
    let fixture = Fixture::start(Kind::P256).await;
    let begun = async |answer: &str| {
        fixture.instead_of_document(answer);
        let provider = Provider::new(settings(&fixture)).unwrap();
        provider.begin(BACK, now()).await.map(drop)
    };
    let large = begun("large").await;
    assert!(
        matches!(large, Err(OpenIdError::Fetch(FetchError::BadBody { .. }))),
        "{large:?}"
    );
    let circle = begun("circle").await;
    assert!(
        matches!(
            circle,
            Err(OpenIdError::Fetch(FetchError::BadRedirect { .. }))
        ),
        "{circle:?}"
    );
    let weaker = begun("weaker").await;
    assert!(
        matches!(
            weaker,
            Err(OpenIdError::Fetch(FetchError::BadRedirect { .. }))
        ),
        "{weaker:?}"
    );
    let error = begun("error").await;
    assert!(
        matches!(error, Err(OpenIdError::Fetch(FetchError::Status { .. }))),
        "{error:?}"
    );
    let mute = begun("mute").await;
    assert!(
        matches!(mute, Err(OpenIdError::Fetch(FetchError::TooSlow { .. }))),
        "{mute:?}"
    );
}

#[tokio::test]
async fn only_the_authority_that_is_named_is_trusted() {
    let fixture = Fixture::start(Kind::P256).await;
    let other = Fixture::start(Kind::P256).await;
    let mut settings = settings(&fixture);
    settings.authority = other.settings().authority;
    let provider = Provider::new(settings).unwrap();
    let refused = provider.begin(BACK, now()).await;
    assert!(matches!(
        refused,
        Err(OpenIdError::Fetch(FetchError::Unreachable { .. }))
    ));
}

#[tokio::test]
async fn secrets_show_in_no_error() {
    let fixture = Fixture::start(Kind::P256).await;
    let provider = Provider::new(settings(&fixture)).unwrap();
    let (address, pending) = provider.begin(BACK, now()).await.unwrap();
    let mut callback = fixture.consent(&address);
    callback.code = Some("planted-code".to_owned());
    let error = provider
        .finish(&pending, &callback, now())
        .await
        .unwrap_err();
    let shown = format!(
        "{error} {error:?} {pending:?} {callback:?} {:?}",
        provider.settings()
    );
    for secret in [
        "planted-code",
        CLIENT_SECRET,
        &pending.state,
        &pending.verifier,
        &pending.nonce,
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let settings = |changes: Value| {
        let mut all = json!({"issuer": "https://id.example.org", "client_id": "holdfast"});
        all.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        Provider::new(serde_json::from_value(all).unwrap()).map(drop)
    };
    for bad in [
        json!({"client_id": ""}),
        json!({"issuer": "http://id.example.org"}),
        json!({"issuer": "nonsense"}),
        json!({"name": {"form": "ann"}}),
        json!({"timeout_ms": 0}),
        json!({"client_secret_file": "/nowhere/at/all"}),
    ] {
        let refused = settings(bad.clone());
        assert!(
            matches!(
                refused,
                Err(OpenIdError::Settings(_) | OpenIdError::Trust(_))
            ),
            "{bad}"
        );
    }
}
