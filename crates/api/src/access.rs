//! Who asks, from what a request shows, and the challenge for those who have to show more.
//!
//! The doorkeeper makes sure who somebody is; whether they may is decided by the log with each call of the use-cases, and a
//! token is held to what it was given for before that. Whoever gets a 401 is told the whole of what their request needs, also
//! in the middle of a push: clients throw the old token away and ask for one with exactly this.
//!
//! Spec: RFC 9110 section 11, RFC 6750 section 3, "Token Authentication Specification" of the distribution project.
//! PROTOCOLS, "Rights".

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use auth::{Admitted, Doorkeeper, Gate, NotAdmitted, ProofFailure, Scope};
use front::ClientPlace;
use http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use metadata::access::{AccessAnswer, AccessQuery, Asker, Denial, Need, Right, Who};
use oci::{ProjectName, RepositoryName};
use registry::{Caller, Error, Registry};
use tokio::time::Instant;

use crate::exchange::Exchange;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::query::Query;
use crate::route::Route;

/// When nobody could check a proof.
const PROVABLE_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What a server asks about who is there. Without it everybody is anonymous.
#[derive(Clone)]
pub struct Access {
    /// Who makes sure.
    pub doorkeeper: Arc<Doorkeeper>,
    /// The name of this registry for whoever gives tokens, the same on every node.
    pub service: String,
}

impl Access {
    /// The log says that what they showed counts no more.
    pub(crate) fn forget(&self, asking: &Asking) {
        self.doorkeeper.forget(&asking.admitted);
    }
}

/// Who asks, and what they showed.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) asker: Asker,
    admitted: Admitted,
}

impl Asking {
    /// Somebody of whom nothing is known but where they are.
    fn anonymous(from: Option<IpAddr>) -> Asking {
        let admitted = Admitted::anonymous();
        Asking::of(admitted, from)
    }

    fn of(admitted: Admitted, from: Option<IpAddr>) -> Asking {
        let asker = Asker {
            who: admitted.who.clone(),
            from,
        };
        Asking { asker, admitted }
    }

    /// Whether what they showed is good for `right` in this repository.
    pub(crate) fn covers(&self, repository: &RepositoryName, right: Right) -> bool {
        self.admitted.covers(repository, right)
    }

    /// Whether what they showed is good for every repository.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.admitted.scopes.is_none()
    }
}

/// Where a client is, as far as the front knows.
fn address(head: &Parts) -> Option<IpAddr> {
    let place = head.extensions.get::<ClientPlace>();
    place.map(|place| place.address)
}

