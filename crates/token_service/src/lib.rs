//! Docker's token flow: tokens for whoever proves who they are, or does not say, and the keys that prove the tokens.
//!
//! `GET /auth/token` and `POST /auth/token` give a token for what was asked for, cut down to what the account may do now. That
//! is a courtesy, which spares a client a request that would be refused: a token gives no right, and the log decides again at
//! each request. So nothing of an answer may tell whether something exists: what is closed, what is not there and what is no
//! name at all are left out alike. No secret goes into a log or an error, and no answer but the public keys may be kept by a
//! cache. Refresh tokens are signed, and nothing is stored for them: they work while everything but the log is away.
//!
//! Spec: "Token Authentication Specification" and "OAuth2 Token Authentication" of the distribution project, RFC 6749 sections
//! 4.3, 5 and 6, RFC 7517. PROTOCOLS, "Rights".

mod browser;
mod fields;
mod given;
mod keys;
mod problem;
mod request;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use auth::{Doorkeeper, Gate, Signer};
use axum::Router;
use axum::http::header::CACHE_CONTROL;
use axum::http::{Extensions, HeaderValue};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use front::ClientPlace;
use ports::{Deadline, LoginGate};
use registry::Registry;

use problem::Problem;

/// What tokens are given with.
pub struct Parts {
    /// Whom the log is asked through for what an account may do.
    pub registry: Registry,
    /// Who makes sure of names and secrets, and knows the keys.
    pub doorkeeper: Arc<Doorkeeper>,
    /// Who signs.
    pub signer: Arc<dyn Signer>,
    /// How often a secret may be tried.
    pub logins: Arc<dyn LoginGate>,
    /// How long one request may take.
    pub hold: Duration,
}

impl Parts {
    fn deadline(&self) -> Deadline {
        Deadline::now() + self.hold
    }

    fn gate(&self) -> Gate<'_> {
        Gate::Waiting(&*self.logins)
    }
}

/// The service, to be mounted below `/auth`. Each request brings where it comes from as a [`ClientPlace`] among its extensions.
pub fn router(parts: Parts) -> Router {
    Router::new()
        .route("/token", get(request::by_query).post(request::by_form))
        .route("/keys", get(keys::show))
        .merge(browser::routes())
        .fallback(async || Problem::no_endpoint())
        .method_not_allowed_fallback(async || Problem::method())
        .layer(map_response(unkept))
        .with_state(Arc::new(parts))
}

/// What says nothing else is kept by nobody.
async fn unkept(mut response: Response) -> Response {
    let never = HeaderValue::from_static("no-store");
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(never);
    response
}

/// Where a request comes from. Whoever comes from nowhere is counted with all others who do.
fn address(extensions: &Extensions) -> IpAddr {
    let place = extensions.get::<ClientPlace>();
    place.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |place| place.address)
}
