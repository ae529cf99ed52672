//! Project names: the first part of a repository's name, which says whose it is.

use std::fmt;
use std::sync::Arc;

use crate::name::{NameError, RepositoryName, is_path_component};

/// The name of a project: one part of a repository's name. Ordered by bytes. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(Arc<str>);

impl ProjectName {
    /// Reads a name.
    ///
    /// # Errors
    /// As for a repository's name, which begins with it.
    pub fn parse(text: &str) -> Result<ProjectName, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > RepositoryName::BYTES_MAX {
            return Err(NameError::TooLong);
        }
        match is_path_component(text) {
            true => Ok(ProjectName(text.into())),
            false => Err(NameError::Malformed),
        }
    }

    /// The project that `repository` belongs to.
    #[must_use]
    pub fn of(repository: &RepositoryName) -> ProjectName {
        ProjectName(repository.project().into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProjectName({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_is_one_part_of_a_repository_name() {
        for good in ["library", "a", "team-a", "a__b", "x.y"] {
            assert_eq!(ProjectName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "A", "a/b", "..", "a..b", "-a", "a b", "a\0"] {
            assert!(ProjectName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn repository_of_one_part_belongs_to_the_library() {
        let project =
            |name: &str| ProjectName::of(&RepositoryName::parse(name).unwrap()).to_string();
        assert_eq!(project("alpine"), "library");
        assert_eq!(project("team/app/web"), "team");
    }
}
