//! What is given: a token for what is both asked for and allowed now, in one look into the log.
//!
//! What somebody may not do is left out without a word, and the log is asked in the same way whatever was asked for: there is
//! nothing to be learned from the answer, but what one may do.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use auth::{ACCESS_LIFE, Admitted, Claims, Proved, Purpose, REFRESH_LIFE, Scope, intersection};
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use metadata::access::{AccessAnswer, AccessQuery, Asker, Need, Who};
use ports::Deadline;
use registry::Caller;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Parts;
use crate::problem::Problem;

/// What a token is asked for with.
pub(crate) struct Asked {
    /// What it is to be good for.
    pub(crate) scopes: Vec<Scope>,
    /// Whether a refresh token is wanted, too.
    pub(crate) wants_refresh: bool,
}

/// Which refresh token is given to whoever wants one.
#[derive(Clone, Copy)]
pub(crate) enum Renewal<'a> {
    /// A new one.
    New,
    /// The one that was shown.
    Same(&'a str),
}

/// The answer, with the names of both specifications.
#[derive(Serialize)]
struct Given<'a> {
    token: &'a str,
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    issued_at: String,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

/// Gives a token to whoever was admitted.
///
/// # Errors
/// The log says that the proof has ended, or a part does not answer.
pub(crate) async fn token(
    parts: &Parts,
    admitted: &Admitted,
    from: IpAddr,
    asked: &Asked,
    renewal: Renewal<'_>,
    deadline: Deadline,
) -> Result<Response, Problem> {
    let account = match &admitted.who {
        Who::Anonymous => None,
        Who::Account {
            name,
            generation,
            token,
            ..
        } => Some(Proved {
            name: name.clone(),
            generation: *generation,
            token: *token,
        }),
        // For them tokens are made elsewhere.
        Who::Outside(_) => return Err(Problem::not_basic()),
    };
    let claims = Claims {
        account,
        scopes: allowed(parts, admitted, from, asked.scopes.clone(), deadline).await?,
    };
    let issued = OffsetDateTime::from(SystemTime::now());
    let life = life(admitted.until, issued.into());
    let token = parts
        .signer
        .sign(Purpose::Access, &claims, life, deadline)
        .await?;
    let wants_refresh = asked.wants_refresh && claims.account.is_some();
    let refresh = match renewal {
        _ if !wants_refresh => None,
        Renewal::Same(shown) => Some(shown.to_owned()),
        // What ends by itself, as a job's token does, is not made longer.
        Renewal::New if admitted.until.is_some() => None,
        Renewal::New => {
            let claims = Claims {
                account: claims.account.clone(),
                scopes: Vec::new(),
            };
            let signed = parts
                .signer
                .sign(Purpose::Refresh, &claims, REFRESH_LIFE, deadline);
            Some(signed.await?)
        }
    };
    let issued = issued.replace_nanosecond(0).unwrap_or(issued);
    Ok(written(&Given {
        token: &token,
        access_token: &token,
        token_type: "Bearer",
        expires_in: life.as_secs(),
        issued_at: issued.format(&Rfc3339).unwrap_or_default(),
        scope: scope(&claims.scopes),
        refresh_token: refresh.as_deref(),
    }))
}

/// How long a token counts that is given for a proof which ends then.
fn life(until: Option<SystemTime>, now: SystemTime) -> Duration {
    let left = until.map(|until| until.duration_since(now).unwrap_or_default());
    left.map_or(ACCESS_LIFE, |left| left.min(ACCESS_LIFE))
}

/// What is both asked for and allowed.
async fn allowed(
    parts: &Parts,
    admitted: &Admitted,
    from: IpAddr,
    asked: Vec<Scope>,
    deadline: Deadline,
) -> Result<Vec<Scope>, Problem> {
    let needs = asked.iter().flat_map(|scope| match scope {
        Scope::Repository(repository, rights) => {
            let need = |right| Need::Repository(repository.clone(), right);
            rights.iter().copied().map(need).collect()
        }
        Scope::Catalog => Vec::new(),
    });
    let asker = Asker {
        who: admitted.who.clone(),
        from: Some(from),
    };
    let caller = Caller::asking(asker, false, deadline);
    let query = AccessQuery::Rights {
        needs: needs.collect(),
    };
    let answered = parts.registry.ask_access(&caller, query).await?;
    let Some(AccessAnswer::Rights(rights)) = answered else {
        return Err(Problem::unexpected(&answered));
    };
    // In the order in which the needs were made.
    let mut rights = rights.into_iter();
    Ok(intersection(asked, |_, _| rights.next() == Some(true)))
}

/// Scopes as they are asked for.
fn scope(scopes: &[Scope]) -> String {
    let texts = scopes.iter().map(Scope::to_string);
    texts.collect::<Vec<_>>().join(" ")
}

fn written(given: &Given<'_>) -> Response {
    let text = serde_json::to_vec(given).expect("texts and numbers are JSON");
    let headers: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];
    (headers, text).into_response()
}
