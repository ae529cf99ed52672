//! Which repositories a robot or a limited token may use, and how.

use std::fmt;
use std::sync::Arc;

use oci::RepositoryName;

use super::Right;

/// A repository's name in which `*` stands for any characters, slashes too. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryPattern(Arc<str>);

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Outside the grammar.
    #[error(
        "a pattern of repositories has 1 to 255 characters of `a-z`, `0-9`, `.`, `_`, `-`, `/` and `*`"
    )]
    Malformed,
    /// It would take too long to be matched.
    #[error("a pattern of repositories has at most {max} `*`", max = RepositoryPattern::STARS_MAX)]
    TooManyStars,
}

impl RepositoryPattern {
    /// The most `*` of a pattern.
    pub const STARS_MAX: usize = 8;

    /// Reads a pattern.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn parse(text: &str) -> Result<RepositoryPattern, PatternError> {
        let is_good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/*".contains(&b);
        if text.is_empty() || text.len() > RepositoryName::BYTES_MAX || !text.bytes().all(is_good) {
            return Err(PatternError::Malformed);
        }
        match text.matches('*').count() > Self::STARS_MAX {
            true => Err(PatternError::TooManyStars),
            false => Ok(RepositoryPattern(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole name is of this form.
    #[must_use]
    pub fn matches(&self, repository: &RepositoryName) -> bool {
        has_form(repository.as_str(), &self.0)
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may be done in some repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// In which.
    pub repositories: RepositoryPattern,
    /// What: of [`Right::Pull`], [`Right::Push`] and [`Right::Delete`], in their order.
    pub rights: Vec<Right>,
}

impl Grant {
    /// The most grants of one robot or token.
    pub const COUNT_MAX: usize = 100;

    /// Whether it lets `right` be used in `repository`.
    #[must_use]
    pub fn covers(&self, repository: &RepositoryName, right: Right) -> bool {
        self.rights.contains(&right) && self.repositories.matches(repository)
    }
}

/// Whether the whole of a text has a form, in which each `*` stands for any text, also for none.
#[must_use]
pub fn has_form(text: &str, form: &str) -> bool {
    let mut pieces = form.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_for_any_characters_and_nothing_else_does() {
        let cases = [
            ("team/app", "team/app", true),
            ("team/app", "team/app2", false),
            ("team/app", "my/team/app", false),
            ("team/*", "team/app", true),
            ("team/*", "team/app/web", true),
            ("team/*", "teams/app", false),
            ("*", "alpine", true),
            ("*/app", "team/app", true),
            ("*/app", "team/app/web", false),
            ("team/*/web", "team/web", false),
            ("team/*/web", "team/a/web", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "axcxb", false),
            ("team.x/*", "teamax/b", false),
        ];
        for (pattern, name, expected) in cases {
            let pattern = RepositoryPattern::parse(pattern).unwrap();
            let name = RepositoryName::parse(name).unwrap();
            assert_eq!(pattern.matches(&name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn pattern_that_no_name_could_have_is_refused() {
        for bad in ["", "A", "a b", "team/?", "[a]", "a\0", &"a".repeat(256)] {
            assert_eq!(
                RepositoryPattern::parse(bad),
                Err(PatternError::Malformed),
                "{bad:?}"
            );
        }
        assert_eq!(
            RepositoryPattern::parse("*********"),
            Err(PatternError::TooManyStars)
        );
    }
}
