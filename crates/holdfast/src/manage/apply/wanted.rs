//! What a file says that should be.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use management::{Grant, MemberKind, Role, Time, Visibility};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// The most bytes of a file.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What should be.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Groups; others stay.
    #[serde(default)]
    pub groups: Vec<WantedGroup>,
    /// Projects; others stay.
    #[serde(default)]
    pub projects: Vec<WantedProject>,
    /// Robots of the whole registry; others stay.
    #[serde(default)]
    pub robots: Vec<WantedRobot>,
}

/// A group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedGroup {
    /// Its name.
    pub name: String,
    /// All users in it; those that are in it stay when this is left out.
    pub members: Option<BTreeSet<String>>,
}

/// A project.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedProject {
    /// Its name.
    pub name: String,
    /// Who may pull without being a member; what it is stays when this is left out.
    pub visibility: Option<Visibility>,
    /// All members; those that are there stay when this is left out.
    pub members: Option<Vec<WantedMember>>,
    /// All robots; those that are there stay when this is left out.
    pub robots: Option<Vec<WantedRobot>>,
}

/// A member of a project.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedMember {
    /// A user.
    pub user: Option<String>,
    /// Or a group.
    pub group: Option<String>,
    /// What they are.
    pub role: Role,
}

impl WantedMember {
    /// Who; `None` unless it is exactly one.
    pub fn name(&self) -> Option<(MemberKind, &str)> {
        match (&self.user, &self.group) {
            (Some(user), None) => Some((MemberKind::User, user)),
            (None, Some(group)) => Some((MemberKind::Group, group)),
            _ => None,
        }
    }
}

/// A robot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedRobot {
    /// Its name within its project.
    pub name: String,
    /// What it is for, when it is made.
    #[serde(default)]
    pub description: String,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// Until when; without it for ever.
    pub expires: Option<Time>,
}

impl WantedRobot {
    /// Its whole name.
    pub fn whole_name(&self, project: Option<&str>) -> String {
        match project {
            Some(project) => format!("robot${project}+{}", self.name),
            None => format!("robot${}", self.name),
        }
    }
}

impl Wanted {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(path: &Path) -> Result<Wanted, Failure> {
        let shown = path.display().to_string();
        let failed = |why: String| Failure {
            lines: vec![format!("{shown}: {why}")],
            exit_code: 1,
        };
        let mut text = String::new();
        let is_read = match path.to_str() {
            Some("-") => std::io::stdin()
                .lock()
                .take(FILE_BYTES_MAX)
                .read_to_string(&mut text),
            _ => std::fs::File::open(path)
                .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text)),
        };
        is_read.map_err(|error| failed(error.to_string()))?;
        let end = path
            .extension()
            .and_then(|end| end.to_str())
            .unwrap_or("yaml");
        Wanted::parse(&text, end).map_err(failed)
    }

    /// Reads a text of the form that files with this end have.
    pub fn parse(text: &str, end: &str) -> Result<Wanted, String> {
        let wanted: Wanted = match end {
            "yaml" | "yml" => serde_saphyr::from_str(text).map_err(|error| error.to_string())?,
            "json" => read_json(text)?,
            "toml" => toml::from_str(text).map_err(|error| error.to_string())?,
            other => {
                return Err(format!(
                    "a file ends in .yaml, .toml or .json, not in .{other}"
                ));
            }
        };
        wanted.check()?;
        Ok(wanted)
    }

    /// What is said twice could mean either.
    fn check(&self) -> Result<(), String> {
        once("group", self.groups.iter().map(|group| group.name.clone()))?;
        once(
            "project",
            self.projects.iter().map(|project| project.name.clone()),
        )?;
        once(
            "robot",
            self.robots.iter().map(|robot| robot.whole_name(None)),
        )?;
        for project in &self.projects {
            let name = &project.name;
            let robots = project.robots.iter().flatten();
            once("robot", robots.map(|robot| robot.whole_name(Some(name))))?;
            let mut members = Vec::new();
            for member in project.members.iter().flatten() {
                let Some((kind, member)) = member.name() else {
                    return Err(format!(
                        "project {name}: a member has either `user` or `group`, and a `role`"
                    ));
                };
                members.push(format!("{} {member} in project {name}", kind.name()));
            }
            once("member", members)?;
        }
        Ok(())
    }
}

fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn once(what: &str, names: impl IntoIterator<Item = String>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(format!("the {what} {name} is there twice"));
        }
    }
    Ok(())
}
