//! Projects: listed, made, opened and closed, ended.

use axum::http::StatusCode;
use axum::response::Response;
use metadata::Named;
use metadata::access::{AccessAnswer, AccessCommand, AccessQuery, ProjectView};
use oci::ProjectName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asking::Asking;
use crate::body::{Asked, Path, Sent, Told, created};
use crate::page::Paging;
use crate::problem::Problem;
use crate::words::{Role, Time, Visibility};

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Its name: the first part of its repositories' names.
    pub name: String,
    /// Who may pull without being a member.
    pub visibility: Visibility,
    /// How many repositories it has.
    pub repositories: u64,
    /// What the asker is there, if they are a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// When it was made.
    pub created: Time,
    /// By whom.
    pub by: String,
}

/// A page of projects, in the order of names.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProjectList {
    /// In order; a page may have fewer than were asked for, and another may follow all the same.
    pub projects: Vec<Project>,
    /// `after` of the next page, if there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A project to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// As the first part of a repository's name.
    pub name: String,
    /// Who may pull without being a member; nobody when it is not given.
    #[serde(default = "nobody")]
    #[schema(default = "private")]
    pub visibility: Visibility,
}

fn nobody() -> Visibility {
    Visibility::Private
}

/// What is to change of a project; the rest stays.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectChange {
    /// Who may pull without being a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// The name of a project in a path or a body.
pub(crate) fn named(text: &str) -> Result<ProjectName, Problem> {
    ProjectName::parse(text).map_err(Problem::name)
}

fn shown(ProjectView { name, row, role }: ProjectView) -> Project {
    Project {
        name: name.to_string(),
        visibility: row.visibility.into(),
        repositories: row.repositories,
        role: role.map(Into::into),
        created: Time(row.created),
        by: row.by.to_string(),
    }
}

/// The projects that the asker may pull from, in the order of names
///
/// For everyone. May be repeated.
#[utoipa::path(get, path = "/projects", tag = "projects", operation_id = "list_projects", params(Paging),
    responses((status = 200, description = "A page of projects.", body = ProjectList)))]
pub(crate) async fn list(
    asking: Asking,
    Asked(paging): Asked<Paging>,
) -> Result<Told<ProjectList>, Problem> {
    let page = paging.page(ProjectName::parse)?;
    match asking.ask(AccessQuery::Projects(page)).await? {
        Some(AccessAnswer::Projects { projects, next }) => Ok(Told(ProjectList {
            projects: projects.into_iter().map(shown).collect(),
            next: next.map(|name| name.to_string()),
        })),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Makes a project, which its maker owns
///
/// For users, where that is not reserved to administrators. A repetition is refused with 409 and changes nothing.
#[utoipa::path(post, path = "/projects", tag = "projects", operation_id = "create_project", request_body = NewProject,
    responses((status = 201, description = "The project was made.", body = Project)))]
pub(crate) async fn create(
    asking: Asking,
    Sent(new): Sent<NewProject>,
) -> Result<Response, Problem> {
    let project = named(&new.name)?;
    let command = AccessCommand::CreateProject {
        project: project.clone(),
        visibility: new.visibility.into(),
    };
    asking.change(command).await?;
    Ok(created(find(&asking, project).await?))
}

pub(crate) async fn find(asking: &Asking, project: ProjectName) -> Result<Project, Problem> {
    match asking.ask(AccessQuery::Project { project }).await? {
        Some(AccessAnswer::Projects { projects, .. }) => {
            let found = projects.into_iter().next();
            found.map(shown).ok_or(Problem::unknown(Named::Project))
        }
        None => Err(Problem::unknown(Named::Project)),
        other => Err(Problem::unexpected(&other)),
    }
}

/// A project
///
/// For whoever may pull from it. May be repeated.
#[utoipa::path(get, path = "/projects/{project}", tag = "projects", operation_id = "show_project", params(("project" = String, Path)),
    responses((status = 200, description = "The project.", body = Project)))]
pub(crate) async fn show(
    asking: Asking,
    Path(project): Path<String>,
) -> Result<Told<Project>, Problem> {
    find(&asking, named(&project)?).await.map(Told)
}

/// Changes what is given of a project, and leaves the rest
///
/// For its owners. May be repeated.
#[utoipa::path(patch, path = "/projects/{project}", tag = "projects", operation_id = "change_project",
    params(("project" = String, Path)), request_body = ProjectChange,
    responses((status = 204, description = "It is so.")))]
pub(crate) async fn change(
    asking: Asking,
    Path(project): Path<String>,
    Sent(change): Sent<ProjectChange>,
) -> Result<StatusCode, Problem> {
    let project = named(&project)?;
    let Some(visibility) = change.visibility else {
        find(&asking, project).await?;
        return Ok(StatusCode::NO_CONTENT);
    };
    let visibility = visibility.into();
    asking
        .change(AccessCommand::SetVisibility {
            project,
            visibility,
        })
        .await
}

/// Ends a project that has no repositories, with its members and robots
///
/// For its owners. A repetition is refused with 403 or 404. After 202 more is left than is removed at once: ask again.
#[utoipa::path(delete, path = "/projects/{project}", tag = "projects", operation_id = "delete_project",
    params(("project" = String, Path)),
    responses((status = 204, description = "The project is gone."), (status = 202, description = "Ask again.")))]
pub(crate) async fn delete(
    asking: Asking,
    Path(project): Path<String>,
) -> Result<StatusCode, Problem> {
    let project = named(&project)?;
    asking
        .remove(AccessCommand::DeleteProject { project })
        .await
}
