//! The names of accounts and groups.
//!
//! A robot's name has a `$`, which a user's cannot have, and names its project: `robot$team+deploy`, or `robot$deploy` for
//! one of the whole registry.

use std::fmt;
use std::sync::Arc;

use oci::ProjectName;

use crate::ids::PrincipalName;

const ROBOT: &str = "robot$";

/// Names that mean something else wherever principals are shown.
const RESERVED: [&str; 3] = ["anonymous", "system", "robot"];

/// The name of a user or a robot. Upper and lower case differ. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Arc<str>);

/// The name of a group of users. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Arc<str>);

/// Why a text is no name of an account or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountNameError {
    /// Outside the grammar.
    #[error(
        "a name has 1 to {max} letters, digits and characters of `._@+-`, and begins with a letter or digit",
        max = AccountName::BYTES_MAX
    )]
    Malformed,
    /// It means something else.
    #[error("this name is reserved")]
    Reserved,
}

fn is_word(text: &str, also: &[u8]) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || also.contains(&b);
    text.len() <= AccountName::BYTES_MAX
        && text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(is_inner)
}

impl AccountName {
    /// The most bytes of one name; a robot's has its project's before it.
    pub const BYTES_MAX: usize = 128;

    /// Reads the name of a user or a robot.
    ///
    /// # Errors
    /// See [`AccountNameError`].
    pub fn parse(text: &str) -> Result<AccountName, AccountNameError> {
        let Some(robot) = text.strip_prefix(ROBOT) else {
            return AccountName::user(text);
        };
        match robot.split_once('+') {
            Some((project, name)) => {
                let project = ProjectName::parse(project);
                AccountName::robot(
                    Some(&project.map_err(|_| AccountNameError::Malformed)?),
                    name,
                )
            }
            None => AccountName::robot(None, robot),
        }
    }

    /// Reads the name of a user.
    ///
    /// # Errors
    /// See [`AccountNameError`].
    pub fn user(text: &str) -> Result<AccountName, AccountNameError> {
        if RESERVED.contains(&text) {
            return Err(AccountNameError::Reserved);
        }
        match is_word(text, b"._@+-") {
            true => Ok(AccountName(text.into())),
            false => Err(AccountNameError::Malformed),
        }
    }

    /// The name of the robot `name` of a project, or of the whole registry.
    ///
    /// # Errors
    /// See [`AccountNameError`].
    pub fn robot(
        project: Option<&ProjectName>,
        name: &str,
    ) -> Result<AccountName, AccountNameError> {
        if !is_word(name, b"._-") {
            return Err(AccountNameError::Malformed);
        }
        Ok(AccountName(match project {
            Some(project) => format!("{ROBOT}{project}+{name}").into(),
            None => format!("{ROBOT}{name}").into(),
        }))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The project of a robot; `None` for users and the robots of the whole registry.
    #[must_use]
    pub fn project(&self) -> Option<ProjectName> {
        let (project, _) = self.robot_name()?;
        ProjectName::parse(project).ok()
    }

    /// A robot's project, empty for one of the whole registry, and its name there; `None` for users.
    pub(crate) fn robot_name(&self) -> Option<(&str, &str)> {
        let name = self.0.strip_prefix(ROBOT)?;
        Some(name.split_once('+').unwrap_or(("", name)))
    }

    /// Whether it is a robot's.
    #[must_use]
    pub fn is_robot(&self) -> bool {
        self.0.starts_with(ROBOT)
    }
}

impl GroupName {
    /// Reads a name: as a user's, with `/` and `:`.
    ///
    /// # Errors
    /// See [`AccountNameError`].
    pub fn parse(text: &str) -> Result<GroupName, AccountNameError> {
        match is_word(text, b"._@+-/:") {
            true => Ok(GroupName(text.into())),
            false => Err(AccountNameError::Malformed),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&AccountName> for PrincipalName {
    fn from(name: &AccountName) -> PrincipalName {
        PrincipalName(Arc::clone(&name.0))
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_robots_never_share_a_name() {
        for user in ["admin", "Ann.Lee", "a@example.org", "7", "x_y-z+1"] {
            let name = AccountName::parse(user).unwrap();
            assert_eq!(name.as_str(), user);
            assert!(!name.is_robot());
        }
        for robot in ["robot$deploy", "robot$team+deploy", "robot$a-b+ci.1"] {
            let name = AccountName::parse(robot).unwrap();
            assert_eq!(name.as_str(), robot);
            assert!(name.is_robot());
        }
        let project = |name| AccountName::parse(name).unwrap().project();
        assert_eq!(
            project("robot$team+deploy"),
            ProjectName::parse("team").ok()
        );
        assert_eq!(project("robot$deploy"), None);
        assert_eq!(project("x+y"), None);
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_no_name() {
        let long = "a".repeat(AccountName::BYTES_MAX + 1);
        for bad in [
            "",
            "-a",
            " a",
            "a b",
            "a\0",
            "a/b",
            "a:b",
            "a$b",
            "robot$",
            "robot$Team+x",
            "robot$a+b+c",
            "robot$../x+y",
            "ä",
            &long,
        ] {
            assert_eq!(
                AccountName::parse(bad),
                Err(AccountNameError::Malformed),
                "{bad:?}"
            );
        }
        for reserved in ["anonymous", "system", "robot"] {
            assert_eq!(
                AccountName::parse(reserved),
                Err(AccountNameError::Reserved)
            );
        }
    }
}
