//! Robots: accounts of programs, with a secret that is shown once and nothing but what they were granted.

use axum::http::StatusCode;
use axum::response::Response;
use metadata::access::{
    AccessAnswer, AccessCommand, AccessQuery, AccountKind, AccountName, AccountView, ChangeRobot,
    CreateRobot,
};
use metadata::{Named, Page};
use oci::ProjectName;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::asking::Asking;
use crate::body::{Asked, Path, Sent, Told, created};
use crate::page::{MOST, Paging};
use crate::problem::Problem;
use crate::projects;
use crate::words::{Grant, Time, given};

/// How many pages of robots are looked through for one of them.
const PAGES_LOOKED_AT: usize = 10;

/// A robot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Robot {
    /// Its whole name, which it signs in with: `robot$team+deploy`, or `robot$deploy` for one of the whole registry.
    #[schema(example = "robot$team+deploy")]
    pub name: String,
    /// Its project; without one it is of the whole registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// What it may do; nothing else.
    pub grants: Vec<Grant>,
    /// Until when; without it for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// Whether it may do nothing until it is enabled again.
    pub is_disabled: bool,
    /// What it is for.
    pub description: String,
    /// When it was made.
    pub created: Time,
    /// By whom.
    pub by: String,
}

/// A page of robots, in the order of names.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RobotList {
    /// In order.
    pub robots: Vec<Robot>,
    /// `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A robot to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRobot {
    /// Its name within its project: letters, digits and characters of `._-`.
    #[schema(example = "deploy")]
    pub name: String,
    /// Its project; without one it is of the whole registry, and for administrators to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// What it may do, within its project.
    pub grants: Vec<Grant>,
    /// Until when; without it for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// What is to change of a robot; the rest stays.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RobotChange {
    /// What it may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Grant>>,
    /// Until when; `null`: for ever.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schema(value_type = Option<Time>)]
    pub expires: Option<Option<Time>>,
    /// Whether it is to be locked out. What it proved before counts no more, even when it is enabled again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_disabled: Option<bool>,
}

/// A robot's secret. Nobody can show it again.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct RobotSecret {
    /// The robot's whole name: the user of a login.
    pub name: String,
    /// The password of a login.
    #[schema(format = Password)]
    pub secret: String,
}

/// Which robots are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RobotPaging {
    /// Of which project; without it those of the whole registry.
    project: Option<String>,
    /// How many entries at most; 100 when not given, never more than 1,000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    n: Option<usize>,
    /// Only what comes after this entry: `next` of the page before.
    after: Option<String>,
}

fn named(text: &str) -> Result<AccountName, Problem> {
    match AccountName::parse(text).map_err(Problem::name)? {
        robot if robot.is_robot() => Ok(robot),
        _ => Err(Problem::name("a robot's name begins with `robot$`")),
    }
}

fn robot_name(text: &str) -> Result<AccountName, &'static str> {
    named(text).map_err(|_| "the whole name of a robot, as in `robot$team+deploy`")
}

fn shown(view: AccountView) -> Option<Robot> {
    let AccountKind::Robot {
        grants,
        expires,
        description,
        ..
    } = view.row.kind
    else {
        return None;
    };
    Some(Robot {
        project: view.name.project().map(|project| project.to_string()),
        name: view.name.to_string(),
        grants: grants.iter().map(Grant::from).collect(),
        expires: expires.map(Time),
        is_disabled: view.row.is_disabled,
        description: description.to_string(),
        created: Time(view.row.created),
        by: view.row.by.to_string(),
    })
}

async fn page(
    asking: &Asking,
    project: Option<ProjectName>,
    page: Page<AccountName>,
) -> Result<RobotList, Problem> {
    match asking.ask(AccessQuery::Robots { project, page }).await? {
        Some(AccessAnswer::Accounts { accounts, more }) => {
            let robots: Vec<Robot> = accounts.into_iter().filter_map(shown).collect();
            let next = robots.last().filter(|_| more);
            let next = next.map(|robot| robot.name.clone());
            Ok(RobotList { robots, next })
        }
        other => Err(Problem::unexpected(&other)),
    }
}

/// The robots of a project, or of the whole registry, in the order of names
///
/// For the project's maintainers, or for administrators. May be repeated.
#[utoipa::path(get, path = "/robots", tag = "robots", operation_id = "list_robots", params(RobotPaging),
    responses((status = 200, description = "A page of robots.", body = RobotList)))]