/// Who asks with this request.
///
/// # Errors
/// What they show does not count, or nobody can tell now.
pub(crate) async fn asking(
    access: Option<&Access>,
    limits: Option<&Limits>,
    registry: &Registry,
    head: &Parts,
    deadline: Instant,
) -> Result<Asking, Problem> {
    let from = address(head);
    let Some(access) = access else {
        return Ok(Asking::anonymous(from));
    };
    let doorkeeper = &access.doorkeeper;
    let shown = head.headers.get(AUTHORIZATION);
    let shown = shown.map(|shown| shown.to_str().map_err(|_| NotAdmitted::Malformed));
    let is_known = |shown: &Result<&str, NotAdmitted>| {
        shown
            .as_ref()
            .is_ok_and(|shown| doorkeeper.remembers(shown))
    };
    // Where nobody's rights are asked for, nobody has to prove anything, and no password is hashed for it.
    if shown.as_ref().is_some_and(|shown| !is_known(shown)) && !is_on(registry, deadline).await? {
        return Ok(Asking::anonymous(from));
    }
    let admitted = match (shown, limits) {
        (None, _) => by_certificate(doorkeeper, head, deadline).await,
        (Some(Ok(shown)), Some(limits)) => {
            let gate = Gate::Now(&*limits.gate);
            // Whoever comes from nowhere is counted with all others who do.
            let from = from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let admitted = doorkeeper.admit_at(gate, from, Some(shown), deadline);
            admitted.await
        }
        (Some(Ok(shown)), None) => doorkeeper.admit(Some(shown), deadline).await,
        (Some(Err(malformed)), _) => Err(malformed),
    };
    match admitted {
        Ok(admitted) => Ok(Asking::of(admitted, from)),
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Whom the client's certificate names. A certificate may be there for other reasons, so that one which names nobody is nothing.
async fn by_certificate(
    doorkeeper: &Doorkeeper,
    head: &Parts,
    deadline: Instant,
) -> Result<Admitted, NotAdmitted> {
    let place = head.extensions.get::<ClientPlace>();
    let chain = place.and_then(|place| place.certificates.as_deref());
    let admitted = match chain.and_then(|chain| chain.first()) {
        Some(own) => doorkeeper.admit_certificate(own, deadline).await?,
        None => None,
    };
    Ok(admitted.unwrap_or_else(Admitted::anonymous))
}

/// Whether rights are asked for at all.
async fn is_on(registry: &Registry, deadline: Instant) -> Result<bool, Problem> {
    let caller = Caller::asking(Asker::anonymous(), false, deadline);
    match registry.ask_access(&caller, AccessQuery::Access).await? {
        Some(AccessAnswer::Access { is_on, .. }) => Ok(is_on),
        other => Err(Error::Internal {
            reason: format!("no answer about access: {other:?}"),
        }
        .into()),
    }
}

fn refused(refusal: NotAdmitted) -> Problem {
    match refusal {
        NotAdmitted::Malformed => Problem::authorization_malformed(),
        NotAdmitted::Wrong => Problem::not_who_they_say(),
        NotAdmitted::Throttled { retry_after } => {
            Problem::too_many_logins().retry_after(retry_after)
        }
        NotAdmitted::Token(why) => Problem::token_does_not_count(&why),
        NotAdmitted::OutsideToken(why) => Problem::token_does_not_count(&why),
        NotAdmitted::Unknown(ProofFailure::Busy) => Problem::too_many_proofs(),
        NotAdmitted::Unknown(ProofFailure::Unavailable { reason }) => Error::Unavailable {
            retry_after: PROVABLE_AGAIN_AFTER,
            reason,
        }
        .into(),
    }
}

/// Holds a token to what it was given for.
///
/// # Errors
/// When it was given for less than this request needs. Whoever would not get such a token either is told so, and need not ask.
pub(crate) async fn check_scope(exchange: &Exchange<'_>, needed: &[Needed]) -> Result<(), Problem> {
    let asking = exchange.asking;
    let covers = |needed: &Needed| match needed {
        // A mount from where the token is not good for is a push like any other.
        Needed::Source(_) => true,
        Needed::Right(repository, right) => asking.covers(repository, *right),
        Needed::Catalog => match asking.admitted.scopes.as_deref() {
            None => true,
            Some(scopes) => scopes.contains(&Scope::Catalog),
        },
    };
    if needed.iter().all(covers) {
        return Ok(());
    }
    let needs = needed.iter().filter_map(|needed| match needed {
        Needed::Right(repository, right) => Some(Need::Repository(repository.clone(), *right)),
        Needed::Source(_) | Needed::Catalog => None,
    });
    let needs: Vec<Need> = needs.collect();
    if !matches!(asking.asker.who, Who::Account { .. }) || needs.is_empty() {
        return Err(Problem::token_for_less());
    }
    let query = AccessQuery::Rights { needs };
    let caller = exchange.caller();
    match exchange.registry.ask_access(&caller, query).await? {
        Some(AccessAnswer::Rights(rights)) if rights.contains(&false) => {
            Err(Error::Denied(Denial::NotAllowed).into())
        }
        _ => Err(Problem::token_for_less()),
    }
}

/// A right that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Needed {
    /// One in a repository.
    Right(RepositoryName, Right),
    /// To pull from where a blob is to be mounted from. Without it the blob is pushed.
    Source(RepositoryName),
    /// To list repositories.
    Catalog,
}

/// What a request needs, as what it names, its method and its query tell.
pub(crate) fn needed(route: &Route, head: &Parts) -> Vec<Needed> {
    let is_delete = head.method == Method::DELETE;
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    let right = |repository: &RepositoryName, right| vec![Needed::Right(repository.clone(), right)];
    match route {
        Route::Base => Vec::new(),
        Route::Catalog => vec![Needed::Catalog],
        Route::Tags(repository) | Route::Referrers(repository, _) => right(repository, Right::Pull),
        Route::Manifest(repository, _) | Route::Blob(repository, _) => match (reads, is_delete) {
            (true, _) => right(repository, Right::Pull),
            (_, true) => right(repository, Right::Delete),
            _ => right(repository, Right::Push),
        },
        Route::Upload(repository, _) => right(repository, Right::Push),
        Route::Uploads(repository) => {
            let mut needed = right(repository, Right::Push);
            let query = Query::of(head.uri.query());
            let from = query.get("from").ok().flatten();
            let from = from.and_then(|from| RepositoryName::parse(&from).ok());
            if query.get("mount").is_ok_and(|mount| mount.is_some()) {
                needed.extend(from.map(Needed::Source));
            }
            needed
        }
    }
}

/// Adds to a 401, and to a push that is denied, what its client has to do about it, and forgets a proof that the log says has ended.
pub(crate) fn challenged(
    access: Option<&Access>,
    head: &Parts,
    asking: Option<&Asking>,
    needed: &[Needed],
    problem: Problem,
) -> Problem {
    let is_denied = asking.is_some() && problem.status() == StatusCode::FORBIDDEN;
    if let Some(project) = pushed_to(needed).filter(|_| is_denied) {
        // Whether there is such a project or not, so that it does not tell.
        return problem.with(format!(
            "if there is no project {project}, `holdfast project create {project}` makes it"
        ));
    }
    let Some(access) = access.filter(|_| problem.status() == StatusCode::UNAUTHORIZED) else {
        return problem;
    };
    if let Some(asking) = asking {
        access.forget(asking);
    }
    let elsewhere = access.doorkeeper.elsewhere();
    let issuer = elsewhere.and_then(|elsewhere| elsewhere.outside.issuer.as_ref());
    let (realm, service) = match issuer.map(|issuer| issuer.settings()) {
        Some(issuer) => (issuer.realm.clone(), &issuer.service),
        None => (format!("{}/auth/token", origin(head)), &access.service),
    };
    let mut challenge = format!("Bearer realm=\"{realm}\",service=\"{service}\"");
    let scope = scope(needed);
    if !scope.is_empty() {
        challenge.push_str(&format!(",scope=\"{scope}\""));
    }
    if let Some(error) = problem.challenge_error() {
        challenge.push_str(&format!(",error=\"{error}\""));
    }
    match HeaderValue::from_str(&challenge) {
        Ok(challenge) => problem.with_header(WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}

/// The project of what a request pushes to.
fn pushed_to(needed: &[Needed]) -> Option<ProjectName> {
    needed.iter().find_map(|needed| match needed {
        Needed::Right(repository, Right::Push) => Some(ProjectName::of(repository)),
        _ => None,
    })
}

/// What the addresses of this registry begin with, as this client has written it.
fn origin(head: &Parts) -> String {
    let place = head.extensions.get::<ClientPlace>();
    let told = place.and_then(ClientPlace::origin);
    told.unwrap_or_else(|| {
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let is_host = |host: &&str| {
            host.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
        };
        format!("http://{}", host.filter(is_host).unwrap_or("localhost"))
    })
}

/// The scopes of a challenge: one for each repository, with `pull` beside `push`, since every push looks first.
fn scope(needed: &[Needed]) -> String {
    let scopes = needed.iter().map(|needed| match needed {
        Needed::Right(repository, Right::Push) => format!("repository:{repository}:pull,push"),
        Needed::Right(repository, right) => format!("repository:{repository}:{}", right.name()),
        Needed::Source(repository) => format!("repository:{repository}:pull"),
        Needed::Catalog => "registry:catalog:*".to_owned(),
    });
    scopes.collect::<Vec<_>>().join(" ")
}

/// Whether who knocks at `/v2/` has to sign in, and whether what they showed still counts: clients ask there first.
///
/// # Errors
/// They have to, or it counts no more.
pub(crate) async fn look_in(
    access: Option<&Access>,
    exchange: &Exchange<'_>,
) -> Result<(), Problem> {
    if access.is_none() {
        return Ok(());
    }
    let asked = exchange
        .registry
        .ask_access(&exchange.caller(), AccessQuery::Access)
        .await?;
    let is_on = matches!(asked, Some(AccessAnswer::Access { is_on: true, .. }));
    match is_on && exchange.asking.asker.who == Who::Anonymous {
        true => Err(Error::Denied(Denial::SignIn).into()),
        false => Ok(()),
    }
}
