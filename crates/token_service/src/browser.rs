//! People who log in by their browsers at an OpenID provider, and leave with what docker and the command line sign in with.
//!
//! 1. `GET /auth/openid/login` sends the browser to the provider. What binds the login to this browser goes along in a cookie.
//! 2. `GET /auth/openid/callback` exchanges the code, has the log note the login, and asks whether a token is wanted. Who it is
//!    stands in a second cookie: a refresh token of a few minutes.
//! 3. `POST /auth/openid/token` makes a personal access token, and shows it once.
//!
//! No node keeps anything of this, so that any of them may take each step, with or without Redis. Making a token is a step of its
//! own, which no other site can have a browser take. A code serves once: a second callback is told to begin again.
//!
//! Spec: OpenID Connect Core 1.0 section 3.1; RFC 6265bis section 4.1.3 (`__Secure-`, `SameSite`).

mod page;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth::outside::openid::{Callback, OpenIdError, Pending};
use auth::outside::{Elsewhere, Found};
use auth::{Claims, Proved, Purpose};
use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::request::Parts as Head;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use front::{ClientPlace, Scheme};
use metadata::access::{AccessCommand, Asker, CreateToken, Who};
use metadata::{LogTime, Reply};
use ports::Deadline;
use registry::Caller;

use crate::{Parts, address};
use page::Trouble;

/// Below which cookies are sent.
const PATH: &str = "/auth/openid";
/// What binds a login to a browser.
const LOGIN: &str = "holdfast-login";
/// Who has logged in.
const PERSON: &str = "holdfast-person";
/// How long somebody may take at the provider.
const LOGIN_LIFE: Duration = Duration::from_secs(600);
/// How long somebody may take to ask for a token.
const PERSON_LIFE: Duration = Duration::from_secs(600);
/// How long a token counts that was made so.
const TOKEN_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const TOKEN_DAYS: u64 = TOKEN_LIFE.as_secs() / (24 * 60 * 60);
/// What such a token is called.
const LABEL: &str = "browser login";

pub(crate) fn routes() -> Router<Arc<Parts>> {
    Router::new()
        .route("/openid/login", get(login))
        .route("/openid/callback", get(callback))
        .route("/openid/token", post(token))
}

/// Those who log in elsewhere, where there is a provider.
fn elsewhere(parts: &Parts) -> Result<&Elsewhere, Trouble> {
    let elsewhere = parts.doorkeeper.elsewhere();
    let with_provider = elsewhere.filter(|elsewhere| elsewhere.outside.openid.is_some());
    with_provider.ok_or(Trouble::NoProvider)
}

fn unavailable(error: impl std::fmt::Display) -> Trouble {
    tracing::warn!(%error, "a login by a browser could not be finished");
    Trouble::Later
}

impl From<OpenIdError> for Trouble {
    fn from(error: OpenIdError) -> Trouble {
        match error {
            OpenIdError::State | OpenIdError::TooLate => Trouble::Again,
            error if error.is_retryable() => unavailable(error),
            OpenIdError::Settings(_) | OpenIdError::Trust(_) | OpenIdError::Nonsense(_) => {
                tracing::error!(%error, "the OpenID provider cannot be used as it is configured");
                Trouble::Misconfigured
            }
            error => {
                tracing::info!(%error, "a login by a browser was refused");
                Trouble::Refused(error.to_string())
            }
        }
    }
}

async fn login(State(parts): State<Arc<Parts>>, request: Request) -> Result<Response, Trouble> {
    let elsewhere = elsewhere(&parts)?;
    let provider = elsewhere
        .outside
        .openid
        .as_ref()
        .ok_or(Trouble::NoProvider)?;
    let place = place(request.extensions());
    let origin = place.and_then(ClientPlace::origin).ok_or(Trouble::Again)?;
    let back = format!("{origin}{PATH}/callback");
    let begun = provider.begin(&back, SystemTime::now());
    let begun = tokio::time::timeout_at(parts.deadline(), begun).await;
    let (address, pending) = begun.map_err(unavailable)??;
    let pending = serde_json::to_vec(&pending).map_err(unavailable)?;
    // It comes back from another site.
    let cookie = Cookie {
        name: LOGIN,
        value: &URL_SAFE_NO_PAD.encode(pending),
        life: LOGIN_LIFE,
        same_site: "Lax",
    };
    let mut reply = StatusCode::SEE_OTHER.into_response();
    let address = HeaderValue::from_str(address.as_str()).map_err(unavailable)?;
    reply.headers_mut().insert(LOCATION, address);
    cookie.set(place, reply.headers_mut());
    Ok(reply)
}