pub(crate) async fn list(
    asking: Asking,
    Asked(RobotPaging { project, n, after }): Asked<RobotPaging>,
) -> Result<Told<RobotList>, Problem> {
    let project = project.as_deref().map(projects::named).transpose()?;
    let after = after.as_deref().map(robot_name).transpose();
    let after = after.map_err(|error| Problem::invalid(format!("`after`: {error}")))?;
    let limit = Paging::limit(n);
    page(&asking, project, Page { after, limit })
        .await
        .map(Told)
}

/// Makes a robot, and shows its secret this once
///
/// For the project's maintainers, or for administrators. A repetition is refused with 409 and changes nothing: give the robot
/// another secret when the first was not received.
#[utoipa::path(post, path = "/robots", tag = "robots", operation_id = "create_robot", request_body = NewRobot,
    responses((status = 201, description = "The robot was made.", body = RobotSecret)))]
pub(crate) async fn create(asking: Asking, Sent(new): Sent<NewRobot>) -> Result<Response, Problem> {
    let project = new.project.as_deref().map(projects::named).transpose()?;
    let robot = AccountName::robot(project.as_ref(), &new.name).map_err(Problem::name)?;
    let (text, secret) = auth::new_robot_secret();
    let create = CreateRobot {
        robot: robot.clone(),
        project,
        secret,
        grants: Grant::all_parsed(&new.grants)?,
        expires: new.expires.map(|time| time.0),
        description: new.description.into(),
    };
    asking.change(AccessCommand::CreateRobot(create)).await?;
    Ok(created(RobotSecret {
        name: robot.to_string(),
        secret: text.to_string(),
    }))
}

/// A robot
///
/// For the project's maintainers, or for administrators. May be repeated.
#[utoipa::path(get, path = "/robots/{robot}", tag = "robots", operation_id = "show_robot", params(("robot" = String, Path)),
    responses((status = 200, description = "The robot.", body = Robot)))]
pub(crate) async fn show(
    asking: Asking,
    Path(robot): Path<String>,
) -> Result<Told<Robot>, Problem> {
    let robot = named(&robot)?;
    let mut after = None;
    for _ in 0..PAGES_LOOKED_AT {
        let wanted = Page { after, limit: MOST };
        let list = page(&asking, robot.project(), wanted).await?;
        let found = list
            .robots
            .into_iter()
            .find(|found| found.name == robot.as_str());
        if let Some(found) = found {
            return Ok(Told(found));
        }
        after = list.next.as_deref().map(named).transpose()?;
        if after.is_none() {
            break;
        }
    }
    Err(Problem::unknown(Named::Robot))
}

/// Changes what is given of a robot, and leaves the rest
///
/// For the project's maintainers, or for administrators. May be repeated.
#[utoipa::path(patch, path = "/robots/{robot}", tag = "robots", operation_id = "change_robot", params(("robot" = String, Path)),
    request_body = RobotChange, responses((status = 204, description = "It is so.")))]
pub(crate) async fn change(
    asking: Asking,
    Path(robot): Path<String>,
    Sent(change): Sent<RobotChange>,
) -> Result<StatusCode, Problem> {
    let grants = change.grants.as_deref().map(Grant::all_parsed);
    let change = ChangeRobot {
        robot: named(&robot)?,
        grants: grants.transpose()?,
        expires: change.expires.map(|expires| expires.map(|time| time.0)),
        is_disabled: change.is_disabled,
    };
    asking.change(AccessCommand::ChangeRobot(change)).await
}

/// Gives a robot another secret, and shows it this once
///
/// For the project's maintainers, or for administrators. The old secret counts no more. May be repeated: the last answer's counts.
#[utoipa::path(post, path = "/robots/{robot}/secret", tag = "robots", operation_id = "renew_robot", params(("robot" = String, Path)),
    responses((status = 200, description = "The robot has another secret.", body = RobotSecret)))]
pub(crate) async fn renew(
    asking: Asking,
    Path(robot): Path<String>,
) -> Result<Told<RobotSecret>, Problem> {
    let robot = named(&robot)?;
    let (text, secret) = auth::new_robot_secret();
    let command = AccessCommand::RenewRobot {
        robot: robot.clone(),
        secret,
    };
    asking.change(command).await?;
    Ok(Told(RobotSecret {
        name: robot.to_string(),
        secret: text.to_string(),
    }))
}

/// Ends a robot
///
/// For the project's maintainers, or for administrators. A repetition is refused with 404.
#[utoipa::path(delete, path = "/robots/{robot}", tag = "robots", operation_id = "delete_robot", params(("robot" = String, Path)),
    responses((status = 204, description = "The robot is gone.")))]
pub(crate) async fn delete(
    asking: Asking,
    Path(robot): Path<String>,
) -> Result<StatusCode, Problem> {
    let robot = named(&robot)?;
    asking.remove(AccessCommand::DeleteRobot { robot }).await
}
