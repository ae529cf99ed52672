//! Web sessions: a password once, and then a cookie that scripts cannot read and other sites cannot send.
//!
//! A session says who asks and nothing of what they may: the log decides that with each request, and refuses a session whose
//! account has got a new password, was locked or logged out since. Everything here may be lost with what keeps sessions, and
//! then people log in again; who shows a name and a secret with each request is never delayed by it. Rules 8.1 and 8.3.
//!
//! Spec: RFC 6265bis (cookies, their prefixes, `SameSite`).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth::{Doorkeeper, NotAdmitted, ProofFailure, Proved};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use front::{ClientPlace, Scheme};
use metadata::LogTime;
use metadata::access::{AccountName, Asker, Need, Who};
use ports::session_store::agent;
use ports::{
    LoginGate, RandomIds, Session, SessionId, SessionKey, SessionKind, SessionLife, SessionStore,
};
use registry::Error;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::Management;
use crate::asking::{Anyone, Asking};
use crate::body::Sent;
use crate::problem::Problem;

/// The cookie of a session by TLS. Browsers take one of such a name only from this very host, and by TLS.
const COOKIE_BY_TLS: &str = "__Host-holdfast-session";
/// The cookie of a session without TLS.
const COOKIE_IN_THE_CLEAR: &str = "holdfast-session";
/// How long a session lasts.
const LIFE: SessionLife = SessionLife {
    idle: Duration::from_secs(8 * 3600),
    total: Duration::from_secs(7 * 24 * 3600),
};

/// With what people are logged in.
#[derive(Clone)]
pub struct Logins {
    /// Who makes sure of a name and a password.
    pub doorkeeper: Arc<Doorkeeper>,
    /// How often that may be tried.
    pub gate: Arc<dyn LoginGate>,
    /// What keeps sessions.
    pub store: Arc<dyn SessionStore>,
}

/// Who logs in.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// The name of a user.
    pub name: String,
    /// Their password; a token or a robot's secret begins no session.
    #[schema(format = Password)]
    pub password: String,
}

/// The session with which a request came.
#[derive(Clone, Copy)]
pub(crate) struct Held(SessionKey);

/// Logs in: the answer sets a cookie, which later requests bring
///
/// For every user, with their password. May be repeated: each time another session begins. It ends by itself after 8 hours without
/// a request and 7 days in all, and with a new password, a lock or a log-out of its user.
#[utoipa::path(post, path = "/sessions", tag = "sessions", operation_id = "create_session", request_body = NewSession, security(()),
    responses((status = 204, description = "The session has begun.", headers(("set-cookie" = String, description = "The session.")))))]
pub(crate) async fn create(
    anyone: Anyone,
    State(state): State<Management>,
    place: Option<Extension<ClientPlace>>,
    headers: HeaderMap,
    Sent(new): Sent<NewSession>,
) -> Result<Response, Problem> {
    let password = Zeroizing::new(new.password);
    let asking = Asking::from_anyone(anyone).await?;
    let logins = state.logins.as_ref().ok_or_else(Problem::no_sessions)?;
    let address = asking.from().unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let proved = proved(logins, &new.name, password, address, &state).await?;
    let asking = asking.become_somebody(proved.who());
    // A user who is locked out has a password that is right, and no session.
    asking.must(Need::Account(proved.name.clone())).await?;
    let id = SessionId::fresh(&RandomIds);
    let session = Session {
        account: proved.name,
        generation: proved.generation,
        kind: SessionKind::Web,
        began: now(),
        address,
        agent: headers.get(USER_AGENT).map_or_else(String::new, |said| {
            agent(&String::from_utf8_lossy(said.as_bytes()))
        }),
    };
    let kept = logins.store.put(&id.key(), &session, LIFE).await;
    kept.map_err(|why| Problem::sessions_away(&why))?;
    let scheme = place.map_or(Scheme::Http, |Extension(place)| place.scheme);
    let cookie = cookie(scheme, &id.reveal(), LIFE.total);
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

/// Logs out: ends the session that the request brings
///
/// For everyone. May be repeated.
#[utoipa::path(delete, path = "/sessions", tag = "sessions", operation_id = "delete_session",
    responses((status = 204, description = "There is no session any more.")))]
