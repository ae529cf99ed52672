//! What a provider says of itself, and its keys: fetched, kept, and renewed.
//!
//! What is known goes on counting while it cannot be renewed. A key that is not known asks again, but at most once a minute,
//! whatever is shown to us; a provider that is away is asked seldom, and by one at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Deserialize;
use url::Url;

use super::OpenIdError;
use crate::outside::https::{Fetcher, may_be_asked};
use crate::outside::keys::OutsideKeys;

/// After this, what is known is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(3600);
/// The least time between two tries while something is known.
const PAUSE: Duration = Duration::from_secs(60);
/// The least time between two tries while nothing is.
const PAUSE_WITHOUT: Duration = Duration::from_secs(2);

/// What a provider says of itself.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<Address>,
    token_endpoint: Option<Address>,
    userinfo_endpoint: Option<Address>,
    jwks_uri: Address,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// An address that may be asked.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Address(Url);

impl TryFrom<String> for Address {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Address, &'static str> {
        let url = Url::parse(&text).ok().filter(may_be_asked);
        url.map(Address).ok_or("no https address")
    }
}

/// What is known of a provider.
pub(super) struct Known {
    pub(super) authorization_endpoint: Option<Url>,
    pub(super) token_endpoint: Option<Url>,
    pub(super) userinfo_endpoint: Option<Url>,
    /// Whether it wants the client's secret in the form and not in the header.
    pub(super) wants_secret_in_form: bool,
    /// Whether its answers say whose they are.
    pub(super) answers_name_issuer: bool,
    pub(super) keys: OutsideKeys,
}

/// A provider, as far as it is public.
pub(super) struct Discovery {
    pub(super) issuer: String,
    document: Url,
    pub(super) fetcher: Fetcher,
    state: Mutex<State>,
    /// Held by the one who asks.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    known: Option<Arc<Known>>,
    /// When it was asked last, and when it answered last.
    asked: Option<Instant>,
    answered: Option<Instant>,
}

/// Whether a provider is to be asked (again): `asked` and `answered` are how long ago that was.
fn is_to_be_asked(asked: Option<Duration>, answered: Option<Duration>, knows_key: bool) -> bool {
    let pause = match answered {
        Some(_) => PAUSE,
        None => PAUSE_WITHOUT,
    };
    if asked.is_some_and(|ago| ago < pause) {
        return false;
    }
    !knows_key || answered.is_none_or(|ago| ago >= RENEW_AFTER)
}

impl State {
    fn is_to_be_asked(&self, kid: Option<&str>) -> bool {
        let now = Instant::now();
        let ago = |then: Option<Instant>| then.map(|then| now.saturating_duration_since(then));
        let knows = |known: &Arc<Known>| kid.is_none_or(|kid| known.keys.knows(kid));
        let knows_key = self.known.as_ref().is_some_and(knows);
        is_to_be_asked(ago(self.asked), ago(self.answered), knows_key)
    }
}

impl Discovery {
    pub(super) fn new(issuer: &str, fetcher: Fetcher) -> Result<Discovery, OpenIdError> {
        let wrong = || OpenIdError::Settings(format!("`{issuer}` is no https address"));
        let text = issuer.trim_end_matches('/');
        let document = Url::parse(&format!("{text}/.well-known/openid-configuration"));
        let document = document.map_err(|_| wrong())?;
        let is_plain = document.query().is_none() && document.fragment().is_none();
        if !may_be_asked(&document) || !is_plain {
            return Err(wrong());
        }
        Ok(Discovery {
            issuer: issuer.to_owned(),
            document,
            fetcher,
            state: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        })
    }

    /// What is known, which is renewed before when it is old or has no key called `kid`.
    pub(super) async fn known(&self, kid: Option<&str>) -> Result<Arc<Known>, OpenIdError> {
        let (known, is_to_be_asked) = {
            let state = self.state.lock();
            (state.known.clone(), state.is_to_be_asked(kid))
        };
        if !is_to_be_asked {
            return known.ok_or(OpenIdError::Away);
        }
        // While somebody else renews it, what is known does for a key that is.
        let does = known.filter(|known| kid.is_none_or(|kid| known.keys.knows(kid)));
        let _asking = match (self.asking.try_lock(), does) {
            (Ok(asking), _) => asking,
            (Err(_), Some(known)) => return Ok(known),
            (Err(_), None) => self.asking.lock().await,
        };
        {
            let mut state = self.state.lock();
            if !state.is_to_be_asked(kid) {
                return state.known.clone().ok_or(OpenIdError::Away);
            }
            state.asked = Some(Instant::now());
        }
        let asked = self.ask().await;
        let mut state = self.state.lock();
        match asked {
            Ok(known) => {
                let known = Arc::new(known);
                state.known = Some(Arc::clone(&known));
                state.answered = Some(Instant::now());
                Ok(known)
            }
            Err(error) => match &state.known {
                Some(known) => {
                    let issuer = &self.issuer;
                    tracing::warn!(%issuer, %error, "the keys of an OpenID provider are not renewed; the old ones go on counting");
                    Ok(Arc::clone(known))
                }
                None => Err(error),
            },
        }
    }

    /// As if all that was done had been done so much earlier.
    #[cfg(test)]
    pub(super) fn make_older(&self, by: Duration) {
        let mut state = self.state.lock();
        let older = |then: Option<Instant>| then.and_then(|then| then.checked_sub(by));
        state.asked = older(state.asked);
        state.answered = older(state.answered);
    }

    async fn ask(&self) -> Result<Known, OpenIdError> {
        let document = self.fetcher.get(&self.document, None).await?;
        let document: Document = serde_json::from_slice(&document).map_err(|_| {
            OpenIdError::Nonsense(
                "its discovery document lacks what it must have, or an address in it is not https",
            )
        })?;
        if document.issuer != self.issuer {
            return Err(OpenIdError::Nonsense(
                "it calls itself something else than the `issuer` that is configured",
            ));
        }
        let keys = self.fetcher.get(&document.jwks_uri.0, None).await?;
        let keys = OutsideKeys::from_jwk_set(&keys);
        let methods = &document.token_endpoint_auth_methods_supported;
        let has = |method: &str| methods.iter().any(|one| one == method);
        Ok(Known {
            wants_secret_in_form: has("client_secret_post") && !has("client_secret_basic"),
            answers_name_issuer: document.authorization_response_iss_parameter_supported,
            authorization_endpoint: document.authorization_endpoint.map(|it| it.0),
            token_endpoint: document.token_endpoint.map(|it| it.0),
            userinfo_endpoint: document.userinfo_endpoint.map(|it| it.0),
            keys: keys.map_err(|_| OpenIdError::Nonsense("it has no keys that count here"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_is_asked_when_it_helps_and_not_too_often() {
        let ago = |seconds| Some(Duration::from_secs(seconds));
        for (asked, answered, knows_key, expected) in [
            // Nothing is known.
            (None, None, false, true),
            (ago(1), None, false, false),
            (ago(2), None, false, true),
            // It is known and new.
            (ago(100), ago(100), true, false),
            // A key is not known: once a minute.
            (ago(59), ago(59), false, false),
            (ago(60), ago(60), false, true),
            (ago(10), ago(100), false, false),
            // It is old; a try that failed is not repeated at once.
            (ago(3600), ago(3600), true, true),
            (ago(30), ago(4000), true, false),
            (ago(61), ago(4000), true, true),
        ] {
            let is = is_to_be_asked(asked, answered, knows_key);
            assert_eq!(is, expected, "{asked:?} {answered:?} {knows_key}");
        }
    }
}
