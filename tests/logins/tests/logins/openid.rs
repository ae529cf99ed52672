//! A login by an OpenID provider that somebody else wrote: discovery, keys, the code flow, and what it tells of a user. Providers
//! that lie, HTTPS and PKCE are tested with one of the tests' own, in the crate `auth`.

use std::time::SystemTime;

use crate::provider::{Running, press, start};
use auth::outside::openid::{Callback, OpenIdError, OpenIdSettings, Provider};
use metadata::access::Source;
use serde_json::{Value, json};

const BACK: &str = "https://registry.example.org/auth/openid/callback";
fn settings(running: &Running, changes: Value) -> OpenIdSettings {
    let mut all = json!({
        "issuer": format!("http://{}", running.address),
        "client_id": "holdfast",
        "client_secret_file": running.secret_file(),
        "groups_claim": "groups",
    });
    let changes = changes.as_object().expect("an object").clone();
    all.as_object_mut().expect("an object").extend(changes);
    serde_json::from_value(all).expect("settings of OpenID")
}

fn callback(location: &str) -> Callback {
    let query = location.split_once('?').map_or("", |(_, query)| query);
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut found = pairs.filter(|(key, _)| *key == name);
        found.next().map(|(_, value)| value.to_owned())
    };
    Callback {
        code: value("code"),
        state: value("state"),
        iss: None,
        error: value("error"),
    }
}

#[tokio::test]
async fn person_logs_in_by_a_provider_that_somebody_else_wrote() {
    let running = start().unwrap();
    let provider = Provider::new(settings(&running, json!({}))).unwrap();
    let now = SystemTime::now();
    let (address, pending) = provider.begin(BACK, now).await.unwrap();
    let location = press(&running, address.as_str(), "sub=subject-1").unwrap();
    assert!(location.starts_with(BACK), "{location}");
    let came_back = callback(&location);
    let login = provider.finish(&pending, &came_back, now).await.unwrap();
    assert_eq!(login.user.as_str(), "ann");
    assert_eq!(login.email.as_deref(), Some("ann@example.org"));
    let groups = login.groups.as_deref().unwrap();
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!(groups[0].as_str(), "dev");
    let source = Source::OpenId {
        issuer: format!("http://{}", running.address).into(),
        subject: "subject-1".into(),
    };
    assert_eq!(login.source, source);
    // The code is spent.
    let again = provider.finish(&pending, &came_back, now).await;
    assert!(matches!(again, Err(OpenIdError::Refused(_))), "{again:?}");
}

#[tokio::test]
async fn refusal_counts_with_the_state_of_the_login_only() {
    let running = start().unwrap();
    let provider = Provider::new(settings(&running, json!({}))).unwrap();
    let now = SystemTime::now();
    let (address, pending) = provider.begin(BACK, now).await.unwrap();
    let location = press(&running, address.as_str(), "action=deny").unwrap();
    let mut came_back = callback(&location);
    assert_eq!(came_back.error.as_deref(), Some("access_denied"));
    // This provider forgets the state.
    assert_eq!(came_back.state, None);
    let refused = provider.finish(&pending, &came_back, now).await;
    assert!(matches!(refused, Err(OpenIdError::State)), "{refused:?}");
    came_back.state = Some(pending.state.clone());
    let refused = provider.finish(&pending, &came_back, now).await;
    assert!(
        matches!(&refused, Err(OpenIdError::Refused(why)) if why == "access_denied"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn token_for_another_client_is_refused() {
    let running = start().unwrap();
    let one = Provider::new(settings(&running, json!({"client_id": "other"}))).unwrap();
    let two = Provider::new(settings(&running, json!({}))).unwrap();
    let now = SystemTime::now();
    let (address, pending) = one.begin(BACK, now).await.unwrap();
    let location = press(&running, address.as_str(), "sub=subject-1").unwrap();
    // The provider refuses the code, or the token that it gives is for `other`.
    let refused = two.finish(&pending, &callback(&location), now).await;
    assert!(
        matches!(
            refused,
            Err(OpenIdError::Refused(_) | OpenIdError::Proof(_))
        ),
        "{refused:?}"
    );
}