async fn callback(
    State(parts): State<Arc<Parts>>,
    Query(callback): Query<Callback>,
    request: Request,
) -> Result<Response, Trouble> {
    let (head, _) = request.into_parts();
    let elsewhere = elsewhere(&parts)?;
    let provider = elsewhere
        .outside
        .openid
        .as_ref()
        .ok_or(Trouble::NoProvider)?;
    let deadline = parts.deadline();
    let pending = cookie(&head, LOGIN).ok_or(Trouble::Again)?;
    let pending = URL_SAFE_NO_PAD
        .decode(pending)
        .map_err(|_| Trouble::Again)?;
    let pending: Pending = serde_json::from_slice(&pending).map_err(|_| Trouble::Again)?;
    let login = provider.finish(&pending, &callback, SystemTime::now());
    let login = tokio::time::timeout_at(deadline, login).await;
    let login = login.map_err(unavailable)??;
    let Found::Somebody(proved, _) = elsewhere
        .noted(login, deadline)
        .await
        .map_err(unavailable)?
    else {
        return Err(Trouble::OtherSource);
    };
    let name = proved.name.clone();
    let person = Cookie {
        name: PERSON,
        value: &signed(&parts, proved, deadline).await?,
        life: PERSON_LIFE,
        same_site: "Strict",
    };
    let place = place(&head.extensions);
    let mut reply = page::wanted(&name, TOKEN_DAYS);
    Cookie::ended(LOGIN).set(place, reply.headers_mut());
    person.set(place, reply.headers_mut());
    Ok(reply)
}

/// Who has logged in, for themselves to show.
async fn signed(parts: &Parts, proved: Proved, deadline: Deadline) -> Result<String, Trouble> {
    let claims = Claims {
        account: Some(proved),
        scopes: Vec::new(),
    };
    let signed = (parts.signer).sign(Purpose::Refresh, &claims, PERSON_LIFE, deadline);
    signed.await.map_err(unavailable)
}

async fn token(State(parts): State<Arc<Parts>>, request: Request) -> Result<Response, Trouble> {
    let (head, _) = request.into_parts();
    let deadline = parts.deadline();
    let shown = cookie(&head, PERSON).ok_or(Trouble::Again)?;
    let admitted = parts.doorkeeper.refreshed(shown, deadline).await;
    let admitted = admitted.map_err(|_| Trouble::Again)?;
    let Who::Account { name, .. } = admitted.who.clone() else {
        return Err(Trouble::Again);
    };
    let (text, token, secret) = auth::new_access_token();
    let command = AccessCommand::CreateToken(CreateToken {
        token,
        account: name.clone(),
        secret,
        label: LABEL.into(),
        limits: None,
        expires: Some(in_a_token_life()),
    });
    let asker = Asker {
        who: admitted.who,
        from: Some(address(&head.extensions)),
    };
    let caller = Caller::asking(asker, false, deadline);
    match parts.registry.administer(&caller, command).await {
        Ok(Reply::Done) => {}
        Ok(Reply::Refused(refusal)) => return Err(Trouble::Refused(format!("{refusal:?}"))),
        Ok(other) => return Err(unavailable(format!("the log answered {other:?}"))),
        Err(registry::Error::Denied(_)) => return Err(Trouble::Again),
        Err(error) => return Err(unavailable(error)),
    }
    let place = place(&head.extensions);
    let host = place
        .and_then(|place| place.host.as_deref())
        .unwrap_or("HOST");
    let mut reply = page::made(&name, host, &text, TOKEN_DAYS);
    Cookie::ended(PERSON).set(place, reply.headers_mut());
    Ok(reply)
}

/// By this node's clock, which may differ from the log's by less than anybody notices in a month.
fn in_a_token_life() -> LogTime {
    let end = (SystemTime::now() + TOKEN_LIFE).duration_since(UNIX_EPOCH);
    let end = end.map_or(0, |since| since.as_millis());
    LogTime(u64::try_from(end).unwrap_or(u64::MAX))
}

fn place(extensions: &axum::http::Extensions) -> Option<&ClientPlace> {
    extensions.get::<ClientPlace>()
}

/// The name of a cookie: one that only the registry itself can have set, where there is TLS.
fn full_name(name: &str, place: Option<&ClientPlace>) -> String {
    match is_secure(place) {
        true => format!("__Secure-{name}"),
        false => name.to_owned(),
    }
}

fn is_secure(place: Option<&ClientPlace>) -> bool {
    place.is_some_and(|place| place.scheme == Scheme::Https)
}

/// A cookie that is sent back below [`PATH`] only, and that no script reads.
struct Cookie<'a> {
    name: &'a str,
    value: &'a str,
    life: Duration,
    same_site: &'static str,
}

impl Cookie<'_> {
    /// The end of one.
    fn ended(name: &str) -> Cookie<'_> {
        Cookie {
            name,
            value: "",
            life: Duration::ZERO,
            same_site: "Strict",
        }
    }

    fn set(&self, place: Option<&ClientPlace>, headers: &mut HeaderMap) {
        let name = full_name(self.name, place);
        let secure = if is_secure(place) { "; Secure" } else { "" };
        let text = format!(
            "{name}={}; Path={PATH}; Max-Age={}; HttpOnly; SameSite={}{secure}",
            self.value,
            self.life.as_secs(),
            self.same_site,
        );
        let mut value =
            HeaderValue::from_str(&text).expect("names are ours, and values are Base64 with dots");
        value.set_sensitive(true);
        headers.append(SET_COOKIE, value);
    }
}

/// The value of a cookie that came with a request.
fn cookie<'h>(head: &'h Head, name: &str) -> Option<&'h str> {
    let name = full_name(name, place(&head.extensions));
    let all = head.headers.get_all(axum::http::header::COOKIE);
    let pairs = all.iter().filter_map(|header| header.to_str().ok());
    let mut pairs = pairs.flat_map(|header| header.split(';'));
    pairs.find_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}
