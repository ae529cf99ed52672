//! What administrators may choose about access as a whole.

use axum::http::StatusCode;
use metadata::access::{self, AccessCommand};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asking::{Anyone, Asking};
use crate::body::{Sent, Told};
use crate::problem::Problem;

/// How access is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// Whether rights are asked for at all. Without, anyone may do anything, and nothing here can be changed.
    pub is_on: bool,
    /// Whether any user may make a project; else administrators only.
    pub users_create_projects: bool,
    /// Whether a user's push to a project that does not exist makes it, private, with the user as its owner.
    pub auto_create_projects: bool,
}

/// What is to change; the rest stays.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// Whether any user may make a project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_create_projects: Option<bool>,
    /// Whether a push makes its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_create_projects: Option<bool>,
}

/// How access is set
///
/// For everyone. May be repeated.
#[utoipa::path(get, path = "/settings", tag = "settings", operation_id = "show_settings",
    responses((status = 200, description = "As it is.", body = Settings)))]
pub(crate) async fn show(anyone: Anyone) -> Result<Told<Settings>, Problem> {
    let (is_on, settings) = anyone.access().await?;
    let access::Settings {
        users_create_projects,
        auto_create_projects,
    } = settings;
    Ok(Told(Settings {
        is_on,
        users_create_projects,
        auto_create_projects,
    }))
}

/// Changes what is given, and leaves the rest
///
/// For administrators. May be repeated. Of two changes at the same time, the later one may undo the other's.
#[utoipa::path(patch, path = "/settings", tag = "settings", operation_id = "change_settings", request_body = SettingsChange,
    responses((status = 204, description = "It is so.")))]
pub(crate) async fn change(
    asking: Asking,
    Sent(change): Sent<SettingsChange>,
) -> Result<StatusCode, Problem> {
    let (_, now) = asking.access().await?;
    let settings = access::Settings {
        users_create_projects: change
            .users_create_projects
            .unwrap_or(now.users_create_projects),
        auto_create_projects: change
            .auto_create_projects
            .unwrap_or(now.auto_create_projects),
    };
    asking.change(AccessCommand::Settle(settings)).await
}
