//! What other crates serve beside the registry protocol, as routers that are mounted below a path of their own.
//!
//! A router gets the request as it came, with the whole of its body and with who asks from where among its extensions; limits,
//! deadlines, origins and the net under panics are the server's, as they are for `/v2/`. The server knows nothing of what is
//! below these paths, and `/v2/` pays nothing for them. The memory of bodies is bounded by what has come, not by what was
//! announced, so that nobody can hold it for the price of a header.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use bytes::{Bytes, BytesMut};
use front::ClientPlace;
use futures::StreamExt as _;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Request, StatusCode};
use registry::{Error, Registry};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::access::{self, Access, Asking};
use crate::header;
use crate::limits::Limits;
use crate::pages;
use crate::problem::Problem;
use crate::reply::{Content, Reply};
use crate::request_body::RequestBody;
use crate::route::RouteKind;
use crate::settings::Settings;

/// Where the management API is.
const MANAGEMENT: &str = "/api/v1";
/// Where tokens are given.
const AUTH: &str = "/auth";
/// The most bytes of one body.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes of all such bodies together.
const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Routers of other crates, each with paths that begin below its own. Without one, nothing is there.
#[derive(Default)]
pub struct Mounted {
    /// Below `/api/v1`. Who asks is made sure of by the server, as for `/v2/`, and is a [`metadata::access::Asker`] among the
    /// request's extensions, beside the [`ClientPlace`]; what was shown for it is taken out.
    pub management: Option<Router>,
    /// Below `/auth`. The [`ClientPlace`] is among the request's extensions; it proves by itself who asks.
    pub auth: Option<Router>,
}

/// Which router a path belongs to.
pub(crate) fn kind(path: &str) -> Option<RouteKind> {
    let is_below = |mount: &str| {
        path.strip_prefix(mount)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if is_below(MANAGEMENT) {
        Some(RouteKind::Management)
    } else if is_below(AUTH) {
        Some(RouteKind::Auth)
    } else {
        None
    }
}

/// The routers, and the memory for what is sent to them.
pub(crate) struct Mounts {
    router: Router,
    memory: Semaphore,
}

/// A request to one of them.
pub(crate) struct Visit<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) access: Option<&'a Access>,
    pub(crate) limits: Option<&'a Limits>,
    pub(crate) settings: &'a Settings,
    pub(crate) kind: RouteKind,
    pub(crate) head: &'a Parts,
    pub(crate) body: Option<(&'a RequestBody, Arc<AtomicU64>)>,
}

impl Mounts {
    pub(crate) fn new(mounted: Mounted) -> Mounts {
        let mut router = Router::new();
        for (path, below) in [(MANAGEMENT, mounted.management), (AUTH, mounted.auth)] {
            if let Some(below) = below {
                router = router.nest(path, below);
            }
        }
        Mounts {
            router: router.fallback(async || pages::problem(&Problem::no_endpoint())),
            memory: Semaphore::new(MEMORY_BYTES_MAX),
        }
    }

    /// What the router answers.
    ///
    /// # Errors
    /// Who asks is not who they say, or the body does not come as it should.
    pub(crate) async fn answer(&self, visit: Visit<'_>) -> Result<Reply, Problem> {
        let asking = match visit.kind {
            RouteKind::Management => Some(visit.asking().await?),
            _ => None,
        };
        let (body, _memory) = match &visit.body {
            None => (Bytes::new(), None),
            Some((body, received)) => {
                let collected = self.collect(body, Arc::clone(received));
                tokio::time::timeout(visit.settings.manifest_timeout, collected)
                    .await
                    .map_err(|_| Problem::from(Error::BodyStalled))??
            }
        };
        let reply = self
            .routed(&visit, visit.request(body.clone(), asking.as_ref()))
            .await?;
        if reply.status() == StatusCode::UNAUTHORIZED
            && let (Some(access), Some(asking)) = (visit.access, &asking)
        {
            // The log may have said that what is remembered of them counts no more; a right password still does, and nothing
            // that was refused so was done.
            access.forget(asking);
            let anew = visit.asking().await?;
            if anew.asker != asking.asker {
                return self.routed(&visit, visit.request(body, Some(&anew))).await;
            }
        }
        Ok(reply)
    }

