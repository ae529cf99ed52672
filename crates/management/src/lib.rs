//! The management API: users, groups, projects, members, robots, tokens, keys, settings and the audit, as HTTP and JSON below `/api/v1`.
//!
//! What somebody may do is decided by the log at each request; this crate parses at the edge, asks, and writes the answer. It
//! never looks at `Authorization`: who asks is the [`metadata::access::Asker`] in the request's extensions, or the holder of a web
//! session, and without either nobody said who they are. It never tells causes, never logs what was sent, and no answer of it may be kept by a cache. The
//! types of its JSON are public, so that the command line reads what the server writes.
//!
//! Design: `docs/management.md`; the document that others generate clients from is `docs/reference/openapi.json`.

mod asking;
mod audit;
mod body;
mod groups;
mod keys;
mod me;
mod members;
mod page;
mod problem;
mod projects;
mod robots;
mod sessions;
mod settings;
mod specification;
mod tokens;
mod users;
mod words;

use auth::PasswordChecker;
use axum::Router;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Method};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::get;
use registry::Registry;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use audit::{AuditList, AuditRecord, chain_value as audit_chain_value};
pub use groups::{Group, GroupList, GroupMembers, NewGroup};
pub use keys::{Key, KeyList};
pub use me::{Me, MeKind};
pub use members::{Member, MemberKind, MemberList, NewRole};
pub use problem::{ErrorEntry, Errors};
pub use projects::{NewProject, Project, ProjectChange, ProjectList};
pub use robots::{NewRobot, Robot, RobotChange, RobotList, RobotSecret};
pub use sessions::{Logins, NewSession};
pub use settings::{Settings, SettingsChange};
pub use specification::document;
pub use tokens::{NewToken, Token, TokenList, TokenSecret};
pub use users::{NewPassword, NewUser, Source, User, UserChange, UserList};
pub use words::{Grant, Right, Role, Time, Visibility};

use problem::Problem;

/// What the API is made of.
#[derive(Clone)]
pub struct Parts {
    /// The use-cases.
    pub registry: Registry,
    /// With what new passwords are hashed.
    pub passwords: PasswordChecker,
    /// With what people are logged in for a while; without it nobody is.
    pub logins: Option<Logins>,
}

/// What every request needs.
type Management = Parts;

/// The API, to be mounted below `/api/v1`. Each request brings who asks as an [`metadata::access::Asker`] among its extensions, and
/// from where as a [`front::ClientPlace`].
pub fn router(parts: Parts) -> Router {
    let (router, document) = routes().split_for_parts();
    let document = specification::finished(document);
    let document = document.to_json().expect("the document is plain data");
    let document: std::sync::Arc<str> = document.into();
    router
        .route(
            "/openapi.json",
            get(move || {
                let document = std::sync::Arc::clone(&document);
                async move { body::json_text(document.as_bytes().to_vec()) }
            }),
        )
        .fallback(async || Problem::no_endpoint())
        .method_not_allowed_fallback(async |_: Method| Problem::method())
        .layer(from_fn_with_state(parts.clone(), sessions::recognise))
        .layer(map_response(unkept))
        .with_state(parts)
}

/// Rights change with each request, and secrets are shown once.
async fn unkept(mut response: Response) -> Response {
    let value = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, value);
    response
}

/// Every operation, in the order of the document.
fn routes() -> OpenApiRouter<Management> {
    OpenApiRouter::with_openapi(specification::head())
        .routes(routes!(me::show))
        .routes(routes!(sessions::create, sessions::delete))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::show, users::change, users::delete))
        .routes(routes!(users::set_password))
        .routes(routes!(users::log_out))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::delete))
        .routes(routes!(groups::list, groups::create))
        .routes(routes!(groups::delete))
        .routes(routes!(groups::members))
        .routes(routes!(groups::add, groups::remove))
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::show, projects::change, projects::delete))
        .routes(routes!(members::list))
        .routes(routes!(members::set, members::remove))
        .routes(routes!(robots::list, robots::create))
        .routes(routes!(robots::show, robots::change, robots::delete))
        .routes(routes!(robots::renew))
        .routes(routes!(keys::list))
        .routes(routes!(keys::delete))
        .routes(routes!(audit::list))
        .routes(routes!(audit::export))
        .routes(routes!(settings::show, settings::change))
}