pub(crate) async fn delete(
    State(state): State<Management>,
    place: Option<Extension<ClientPlace>>,
    held: Option<Extension<Held>>,
) -> Result<Response, Problem> {
    if let (Some(logins), Some(Extension(Held(key)))) = (&state.logins, held) {
        let ended = logins.store.remove(&key).await;
        ended.map_err(|why| Problem::sessions_away(&why))?;
    }
    let scheme = place.map_or(Scheme::Http, |Extension(place)| place.scheme);
    let cookie = cookie(scheme, "", Duration::ZERO);
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

/// Finds out who asks with a session. Who has shown something else is who that says.
pub(crate) async fn recognise(
    State(state): State<Management>,
    request: Request,
    next: Next,
) -> Response {
    let (mut head, body) = request.into_parts();
    let (Some(logins), Some(id)) = (&state.logins, session(&head)) else {
        return next.run(Request::from_parts(head, body)).await;
    };
    let from = head.extensions.get::<Asker>().and_then(|asker| asker.from);
    let key = id.key();
    match logins.store.get(&key).await {
        Err(why) => return Problem::sessions_away(&why).into_response(),
        Ok(None) => {}
        Ok(Some(session)) => {
            let proved = Proved {
                name: session.account,
                generation: session.generation,
                token: None,
            };
            let who = proved.who();
            head.extensions.insert(Asker { who, from });
            head.extensions.insert(Held(key));
        }
    }
    let is_held = head.extensions.get::<Held>().is_some();
    let response = next.run(Request::from_parts(head, body)).await;
    if is_held && response.status() == StatusCode::UNAUTHORIZED {
        // The log refuses what it was begun with. What cannot be removed now ends by itself.
        drop(logins.store.remove(&key).await);
    }
    response
}

/// The session that a request brings, unless it says in another way who asks.
fn session(head: &Parts) -> Option<SessionId> {
    let asker = head.extensions.get::<Asker>();
    if asker.is_some_and(|asker| asker.who != Who::Anonymous) {
        return None;
    }
    let scheme = head.extensions.get::<ClientPlace>();
    let scheme = scheme.map_or(Scheme::Http, |place| place.scheme);
    let cookies = head.headers.get_all(COOKIE).into_iter();
    let cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
    cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == cookie_name(scheme))
        .and_then(|(_, id)| SessionId::parse(id))
}

/// Who has this password. What somebody typed as a name may be a password: it goes into no log.
async fn proved(
    logins: &Logins,
    name: &str,
    password: Zeroizing<String>,
    address: IpAddr,
    state: &Management,
) -> Result<Proved, Problem> {
    let ticket = logins.gate.begin_login(name, address).await;
    let ticket = ticket.map_err(Problem::too_many_logins)?;
    let deadline = Instant::now() + state.registry.settings().hold;
    let account = AccountName::parse(name).ok();
    match logins.doorkeeper.prove(account, password, deadline).await {
        Ok((proved, until)) => {
            ticket.succeeded();
            // What ends by itself, as a job's token does, would be made longer.
            if proved.token.is_some() || proved.name.is_robot() || until.is_some() {
                let why = "a session begins with a user's password: a token or a robot's secret is sent with each request";
                return Err(Problem::invalid(why));
            }
            Ok(proved)
        }
        Err(NotAdmitted::Unknown(failure)) => {
            ticket.undecided();
            Err(match failure {
                ProofFailure::Busy => auth::PasswordError::Busy.into(),
                ProofFailure::Unavailable { reason } => Error::Unavailable {
                    retry_after: Duration::from_secs(5),
                    reason,
                }
                .into(),
            })
        }
        Err(_) => {
            tracing::info!(%address, "a log-in to the management API failed");
            Err(Problem::wrong_login())
        }
    }
}

fn now() -> LogTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    LogTime(u64::try_from(ms).unwrap_or(u64::MAX))
}

fn cookie_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Https => COOKIE_BY_TLS,
        Scheme::Http => COOKIE_IN_THE_CLEAR,
    }
}

/// A cookie for so long; one that lasts for no time is forgotten.
fn cookie(scheme: Scheme, id: &str, life: Duration) -> HeaderValue {
    let (name, seconds) = (cookie_name(scheme), life.as_secs());
    let secure = match scheme {
        Scheme::Https => "; Secure",
        Scheme::Http => "",
    };
    let text = format!("{name}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::try_from(text).expect("an id is hexadecimal digits");
    value.set_sensitive(true);
    value
}
