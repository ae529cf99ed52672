//! One change: how it is shown, and how it is made.

use std::fmt;

use http::Method;
use management::{
    MemberKind, NewGroup, NewProject, NewRobot, NewRole, ProjectChange, RobotChange, RobotSecret,
    Role, Visibility,
};

use super::Secret;
use crate::manage::client::{CallError, Client};
use crate::manage::print;

/// One change.
#[derive(Debug)]
pub enum Step {
    /// Makes a group.
    CreateGroup(String),
    /// Puts a user into a group, or out of it.
    SetGroupMember {
        /// Which.
        group: String,
        /// Who.
        user: String,
        /// Whether they are to be in it.
        is_in: bool,
    },
    /// Makes a project.
    CreateProject {
        /// Which.
        project: String,
        /// Who may pull without being a member.
        visibility: Visibility,
    },
    /// Says who may pull without being a member.
    SetVisibility {
        /// Where.
        project: String,
        /// Who may now.
        from: Visibility,
        /// Who is to.
        to: Visibility,
    },
    /// Gives a role, or takes it.
    SetMember {
        /// Where.
        project: String,
        /// What they are.
        kind: MemberKind,
        /// Who.
        name: String,
        /// Their role now.
        from: Option<Role>,
        /// Their role from then on.
        to: Option<Role>,
    },
    /// Makes a robot.
    CreateRobot {
        /// Its whole name.
        name: String,
        /// What it is.
        robot: NewRobot,
    },
    /// Changes a robot.
    ChangeRobot {
        /// Its whole name.
        name: String,
        /// What changes.
        change: RobotChange,
    },
    /// Ends a robot.
    DeleteRobot(String),
}

impl Step {
    /// Whether it takes something away from somebody.
    pub fn takes(&self) -> bool {
        match self {
            Step::SetGroupMember { is_in, .. } => !is_in,
            Step::SetMember { from, to, .. } => to < from,
            Step::DeleteRobot(_) => true,
            _ => false,
        }
    }

    /// Whether it changes what this user may.
    pub fn is_about_role_of(&self, me: &str) -> bool {
        match self {
            Step::SetGroupMember { user, is_in, .. } => user == me && !is_in,
            Step::SetMember { kind, name, .. } => *kind == MemberKind::User && name == me,
            _ => false,
        }
    }

    /// Makes the change, and gives the secret that was made.
    ///
    /// # Errors
    /// What the registry says.
    pub fn take(&self, client: &Client) -> Result<Option<Secret>, CallError> {
        match self {
            Step::CreateGroup(name) => {
                let new = NewGroup { name: name.clone() };
                client.change(Method::POST, &["groups"], Some(&new))?;
            }
            Step::SetGroupMember { group, user, is_in } => {
                let method = if *is_in { Method::PUT } else { Method::DELETE };
                client.change(method, &["groups", group, "members", user], None::<&()>)?;
            }
            Step::CreateProject {
                project,
                visibility,
            } => {
                let new = NewProject {
                    name: project.clone(),
                    visibility: *visibility,
                };
                client.change(Method::POST, &["projects"], Some(&new))?;
            }
            Step::SetVisibility { project, to, .. } => {
                let change = ProjectChange {
                    visibility: Some(*to),
                };
                client.change(Method::PATCH, &["projects", project], Some(&change))?;
            }
            Step::SetMember {
                project,
                kind,
                name,
                to,
                ..
            } => {
                let path = ["projects", project, "members", kind.name(), name];
                match to {
                    Some(role) => {
                        client.change(Method::PUT, &path, Some(&NewRole { role: *role }))?
                    }
                    None => client.remove(&path)?,
                }
            }
            Step::CreateRobot { robot, .. } => {
                let made: RobotSecret = client.send(Method::POST, &["robots"], Some(robot))?;
                return Ok(Some((made.name, made.secret)));
            }
            Step::ChangeRobot { name, change } => {
                client.change(Method::PATCH, &["robots", name], Some(change))?;
            }
            Step::DeleteRobot(name) => client.remove(&["robots", name])?,
        }
        Ok(None)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::CreateGroup(name) => write!(f, "+ group {name}"),
            Step::SetGroupMember { group, user, is_in } => {
                let sign = if *is_in { '+' } else { '-' };
                write!(f, "{sign} group {group}: {user}")
            }
            Step::CreateProject {
                project,
                visibility,
            } => write!(f, "+ project {project}: {}", visibility.name()),
            Step::SetVisibility { project, from, to } => {
                let (from, to) = (from.name(), to.name());
                write!(f, "~ project {project}: {to}, was {from}")
            }
            Step::SetMember {
                project,
                kind,
                name,
                from,
                to,
            } => {
                let (from, to) = (from.map(Role::name), to.map(Role::name));
                let who = format!("project {project}: {} {name}", kind.name());
                match (from, to) {
                    (None, to) => write!(f, "+ {who} is {}", to.unwrap_or("nothing")),
                    (Some(from), Some(to)) => write!(f, "~ {who} is {to}, was {from}"),
                    (Some(from), None) => write!(f, "- {who}, was {from}"),
                }
            }
            Step::CreateRobot { name, robot } => {
                write!(f, "+ {name}: {}", print::grants(&robot.grants))?;
                match robot.expires {
                    Some(time) => write!(f, ", until {time}"),
                    None => Ok(()),
                }
            }
            Step::ChangeRobot { name, change } => {
                write!(f, "~ {name}:")?;
                if let Some(grants) = &change.grants {
                    write!(f, " {}", print::grants(grants))?;
                }
                match change.expires {
                    Some(expires) => write!(f, " until {}", print::expiry(expires)),
                    None => Ok(()),
                }
            }
            Step::DeleteRobot(name) => write!(f, "- {name}"),
        }
    }
}
