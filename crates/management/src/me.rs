//! Who the asker is, and what they may do.

use metadata::access::{AccessAnswer, AccessQuery, Need, Who};
use oci::{ProjectName, RepositoryName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::asking::Anyone;
use crate::body::{Asked, Told};
use crate::problem::Problem;
use crate::projects;
use crate::users::{self, User};
use crate::words::Right;

/// The asker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// Their name; `anonymous` for somebody who did not say who they are.
    pub name: String,
    /// What they are.
    pub kind: MeKind,
    /// Whether rights are asked for at all; without, anyone may do anything.
    pub access_is_on: bool,
    /// Whether they may rule over everything, with what they signed in with.
    pub may_administer: bool,
    /// Whether they may make projects.
    pub may_create_projects: bool,
    /// What is known of a user who did not sign in with a limited token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// What they may do in the project or repository that was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<Vec<Right>>,
}

/// What asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MeKind {
    /// Somebody who did not say who they are.
    Anonymous,
    /// A person.
    User,
    /// A program.
    Robot,
    /// Somebody for whom an issuer outside vouches.
    Outside,
}

/// About what rights are asked.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    /// A project.
    project: Option<String>,
    /// A repository. Of `project` and this, one at most.
    repository: Option<String>,
}

impl About {
    /// What has to be allowed for each right, in the order of rights.
    fn needs(&self) -> Result<Vec<Need>, Problem> {
        let all = metadata::access::Right::ALL.into_iter();
        Ok(match (&self.project, &self.repository) {
            (None, None) => Vec::new(),
            (Some(project), None) => {
                let project: ProjectName = projects::named(project)?;
                all.map(|right| Need::Project(project.clone(), right))
                    .collect()
            }
            (None, Some(repository)) => {
                let repository = RepositoryName::parse(repository).map_err(Problem::name)?;
                all.map(|right| Need::Repository(repository.clone(), right))
                    .collect()
            }
            (Some(_), Some(_)) => {
                return Err(Problem::invalid(
                    "`project` and `repository` exclude each other",
                ));
            }
        })
    }
}

/// Who the asker is, and what they may do
///
/// For everyone. May be repeated.
#[utoipa::path(get, path = "/me", tag = "me", operation_id = "show_me", params(About),
    responses((status = 200, description = "The asker.", body = Me)))]
pub(crate) async fn show(anyone: Anyone, Asked(about): Asked<About>) -> Result<Told<Me>, Problem> {
    let mut needs = about.needs()?;
    let is_about_something = !needs.is_empty();
    needs.extend([Need::Administration, Need::NewProject]);
    let (access_is_on, _) = anyone.access().await?;
    let mut rights = anyone.rights(needs).await?;
    let may_create_projects = rights.pop().unwrap_or(false);
    let may_administer = rights.pop().unwrap_or(false);
    let all = metadata::access::Right::ALL.into_iter();
    let allowed = all.zip(rights).filter(|(_, may)| *may);
    let allowed: Vec<Right> = allowed.map(|(right, _)| right.into()).collect();
    let (name, kind) = match anyone.who() {
        Who::Anonymous => ("anonymous".to_owned(), MeKind::Anonymous),
        Who::Account { name, .. } if name.is_robot() => (name.to_string(), MeKind::Robot),
        Who::Account { name, .. } => (name.to_string(), MeKind::User),
        Who::Outside(name) => (name.to_string(), MeKind::Outside),
    };
    Ok(Told(Me {
        name,
        kind,
        access_is_on,
        may_administer,
        may_create_projects,
        user: match kind {
            MeKind::User => account(&anyone).await?,
            _ => None,
        },
        rights: is_about_something.then_some(allowed),
    }))
}

/// The asker's account, unless what they signed in with does not let it be seen.
async fn account(anyone: &Anyone) -> Result<Option<User>, Problem> {
    let Who::Account { name, .. } = anyone.who() else {
        return Ok(None);
    };
    let need = Need::Account(name.clone());
    if anyone.rights(vec![need]).await? != [true] {
        return Ok(None);
    }
    match anyone
        .ask(AccessQuery::Account { name: name.clone() })
        .await?
    {
        Some(AccessAnswer::Account(view)) => Ok(users::shown(*view)),
        None => Ok(None),
        other => Err(Problem::unexpected(&other)),
    }
}