    /// What the router says to one request.
    async fn routed(
        &self,
        visit: &Visit<'_>,
        request: Request<axum::body::Body>,
    ) -> Result<Reply, Problem> {
        let answered = self.router.clone().oneshot(request);
        let time = visit.settings.hold + crate::service::SLACK;
        match tokio::time::timeout(time, answered).await {
            Ok(Ok(response)) => Ok(response.map(Content::Page)),
            Ok(Err(never)) => match never {},
            Err(_) => Err(Problem::too_slow("a router outlasted its deadline")),
        }
    }

    /// The whole of a body, and its share of the memory.
    async fn collect(
        &self,
        body: &RequestBody,
        received: Arc<AtomicU64>,
    ) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Problem> {
        let too_large = || Problem::body_too_large(BODY_BYTES_MAX);
        if body
            .length()
            .is_some_and(|length| length > BODY_BYTES_MAX as u64)
        {
            return Err(too_large());
        }
        let mut stream = body.stream(received).stream;
        let mut collected = BytesMut::new();
        let mut memory: Option<SemaphorePermit<'_>> = None;
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(Error::from)?;
            if collected.len() + bytes.len() > BODY_BYTES_MAX {
                return Err(too_large());
            }
            // Nobody waits who holds some already: all would.
            let share = u32::try_from(bytes.len()).expect("it is at most the largest body");
            let share = self.memory.try_acquire_many(share);
            let share = share.map_err(|_| Problem::overloaded())?;
            match &mut memory {
                Some(memory) => memory.merge(share),
                None => memory = Some(share),
            }
            collected.extend_from_slice(&bytes);
        }
        Ok((collected.freeze(), memory))
    }
}

impl Visit<'_> {
    /// Who asks, if what they show is good for everything they may do: a token for a repository is not for ruling over it.
    async fn asking(&self) -> Result<Asking, Problem> {
        let deadline = Instant::now() + self.settings.hold;
        let (access, limits) = (self.access, self.limits);
        let asking = access::asking(access, limits, self.registry, self.head, deadline).await;
        let asking = asking.and_then(|asking| match asking.is_unlimited() {
            true => Ok(asking),
            false => Err(Problem::token_for_less()),
        });
        asking.map_err(|problem| match problem.status() {
            StatusCode::UNAUTHORIZED => problem.with_header(WWW_AUTHENTICATE, header::BASIC),
            _ => problem,
        })
    }

    /// The request as the router sees it.
    fn request(&self, body: Bytes, asking: Option<&Asking>) -> Request<axum::body::Body> {
        let mut request = Request::new(axum::body::Body::from(body));
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        *request.headers_mut() = self.head.headers.clone();
        if let Some(place) = self.head.extensions.get::<ClientPlace>() {
            request.extensions_mut().insert(place.clone());
        }
        if let Some(asking) = asking {
            request.headers_mut().remove(AUTHORIZATION);
            request.extensions_mut().insert(asking.asker.clone());
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_the_router_whose_whole_name_it_begins_with() {
        for (path, expected) in [
            ("/api/v1", Some(RouteKind::Management)),
            ("/api/v1/", Some(RouteKind::Management)),
            ("/api/v1/users/mia", Some(RouteKind::Management)),
            ("/api/v10", None),
            ("/api", None),
            ("/api%2Fv1/users", None),
            ("/auth", Some(RouteKind::Auth)),
            ("/auth/token", Some(RouteKind::Auth)),
            ("/authority", None),
            ("/v2/auth/token", None),
            ("/", None),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
    }
}
