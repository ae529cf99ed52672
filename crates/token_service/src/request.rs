//! A request for a token: who it is for, as what it shows proves, and what it asks for.
//!
//! `GET` shows a name and a secret by Basic, or nothing; the OAuth2 form shows them, or a refresh token, in its body. What has
//! nothing to do with a token (`account`, `client_id`) is read past: who a token is for is only what was proved.

use std::net::IpAddr;
use std::sync::Arc;

use auth::{Admitted, parse_scopes};
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::Deadline;
use zeroize::Zeroizing;

use crate::fields::{BYTES_MAX, Fields};
use crate::given::{self, Asked, Renewal};
use crate::problem::Problem;
use crate::{Parts, address};

const FORM: &str = "application/x-www-form-urlencoded";

/// What somebody shows to prove who they are.
enum Shown {
    /// A header of Basic, or nothing.
    Secret(Option<Zeroizing<String>>),
    /// A refresh token.
    Refresh(Zeroizing<String>),
}

/// `GET`: as the token specification has it.
pub(crate) async fn by_query(
    State(parts): State<Arc<Parts>>,
    request: Request,
) -> Result<Response, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let fields = Fields::parse(query.as_bytes())?;
    let mut asked = asked(&parts, &fields)?;
    asked.wants_refresh = fields.one("offline_token")? == Some("true");
    let shown = Shown::Secret(basic(request.headers())?);
    let from = address(request.extensions());
    answer(&parts, &shown, from, &asked).await
}

/// `POST`: as OAuth2 has it.
pub(crate) async fn by_form(
    State(parts): State<Arc<Parts>>,
    request: Request,
) -> Result<Response, Problem> {
    let from = address(request.extensions());
    let answered = of_form(&parts, from, request).await;
    answered.map_err(Problem::of_a_grant)
}

async fn of_form(parts: &Parts, from: IpAddr, request: Request) -> Result<Response, Problem> {
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(FORM) {
        return Err(Problem::invalid("the body is no form"));
    }
    let body = to_bytes(request.into_body(), BYTES_MAX).await;
    let fields = Fields::parse(&body.map_err(|_| Problem::too_large())?)?;
    let mut asked = asked(parts, &fields)?;
    asked.wants_refresh = fields.one("access_type")? == Some("offline");
    let shown = match fields.needed("grant_type")? {
        "password" => {
            let (name, secret) = (fields.needed("username")?, fields.needed("password")?);
            let text = Zeroizing::new(format!("{name}:{secret}"));
            let header = format!("Basic {}", STANDARD.encode(text.as_bytes()));
            Shown::Secret(Some(header.into()))
        }
        "refresh_token" => {
            Shown::Refresh(Zeroizing::new(fields.needed("refresh_token")?.to_owned()))
        }
        _ => return Err(Problem::unknown_grant()),
    };
    answer(parts, &shown, from, &asked).await
}

/// What is asked for, and that it is asked of this registry.
fn asked(parts: &Parts, fields: &Fields) -> Result<Asked, Problem> {
    let service = fields.one("service")?;
    if service.is_some_and(|service| service != parts.doorkeeper.service()) {
        return Err(Problem::other_service());
    }
    let scopes = parse_scopes(fields.all("scope"));
    Ok(Asked {
        scopes: scopes.map_err(|error| Problem::scope(&error.to_string()))?,
        wants_refresh: false,
    })
}

/// The header that shows a name and a secret, if one is there.
fn basic(headers: &HeaderMap) -> Result<Option<Zeroizing<String>>, Problem> {
    let Some(shown) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let text = shown.to_str().map_err(|_| Problem::not_basic())?;
    let scheme = text.trim_start().get(..6);
    // A token is not exchanged for another: it would never end.
    match scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic ")) {
        true => Ok(Some(Zeroizing::new(text.to_owned()))),
        false => Err(Problem::not_basic()),
    }
}

async fn answer(
    parts: &Parts,
    shown: &Shown,
    from: IpAddr,
    asked: &Asked,
) -> Result<Response, Problem> {
    let deadline = parts.deadline();
    let renewal = match shown {
        Shown::Secret(_) => Renewal::New,
        // It has its end, which a new one would put off for ever.
        Shown::Refresh(token) => Renewal::Same(token),
    };
    let admitted = admitted(parts, shown, from, deadline).await?;
    match given::token(parts, &admitted, from, asked, renewal, deadline).await {
        Err(problem) if problem.is_of_an_ended_proof() => {
            // What was remembered may be older than what was shown: it is looked at once more.
            parts.doorkeeper.forget(&admitted);
        }
        given => return given,
    }
    let admitted = self::admitted(parts, shown, from, deadline).await?;
    given::token(parts, &admitted, from, asked, renewal, deadline).await
}

async fn admitted(
    parts: &Parts,
    shown: &Shown,
    from: IpAddr,
    deadline: Deadline,
) -> Result<Admitted, Problem> {
    let admitted = match shown {
        Shown::Secret(header) => {
            let header = header.as_ref().map(|header| header.as_str());
            let doorkeeper = &parts.doorkeeper;
            doorkeeper
                .admit_at(parts.gate(), from, header, deadline)
                .await
        }
        Shown::Refresh(token) => parts.doorkeeper.refreshed(token, deadline).await,
    };
    Ok(admitted?)
}
