//! What the registry says of everything that a file names, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use management::{Group, Me, MeKind, Member, MemberKind, Project, Robot, Role, Visibility};

use super::wanted::{Wanted, WantedGroup, WantedProject};
use crate::failure::Failure;
use crate::manage::client::{CallError, Client};

/// Robots by their whole names.
pub type Robots = BTreeMap<String, Robot>;

/// Who is what.
pub type Members = BTreeMap<(MemberKind, String), Role>;

/// What there is.
#[derive(Debug, Default)]
pub struct Current {
    /// The user who asks; nobody for a robot.
    pub me: Option<String>,
    /// Groups of those that are named, and the users in them.
    pub groups: BTreeMap<String, BTreeSet<String>>,
    /// Projects of those that are named.
    pub projects: BTreeMap<String, CurrentProject>,
    /// Robots of the whole registry.
    pub robots: Robots,
}

/// A project.
#[derive(Debug)]
pub struct CurrentProject {
    /// Who may pull without being a member.
    pub visibility: Visibility,
    /// Its members.
    pub members: Members,
    /// Its robots, if the file speaks of them.
    pub robots: Robots,
}

/// Asks.
///
/// # Errors
/// What the registry says.
pub fn read(client: &Client, wanted: &Wanted) -> Result<Current, Failure> {
    let me: Me = client.get(&["me"], &[])?;
    let mut current = Current {
        me: (me.kind == MeKind::User).then_some(me.name),
        ..Current::default()
    };
    if !wanted.groups.is_empty() {
        let groups: Vec<Group> = client.all(&["groups"], &[], "groups")?;
        let names: BTreeSet<String> = groups.into_iter().map(|group| group.name).collect();
        for WantedGroup { name, members } in &wanted.groups {
            if names.contains(name) {
                let users = match members {
                    Some(_) => client.all(&["groups", name, "members"], &[], "users")?,
                    None => Vec::new(),
                };
                current
                    .groups
                    .insert(name.clone(), users.into_iter().collect());
            }
        }
    }
    for project in &wanted.projects {
        if let Some(found) = read_project(client, project)? {
            current.projects.insert(project.name.clone(), found);
        }
    }
    if !wanted.robots.is_empty() {
        current.robots = robots(client, &[])?;
    }
    Ok(current)
}

/// `None` when it is not there, or is closed to the asker, who is told so when it is to be made.
fn read_project(
    client: &Client,
    wanted: &WantedProject,
) -> Result<Option<CurrentProject>, CallError> {
    let name = &*wanted.name;
    let project: Project = match client.get(&["projects", name], &[]) {
        Ok(project) => project,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) => return Err(error),
    };
    let members: Vec<Member> = match wanted.members {
        Some(_) => client.all(&["projects", name, "members"], &[], "members")?,
        None => Vec::new(),
    };
    let robots = match wanted.robots {
        Some(_) => robots(client, &[("project", name)])?,
        None => Robots::new(),
    };
    let members = members
        .into_iter()
        .map(|member| ((member.kind, member.name), member.role));
    Ok(Some(CurrentProject {
        visibility: project.visibility,
        members: members.collect(),
        robots,
    }))
}

fn robots(client: &Client, query: &[(&str, &str)]) -> Result<Robots, CallError> {
    let robots: Vec<Robot> = client.all(&["robots"], query, "robots")?;
    Ok(robots
        .into_iter()
        .map(|robot| (robot.name.clone(), robot))
        .collect())
}
